//! Requests on their way through sockets that take little at a time.

use super::super::decode::Decoder;
use super::*;
use crate::body::tests::{Sent, trailer};
use std::future::poll_fn;
use std::time::Duration;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, DuplexStream, duplex};

const LONG: Duration = Duration::from_secs(3600);

fn request(sent: &mut Sent, expects: bool) -> Upload {
    let body = std::mem::replace(&mut sent.body, RequestBody::Empty);
    let mut request = Request::post("/a").body(body).unwrap();
    if expects {
        let expect = http::HeaderValue::from_static("100-continue");
        request.headers_mut().insert("expect", expect);
    }
    Upload::new(request, &Room::default()).0
}

/// Sends all, by a socket that takes so many bytes at a time; returns what has arrived.
async fn arrived(upload: &mut Upload, step: usize) -> (Vec<u8>, Result<(), BoxError>) {
    let (mut container, mut socket) = duplex(step);
    let sending = async move {
        let sent = poll_fn(|cx| upload.poll(cx, &mut socket)).await;
        drop(socket);
        sent
    };
    let mut arrived = Vec::new();
    let (sent, read) = tokio::join!(sending, container.read_to_end(&mut arrived));
    read.unwrap();
    (arrived, sent)
}

#[tokio::test]
async fn a_body_of_known_length_follows_its_head_as_it_is() {
    for length in [1, SMALL_PART, SMALL_PART + 1, 5 * ENOUGH] {
        for step in [7, 1 << 20] {
            let mut sent = Sent::new(Some(length as u64), LONG).await;
            // In parts, of which the small ones go together.
            sent.send(length / 3);
            sent.send(0);
            sent.send(length - length / 3);
            let mut upload = request(&mut sent, false);
            assert!(upload.unsent);
            let (arrived, done) = arrived(&mut upload, step).await;
            done.unwrap();
            let head = format!("POST /a HTTP/1.1\r\ncontent-length: {length}\r\n\r\n");
            let (first, body) = arrived.split_at(head.len());
            assert_eq!(first, head.as_bytes());
            assert_eq!(body, vec![b'x'; length]);
            assert!(upload.is_over() && !upload.unsent && !upload.deaf);
        }
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_goes_in_chunks() {
    const HEAD: &[u8] = b"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    for trailers in [false, true] {
        for step in [7, 1 << 20] {
            let mut sent = Sent::new(None, LONG).await;
            for length in [26, SMALL_PART, SMALL_PART + 1, 5 * ENOUGH] {
                sent.send(length);
            }
            sent.end(trailers);
            let (arrived, done) = arrived(&mut request(&mut sent, false), step).await;
            done.unwrap();
            let chunks = arrived.strip_prefix(HEAD).unwrap();
            assert!(chunks.starts_with(b"1a\r\nxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"));
            let (mut chunks, mut decoder) = (BytesMut::from(chunks), Decoder::chunked());
            let (mut length, mut after) = (0, None);
            while let Some(frame) = decoder.take(&mut chunks).unwrap() {
                match frame.into_data() {
                    Ok(data) => length += data.len(),
                    Err(frame) => after = frame.into_trailers().ok(),
                }
            }
            assert!(decoder.is_done() && chunks.is_empty());
            assert_eq!(length, 26 + 2 * SMALL_PART + 1 + 5 * ENOUGH);
            assert_eq!(after, trailers.then(trailer));
        }
    }
}

#[tokio::test]
async fn a_body_is_neither_longer_nor_shorter_than_announced() {
    for (length, bytes) in [(3, 4), (3, 2), (3, 0)] {
        let mut sent = Sent::new(Some(length), LONG).await;
        sent.send(bytes);
        sent.end(false);
        let (_, done) = arrived(&mut request(&mut sent, false), 1 << 20).await;
        assert!(done.is_err(), "{bytes} of {length}");
    }
    // Nor are there chunks of what broke off.
    let mut sent = Sent::new(None, LONG).await;
    sent.client.send_reset(h2::Reason::CANCEL);
    let (arrived, done) = arrived(&mut request(&mut sent, false), 1 << 20).await;
    assert!(done.is_err() && arrived.ends_with(b"\r\n\r\n"));
}

/// As much of it as is written without the container.
async fn begun(upload: &mut Upload, socket: &mut DuplexStream) {
    let begun = poll_fn(|cx| Poll::Ready(upload.poll(cx, socket))).await;
    assert!(begun.is_pending());
}

#[tokio::test]
async fn a_body_waits_until_it_is_wanted_and_is_sent_then() {
    let mut sent = Sent::new(Some(4), LONG).await;
    sent.send(4);
    let mut upload = request(&mut sent, true);
    assert!(!upload.is_waiting(), "the head is to be sent first");
    let (mut container, mut socket) = duplex(1024);
    begun(&mut upload, &mut socket).await;
    assert!(upload.is_waiting() && !upload.is_over());
    let mut head = [0; 1024];
    let length = container.read(&mut head).await.unwrap();
    assert!(head[..length].ends_with(b"\r\n\r\n"));
    upload.held = false;
    let sent = poll_fn(|cx| upload.poll(cx, &mut socket));
    sent.await.unwrap();
    let length = container.read(&mut head).await.unwrap();
    assert_eq!(&head[..length], b"xxxx");
}

#[tokio::test]
async fn a_container_that_takes_no_more_is_no_fault_of_the_client() {
    let mut sent = Sent::new(Some(4), LONG).await;
    for expects in [false, true] {
        let mut upload = request(&mut sent, expects);
        let (container, mut socket) = duplex(1024);
        drop(container);
        poll_fn(|cx| upload.poll(cx, &mut socket)).await.unwrap();
        assert!(upload.deaf && upload.unsent && upload.is_over() && !upload.is_waiting());
        // It is sent by another connection as if nothing had been.
        upload.rewind();
        assert!(!upload.deaf && !upload.is_over());
        let (_container, mut socket) = duplex(1024);
        if expects {
            begun(&mut upload, &mut socket).await;
            assert!(!upload.unsent);
            upload.rewind();
            assert!(upload.unsent && !upload.is_waiting());
        }
        sent = Sent::new(Some(4), LONG).await;
    }
}

/// What is ready goes out, though more of the body is to come.
#[tokio::test]
async fn a_part_of_a_body_waits_for_no_other() {
    for part in [3, SMALL_PART + 1] {
        let mut sent = Sent::new(None, LONG).await;
        let mut upload = request(&mut sent, false);
        let (mut container, mut socket) = duplex(1 << 20);
        begun(&mut upload, &mut socket).await;
        let mut got = vec![0; 1 << 20];
        assert_ne!(container.read(&mut got).await.unwrap(), 0);
        sent.send(part);
        let expected = format!("{part:x}\r\n{}\r\n", "x".repeat(part));
        let mut length = 0;
        while length < expected.len() {
            tokio::task::yield_now().await;
            begun(&mut upload, &mut socket).await;
            let read = poll_fn(|cx| {
                let mut buf = tokio::io::ReadBuf::new(&mut got[length..]);
                let read = Pin::new(&mut container).poll_read(cx, &mut buf);
                Poll::Ready(read.is_ready().then(|| buf.filled().len()))
            });
            length += read.await.unwrap_or(0);
        }
        assert_eq!(&got[..length], expected.as_bytes());
    }
}
