//! HTTP/2 without TLS, from clients that know it to be spoken (RFC 9113 section 3.3).

use crate::grpc;
use crate::http2::{NAME, request};
use crate::http2_limits::{GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame, get, kinds};
use crate::pki::{Authority, BOTH};
use crate::rig::{Origin, Rig, app, empty, read_all, soon, text, until};
use doprax_core::route::Target;
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const SHORT: Duration = Duration::from_millis(150);

/// What a client says first, with a request in it.
fn hello() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[]), &get(1, &[])].concat()
}

async fn over<B>(stream: TcpStream) -> SendRequest<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

/// Whether the head of a response comes.
async fn is_answered(stream: &mut TcpStream) -> bool {
    let read = async {
        let mut head = [0; 9];
        while stream.read_exact(&mut head).await.is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            stream.read_exact(&mut payload).await.unwrap();
            if head[3] == HEADERS {
                return true;
            }
        }
        false
    };
    soon("an answer", read).await
}

/// The first frames of a connection without requests, as kind and payload.
async fn said_first(stream: &mut TcpStream) -> Vec<(u8, Vec<u8>)> {
    let mut said = Vec::new();
    while said.len() < 2 {
        let mut head = [0; 9];
        soon("a frame", stream.read_exact(&mut head)).await.unwrap();
        let mut payload = vec![0; usize::from(head[2])];
        stream.read_exact(&mut payload).await.unwrap();
        // That settings have come is no more than an answer.
        if head[3] != SETTINGS || head[4] == 0 {
            said.push((head[3], payload));
        }
    }
    said
}

/// Settings (RFC 9113 section 6.5.1).
fn settings(payload: &[u8]) -> Vec<(u16, u32)> {
    let each = payload.chunks_exact(6).map(|setting| {
        let [a, b, c, d, e, f] = setting.try_into().unwrap();
        (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]))
    });
    let mut settings: Vec<_> = each.collect();
    settings.sort_unstable();
    settings
}

/// A window of the connection (RFC 9113 section 6.9), beside the one that there is.
fn window(size: u32) -> (u8, Vec<u8>) {
    (8, (size - 65_535).to_be_bytes().to_vec())
}

#[tokio::test]
async fn both_sides_say_first_how_much_they_take() {
    let (push, streams, stream_window, head) = (2, 3, 4, 6);
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::new(Target::Address(origin.local_addr().unwrap()));
    let mut stream = rig.connect().await;
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&hello).await.unwrap();
    let said = said_first(&mut stream).await;
    let expected = [(streams, 128), (stream_window, 262_144), (head, 131_072)];
    assert_eq!(settings(&said[0].1), expected);
    assert_eq!(said[1], window(1_048_576));
    // The ingress itself, as a client.
    let mut client = over(rig.connect().await).await;
    tokio::spawn(client.send_request(grpc::call("Add", grpc::message("hello"))));
    let (mut container, _) = soon("a call", origin.accept()).await.unwrap();
    container.read_exact(&mut [0; 24]).await.unwrap();
    let said = said_first(&mut container).await;
    let expected = [(push, 0), (stream_window, 65_536), (head, 16_384)];
    assert_eq!(settings(&said[0].1), expected);
    assert_eq!(said[1], window(6_553_600));
}

/// The status of an answer by HTTP/1.1.
fn status(answer: &str) -> Option<&str> {
    answer.strip_prefix("HTTP/1.1 ")?.split(' ').next()
}

#[tokio::test]
async fn requests_are_served_as_in_tls_and_called_what_they_are() {
    let origin = Origin::echo().await;
    let rig = Rig::new(origin.target());
    let mut client = over(rig.connect().await).await;
    for length in [5, 300_000] {
        let asked = request("POST", "/a?b=c", text(vec![b'x'; length]));
        let answer = client.send_request(asked).await.unwrap();
        assert_eq!(answer.version(), hyper::Version::HTTP_2);
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let lines: Vec<&str> = body.lines().collect();
        for line in [
            "POST /a?b=c",
            "host: shop.localhost",
            "x-forwarded-proto: http",
            &format!("body: {length}"),
        ] {
            assert!(lines.contains(&line), "{line} in {body}");
        }
    }
    assert_eq!(origin.accepted(), 1);
}

#[tokio::test]
async fn calls_of_grpc_reach_a_container_inside_a_private_network() {
    let origin = grpc::server(100, grpc::echo).await;
    let rig = Rig::new(origin.target());
    let mut client = over(rig.connect().await).await;
    let asked = grpc::call("Add", grpc::message("hello"));
    let answer = soon("the head", client.send_request(asked)).await.unwrap();
    assert_eq!(answer.headers()["seen-version"], "HTTP/2.0");
    assert_eq!(answer.headers()["seen-proto"], "http");
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes(), "hello");
}

