//! HTTP/2 clients that take too much: of time, of bytes, of requests.

use crate::http2::{NAME, client, request, rig};
use crate::pki::{Authority, BOTH};
use crate::rig::{Fed, Origin, Rig, any, app, empty, read_head, soon, text, until};
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::client::TlsStream;

const SHORT: Duration = Duration::from_millis(150);

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
pub const HEADERS: u8 = 1;

pub const SETTINGS: u8 = 4;
pub const RST_STREAM: u8 = 3;
pub const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_STREAM_AND_HEADERS: u8 = 5;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A request in frames (RFC 7541 section 6.2.2: literal fields).
pub fn get(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    get_at(stream, NAME, more)
}

fn get_at(stream: u32, authority: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/"),
        (":authority", authority),
    ];
    let mut block = Vec::new();
    for (name, value) in pseudo.iter().chain(more) {
        for text in [name, value] {
            if text == name {
                block.push(0);
            }
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    frame(HEADERS, END_STREAM_AND_HEADERS, stream, &block)
}

/// A connection whose frames are written by hand.
async fn by_hand(rig: &Rig, authority: &Authority) -> TlsStream<TcpStream> {
    let visitor = authority.trusting(BOTH).speaking(&["h2"]);
    let mut stream = visitor.connect(rig.https, NAME).await.unwrap();
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&hello).await.unwrap();
    stream
}

/// Kinds of the frames that come until the connection ends.
pub async fn kinds(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let all = kinds_until(stream, |_, _| false);
    soon("the end of the connection", all).await
}

/// Kinds of the frames that come, up to one whose kind and flags are looked for.
async fn kinds_until(
    stream: &mut (impl AsyncRead + Unpin),
    last: impl Fn(u8, u8) -> bool,
) -> Vec<u8> {
    let mut kinds = Vec::new();
    let mut head = [0; 9];
    while stream.read_exact(&mut head).await.is_ok() {
        kinds.push(head[3]);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if stream.read_exact(&mut payload).await.is_err() || last(head[3], head[4]) {
            break;
        }
    }
    kinds
}

async fn silent() -> Origin {
    Origin::new(|_| pending()).await
}

/// Sends without end.
async fn endless() -> Origin {
    Origin::new(|_| async {
        let part = || Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[b'x'; 65536])));
        Response::new(any(StreamBody::new(futures_util::stream::repeat_with(
            part,
        ))))
    })
    .await
}

