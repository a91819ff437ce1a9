//! Clients whose connection stays open: WebSockets, server-sent events, and calls of gRPC
//! that are answered with a stream.
//!
//! Each ends by itself after a while, so that a drain need not wait for it, or stays until
//! main ends it, as the record says. How main ends it must be seen on the
//! wire: a closing handshake, a last event and the end of the body, a status. All else is
//! a cut.

use crate::door::{Door, Protocol, is_refusal, whole};
use crate::grpc::{self, Messages};
use crate::record::{Client, Record, Streams, now_ms};
use futures_util::{SinkExt as _, StreamExt as _};
use http::StatusCode;
use http_body_util::{BodyExt as _, Empty, Full};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};

/// How long a stream stays open.
const LIFE: Duration = Duration::from_secs(2);

/// Pause between two messages.
const PAUSE: Duration = Duration::from_millis(100);

/// Longest silence.
const LIMIT: Duration = Duration::from_secs(10);

/// How a stream came to its end.
enum End {
    /// The client had had enough.
    Left,
    /// Main ended it in good order.
    Ended,
}

/// A stream at an app, again and again.
#[derive(Clone)]
pub(crate) struct Listener {
    pub(crate) door: Door,
    pub(crate) client: Client,
    pub(crate) record: Arc<Record>,
}

impl Listener {
    /// Sends a message every 100 ms, which has to come back.
    pub(crate) async fn echo(self) {
        while self.may_begin().await {
            let began = now_ms();
            let ended = self.websocket().await.map_err(io::Error::other);
            self.note(began, ended).await;
        }
    }

    /// Takes events, whose numbers have to follow each other.
    pub(crate) async fn listen(self, protocol: Protocol) {
        while self.may_begin().await {
            let began = now_ms();
            let ended = self.events(protocol).await;
            self.note(began, ended).await;
        }
    }

    /// Takes the messages of a call, whose numbers have to follow each other.
    pub(crate) async fn subscribe(self) {
        while self.may_begin().await {
            let began = now_ms();
            let ended = self.messages().await;
            self.note(began, ended).await;
        }
    }

    /// Waits until a stream may be opened; false: never again.
    async fn may_begin(&self) -> bool {
        while !self.record.is_stopping() && self.record.streams() == Streams::Absent {
            tokio::time::sleep(PAUSE).await;
        }
        !self.record.is_stopping()
    }

