//! Connections to containers: kept, dead, refused, slow.

use crate::rig::{Fed, Origin, Rig, empty, nobody, read_head, request, text};
use doprax_core::route::Target;
use http_body_util::BodyExt;
use hyper::{Response, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    for length in [0, 2, 100_000] {
        let origin =
            Origin::new(move |_| async move { Response::new(text(vec![b'x'; length])) }).await;
        let rig = Rig::new(origin.target());
        let mut client = rig.client().await;
        for _ in 0..20 {
            client.ready().await.unwrap();
            let answer = client
                .send_request(request("GET", "/", empty()))
                .await
                .unwrap();
            assert_eq!(
                answer.into_body().collect().await.unwrap().to_bytes().len(),
                length
            );
        }
        assert_eq!(origin.accepted(), 1, "{length} bytes");
    }
}

/// Takes the bodies of requests for requests: it never reads one before it answers.
async fn reads_no_bodies() -> Origin {
    Origin::raw(|mut stream| async move {
        let mut bytes = Vec::new();
        loop {
            while let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
                bytes.drain(..end + 4);
                let path = head.split(' ').nth(1).unwrap_or("none");
                let length = path.len();
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{path}");
                stream.write_all(answer.as_bytes()).await.unwrap();
                // Its next answer comes at some later moment.
                tokio::task::yield_now().await;
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn what_one_client_leaves_behind_is_no_other_clients_answer() {
    let origin = reads_no_bodies().await;
    let rig = Rig::new(origin.target());
    let hidden = "GET /stolen HTTP/1.1\r\nHost: shop.localhost\r\n\r\n";
    for _ in 0..50 {
        let mut client = rig.client().await;
        let body = http_body_util::Full::new(bytes::Bytes::from_static(hidden.as_bytes()));
        let answer = client.send_request(request("POST", "/first", body)).await;
        let body = answer.unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "/first");
        let answer = rig.get("shop.localhost", "/second", "").await;
        assert!(answer.ends_with("\r\n\r\n/second"), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_that_carried_a_body_is_its_senders_alone() {
    let origin = Origin::echo().await;
    let rig = Rig::of(origin.target(), |config| {
        config.threads = std::num::NonZeroUsize::MIN;
    });
    let post = async |client: &mut hyper::client::conn::http1::SendRequest<_>| {
        client.ready().await.unwrap();
        let body = http_body_util::Full::new(bytes::Bytes::from_static(b"x"));
        let answer = client.send_request(request("POST", "/", body)).await;
        answer.unwrap().into_body().collect().await.unwrap();
    };
    let (mut one, mut other) = (rig.client().await, rig.client().await);
    for _ in 0..3 {
        post(&mut one).await;
    }
    assert_eq!(origin.accepted(), 1);
    for _ in 0..3 {
        post(&mut other).await;
    }
    assert_eq!(origin.accepted(), 2);
}

/// A body that the client still sends will not be read: its connection ends, and it is told.
#[tokio::test]
async fn a_close_is_announced() {
    let origin = Origin::raw(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(OK).await;
        let _ = stream.read(&mut [0]).await;
    })
    .await;
    let rig = Rig::new(origin.target());
    for host in ["shop.localhost", "unknown.localhost"] {
        let head = format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\n");
        let mut stream = rig.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = read_head(&mut stream).await;
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
}

/// Answers the first request of each connection, then reads the second and closes.
async fn closes_on_the_second(asked: Arc<AtomicUsize>) -> Origin {
    Origin::raw(move |mut stream| {
        let asked = Arc::clone(&asked);
        async move {
            if read_head(&mut stream).await.is_empty() {
                return;
            }
            asked.fetch_add(1, Ordering::SeqCst);
            stream.write_all(OK).await.unwrap();
            if !read_head(&mut stream).await.is_empty() {
                asked.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_dead_kept_connection_costs_an_idempotent_request_nothing() {
    let asked = Arc::new(AtomicUsize::new(0));
    let origin = closes_on_the_second(Arc::clone(&asked)).await;
    let rig = Rig::new(origin.target());
    let mut client = rig.client().await;
    for _ in 0..4 {
        client.ready().await.unwrap();
        let answer = client
            .send_request(request("GET", "/", empty()))
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.unwrap();
    }
    assert!(origin.accepted() > 1);
}

#[tokio::test]
async fn a_request_that_may_have_been_worked_on_is_not_sent_twice() {
    let asked = Arc::new(AtomicUsize::new(0));
    let origin = closes_on_the_second(Arc::clone(&asked)).await;
    let rig = Rig::new(origin.target());
    let mut client = rig.client().await;
    let mut statuses = Vec::new();
    for _ in 0..2 {
        client.ready().await.unwrap();
        let answer = client
            .send_request(request("POST", "/", empty()))
            .await
            .unwrap();
        statuses.push(answer.status());
        answer.into_body().collect().await.unwrap();
    }
    assert_eq!(statuses, [StatusCode::OK, StatusCode::BAD_GATEWAY]);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_restarted_container_is_found_again() {
    // The address stays taken while nobody listens there.
    let (_address, target) = nobody();
    let Target::Address(address) = target else {
        unreachable!("it is an address")
    };
    let serve = |listener: TcpListener| async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(listener);
        assert!(!read_head(&mut stream).await.is_empty());
        stream.write_all(OK).await.unwrap();
    };
    let rig = Rig::new(target);
    let mut client = rig.client().await;
    for _ in 0..5 {
        let server = tokio::spawn(serve(TcpListener::bind(address).await.unwrap()));
        client.ready().await.unwrap();
        let answer = client
            .send_request(request("GET", "/", empty()))
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.unwrap();
        server.await.unwrap();
    }
    client.ready().await.unwrap();
    let answer = client
        .send_request(request("GET", "/", empty()))
        .await
        .unwrap();
    assert_eq!(answer.status(), 502);
    let page = answer.into_body().collect().await.unwrap().to_bytes();
    let page = String::from_utf8(page.to_vec()).unwrap();
    assert!(page.starts_with("shop cannot be reached"), "{page}");
}

#[tokio::test]
async fn a_container_that_does_not_answer_in_time_is_given_up() {
    let origin = Origin::new(|_| std::future::pending()).await;
    let rig = Rig::with(origin.target(), |limits| {
        limits.response_timeout = Duration::from_millis(100);
    });
    let answer = rig
        .get("shop.localhost", "/", "Accept: application/json\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert!(answer.contains("\"app\":\"shop\""), "{answer}");
}

#[tokio::test]
async fn nonsense_from_a_container_is_a_bad_gateway() {
    for nonsense in [
        &b"hello\r\n\r\n"[..],
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ] {
        let origin = Origin::raw(move |mut stream| async move {
            let _ = read_head(&mut stream).await;
            stream.write_all(nonsense).await.unwrap();
            let _ = stream.shutdown().await;
            let _ = stream.read(&mut [0]).await;
        })
        .await;
        let rig = Rig::new(origin.target());
        let answer = rig.get("shop.localhost", "/", "").await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    }
}

#[tokio::test]
async fn the_time_of_an_upload_is_not_the_containers() {
    let limit = Duration::from_millis(150);
    let origin = Origin::echo().await;
    let rig = Rig::with(origin.target(), |limits| limits.response_timeout = limit);
    let mut client = rig.client().await;
    let (feed, fed) = tokio::sync::mpsc::channel(1);
    let answer = tokio::spawn(client.send_request(request("POST", "/", Fed(fed))));
    let mut pause = tokio::time::interval(limit * 2);
    for _ in 0..3 {
        pause.tick().await;
        let part = hyper::body::Frame::data(bytes::Bytes::from_static(b"x"));
        feed.send(part).await.unwrap();
    }
    drop(feed);
    let answer = answer.await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_container_that_takes_no_body_and_gives_no_answer_is_given_up() {
    let origin = Origin::raw(|stream| async move {
        let _unread = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let rig = Rig::with(origin.target(), |limits| {
        limits.response_timeout = Duration::from_millis(150);
    });
    let mut client = rig.client().await;
    let endless = futures_util::stream::repeat_with(|| {
        let part = bytes::Bytes::from_static(&[b'x'; 65536]);
        Ok::<_, std::convert::Infallible>(hyper::body::Frame::data(part))
    });
    let body = http_body_util::StreamBody::new(endless);
    let answer = client.send_request(request("POST", "/", body)).await;
    assert_eq!(answer.unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
}