#[tokio::test]
async fn a_connection_has_so_many_requests_open_and_not_more() {
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    let now = Arc::new(AtomicUsize::new(0));
    let origin = Origin::new(move |request| {
        let (now, seen) = (Arc::clone(&now), Arc::clone(&seen));
        let expected = if request.uri().path() == "/1" { 1 } else { 3 };
        async move {
            seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            until("they are open", || seen.load(Ordering::SeqCst) >= expected).await;
            // A fourth would have time to come.
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            now.fetch_sub(1, Ordering::SeqCst);
            Response::new(text("ok"))
        }
    })
    .await;
    let (rig, authority) = rig(origin.target(), |config| config.limits.http2_streams = 3);
    let mut client = client(&rig, &authority).await;
    // The settings of the server have arrived with the first answer.
    for (path, count) in [("/1", 1), ("/20", 20)] {
        let all: Vec<_> = (0..count)
            .map(|_| tokio::spawn(client.send_request(request("GET", path, empty()))))
            .collect();
        for one in all {
            let answer = soon("the answer", one).await.unwrap().unwrap();
            assert_eq!(answer.status(), 200);
            answer.into_body().collect().await.unwrap();
        }
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn large_heads_are_refused_and_not_forwarded() {
    let origin = Origin::echo().await;
    let (rig, authority) = rig(origin.target(), |config| {
        config.limits.head_bytes = 4096;
        config.limits.head_fields = 50;
    });
    let mut client = client(&rig, &authority).await;
    let mut large = request("GET", "/", empty());
    let value = "a".repeat(8192).parse().unwrap();
    large.headers_mut().insert("x", value);
    // hyper keeps to the announced limit itself and sends no such request.
    let answer = client.send_request(large).await;
    assert!(answer.is_err() || answer.unwrap().status() == 431);
    for (fields, status) in [(51, 431), (50, 200)] {
        assert_eq!(origin.accepted(), 0);
        let mut many = request("GET", "/", empty());
        for _ in 0..fields {
            many.headers_mut().append("x", "y".parse().unwrap());
        }
        assert_eq!(client.send_request(many).await.unwrap().status(), status);
    }
    let mut crumbs = request("GET", "/", empty());
    for _ in 0..60 {
        crumbs.headers_mut().append("cookie", "y".parse().unwrap());
    }
    assert_eq!(client.send_request(crumbs).await.unwrap().status(), 200);
}

/// As HTTP/1 would write it, but for the words around it.
#[tokio::test]
async fn a_head_is_measured_with_its_target() {
    const BYTES: usize = 4096;
    let origin = Origin::echo().await;
    let (rig, authority) = rig(origin.target(), |config| config.limits.head_bytes = BYTES);
    let mut client = client(&rig, &authority).await;
    for (bytes, status) in [(BYTES, 200), (BYTES + 1, 431)] {
        for target in [1, BYTES - 100] {
            let path = format!("/{}", "a".repeat(target - 1));
            let value = "b".repeat(bytes - target - "x: \r\n".len());
            let mut asked = request("GET", &path, empty());
            asked.headers_mut().insert("x", value.parse().unwrap());
            let answer = client.send_request(asked).await.unwrap();
            assert_eq!(answer.status(), status, "{bytes} with a target of {target}");
        }
    }
}

#[tokio::test]
async fn a_client_that_cancels_what_was_not_looked_at_is_closed() {
    let origin = silent().await;
    let (rig, authority) = rig(origin.target(), |config| {
        config.limits.http2_pending_resets = 5
    });
    let mut stream = by_hand(&rig, &authority).await;
    let mut frames = Vec::new();
    for number in 0..40 {
        frames.extend(get(2 * number + 1, &[]));
        frames.extend(frame(RST_STREAM, 0, 2 * number + 1, &[0, 0, 0, 8]));
    }
    let _ = stream.write_all(&frames).await;
    assert!(kinds(&mut stream).await.contains(&GOAWAY));
    until("nothing is left", || rig.ingress.in_flight(&app()) == 0).await;
}

#[tokio::test]
async fn a_client_that_cancels_most_of_what_it_asks_for_is_closed() {
    let origin = silent().await;
    let (rig, authority) = rig(origin.target(), |config| {
        config.limits.http2_cancelled_requests = 10;
    });
    let mut client = client(&rig, &authority).await;
    let mut cancelled = 0;
    while client.ready().await.is_ok() {
        let asked = tokio::spawn(client.send_request(request("GET", "/", empty())));
        until("it is there or refused", || {
            rig.ingress.in_flight(&app()) == 1 || asked.is_finished()
        })
        .await;
        asked.abort();
        let _ = asked.await;
        until("it is gone", || rig.ingress.in_flight(&app()) == 0).await;
        cancelled += 1;
        assert!(cancelled < 20, "the connection goes on");
    }
    assert!(cancelled > 10, "closed after {cancelled}");
}

#[tokio::test]
async fn a_client_that_sends_malformed_requests_is_closed() {
    let origin = silent().await;
    let (rig, authority) = rig(origin.target(), |config| config.limits.http2_errors = 5);
    let mut stream = by_hand(&rig, &authority).await;
    for number in 0..20 {
        // RFC 9113 section 8.2.2.
        let malformed = get(2 * number + 1, &[("connection", "close")]);
        if stream.write_all(&malformed).await.is_err() {
            break;
        }
    }
    assert!(kinds(&mut stream).await.contains(&GOAWAY));
    assert_eq!(origin.accepted(), 0);
}

#[tokio::test]
async fn idle_connections_are_told_to_go_and_closed() {
    let origin = Origin::echo().await;
    let (rig, authority) = rig(origin.target(), |config| {
        config.limits.head_timeout = SHORT;
        config.limits.idle_timeout = SHORT;
    });
    let mut unused = client::<http_body_util::Full<Bytes>>(&rig, &authority).await;
    let mut used = client(&rig, &authority).await;
    let answer = used.send_request(request("GET", "/", empty())).await;
    answer.unwrap().into_body().collect().await.unwrap();
    for client in [&mut unused, &mut used] {
        let closed = async {
            while client.ready().await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        soon("it is closed", closed).await;
    }
    let visitor = authority.trusting(BOTH).speaking(&["h2"]);
    let mut silent = visitor.connect(rig.https, NAME).await.unwrap();
    let mut settings = Vec::new();
    let end = silent.read_to_end(&mut settings);
    let _ = soon("a client without a preface is closed", end).await;
}

#[tokio::test]
async fn a_connection_with_an_open_request_is_not_idle() {
    let (feed, fed) = mpsc::channel(1);
    let fed = Arc::new(std::sync::Mutex::new(Some(fed)));
    let origin = Origin::new(move |_| {
        let fed = fed.lock().unwrap().take().unwrap();
        async move { Response::new(any(Fed(fed))) }
    })
    .await;
    let (rig, authority) = rig(origin.target(), |config| {
        config.limits.head_timeout = SHORT;
        config.limits.idle_timeout = SHORT;
        config.limits.stall_timeout = SHORT;
    });
    let mut client = client(&rig, &authority).await;
    let asked = client.send_request(request("GET", "/", empty()));
    let mut body = asked.await.unwrap().into_body();
    let mut pause = tokio::time::interval(3 * SHORT);
    for _ in 0..3 {
        pause.tick().await;
        feed.send(Frame::data(Bytes::from_static(b"x")))
            .await
            .unwrap();
        assert!(soon("the part", body.frame()).await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_body_that_stops_arriving_is_answered_with_408() {
    let origin = Origin::echo().await;
    let (rig, authority) = rig(origin.target(), |config| {
        config.limits.stall_timeout = SHORT
    });
    let mut client = client(&rig, &authority).await;
    let (feed, fed) = mpsc::channel(1);
    let answer = client.send_request(request("POST", "/", Fed(fed)));
    feed.send(Frame::data(Bytes::from_static(b"abc")))
        .await
        .unwrap();
    let answer = soon("the answer", answer).await.unwrap();
    assert_eq!(answer.status(), 408);
}

/// An upload in frames, without its body.
fn upload(stream: u32, authority: &str) -> Vec<u8> {
    let mut head = get_at(stream, authority, &[]);
    head[4] &= !END_STREAM;
    head
}

#[tokio::test]
async fn an_upload_that_is_answered_early_is_heard_out_and_not_reset() {
    let origin = Origin::raw(|mut stream| async move {
        read_head(&mut stream).await;
        let answer = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig";
        let _ = stream.write_all(answer).await;
    })
    .await;
    let (rig, authority) = rig(origin.target(), |_| {});
    for (name, last) in [(NAME, true), (NAME, false), ("other.localhost", true)] {
        let mut stream = by_hand(&rig, &authority).await;
        let head = upload(1, name);
        let part = frame(DATA, 0, 1, &[0; 1000]);
        stream
            .write_all(&[head, part.clone()].concat())
            .await
            .unwrap();
        let answered = kinds_until(&mut stream, |kind, flags| {
            kind == DATA && flags & END_STREAM != 0
        });
        let kinds = soon("the answer", answered).await;
        assert!(!kinds.contains(&RST_STREAM), "{kinds:?}");
        if last {
            // What is still sent is taken, up to its end.
            let end = frame(DATA, END_STREAM, 1, &[0; 1000]);
            stream
                .write_all(&[end, get(3, &[])].concat())
                .await
                .unwrap();
            let next = kinds_until(&mut stream, |kind, _| kind == HEADERS);
            let kinds = soon("the next answer", next).await;
            assert_eq!(
                (kinds.last(), kinds.contains(&RST_STREAM)),
                (Some(&HEADERS), false)
            );
        } else {
            // But not for ever. That the container has gone shows when it is written to.
            let parts = part.repeat(100);
            stream.write_all(&parts).await.unwrap();
            let reset = kinds_until(&mut stream, |kind, _| kind == RST_STREAM);
            assert_eq!(soon("the reset", reset).await.last(), Some(&RST_STREAM));
        }
    }
}

#[tokio::test]
async fn a_response_that_its_client_leaves_standing_is_cut_and_no_other() {
    let (standing, other) = (endless().await, Origin::echo().await);
    let (rig, authority) = rig(standing.target(), |config| {
        config.limits.stall_timeout = SHORT;
    });
    let mut client = client(&rig, &authority).await;
    let asked = client.send_request(request("GET", "/", empty()));
    let unread = asked.await.unwrap();
    assert_eq!(rig.ingress.in_flight(&app()), 1);
    until("it is cut", || rig.ingress.in_flight(&app()) == 0).await;
    rig.ingress.publish(crate::rig::routes(other.target()));
    let answer = client.send_request(request("GET", "/", empty())).await;
    assert_eq!(answer.unwrap().status(), 200, "the connection goes on");
    assert!(unread.into_body().collect().await.is_err());
}

#[tokio::test]
async fn a_client_that_takes_nothing_from_its_socket_is_cut() {
    let origin = endless().await;
    let (rig, authority) = rig(origin.target(), |config| {
        config.limits.stall_timeout = SHORT
    });
    let mut stream = by_hand(&rig, &authority).await;
    // Windows as large as they get, so that the socket is what fills.
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
    let window = frame(8, 0, 0, &[0x7f, 0xfe, 0xff, 0xff]);
    let all = [settings, window, get(1, &[])].concat();
    stream.write_all(&all).await.unwrap();
    until("it is in flight", || rig.ingress.in_flight(&app()) == 1).await;
    until("it is cut", || rig.ingress.in_flight(&app()) == 0).await;
    let grace = Duration::from_secs(60);
    assert_eq!(
        soon("no connection is left", rig.ingress.stop(grace)).await,
        0
    );
    drop(stream);
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_gone() {
    let origin = silent().await;
    let (rig, authority) = rig(origin.target(), |config| {
        config.limits.http2_ping_interval = SHORT;
        config.limits.http2_ping_timeout = SHORT;
    });
    let mut stream = by_hand(&rig, &authority).await;
    stream.write_all(&get(1, &[])).await.unwrap();
    until("it is in flight", || rig.ingress.in_flight(&app()) == 1).await;
    until("it is cut", || rig.ingress.in_flight(&app()) == 0).await;
    assert!(kinds(&mut stream).await.contains(&6));
}
