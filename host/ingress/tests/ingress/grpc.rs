//! Calls of gRPC: HTTP/2 all the way, with trailers.

use crate::http2::{client, rig};
use crate::rig::{AnyBody, Fed, Origin, any, app, soon, until};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, mpsc};

const KIND: &str = "application/grpc+proto";

pub fn status(code: &'static str) -> HeaderMap {
    let name = hyper::header::HeaderName::from_static("grpc-status");
    HeaderMap::from_iter([(name, code.parse().unwrap())])
}

pub fn call<B>(method: &str, body: B) -> Request<B> {
    let mut request = crate::http2::request("POST", &format!("/shop.Cart/{method}"), body);
    let fields = request.headers_mut();
    fields.insert("content-type", KIND.parse().unwrap());
    fields.insert("te", "trailers".parse().unwrap());
    request
}

/// A server that speaks HTTP/2 by prior knowledge and nothing else.
pub async fn server<F, R>(streams: u32, answer: F) -> Origin
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<AnyBody>> + Send + 'static,
{
    Origin::raw(move |stream| {
        let answer = answer.clone();
        async move {
            let service = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .max_concurrent_streams(streams)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    })
    .await
}

/// Answers each message with itself, and says how the call came in.
pub async fn echo(request: Request<Incoming>) -> Response<AnyBody> {
    let (head, mut body) = request.into_parts();
    let (feed, fed) = mpsc::channel(1);
    let response = Response::builder()
        .header("content-type", KIND)
        .header("seen-version", format!("{:?}", head.version))
        .header("seen-target", head.uri.to_string())
        .header("seen-host", format!("{:?}", head.headers.get("host")))
        .header("seen-te", head.headers["te"].clone())
        .header("seen-proto", head.headers["x-forwarded-proto"].clone());
    tokio::spawn(async move {
        while let Some(Ok(frame)) = body.frame().await {
            if feed.send(frame).await.is_err() {
                return;
            }
        }
        let _ = feed.send(Frame::trailers(status("0"))).await;
    });
    response.body(any(Fed(fed))).unwrap()
}

pub fn message(text: &str) -> Full<Bytes> {
    Full::new(Bytes::from(text.to_owned()))
}

#[tokio::test]
async fn messages_pass_both_ways_as_they_come_and_a_status_ends_them() {
    let origin = server(100, echo).await;
    let (rig, authority) = rig(origin.target(), |config| {
        config.threads = std::num::NonZeroUsize::MIN;
    });
    let mut client = client(&rig, &authority).await;
    let (feed, fed) = mpsc::channel(1);
    let response = soon(
        "the head",
        client.send_request(call("Watch", any(Fed(fed)))),
    )
    .await;
    let response = response.unwrap();
    for (name, value) in [
        ("content-type", KIND),
        ("seen-version", "HTTP/2.0"),
        ("seen-target", "http://shop.localhost/shop.Cart/Watch"),
        ("seen-host", "None"),
        ("seen-te", "trailers"),
        ("seen-proto", "https"),
    ] {
        assert_eq!(response.headers()[name], value);
    }
    let mut body = response.into_body();
    for number in 0..5 {
        let part = Bytes::from(number.to_string());
        feed.send(Frame::data(part.clone())).await.unwrap();
        let frame = soon("the message", body.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), part);
        // Calls that have begun go on where they are.
        rig.ingress
            .retire_connections(&app(), std::time::Duration::ZERO);
        let other = client.send_request(call("Get", any(message("a")))).await;
        assert_eq!(other.unwrap().status(), 200);
    }
    assert_eq!(origin.accepted(), 6);
    drop(feed);
    let frame = soon("the status", body.frame()).await.unwrap().unwrap();
    assert_eq!(frame.into_trailers().unwrap(), status("0"));
    assert!(body.frame().await.is_none());
    until("nothing is in flight", || {
        rig.ingress.in_flight(&app()) == 0
    })
    .await;
}

#[tokio::test]
async fn calls_share_a_connection_as_far_as_it_goes() {
    for (streams, expected) in [(100, 1), (4, 3)] {
        let go = Arc::new(Semaphore::new(0));
        let wait = Arc::clone(&go);
        let origin = server(streams, move |request: Request<Incoming>| {
            let go = Arc::clone(&wait);
            async move {
                if request.uri().path() == "/shop.Cart/Slow" {
                    go.acquire().await.unwrap().forget();
                }
                echo(request).await
            }
        })
        .await;
        let (rig, authority) = rig(origin.target(), |config| {
            config.threads = std::num::NonZeroUsize::MIN;
        });
        let mut client = client(&rig, &authority).await;
        // The first call makes the connection and learns what it allows.
        let first = client.send_request(call("Get", message("a"))).await;
        first.unwrap().into_body().collect().await.unwrap();
        let calls: Vec<_> = (0..10)
            .map(|_| tokio::spawn(client.send_request(call("Slow", message("a")))))
            .collect();
        until("all are in flight", || rig.ingress.in_flight(&app()) == 10).await;
        go.add_permits(calls.len());
        for call in calls {
            let response = soon("the answer", call).await.unwrap().unwrap();
            let body = response.into_body().collect().await.unwrap();
            assert_eq!(body.trailers(), Some(&status("0")));
        }
        assert_eq!(origin.accepted(), expected, "with {streams} for each");
        // Retired, they are not used again.
        rig.ingress
            .retire_connections(&app(), std::time::Duration::ZERO);
        let again = client.send_request(call("Get", message("a"))).await;
        again.unwrap().into_body().collect().await.unwrap();
        assert_eq!(origin.accepted(), expected + 1);
    }
}

