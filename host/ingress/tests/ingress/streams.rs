//! Bodies pass as they arrive, in both directions, and end where they should.

use crate::rig::{
    Fed, Origin, Rig, any, app, empty, read_all, read_head, request, soon, text, until,
};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::{HeaderMap, Response};
use std::convert::Infallible;
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

fn resident_kilobytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// In a process of its own, whose memory is nobody else's.
#[test]
fn a_gigabyte_goes_up_and_down_in_constant_memory() {
    let alone = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "streams::a_gigabyte_alone", "--ignored"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&alone.stdout);
    assert!(said.contains("1 passed"), "{said}");
}

#[ignore = "the test above runs it"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gigabyte_alone() {
    const PART: usize = 1 << 18;
    const PARTS: usize = 1 << 12;
    static BYTES: [u8; PART] = [b'x'; PART];
    let parts = || {
        let part = |_| Ok::<_, Infallible>(Frame::data(Bytes::from_static(&BYTES)));
        StreamBody::new(futures_util::stream::iter(0..PARTS).map(part))
    };
    let origin = Origin::new(move |request| async move {
        let mut body = request.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame.unwrap().into_data().map_or(0, |data| data.len());
        }
        assert_eq!(length, PART * PARTS);
        Response::new(any(parts()))
    })
    .await;
    let rig = Rig::new(origin.target());
    let mut client = rig.client().await;
    let before = resident_kilobytes();
    let long = Duration::from_secs(120);
    let answer = client.send_request(request("POST", "/", parts()));
    let mut body = tokio::time::timeout(long, answer)
        .await
        .unwrap()
        .unwrap()
        .into_body();
    let mut length = 0;
    let mut most = 0;
    while let Some(frame) = body.frame().await {
        length += frame.unwrap().into_data().map_or(0, |data| data.len());
        if length % (64 << 20) < PART {
            most = most.max(resident_kilobytes());
        }
    }
    assert_eq!(length, PART * PARTS);
    assert!(
        most < before + 32 * 1024,
        "{before} KB before, {most} KB during the transfer"
    );
}

#[tokio::test]
async fn each_event_of_a_stream_arrives_at_once() {
    let (feed, fed) = mpsc::channel(1);
    let fed = Arc::new(std::sync::Mutex::new(Some(fed)));
    let origin = Origin::new(move |_| {
        let fed = fed.lock().unwrap().take().unwrap();
        async move {
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(any(Fed(fed)))
                .unwrap()
        }
    })
    .await;
    let rig = Rig::new(origin.target());
    let mut client = rig.client().await;
    let mut body = client
        .send_request(request("GET", "/", empty()))
        .await
        .unwrap()
        .into_body();
    for number in 0..5 {
        let event = format!("data: {number}\n\n");
        feed.send(Frame::data(event.clone().into())).await.unwrap();
        let frame = soon("the event", body.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), event);
    }
    assert_eq!(rig.ingress.in_flight(&app()), 1);
    drop(feed);
    assert!(soon("the end", body.frame()).await.is_none());
    until("nothing is in flight", || {
        rig.ingress.in_flight(&app()) == 0
    })
    .await;
}

