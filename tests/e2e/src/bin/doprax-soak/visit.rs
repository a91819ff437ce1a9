//! Clients that ask and are answered, again and again.

use crate::door::{Body, Connection, Door, Protocol, whole};
use crate::record::{Client, Record, Streams, now_ms};
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use http::{StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Longest time of a request.
const LIMIT: Duration = Duration::from_secs(20);

/// Bytes of bodies, in turn.
const SIZES: [usize; 6] = [1, 100, 4 << 10, 100, 64 << 10, 256 << 10];

/// A slow body: its pieces, their bytes, and the pause between them.
const PIECES: usize = 20;
const PIECE_BYTES: usize = 4 << 10;
const PIECE_PAUSE: Duration = Duration::from_millis(50);

/// What a client asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask {
    Get,
    Post,
    /// A body that takes a second to be sent.
    SlowPost,
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
        let oldest = record.release(app);
        let asked = habit.asks.iter().map(|ask| {
            number += 1;
            (*ask, number)
        });
        let asked: Vec<(Ask, usize)> = asked.collect();
        let answers = match &mut connection {
            Connection::Http1(_) => {
                let mut answers = Vec::new();
                for (ask, number) in asked {
                    answers.push(exchange(&door, &mut connection, app, ask, number, oldest).await);
                }
                answers
            }
            Connection::Http2(sender) => {
                let exchanges = asked.into_iter().map(|(ask, number)| {
                    let (door, sender) = (&door, sender.clone());
                    async move {
                        let mut connection = Connection::Http2(sender);
                        exchange(door, &mut connection, app, ask, number, oldest).await
                    }
                });
                join_all(exchanges).await
            }
        };
        let mut keep = habit.keep;
        for answer in answers {
            match answer {
                Ok(closes) => {
                    record.good(client);
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

/// One request and its answer, which must be the right one. Returns whether the
/// connection ends with it.
async fn exchange(
    door: &Door,
    connection: &mut Connection,
    app: &str,
    ask: Ask,
    number: usize,
    oldest: usize,
) -> io::Result<bool> {
    let protocol = match connection {
        Connection::Http1(_) => Protocol::Http1,
        Connection::Http2(_) => Protocol::Http2,
    };
    let sent = match ask {
        Ask::Get => Bytes::new(),
        Ask::Post => pattern(number, SIZES[number % SIZES.len()]),
        Ask::SlowPost => pattern(number, PIECES * PIECE_BYTES),
    };
    let body = match ask {
        Ask::Get | Ask::Post => Full::new(sent.clone()).boxed_unsync(),
        Ask::SlowPost => slowly(sent.clone()),
    };
    let (method, path) = match ask {
        Ask::Get => ("GET", "/"),
        Ask::Post | Ask::SlowPost => ("POST", "/echo"),
    };
    let request = door.request(app, protocol, method, path, body);
    let answered = async {
        let response = connection.send(request).await?;
        let (head, body) = response.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return Err(say("the answer broke off", &whole(error))),
        };
        Ok((head, body))
    };
    let (head, body) = tokio::time::timeout(LIMIT, answered)
        .await
        .map_err(|_| io::Error::other(format!("no answer within {} s", LIMIT.as_secs())))?
        .map_err(|error| say(&format!("{ask:?} of {} bytes", sent.len()), &error))?;
    let text = || String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
    if head.status != StatusCode::OK {
        let status = head.status;
        return Err(io::Error::other(format!("{ask:?}: {status} {}", text())));
    }
    match ask {
        Ask::Get => {
            let release = text();
            let release = release.trim().strip_prefix("release ");
            let release = release.and_then(|number| number.parse::<usize>().ok());
            if release.is_none_or(|release| release < oldest) {
                let text = format!("{:?} answered after release {oldest} was up", text());
                return Err(io::Error::other(text));
            }
        }
        Ask::Post | Ask::SlowPost if body != sent => {
            let (sent, came) = (sent.len(), body.len());
            let text = format!("{came} bytes came back of {sent}, or others");
            return Err(io::Error::other(text));
        }
        Ask::Post | Ask::SlowPost => {}
    }
    let closes = head.headers.get(header::CONNECTION);
    Ok(closes.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close")))
}

fn say(what: &str, error: &io::Error) -> io::Error {
    io::Error::other(format!("{what}: {error}"))
}

/// Bytes in which a missing, doubled or foreign piece shows.
fn pattern(number: usize, length: usize) -> Bytes {
    (0..length)
        .map(|at| (at.wrapping_mul(31) ^ (at >> 8) ^ number.wrapping_mul(97)) as u8)
        .collect()
}

fn slowly(whole: Bytes) -> Body {
    let pieces = stream::iter(0..PIECES).then(move |at| {
        let piece = whole.slice(at * PIECE_BYTES..(at + 1) * PIECE_BYTES);
        async move {
            tokio::time::sleep(PIECE_PAUSE).await;
            Ok(Frame::data(piece))
        }
    });
    StreamBody::new(pieces).boxed_unsync()
}