#[tokio::test]
async fn a_preface_may_come_in_any_parts() {
    let origin = Origin::echo().await;
    let rig = Rig::new(origin.target());
    let hello = hello();
    for cut in 0..=PREFACE.len() + 9 {
        let mut stream = rig.connect().await;
        let (first, second) = hello.split_at(cut);
        stream.write_all(first).await.unwrap();
        // Most likely they are read one by one; each is right however it is read.
        tokio::task::yield_now().await;
        stream.write_all(second).await.unwrap();
        assert!(is_answered(&mut stream).await, "cut after {cut}");
    }
    let mut stream = rig.connect().await;
    for byte in &hello {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(is_answered(&mut stream).await, "byte by byte");
}

#[tokio::test]
async fn whatever_is_no_preface_is_refused_as_a_request() {
    let origin = Origin::echo().await;
    let rig = Rig::new(origin.target());
    // Where a change makes it no request line; elsewhere it is one of another version.
    let malformed = [3, 5, 6, 7, 8, 9, 10, 12, 14, 15];
    for at in 0..PREFACE.len() {
        let mut wrong = hello();
        wrong[at] ^= 1;
        let answer = rig.exchange(&wrong).await;
        let expected = if malformed.contains(&at) {
            "400"
        } else {
            "505"
        };
        assert_eq!(status(&answer), Some(expected), "byte {at}: {answer}");
    }
    let get = b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n".as_slice();
    for (before, statuses) in [(b"\r\n".as_slice(), vec!["505"]), (get, vec!["200", "505"])] {
        let answer = rig.exchange(&[before, &hello()].concat()).await;
        let found = answer.match_indices("HTTP/1.1 ").map(|(at, line)| {
            let status = &answer[at + line.len()..];
            &status[..3]
        });
        let found: Vec<_> = found.filter(|text| text.parse::<u16>().is_ok()).collect();
        assert_eq!(found, statuses, "{answer}");
    }
    assert_eq!(origin.accepted(), 1);
}

#[tokio::test]
async fn inside_tls_both_sides_have_to_agree_on_it() {
    let (rig, authority) = crate::http2::rig(Origin::echo().await.target(), |_| {});
    for protocols in [&["http/1.1"][..], &[]] {
        let visitor = authority.trusting(BOTH).speaking(protocols);
        let mut stream = visitor.connect(rig.https, NAME).await.unwrap();
        stream.write_all(&hello()).await.unwrap();
        let answer = read_all(stream).await;
        assert_eq!(status(&answer), Some("505"), "{answer}");
    }
}

#[tokio::test]
async fn a_preface_that_does_not_end_in_time_is_given_up() {
    let rig = Rig::with(Origin::echo().await.target(), |limits| {
        limits.head_timeout = SHORT;
    });
    for length in [3, 16, 18, 23] {
        let mut stream = rig.connect().await;
        stream.write_all(&PREFACE[..length]).await.unwrap();
        let answer = read_all(stream).await;
        assert_eq!(status(&answer), Some("408"), "{length}: {answer}");
    }
    let mut stream = rig.connect().await;
    stream.write_all(PREFACE).await.unwrap();
    let kinds = kinds(&mut stream).await;
    assert!(kinds.contains(&GOAWAY), "no request in time: {kinds:?}");
    let mut stream = rig.connect().await;
    stream.write_all(&PREFACE[..20]).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(read_all(stream).await, "", "the client has gone");
}

#[tokio::test]
async fn connections_have_the_limits_that_those_in_tls_have() {
    let origin = Origin::new(|_| pending()).await;
    let rig = Rig::with(origin.target(), |limits| {
        limits.head_timeout = SHORT;
        limits.http2_errors = 5;
        limits.http2_ping_interval = SHORT;
        limits.http2_ping_timeout = SHORT;
    });
    let mut stream = rig.connect().await;
    stream.write_all(&hello()).await.unwrap();
    until("it is in flight", || rig.ingress.in_flight(&app()) == 1).await;
    until("it is cut", || rig.ingress.in_flight(&app()) == 0).await;
    assert!(
        kinds(&mut stream).await.contains(&6),
        "no ping was answered"
    );

    let mut stream = rig.connect().await;
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&hello).await.unwrap();
    for number in 0..20 {
        let malformed = get(2 * number + 1, &[("connection", "close")]);
        if stream.write_all(&malformed).await.is_err() {
            break;
        }
    }
    assert!(kinds(&mut stream).await.contains(&GOAWAY));
}