#[tokio::test]
async fn connections_that_a_container_closes_cost_no_call() {
    let end = Arc::new(Notify::new());
    let ended = Arc::clone(&end);
    let origin = Origin::raw(move |stream| {
        let ended = Arc::clone(&ended);
        async move {
            let service = service_fn(|request| async { Ok::<_, Infallible>(echo(request).await) });
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => {}
                () = ended.notified() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        }
    })
    .await;
    let (rig, authority) = rig(origin.target(), |config| {
        config.threads = std::num::NonZeroUsize::MIN;
    });
    let mut client = client(&rig, &authority).await;
    for turn in 1..5 {
        while origin.accepted() < turn {
            let response = client.send_request(call("Get", message("a"))).await;
            let response = response.unwrap();
            assert_eq!(response.status(), 200);
            response.into_body().collect().await.unwrap();
        }
        end.notify_one();
    }
}

/// A server says that it goes away, and which call was the last that it has looked at.
pub fn goes_away(last: u8) -> Vec<u8> {
    vec![0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, last, 0, 0, 0, 0]
}

/// A connection on which a server waits for so many calls, says something, and goes.
async fn end(mut stream: TcpStream, calls: usize, says: Vec<u8>) {
    const PREFACE: usize = 24;
    const HEADERS: u8 = 1;
    // SETTINGS without any (RFC 9113 section 6.5).
    stream
        .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    stream.read_exact(&mut [0; PREFACE]).await.unwrap();
    let mut seen = 0;
    while seen < calls {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.unwrap();
        seen += usize::from(head[3] == HEADERS);
    }
    stream.write_all(&says).await.unwrap();
    stream.shutdown().await.unwrap();
    // Reset, it would take back what it has said.
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

/// Its first connection ends like that, the others serve.
pub async fn ending_once<F, R>(calls: usize, says: Vec<u8>, serve: F) -> Origin
where
    F: Fn(TcpStream) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let first = Arc::new(AtomicBool::new(true));
    Origin::raw(move |stream| -> Pin<Box<dyn Future<Output = ()> + Send>> {
        if first.swap(false, Ordering::SeqCst) {
            return Box::pin(end(stream, calls, says.clone()));
        }
        Box::pin(serve(stream))
    })
    .await
}

async fn serve_echo(stream: TcpStream) {
    let service = service_fn(|request| async { Ok::<_, Infallible>(echo(request).await) });
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

#[tokio::test]
async fn calls_that_a_container_has_not_looked_at_are_made_again_with_all_that_was_sent() {
    let origin = ending_once(2, goes_away(0), serve_echo).await;
    let (rig, authority) = rig(origin.target(), |config| {
        config.threads = std::num::NonZeroUsize::MIN;
    });
    let mut client = client(&rig, &authority).await;
    // As much as a container lets come before it looks, and one that has not all been sent.
    let long = "a".repeat(64 * 1024);
    let whole = tokio::spawn(client.send_request(call("Get", any(message(&long)))));
    let (feed, fed) = mpsc::channel(1);
    let streamed = tokio::spawn(client.send_request(call("Watch", any(Fed(fed)))));
    feed.send(Frame::data(Bytes::from("b"))).await.unwrap();
    let response = soon("the answer", streamed).await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    feed.send(Frame::data(Bytes::from("c"))).await.unwrap();
    drop(feed);
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers(), Some(&status("0")));
    assert_eq!(body.to_bytes(), "bc");
    let response = soon("the answer", whole).await.unwrap().unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), long);
    assert_eq!(origin.accepted(), 2);
}

#[tokio::test]
async fn a_call_that_a_container_may_have_looked_at_is_not_made_again() {
    // A frame of data that is no call's breaks the connection (RFC 9113 section 6.1).
    let nonsense = vec![0; 9];
    for says in [goes_away(1), nonsense, Vec::new()] {
        let origin = ending_once(1, says, serve_echo).await;
        let (rig, authority) = rig(origin.target(), |_| {});
        let mut client = client(&rig, &authority).await;
        let response = client.send_request(call("Get", message("a"))).await;
        assert_eq!(response.unwrap().status(), 502);
        assert_eq!(origin.accepted(), 1);
    }
}

#[tokio::test]
async fn what_is_no_call_goes_by_http1() {
    let origin = Origin::echo().await;
    let (rig, authority) = rig(origin.target(), |_| {});
    let mut client = client(&rig, &authority).await;
    let mut request = call("Get", message("a"));
    let kind = "application/grpc-web".parse().unwrap();
    request.headers_mut().insert("content-type", kind);
    assert_eq!(client.send_request(request).await.unwrap().status(), 200);
    // A container that does not speak HTTP/2.
    let response = client.send_request(call("Get", message("a"))).await;
    let response = response.unwrap();
    assert_eq!(response.status(), 502);
    assert_eq!(response.version(), Version::HTTP_2);
}

#[tokio::test]
async fn a_status_without_a_message_passes() {
    let origin = server(100, |_| async {
        Response::builder()
            .header("content-type", KIND)
            .header("grpc-status", "5")
            .body(any(http_body_util::Empty::new()))
            .unwrap()
    })
    .await;
    let (rig, authority) = rig(origin.target(), |_| {});
    let mut client = client(&rig, &authority).await;
    let response = client.send_request(call("Get", message("a"))).await;
    let response = response.unwrap();
    assert_eq!(response.headers()["grpc-status"], "5");
    assert!(hyper::body::Body::is_end_stream(response.body()));
}
