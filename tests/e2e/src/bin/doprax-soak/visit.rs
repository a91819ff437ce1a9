//! Clients that ask and are answered, again and again.

use crate::door::{Body, Connection, Door, Protocol, is_refusal, whole};
use crate::grpc::{self, Messages};
use crate::record::{Client, Record, Streams, now_ms};
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use http::{StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::SendRequest;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Longest time of a request.
const LIMIT: Duration = Duration::from_secs(20);

/// Bytes of bodies, in turn.
const SIZES: [usize; 6] = [1, 100, 4 << 10, 100, 64 << 10, 256 << 10];

/// A slow body: its bytes, the pieces that it is sent in, and the pause between them.
const SLOW_BYTES: usize = 80 << 10;
const PIECES: usize = 20;
const PIECE_PAUSE: Duration = Duration::from_millis(50);

/// What a client asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask {
    Get,
    Post,
    /// A body that takes a second to be sent.
    SlowPost,
    /// A call that is answered with the release.
    CallRelease,
    /// A call that is answered with its message.
    CallEcho,
    /// The same with a message that takes a second to be sent.
    SlowCallEcho,
}

impl Ask {
    fn is_call(self) -> bool {
        matches!(
            self,
            Self::CallRelease | Self::CallEcho | Self::SlowCallEcho
        )
    }

    fn is_slow(self) -> bool {
        matches!(self, Self::SlowPost | Self::SlowCallEcho)
    }

    fn wants_release(self) -> bool {
        matches!(self, Self::Get | Self::CallRelease)
    }

    fn path(self) -> &'static str {
        match self {
            Self::Get => "/",
            Self::Post | Self::SlowPost => "/echo",
            Self::CallRelease => "/soak.Soak/Release",
            Self::CallEcho | Self::SlowCallEcho => "/soak.Soak/Echo",
        }
    }
}

/// How a client asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habit {
    pub(crate) kind: &'static str,
    pub(crate) protocol: Protocol,
    /// Whether a connection serves more than one request.
    pub(crate) keep: bool,
    /// Asked together on each tick; several at a time only by HTTP/2.
    pub(crate) asks: &'static [Ask],
    pub(crate) pause: Duration,
    /// Whether that takes so long that it counts as a stream.
    pub(crate) slow: bool,
    /// How many such clients there are for an app.
    pub(crate) clients: usize,
}

/// Asks as is its habit until it is told to stop.
pub(crate) async fn visit(door: Door, app: &'static str, record: Arc<Record>, habit: Habit) {
    let client = Client {
        kind: habit.kind,
        app,
    };
    let mut ticks = tokio::time::interval(habit.pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kept: Option<Connection> = None;
    let mut number = 0;
    while !record.is_stopping() {
        ticks.tick().await;
        if habit.slow && record.streams() == Streams::Absent {
            continue;
        }
        let began = now_ms();
        if let Some(connection) = &mut kept
            && connection.is_closed().await
        {
            kept = None;
        }
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => match door.open(app, habit.protocol).await {
                Ok(connection) => {
                    record.opened(client);
                    connection
                }
                Err(error) => {
                    record.failed(client, began, format!("no connection: {error}"));
                    continue;
                }
            },
        };
        let before = record.releases(app);
        let asked = habit.asks.iter().map(|ask| {
            number += 1;
            (*ask, number)
        });
        let asked: Vec<(Ask, usize)> = asked.collect();
        let answers = match &mut connection {
            Connection::Http1(_) => {
                let mut answers = Vec::new();
                for (ask, number) in asked {
                    answers.push(exchange(&door, &mut connection, app, ask, number).await);
                }
                answers
            }
            Connection::Http2(sender) => {
                let exchanges = asked.into_iter().map(|(ask, number)| {
                    let (door, sender) = (&door, sender.clone());
                    exchange_surely(door, sender, app, ask, number)
                });
                join_all(exchanges).await
            }
        };
        let now = record.releases(app);
        let serves = |release| before.contains(&release) || now.contains(&release);
        let mut keep = habit.keep;
        for answer in answers {
            match answer {
                Ok(Answer {
                    closes,
                    release,
                    again,
                }) => {
                    if again {
                        record.again(client);
                    }
                    match release.filter(|release| !serves(*release)) {
                        None => record.good(client),
                        Some(other) => {
                            let text = format!("release {other} answered in the place of {now:?}");
                            record.failed(client, began, text);
                        }
                    }
                    keep &= !closes;
                }
                Err(error) => {
                    record.failed(client, began, error.to_string());
                    keep = false;
                }
            }
        }
        if keep {
            kept = Some(connection);
        }
    }
}