#[tokio::test]
async fn each_part_of_an_upload_arrives_at_once() {
    let (seen, mut arrived) = mpsc::channel(1);
    let origin = Origin::new(move |request| {
        let seen = seen.clone();
        async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                seen.send(frame.into_data().unwrap()).await.unwrap();
            }
            Response::new(text("ok"))
        }
    })
    .await;
    let rig = Rig::new(origin.target());
    let mut client = rig.client().await;
    let (feed, fed) = mpsc::channel(1);
    let answer = tokio::spawn(client.send_request(request("POST", "/", Fed(fed))));
    for number in 0..5 {
        feed.send(Frame::data(Bytes::from(number.to_string())))
            .await
            .unwrap();
        assert_eq!(
            soon("the part", arrived.recv()).await.unwrap(),
            number.to_string()
        );
    }
    drop(feed);
    assert_eq!(
        soon("the answer", answer).await.unwrap().unwrap().status(),
        200
    );
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let origin = Origin::new(|request| async move {
        let te = request.headers()["te"].to_str().unwrap().to_owned();
        let asked = request.into_body().collect().await.unwrap();
        let digest = asked.trailers().unwrap()["digest"]
            .to_str()
            .unwrap()
            .to_owned();
        let trailers = HeaderMap::from_iter([(
            http::HeaderName::from_static("digest"),
            format!("{te} {digest}").parse().unwrap(),
        )]);
        let frames = [
            Ok(Frame::data(Bytes::from_static(b"hello"))),
            Ok(Frame::trailers(trailers)),
        ];
        Response::builder()
            .header("trailer", "digest")
            .body(any(StreamBody::new(futures_util::stream::iter(frames))))
            .unwrap()
    })
    .await;
    let rig = Rig::new(origin.target());
    let answer = rig
        .exchange(
            b"POST / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close, TE\r\nTE: trailers\r\n\
              Trailer: digest\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nDigest: abc\r\n\r\n",
        )
        .await;
    assert!(
        answer.ends_with("5\r\nhello\r\n0\r\ndigest: trailers abc\r\n\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_client_is_told_to_continue_only_when_somebody_reads() {
    let origin = Origin::echo().await;
    let rig = Rig::new(origin.target());
    let head = |host| {
        format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut stream = rig.connect().await;
    stream
        .write_all(head("shop.localhost").as_bytes())
        .await
        .unwrap();
    assert_eq!(
        read_head(&mut stream).await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    stream.write_all(b"hello").await.unwrap();
    let answer = read_all(stream).await;
    assert!(answer.ends_with("body: 5"), "{answer}");
    // Whether the container wants it was the container's to say.
    assert!(answer.contains("expect: 100-continue"), "{answer}");
    let refused = rig.exchange(head("nobody.localhost").as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 404 "), "{refused}");
}

#[tokio::test]
async fn responses_without_a_body_keep_their_fields_and_the_connection() {
    let origin = Origin::raw(|mut stream| async move {
        let mut head = read_head(&mut stream).await;
        while let Some((_, path)) = head.split_once(" /") {
            let status = &path[..3];
            let length = if status == "204" {
                ""
            } else {
                "Content-Length: 1234\r\n"
            };
            let answer = format!("HTTP/1.1 {status} X\r\nETag: \"1\"\r\n{length}\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            head = read_head(&mut stream).await;
        }
    })
    .await;
    let rig = Rig::new(origin.target());
    let answer = rig
        .exchange(
            b"HEAD /200 HTTP/1.1\r\nHost: shop.localhost\r\n\r\n\
              GET /204 HTTP/1.1\r\nHost: shop.localhost\r\n\r\n\
              GET /304 HTTP/1.1\r\nHost: shop.localhost\r\n\r\n\
              HEAD /404 HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n",
        )
        .await;
    let answers: Vec<&str> = answer.split("\r\n\r\n").collect();
    assert_eq!(answers.len(), 5, "{answer}");
    for (answer, status, length) in [
        (answers[0], "200", true),
        (answers[1], "204", false),
        // hyper leaves the length out here, as it may (RFC 9110 section 15.4.5).
        (answers[2], "304", false),
        (answers[3], "404", true),
    ] {
        assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
        assert_eq!(answer.contains("content-length: 1234"), length, "{answer}");
        assert!(answer.contains("etag"), "{answer}");
        assert!(!answer.contains("transfer-encoding"), "{answer}");
    }
    assert_eq!(origin.accepted(), 1);
}

#[tokio::test]
async fn a_response_that_breaks_off_breaks_off_for_the_client_too() {
    for (head, body) in [
        ("Content-Length: 10", "abc"),
        ("Transfer-Encoding: chunked", "5\r\nabc"),
    ] {
        let origin = Origin::raw(move |mut stream| async move {
            let _ = read_head(&mut stream).await;
            let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes()).await;
        })
        .await;
        let rig = Rig::new(origin.target());
        let mut client = rig.client().await;
        let answer = client
            .send_request(request("GET", "/", empty()))
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.into_body().collect().await.is_err(), "{head}");
    }
}

#[tokio::test]
async fn a_length_beside_a_coding_in_a_response_is_not_passed_on() {
    let origin = Origin::raw(|mut stream| async move {
        let _ = read_head(&mut stream).await;
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.read(&mut [0]).await;
    })
    .await;
    let rig = Rig::new(origin.target());
    let answer = rig.get("shop.localhost", "/", "").await;
    assert!(answer.ends_with("5\r\nhello\r\n0\r\n\r\n"), "{answer}");
    for field in ["content-length", "x-hop", "keep-alive"] {
        assert!(!answer.contains(field), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_closes_its_side_still_gets_its_answer() {
    let go = Arc::new(tokio::sync::Notify::new());
    let wait = Arc::clone(&go);
    let origin = Origin::new(move |_| {
        let go = Arc::clone(&wait);
        async move {
            go.notified().await;
            Response::new(text("ok"))
        }
    })
    .await;
    let rig = Rig::new(origin.target());
    let mut stream = rig.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    until("it is in flight", || rig.ingress.in_flight(&app()) == 1).await;
    go.notify_one();
    assert!(read_all(stream).await.ends_with("ok"));
}
