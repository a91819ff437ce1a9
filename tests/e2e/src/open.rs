//! What stays open: a WebSocket, and an answer that does not end.

use crate::Site;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Longest wait for what comes next.
const LIMIT: Duration = Duration::from_secs(30);

/// A WebSocket at an app that echoes.
pub struct WebSocket {
    runtime: Runtime,
    socket: WebSocketStream<TcpStream>,
}

impl WebSocket {
    pub(crate) fn open(site: &Site, path: &str) -> Self {
        let url = format!("ws://{}{path}", site.authority());
        let runtime = runtime();
        let socket = runtime.block_on(async {
            let stream = TcpStream::connect(site.address()).await.unwrap();
            let opened = tokio_tungstenite::client_async(url, stream).await;
            opened.unwrap_or_else(|error| panic!("WebSocket {path}: {error}"))
        });
        Self {
            runtime,
            socket: socket.0,
        }
    }

    /// Sends a text, and returns what comes back.
    #[track_caller]
    pub fn echo(&mut self, text: &str) -> String {
        let Self { runtime, socket } = self;
        let echoed = runtime.block_on(async {
            socket.send(Message::text(text)).await.ok()?;
            let message = tokio::time::timeout(LIMIT, socket.next()).await;
            message.ok()??.ok()
        });
        match echoed {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("not echoed: {text}, but {other:?}"),
        }
    }
}

/// The body of an answer that goes on and on.
pub struct Endless {
    runtime: Runtime,
    body: Incoming,
    text: String,
}

impl Endless {
    pub(crate) fn open(site: &Site, path: &str) -> Self {
        let request = site.request("GET", path).body(Full::<Bytes>::default());
        let runtime = runtime();
        let body = runtime.block_on(async {
            let stream = TcpStream::connect(site.address()).await.unwrap();
            let io = TokioIo::new(stream);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            // How it ended is seen in the body.
            tokio::spawn(async move { drop(connection.await) });
            let response = sender.send_request(request.unwrap()).await.unwrap();
            response.into_body()
        });
        Self {
            runtime,
            body,
            text: String::new(),
        }
    }

    /// Reads on until this text has come.
    #[track_caller]
    pub fn read_to(&mut self, text: &str) {
        while !self.text.contains(text) {
            let Self { runtime, body, .. } = self;
            let frame = runtime.block_on(async { tokio::time::timeout(LIMIT, body.frame()).await });
            match frame {
                Ok(Some(Ok(frame))) => {
                    let data = frame.into_data().unwrap_or_default();
                    self.text.push_str(&String::from_utf8_lossy(&data));
                }
                other => panic!("no {text:?}, but {other:?} after {}", self.text),
            }
        }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}