    async fn note(&self, began: i64, ended: io::Result<End>) {
        match ended {
            Ok(End::Left) => {}
            Ok(End::Ended) => self.record.ended(self.client),
            Err(error) if is_refusal(&error) => self.record.again(self.client),
            Err(error) => {
                self.record.failed(self.client, began, error.to_string());
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn leaves(&self, since: Instant) -> bool {
        let enough = match self.record.streams() {
            Streams::Absent => true,
            Streams::Brief => since.elapsed() > LIFE,
            Streams::Patient => false,
        };
        enough || self.record.is_stopping()
    }

    async fn websocket(&self) -> Result<End, Error> {
        let stream = self.door.connect().await?;
        let url = format!("ws://{}/ws", self.door.authority(self.client.app));
        let opened = timeout(LIMIT, tokio_tungstenite::client_async(url, stream)).await;
        let (mut socket, _) = opened.map_err(|_| silence("the handshake"))??;
        self.record.opened(self.client);
        let since = Instant::now();
        let mut number = 0;
        let mut leaving = false;
        loop {
            if !leaving && self.leaves(since) {
                socket.close(None).await?;
                leaving = true;
            }
            if !leaving {
                let sent = Message::text(number.to_string());
                socket.send(sent).await?;
            }
            match timeout(LIMIT, socket.next()).await {
                Err(_) => return Err(silence("an echo or the closing handshake")),
                Ok(Some(Ok(Message::Text(text)))) if text.as_str() == number.to_string() => {
                    self.record.good(self.client);
                    number += 1;
                }
                Ok(Some(Ok(Message::Close(_)))) => break,
                Ok(Some(Ok(other))) => {
                    return Err(wrong(format!("{other:?} came back for {number}")));
                }
                Ok(Some(Err(error))) => return Err(error),
                Ok(None) => return Err(wrong("it ended without a closing handshake".to_owned())),
            }
            if !leaving {
                tokio::time::sleep(PAUSE).await;
            }
        }
        // Reading on sends this side's part of the handshake.
        match timeout(LIMIT, socket.next()).await {
            Ok(None) => Ok(if leaving { End::Left } else { End::Ended }),
            Ok(Some(Err(error))) => Err(error),
            Ok(Some(Ok(more))) => Err(wrong(format!("{more:?} after the closing handshake"))),
            Err(_) => Err(silence("the end after the closing handshake")),
        }
    }

    async fn events(&self, protocol: Protocol) -> io::Result<End> {
        let app = self.client.app;
        let mut connection = self.door.open(app, protocol).await?;
        self.record.opened(self.client);
        let body = Empty::new().boxed_unsync();
        let request = self.door.request(app, protocol, "GET", "/events", body);
        let since = Instant::now();
        let response = timeout(LIMIT, connection.send(request)).await??;
        if response.status() != StatusCode::OK {
            return Err(io::Error::other(response.status().to_string()));
        }
        let mut body = response.into_body();
        let mut text = String::new();
        let mut number = 0;
        let mut last = false;
        while !self.leaves(since) {
            let Some(frame) = timeout(LIMIT, body.frame()).await? else {
                return match last && text.is_empty() {
                    true => Ok(End::Ended),
                    false => Err(io::Error::other("the body ended before the last event")),
                };
            };
            let frame = frame.map_err(whole)?.into_data().unwrap_or_default();
            text.push_str(&String::from_utf8_lossy(&frame));
            while let Some((event, rest)) = text.split_once("\n\n") {
                if event == "data: end" {
                    last = true;
                } else if last || event != format!("data: {number}") {
                    let text = format!("{event:?} came where event {number} was due");
                    return Err(io::Error::other(text));
                } else {
                    self.record.good(self.client);
                    number += 1;
                }
                text = rest.to_owned();
            }
        }
        Ok(End::Left)
    }

    async fn messages(&self) -> io::Result<End> {
        let app = self.client.app;
        let mut connection = self.door.open(app, Protocol::Http2).await?;
        self.record.opened(self.client);
        let body = Full::new(grpc::wrap(b"")).boxed_unsync();
        let path = "/soak.Soak/Events";
        let mut request = self.door.request(app, Protocol::Http2, "POST", path, body);
        grpc::address(request.headers_mut());
        let since = Instant::now();
        let response = timeout(LIMIT, connection.send(request)).await??;
        let (head, mut body) = response.into_parts();
        if head.status != StatusCode::OK {
            return Err(io::Error::other(head.status.to_string()));
        }
        let mut messages = Messages::default();
        let mut trailers = None;
        let mut number = 0;
        let mut last = false;
        while !self.leaves(since) {
            let Some(frame) = timeout(LIMIT, body.frame()).await? else {
                grpc::succeeded(trailers.as_ref(), &head.headers)?;
                return match last && messages.is_empty() {
                    true => Ok(End::Ended),
                    false => Err(io::Error::other("the call ended before the last message")),
                };
            };
            match frame.map_err(whole)?.into_data() {
                Ok(piece) => messages.push(&piece),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
            while let Some(message) = messages.next() {
                if message == "end" {
                    last = true;
                } else if last || message != number.to_string() {
                    let text = format!("{message:?} came where message {number} was due");
                    return Err(io::Error::other(text));
                } else {
                    self.record.good(self.client);
                    number += 1;
                }
            }
        }
        Ok(End::Left)
    }
}

fn silence(what: &str) -> Error {
    let text = format!("waited {} s for {what}", LIMIT.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, text).into()
}

fn wrong(text: String) -> Error {
    io::Error::other(text).into()
}