#[tokio::test]
async fn a_name_with_a_certificate_is_asked_for_by_https() {
    let (authority, origin) = (Authority::new(), Origin::echo().await);
    let rig = Rig::new(origin.target());
    let mut client = over(rig.connect().await).await;
    let answer = client.send_request(request("GET", "/", empty())).await;
    assert_eq!(answer.unwrap().status(), 200);
    let key = authority.issue(&[NAME]);
    rig.certificates.serve(NAME, &key);
    let answer = client.send_request(request("GET", "/a?b", empty())).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 308);
    let expected = format!("https://{NAME}:{}/a?b", rig.https.port());
    assert_eq!(answer.headers()["location"], expected.as_str());
}

#[tokio::test]
async fn a_balancer_may_say_for_whom_it_is() {
    let origin = Origin::echo().await;
    let rig = Rig::of(origin.target(), |config| {
        config.proxy_protocol = vec!["127.0.0.0/8".parse().unwrap()];
    });
    let mut stream = rig.connect().await;
    let header = b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 80\r\n";
    stream.write_all(header).await.unwrap();
    let mut client = over(stream).await;
    let answer = client.send_request(request("GET", "/", empty())).await;
    let body = answer.unwrap().into_body().collect().await.unwrap();
    let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    assert!(body.contains("x-forwarded-for: 203.0.113.7\n"), "{body}");
}

#[tokio::test]
async fn a_stop_closes_what_is_idle_and_waits_for_what_is_not() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let origin = Origin::new(move |_| {
        let go = Arc::clone(&wait);
        async move {
            go.notified().await;
            hyper::Response::new(text("ok"))
        }
    })
    .await;
    let rig = Arc::new(Rig::new(origin.target()));
    let mut idle = over::<http_body_util::Full<bytes::Bytes>>(rig.connect().await).await;
    let mut busy = over(rig.connect().await).await;
    let asked = tokio::spawn(busy.send_request(request("GET", "/", empty())));
    until("it is in flight", || rig.ingress.in_flight(&app()) == 1).await;
    let stopping = {
        let rig = Arc::clone(&rig);
        tokio::spawn(async move { rig.ingress.stop(crate::rig::PATIENCE).await })
    };
    let closed = async {
        while idle.ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    soon("the idle one is closed", closed).await;
    assert!(!stopping.is_finished());
    go.notify_one();
    let answer = soon("the answer", asked).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    drop(answer);
    assert_eq!(soon("the stop", stopping).await.unwrap(), 0);
}

/// A client may have sent something before it knew of the end. A reset would take from it
/// what it has not read: that nobody has looked at its last request.
#[tokio::test]
async fn what_comes_after_the_end_resets_nothing() {
    const PING: u8 = 6;
    const ACK: u8 = 1;
    let settings = frame(SETTINGS, 0, 0, &[]);
    let origin = Origin::echo().await;
    let rig = Arc::new(Rig::new(origin.target()));
    let mut stream = rig.connect().await;
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&settings).await.unwrap();
    let mut head = [0; 9];
    soon("the settings", stream.read_exact(&mut head))
        .await
        .unwrap();
    let stopping = {
        let rig = Arc::clone(&rig);
        tokio::spawn(async move { rig.ingress.stop(crate::rig::PATIENCE).await })
    };
    // The stop asks whether all that was sent before has arrived (RFC 9113 section 6.8).
    loop {
        let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == PING && head[4] == 0 {
            let answer = frame(PING, ACK, 0, &payload);
            stream.write_all(&answer).await.unwrap();
        }
        if soon("the end", stream.read_exact(&mut head)).await.is_err() {
            break;
        }
    }
    for _ in 0..3 {
        stream.write_all(&settings).await.unwrap();
        assert_eq!(stream.read(&mut head).await.unwrap(), 0);
    }
    drop(stream);
    assert_eq!(soon("the stop", stopping).await.unwrap(), 0);
}

/// Names that are no tokens, whatever reads them first.
#[tokio::test]
async fn a_field_with_a_malformed_name_reaches_no_container() {
    let origin = Origin::echo().await;
    let rig = Rig::new(origin.target());
    for name in ["x\"a", "x a", "x(a", "X-A"] {
        let mut stream = rig.connect().await;
        let hello = [
            PREFACE,
            &frame(SETTINGS, 0, 0, &[]),
            &get(1, &[(name, "1")]),
        ]
        .concat();
        stream.write_all(&hello).await.unwrap();
        let read = async {
            let mut head = [0; 9];
            while stream.read_exact(&mut head).await.is_ok() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let mut payload = vec![0; length as usize];
                stream.read_exact(&mut payload).await.unwrap();
                // An answer, a reset, or the end of the connection.
                if matches!(head[3], HEADERS | RST_STREAM | GOAWAY) {
                    return;
                }
            }
        };
        soon("a refusal", read).await;
        assert_eq!(origin.accepted(), 0, "{name}");
    }
}