/// An answer that is whole.
struct Answer {
    /// Whether the connection ends with it.
    closes: bool,
    /// The release that gave it, where that was asked for.
    release: Option<usize>,
    /// Whether it had to be asked for twice.
    again: bool,
}

/// One request and its answer, which must be the right one.
async fn exchange(
    door: &Door,
    connection: &mut Connection,
    app: &str,
    ask: Ask,
    number: usize,
) -> io::Result<Answer> {
    let protocol = match connection {
        Connection::Http1(_) => Protocol::Http1,
        Connection::Http2(_) => Protocol::Http2,
    };
    let sent = match ask {
        Ask::Get | Ask::CallRelease => Bytes::new(),
        Ask::Post | Ask::CallEcho => pattern(number, SIZES[number % SIZES.len()]),
        Ask::SlowPost | Ask::SlowCallEcho => pattern(number, SLOW_BYTES),
    };
    let whole_body = match ask.is_call() {
        true => grpc::wrap(&sent),
        false => sent.clone(),
    };
    let body = match ask.is_slow() {
        true => slowly(whole_body),
        false => Full::new(whole_body).boxed_unsync(),
    };
    let method = if let Ask::Get = ask { "GET" } else { "POST" };
    let mut request = door.request(app, protocol, method, ask.path(), body);
    if ask.is_call() {
        grpc::address(request.headers_mut());
    }
    let answered = async {
        let response = connection.send(request).await?;
        let (head, body) = response.into_parts();
        match body.collect().await {
            Ok(body) => Ok((head, body)),
            Err(error) => Err(say("the answer broke off", &whole(error))),
        }
    };
    let what = || format!("{ask:?} of {} bytes", sent.len());
    let (head, body) = tokio::time::timeout(LIMIT, answered)
        .await
        .map_err(|_| io::Error::other(format!("no answer within {} s", LIMIT.as_secs())))
        .and_then(|answered| answered)
        .map_err(|error| say(&what(), &error))?;
    let trailers = body.trailers().cloned();
    let mut body = body.to_bytes();
    let text = |body: &[u8]| String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
    if head.status != StatusCode::OK {
        let text = format!("{}: {} {}", what(), head.status, text(&body));
        return Err(io::Error::other(text));
    }
    if ask.is_call() {
        grpc::succeeded(trailers.as_ref(), &head.headers).map_err(|error| say(&what(), &error))?;
        let mut messages = Messages::default();
        messages.push(&body);
        body = messages.next().unwrap_or_default();
        if !messages.is_empty() {
            return Err(io::Error::other(format!("{}: more than a message", what())));
        }
    }
    let mut release = None;
    if ask.wants_release() {
        let text = text(&body);
        let number = text.trim().strip_prefix("release ");
        release = number.and_then(|number| number.parse().ok());
        if release.is_none() {
            return Err(io::Error::other(format!(
                "{}: {text:?} is no release",
                what()
            )));
        }
    } else if body != sent {
        let came = body.len();
        let text = format!("{}: {came} bytes came back, or others", what());
        return Err(io::Error::other(text));
    }
    let closes = head.headers.get(header::CONNECTION);
    let closes = closes.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
    Ok(Answer {
        closes,
        release,
        again: false,
    })
}

/// The same by HTTP/2, once more on another connection where it is known that nobody has
/// looked at the request.
async fn exchange_surely(
    door: &Door,
    sender: SendRequest<Body>,
    app: &str,
    ask: Ask,
    number: usize,
) -> io::Result<Answer> {
    let mut connection = Connection::Http2(sender);
    match exchange(door, &mut connection, app, ask, number).await {
        Err(error) if is_refusal(&error) => {}
        other => return other,
    }
    let mut connection = door.open(app, Protocol::Http2).await?;
    let answer = exchange(door, &mut connection, app, ask, number).await?;
    Ok(Answer {
        closes: true,
        again: true,
        ..answer
    })
}

fn say(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Bytes in which a missing, doubled or foreign piece shows.
fn pattern(number: usize, length: usize) -> Bytes {
    (0..length)
        .map(|at| (at.wrapping_mul(31) ^ (at >> 8) ^ number.wrapping_mul(97)) as u8)
        .collect()
}

fn slowly(whole: Bytes) -> Body {
    let piece_bytes = whole.len().div_ceil(PIECES);
    let pieces = stream::iter(0..PIECES).then(move |at| {
        let end = whole.len().min((at + 1) * piece_bytes);
        let piece = whole.slice(end.min(at * piece_bytes)..end);
        async move {
            tokio::time::sleep(PIECE_PAUSE).await;
            Ok(Frame::data(piece))
        }
    });
    StreamBody::new(pieces).boxed_unsync()
}
