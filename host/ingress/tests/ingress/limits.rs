//! Clients that take too much: of time, of bytes, of connections.

use crate::rig::{
    Origin, Pace, Rig, any, app, empty, growing, read_all, read_head, refused, request, soon, until,
};
use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::Response;
use hyper::body::Frame;
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SHORT: Duration = Duration::from_millis(150);

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

#[tokio::test]
async fn a_head_that_does_not_arrive_in_time_is_answered_with_408() {
    let origin = Origin::echo().await;
    let rig = Rig::with(origin.target(), |limits| limits.head_timeout = SHORT);
    let answer = rig
        .exchange(b"GET / HTTP/1.1\r\nHost: shop.localhost\r\nX: ")
        .await;
    assert_eq!(status(&answer), "408", "{answer}");
    assert_eq!(origin.accepted(), 0);
}

#[tokio::test]
async fn a_head_earns_no_time_by_arriving_byte_by_byte() {
    let origin = Origin::echo().await;
    let rig = Rig::with(origin.target(), |limits| limits.head_timeout = SHORT);
    let mut stream = rig.connect().await;
    let (mut reader, mut writer) = stream.split();
    let drip = async {
        let mut pause = tokio::time::interval(SHORT / 10);
        loop {
            pause.tick().await;
            if writer.write_all(b"a").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut answer = String::new();
    tokio::select! {
        () = drip => {}
        read = soon("the answer", reader.read_to_string(&mut answer)) => drop(read),
    }
    assert_eq!(status(&answer), "408", "{answer}");
}

/// However late it begins.
#[tokio::test]
async fn a_head_has_all_its_time_from_its_first_byte_on() {
    let origin = Origin::echo().await;
    for limit in growing(SHORT) {
        let rig = Rig::with(origin.target(), |limits| limits.head_timeout = limit);
        let mut moments = vec![Instant::now()];
        let mut stream = rig.connect().await;
        for part in ["GET / HTTP/1.1\r\n", "Host: shop.localhost\r\n\r\n"] {
            let next = moments[moments.len() - 1] + limit * 3 / 4;
            tokio::time::sleep_until(next.into()).await;
            let _ = stream.write_all(part.as_bytes()).await;
            moments.push(Instant::now());
        }
        let answer = read_head(&mut stream).await;
        if moments.is_sorted_by(|before, after| *after - *before < limit) {
            assert_eq!(status(&answer), "200", "{answer}");
            return;
        }
    }
    panic!("the machine is too busy for any pace");
}

/// Empty lines before a request are ignored (RFC 9112 section 2.2), and earn no time.
#[tokio::test]
async fn empty_lines_earn_no_time() {
    let origin = Origin::echo().await;
    for before in ["", "GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n"] {
        let rig = Rig::with(origin.target(), |limits| {
            limits.head_timeout = SHORT;
            limits.idle_timeout = SHORT;
        });
        let mut stream = rig.connect().await;
        stream.write_all(before.as_bytes()).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let drip = async {
            let mut pause = tokio::time::interval(SHORT / 10);
            loop {
                pause.tick().await;
                if writer.write_all(b"\r\n").await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let mut answer = Vec::new();
        tokio::select! {
            () = drip => {}
            // The end, or a reset by what has come after it.
            read = soon("the end", reader.read_to_end(&mut answer)) => drop(read),
        }
    }
}

#[tokio::test]
async fn connections_without_a_request_are_closed_without_a_word() {
    let origin = Origin::echo().await;
    let rig = Rig::with(origin.target(), |limits| {
        limits.head_timeout = SHORT;
        limits.idle_timeout = SHORT;
    });
    assert_eq!(read_all(rig.connect().await).await, "", "a new connection");
    let used = rig
        .exchange(b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
        .await;
    assert_eq!(status(&used), "200");
    assert_eq!(used.matches("HTTP/1.1 ").count(), 1, "{used}");
}

/// A connection that was used may rest for longer than a new one.
#[tokio::test]
async fn a_head_and_a_rest_have_a_time_of_their_own() {
    let origin = Origin::echo().await;
    let rig = Rig::with(origin.target(), |limits| limits.head_timeout = 4 * SHORT);
    let mut used = rig.client().await;
    for _ in 0..2 {
        used.ready().await.unwrap();
        let answer = used.send_request(request("GET", "/", empty())).await;
        assert_eq!(answer.unwrap().status(), 200);
        // The time of a head has passed since then.
        assert_eq!(read_all(rig.connect().await).await, "");
    }
}

#[tokio::test]
async fn a_response_that_stops_arriving_breaks_off() {
    let origin = Origin::raw(|mut stream| async move {
        read_head(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc";
        stream.write_all(answer).await.unwrap();
        let _ = stream.read(&mut [0]).await;
    })
    .await;
    let rig = Rig::with(origin.target(), |limits| limits.quiet_timeout = SHORT);
    let answer = rig.get("shop.localhost", "/", "").await;
    assert!(answer.ends_with("\r\n\r\nabc"), "{answer}");
}

/// Else its client would be reset, and might not get to read the answer.
#[tokio::test]
async fn an_upload_that_is_refused_is_heard_out() {
    let origin = Origin::echo().await;
    let rig = Rig::new(origin.target());
    let mut stream = rig.connect().await;
    let head = b"POST / HTTP/1.1\r\nHost: unknown.localhost\r\nContent-Length: 100000\r\n\r\n";
    stream.write_all(head).await.unwrap();
    assert_eq!(status(&read_head(&mut stream).await), "404");
    for _ in 0..10 {
        stream.write_all(&[b'a'; 10_000]).await.unwrap();
    }
    read_all(stream).await;
}

#[tokio::test]
async fn a_body_that_stops_arriving_is_answered_with_408() {
    let origin = Origin::echo().await;
    let rig = Rig::with(origin.target(), |limits| limits.stall_timeout = SHORT);
    let answer = rig
        .exchange(b"POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 10\r\n\r\nabc")
        .await;
    assert_eq!(status(&answer), "408", "{answer}");
}

#[tokio::test]
async fn a_body_may_be_slow_as_long_as_it_moves() {
    let origin = Origin::echo().await;
    let head = b"POST / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\nContent-Length: 12\r\n\r\n";
    for limit in growing(SHORT) {
        let rig = Rig::with(origin.target(), |limits| {
            limits.stall_timeout = limit;
            limits.head_timeout = limit;
        });
        let mut stream = rig.connect().await;
        let mut pace = Pace::new(limit);
        stream.write_all(head).await.unwrap();
        let mut taken = 0;
        for _ in 0..12 {
            pace.step().await;
            taken += usize::from(stream.write_all(b"x").await.is_ok());
        }
        let mut answer = String::new();
        let read = soon("the answer", stream.read_to_string(&mut answer)).await;
        if pace.was_kept() {
            assert!(read.is_ok() && taken == 12, "{read:?} after {taken}");
            assert!(answer.ends_with("body: 12"), "{answer}");
            return;
        }
    }
    panic!("the machine is too busy for any pace");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let origin = Origin::new(|_| async {
        let endless = futures_util::stream::repeat_with(|| {
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[b'x'; 65536])))
        });
        Response::new(any(StreamBody::new(endless)))
    });
    let origin = origin.await;
    let rig = Rig::with(origin.target(), |limits| limits.stall_timeout = SHORT);
    let mut stream = rig.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
        .await
        .unwrap();
    until("it is in flight", || rig.ingress.in_flight(&app()) == 1).await;
    until("it is cut", || rig.ingress.in_flight(&app()) == 0).await;
}

#[tokio::test]
async fn large_heads_are_refused_and_not_forwarded() {
    let origin = Origin::echo().await;
    let rig = Rig::with(origin.target(), |limits| limits.head_bytes = 4096);
    let long = "a".repeat(8192);
    let target = format!("GET /{long} HTTP/1.1\r\nHost: shop.localhost\r\n\r\n");
    assert_eq!(status(&rig.exchange(target.as_bytes()).await), "414");
    let field = format!("GET / HTTP/1.1\r\nHost: shop.localhost\r\nCookie: {long}\r\n\r\n");
    assert_eq!(status(&rig.exchange(field.as_bytes()).await), "431");
    let many = format!(
        "GET / HTTP/1.1\r\nHost: shop.localhost\r\n{}\r\n",
        "a: b\r\n".repeat(150)
    );
    assert_eq!(status(&rig.exchange(many.as_bytes()).await), "431");
    assert_eq!(origin.accepted(), 0);
    let fits = format!("Cookie: {}\r\n", &long[..3900]);
    assert_eq!(status(&rig.get("shop.localhost", "/", &fits).await), "200");
}

#[tokio::test]
async fn a_head_has_as_many_fields_as_are_allowed_and_not_more() {
    let origin = Origin::echo().await;
    let rig = Rig::with(origin.target(), |limits| limits.head_fields = 10);
    // Beside `Host` and `Connection`.
    for (more, expected) in [(8, "200"), (9, "431")] {
        let answer = rig
            .get("shop.localhost", "/", &"a: b\r\n".repeat(more))
            .await;
        assert_eq!(status(&answer), expected, "{answer}");
    }
}

#[tokio::test]
async fn heads_of_the_largest_size_pass_with_the_defaults() {
    let origin = Origin::echo().await;
    let rig = Rig::new(origin.target());
    for (bytes, expected) in [(65_536, "200"), (65_537, "431")] {
        let others = "GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n";
        let value = "a".repeat(bytes - others.len() - "Cookie: \r\n\r\n".len());
        let head = format!("{others}Cookie: {value}\r\n\r\n");
        let answer = rig.exchange(head.as_bytes()).await;
        assert_eq!(status(&answer), expected, "{bytes}");
    }
}

#[tokio::test]
async fn one_client_has_so_many_connections_and_not_more() {
    let origin = Origin::echo().await;
    let rig = Rig::with(origin.target(), |limits| limits.connections_per_client = 3);
    let ask = b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = rig.connect().await;
        stream.write_all(ask).await.unwrap();
        assert_eq!(status(&read_head(&mut stream).await), "200");
        open.push(stream);
    }
    let mut surplus = rig.connect().await;
    let _ = surplus.write_all(ask).await;
    let mut nothing = Vec::new();
    let _ = soon("the end", surplus.read_to_end(&mut nothing)).await;
    assert!(nothing.is_empty());
    assert_eq!(refused(&rig), ["limit"]);
    drop(open.pop());
    let start = Instant::now();
    while start.elapsed() < crate::rig::PATIENCE {
        let mut stream = rig.connect().await;
        let _ = stream.write_all(ask).await;
        if status(&read_head(&mut stream).await) == "200" {
            return;
        }
    }
    panic!("the closed connection made no room");
}

#[tokio::test]
async fn the_answer_to_an_unread_upload_is_seen() {
    let origin = Origin::raw(|mut stream| async move {
        let _ = read_head(&mut stream).await;
        let answer =
            b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig";
        let _ = stream.write_all(answer).await;
    })
    .await;
    let rig = Rig::new(origin.target());
    let mut stream = rig.connect().await;
    let head = b"POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 100000000\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let upload = async {
        while writer.write_all(&[0; 16384]).await.is_ok() {}
        std::future::pending::<()>().await;
    };
    let mut answer = vec![0; 4096];
    let length = tokio::select! {
        () = upload => unreachable!(),
        length = soon("the answer", reader.read(&mut answer)) => length.unwrap(),
    };
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert_eq!(status(&answer), "413", "{answer}");
}
