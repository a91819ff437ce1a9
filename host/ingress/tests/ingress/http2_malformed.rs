//! Requests by HTTP/2 that the standard calls malformed (RFC 9113 section 8.1.1), frame by
//! frame: of some of them h2 says nothing.

use crate::http2_limits::{GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame};
use crate::rig::{Origin, Rig, soon, until};
use doprax_ingress::{AccessLog, AccessRecord};
use http::HeaderValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const DATA: u8 = 0;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const PROTOCOL_ERROR: [u8; 4] = [0, 0, 0, 1];

/// A server that counts the requests that it has read to their end.
async fn counting() -> (Origin, Arc<AtomicUsize>) {
    let whole = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&whole);
    let origin = Origin::new(move |request| {
        let count = Arc::clone(&count);
        async move {
            let body = http_body_util::BodyExt::collect(request.into_body()).await;
            if body.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
            hyper::Response::new(crate::rig::text("ok"))
        }
    })
    .await;
    (origin, whole)
}

fn logged(origin: &Origin) -> (Rig, mpsc::Receiver<AccessRecord>) {
    let (records, taken) = mpsc::channel(64);
    let rig = Rig::of(origin.target(), |config| {
        config.access_log = Some(AccessLog {
            records,
            health_checks: false,
        });
    });
    (rig, taken)
}

async fn connect(rig: &Rig) -> TcpStream {
    let mut stream = rig.connect().await;
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&hello).await.unwrap();
    stream
}

/// Fields as literals that nobody has to remember (RFC 7541 section 6.2.2).
fn section(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut section = Vec::new();
    for (name, value) in fields {
        section.push(0);
        for text in [name.as_bytes(), value] {
            section.push(u8::try_from(text.len()).unwrap());
            section.extend(text);
        }
    }
    section
}

fn request(stream: u32, fields: &[(&str, &[u8])]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &section(fields))
}

/// A good request.
fn good(stream: u32) -> Vec<u8> {
    let fields: [(&str, &[u8]); 4] = [
        (":method", b"GET"),
        (":scheme", b"http"),
        (":path", b"/"),
        (":authority", b"shop.localhost"),
    ];
    request(stream, &fields)
}

/// How a request ends, or the whole connection: the kind of the frame, and its payload.
async fn end(stream: &mut TcpStream, of: u32) -> (u8, Vec<u8>) {
    let read = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return (GOAWAY, Vec::new());
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            stream.read_exact(&mut payload).await.unwrap();
            let about = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            if head[3] == GOAWAY || (about == of && [HEADERS, RST_STREAM].contains(&head[3])) {
                return (head[3], payload);
            }
        }
    };
    soon("the end of the request", read).await
}

/// The status that a head begins with (RFC 7541 appendix A).
fn status(section: &[u8]) -> u16 {
    match section {
        [0x88, ..] => 200,
        [0x8c, ..] => 400,
        [0x48, 0x83, rest @ ..] => panic!("another status: {rest:x?}"),
        other => panic!("no status: {other:x?}"),
    }
}

#[tokio::test]
async fn a_pseudo_field_in_trailers_breaks_a_request() {
    let (origin, whole) = counting().await;
    let (rig, mut records) = logged(&origin);
    let begin: [(&str, &[u8]); 4] = [
        (":method", b"POST"),
        (":scheme", b"http"),
        (":path", b"/"),
        (":authority", b"shop.localhost"),
    ];
    let mut stream = connect(&rig).await;
    for (number, trailers) in [
        section(&[(":path", b"/b")]),
        section(&[(":status", b"200")]),
        // `:path: /` of the static table.
        vec![0x84],
    ]
    .into_iter()
    .enumerate()
    {
        let number = u32::try_from(number).unwrap() * 2 + 1;
        let frames = [
            frame(HEADERS, END_HEADERS, number, &section(&begin)),
            frame(DATA, 0, number, b"x"),
            frame(HEADERS, END_HEADERS | END_STREAM, number, &trailers),
        ];
        stream.write_all(&frames.concat()).await.unwrap();
        let (kind, head) = end(&mut stream, number).await;
        assert_eq!((kind, status(&head)), (HEADERS, 400), "{trailers:x?}");
        let record = soon("the record", records.recv()).await.unwrap();
        assert_eq!(
            record.error.as_deref(),
            Some("Bad Request: A pseudo-field stands in the trailers of the request.")
        );
    }
    assert_eq!(whole.load(Ordering::SeqCst), 0);
    // h2 refuses those that do not come first.
    let late = section(&[("digest", b"abc"), (":authority", b"other.localhost")]);
    let frames = [
        frame(HEADERS, END_HEADERS, 19, &section(&begin)),
        frame(DATA, 0, 19, b"x"),
        frame(HEADERS, END_HEADERS | END_STREAM, 19, &late),
    ];
    stream.write_all(&frames.concat()).await.unwrap();
    let (kind, reason) = end(&mut stream, 19).await;
    assert_eq!((kind, &reason[..]), (RST_STREAM, &PROTOCOL_ERROR[..]));
    assert_eq!(whole.load(Ordering::SeqCst), 0);
    // Others on the connection are not harmed.
    stream.write_all(&good(21)).await.unwrap();
    let (kind, head) = end(&mut stream, 21).await;
    assert_eq!((kind, status(&head)), (HEADERS, 200));
}

