//! Which connections to containers are used again, and what is sent a second time.

use crate::rig::{Origin, Rig, empty, read_head, request, soon};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// A container that says this whenever it is asked, and leaves it to others to close.
async fn says(answer: &'static str) -> Origin {
    Origin::raw(move |mut stream| async move {
        while !read_head(&mut stream).await.is_empty() {
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_connection_is_used_again_only_if_the_container_means_to_keep_it() {
    for (answer, connections) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            3,
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok",
            3,
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 3),
        (
            "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok",
            1,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", 1),
        // What it announces may come at some later moment.
        ("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", 3),
        (
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            3,
        ),
    ] {
        let origin = says(answer).await;
        let rig = Rig::of(origin.target(), |config| {
            config.threads = std::num::NonZeroUsize::MIN;
        });
        let mut client = rig.client().await;
        for _ in 0..3 {
            client.ready().await.unwrap();
            let response = client.send_request(request("GET", "/", empty())).await;
            response.unwrap().into_body().collect().await.unwrap();
        }
        assert_eq!(origin.accepted(), connections, "{answer}");
    }
}

/// Statuses of a first and a second request of one client, and how often a container was
/// asked that answers the second of each connection with `last`, and closes.
async fn asked_twice(method: &str, body: &'static str, last: &'static str) -> (Vec<u16>, usize) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let origin = Origin::raw(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            for answer in ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", last] {
                let head = read_head(&mut stream).await;
                let Some((_, sent)) = head.split_once("\r\n\r\n") else {
                    return;
                };
                count.fetch_add(1, Ordering::SeqCst);
                let mut left = vec![0; body.len() - sent.len()];
                let _ = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut left).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    })
    .await;
    let rig = Rig::of(origin.target(), |config| {
        config.threads = std::num::NonZeroUsize::MIN;
    });
    let mut client = rig.client().await;
    let mut statuses = Vec::new();
    for _ in 0..2 {
        client.ready().await.unwrap();
        let body = Full::new(Bytes::from_static(body.as_bytes()));
        let response = client.send_request(request(method, "/", body)).await;
        let response = response.unwrap();
        statuses.push(response.status().as_u16());
        response.into_body().collect().await.unwrap();
    }
    (statuses, asked.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_request_is_sent_again_only_if_that_changes_nothing() {
    for (method, body, last, expected) in [
        ("GET", "", "", (vec![200, 200], 3)),
        ("PUT", "", "", (vec![200, 200], 3)),
        ("POST", "", "", (vec![200, 502], 2)),
        // Its body is gone.
        ("PUT", "body", "", (vec![200, 502], 2)),
        // It was answered.
        ("GET", "", "HTTP/1.1 200 O", (vec![200, 502], 2)),
        ("GET", "", "nonsense\r\n\r\n", (vec![200, 502], 2)),
    ] {
        let asked = asked_twice(method, body, last).await;
        assert_eq!(asked, expected, "{method} {body} {last}");
    }
}

/// What carried a body is kept for a second, whatever the limit: it is for one client.
#[tokio::test]
async fn a_connection_that_rests_is_closed() {
    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(150);
    for (body, limit) in [("", SHORT), ("body", LONG)] {
        let (gone, mut ended) = tokio::sync::mpsc::channel(1);
        let origin = Origin::raw(move |mut stream| {
            let gone = gone.clone();
            async move {
                while !read_head(&mut stream).await.is_empty() {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    let _ = stream.write_all(answer).await;
                }
                gone.send(()).await.unwrap();
            }
        })
        .await;
        let rig = Rig::with(origin.target(), |limits| {
            limits.upstream_idle_timeout = limit;
        });
        let mut client = rig.client().await;
        let body = Full::new(Bytes::from_static(body.as_bytes()));
        let response = client.send_request(request("GET", "/", body)).await;
        response.unwrap().into_body().collect().await.unwrap();
        soon("its end", ended.recv()).await.unwrap();
    }
}

/// What may be said on a connection after a body, or after an answer to HEAD, is for nobody
/// else, whatever else has been asked on it since.
#[tokio::test]
async fn a_connection_stays_with_the_client_who_has_left_something_on_it() {
    for (methods, connections) in [
        (["GET", "GET"], 1),
        (["HEAD", "GET"], 2),
        (["POST", "GET"], 2),
        (["GET", "POST"], 2),
    ] {
        let origin = Origin::echo().await;
        let rig = Rig::of(origin.target(), |config| {
            config.threads = std::num::NonZeroUsize::MIN;
        });
        let mut client = rig.client().await;
        for method in methods {
            client.ready().await.unwrap();
            let body = if method == "POST" { "body" } else { "" };
            let body = Full::new(Bytes::from_static(body.as_bytes()));
            let response = client.send_request(request(method, "/", body)).await;
            response.unwrap().into_body().collect().await.unwrap();
        }
        assert_eq!(origin.accepted(), 1, "{methods:?}");
        let mut other = rig.client().await;
        let response = other.send_request(request("GET", "/", empty())).await;
        response.unwrap().into_body().collect().await.unwrap();
        assert_eq!(origin.accepted(), connections, "{methods:?}");
    }
}