/// Whoever is told the length of a body does not wait for what comes after it: the request has
/// reached its container, and gets no answer.
#[tokio::test]
async fn a_pseudo_field_after_a_body_of_known_length_resets_a_request() {
    let (origin, whole) = counting().await;
    let (rig, _records) = logged(&origin);
    let begin: [(&str, &[u8]); 5] = [
        (":method", b"POST"),
        (":scheme", b"http"),
        (":path", b"/"),
        (":authority", b"shop.localhost"),
        ("content-length", b"1"),
    ];
    let mut stream = connect(&rig).await;
    let frames = [
        frame(HEADERS, END_HEADERS, 1, &section(&begin)),
        frame(DATA, 0, 1, b"x"),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x84]),
    ];
    stream.write_all(&frames.concat()).await.unwrap();
    let (kind, reason) = end(&mut stream, 1).await;
    assert_eq!((kind, &reason[..]), (RST_STREAM, &PROTOCOL_ERROR[..]));
    assert!(whole.load(Ordering::SeqCst) <= 1);
}

#[tokio::test]
async fn an_empty_scheme_is_refused_beside_an_authority_and_without_one() {
    let (origin, whole) = counting().await;
    let (rig, mut records) = logged(&origin);
    let mut stream = connect(&rig).await;
    for (number, host) in [(1, ":authority"), (3, "host")] {
        for (number, scheme, expected) in [(number, &b""[..], 400), (number + 4, b"http", 200)] {
            let fields: [(&str, &[u8]); 4] = [
                (":method", b"GET"),
                (":scheme", scheme),
                (":path", b"/"),
                (host, b"shop.localhost"),
            ];
            // In a connection of its own each, as their numbers do not rise.
            stream = if number > 4 {
                stream
            } else {
                connect(&rig).await
            };
            stream.write_all(&request(number, &fields)).await.unwrap();
            let (kind, head) = end(&mut stream, number).await;
            assert_eq!((kind, status(&head)), (HEADERS, expected), "{fields:?}");
            let record = soon("the record", records.recv()).await.unwrap();
            let error = record.error.as_deref();
            let refused = "Bad Request: The scheme of the request is empty.";
            assert_eq!(error, (expected == 400).then_some(refused));
        }
    }
    assert_eq!(whole.load(Ordering::SeqCst), 2);
}

/// h2 resets such requests, and ends a connection whose texts are no UTF-8.
#[tokio::test]
async fn a_target_that_nobody_here_can_read_is_counted_and_recorded() {
    let (origin, _) = counting().await;
    let (rig, mut records) = logged(&origin);
    for (number, path) in [
        &b"/<"[..],
        b"/`",
        b"/\x01",
        b"/a b",
        b"",
        b"/\xe9",
        b"/\xff",
    ]
    .into_iter()
    .enumerate()
    {
        let mut stream = connect(&rig).await;
        let fields: [(&str, &[u8]); 4] = [
            (":method", b"GET"),
            (":scheme", b"http"),
            (":path", path),
            (":authority", b"shop.localhost"),
        ];
        stream.write_all(&good(1)).await.unwrap();
        assert_eq!(end(&mut stream, 1).await.0, HEADERS);
        let record = soon("the record", records.recv()).await.unwrap();
        assert_eq!(record.status, Some(200));
        stream.write_all(&request(3, &fields)).await.unwrap();
        let (kind, _) = end(&mut stream, 3).await;
        assert!([RST_STREAM, GOAWAY].contains(&kind), "{path:x?}: {kind}");
        let record = soon("the record", records.recv()).await.unwrap();
        let error = record.error.unwrap_or_default();
        assert!(error.contains(" is malformed, and was "), "{error}");
        assert_eq!((record.status, record.protocol), (Some(400), "HTTP/2.0"));
        assert_eq!(record.client, stream.local_addr().unwrap().ip());
        assert_eq!(rig.ingress.metrics().others.requests[4], number as u64 + 1);
        if kind == RST_STREAM {
            stream.write_all(&good(5)).await.unwrap();
            assert_eq!(
                end(&mut stream, 5).await.0,
                HEADERS,
                "the connection goes on"
            );
            let record = soon("the record", records.recv()).await.unwrap();
            assert_eq!(record.status, Some(200));
        }
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_for_h2_is_counted_and_recorded_once() {
    let (origin, _) = counting().await;
    let (records, mut taken) = mpsc::channel(64);
    let rig = Rig::of(origin.target(), |config| {
        config.access_log = Some(AccessLog {
            records,
            health_checks: false,
        });
        config.limits.head_bytes = 1024;
    });
    let mut stream = connect(&rig).await;
    let long = HeaderValue::from_str(&"a".repeat(100)).unwrap();
    let mut fields: Vec<(&str, &[u8])> = vec![
        (":method", b"GET"),
        (":scheme", b"http"),
        (":path", b"/"),
        (":authority", b"shop.localhost"),
    ];
    fields.extend(std::iter::repeat_n(("x-long", long.as_bytes()), 40));
    let both = [request(1, &fields), good(3)].concat();
    stream.write_all(&both).await.unwrap();
    assert_eq!(end(&mut stream, 1).await.0, HEADERS);
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let record = soon("the record", taken.recv()).await.unwrap();
        statuses.push(record.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [Some(200), Some(431)]);
    drop(stream);
    until("it is counted once", || {
        rig.ingress.metrics().others.requests[4] == 1
    })
    .await;
    assert!(taken.try_recv().is_err());
}
