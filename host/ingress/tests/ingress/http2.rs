//! HTTP/2 from clients, to containers that speak HTTP/1.

use crate::pki::{Authority, BOTH};
use crate::rig::{Fed, Origin, Rig, any, app, empty, read_head, soon, text, until};
use bytes::Bytes;
use doprax_core::route::Target;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, Semaphore, mpsc};

pub const NAME: &str = "shop.localhost";
const LONG: Duration = Duration::from_secs(20);

/// A rig with a certificate for the app's name.
pub fn rig(
    target: Target,
    configure: impl FnOnce(&mut doprax_ingress::Config),
) -> (Rig, Authority) {
    let (rig, authority) = (Rig::of(target, configure), Authority::new());
    let key = authority.issue(&[NAME, "other.localhost"]);
    rig.certificates.serve(NAME, &key);
    (rig, authority)
}

pub async fn client<B>(rig: &Rig, authority: &Authority) -> SendRequest<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let visitor = authority.trusting(BOTH).speaking(&["h2", "http/1.1"]);
    let stream = visitor.connect(rig.https, NAME).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(100_000)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

pub fn request<B>(method: &str, path: &str, body: B) -> Request<B> {
    Request::builder()
        .method(method)
        .uri(format!("https://{NAME}{path}"))
        .body(body)
        .unwrap()
}

async fn read(response: Response<Incoming>) -> String {
    let body = soon("the body", response.into_body().collect()).await;
    String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_container_is_asked_by_http1_and_told_the_same() {
    let origin = Origin::echo().await;
    let (rig, authority) = rig(origin.target(), |_| {});
    let mut client = client(&rig, &authority).await;
    let mut asked = request("POST", "/a?b=c", text("hello").boxed_unsync());
    let fields = asked.headers_mut();
    for crumb in ["a=1", "b=2", "c=3"] {
        fields.append("cookie", crumb.parse().unwrap());
    }
    fields.insert("x-forwarded-for", "192.0.2.1".parse().unwrap());
    fields.insert("x_real_ip", "192.0.2.1".parse().unwrap());
    fields.insert("expect", "100-continue".parse().unwrap());
    let response = client.send_request(asked).await.unwrap();
    assert_eq!(response.version(), hyper::Version::HTTP_2);
    assert_eq!(response.headers().get("connection"), None);
    let answer = read(response).await;
    let mut lines: Vec<&str> = answer.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "POST /a?b=c",
            "body: 5",
            "content-length: 5",
            "cookie: a=1; b=2; c=3",
            "expect: 100-continue",
            "forwarded: for=127.0.0.1;host=\"shop.localhost\";proto=https",
            "host: shop.localhost",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: shop.localhost",
            "x-forwarded-proto: https",
        ]
    );
}

#[tokio::test]
async fn the_host_of_a_request_has_one_reading() {
    let origin = Origin::echo().await;
    let (rig, authority) = rig(origin.target(), |_| {});
    let mut client = client(&rig, &authority).await;
    for (uri, fields, status) in [
        (
            "https://shop.localhost/",
            vec![("host", "Shop.localhost")],
            200,
        ),
        ("https://shop.localhost:8443/", vec![], 200),
        ("http://shop.localhost/", vec![], 200),
        (
            "https://shop.localhost/",
            vec![("host", "other.localhost")],
            400,
        ),
        ("https://a@shop.localhost/", vec![], 400),
        (
            "https://shop.localhost/",
            vec![("host", NAME), ("host", NAME)],
            400,
        ),
        ("https://other.localhost/", vec![], 404),
        // Its address may be the same, its certificate is not.
        ("https://third.localhost/", vec![], 421),
    ] {
        let mut asked = Request::get(uri).body(empty()).unwrap();
        for (name, value) in &fields {
            asked.headers_mut().append(*name, value.parse().unwrap());
        }
        let response = client.send_request(asked).await.unwrap();
        assert_eq!(response.status(), status, "{uri} {fields:?}");
        assert_eq!(response.headers().get("connection"), None);
    }
}

#[tokio::test]
async fn a_request_with_two_lengths_is_refused() {
    let origin = Origin::echo().await;
    let (rig, authority) = rig(origin.target(), |_| {});
    let mut client = client(&rig, &authority).await;
    let mut asked = request("POST", "/", text("hello"));
    for _ in 0..2 {
        let length = "5".parse().unwrap();
        asked.headers_mut().append("content-length", length);
    }
    let response = client.send_request(asked).await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(origin.accepted(), 0);
}

#[tokio::test]
async fn parts_and_trailers_pass_both_ways_as_they_come() {
    let (answer_feed, answer_fed) = mpsc::channel(1);
    let answer_fed = Arc::new(std::sync::Mutex::new(Some(answer_fed)));
    let (seen, mut arrived) = mpsc::channel(1);
    let origin = Origin::new(move |request| {
        let fed = answer_fed.lock().unwrap().take().unwrap();
        let seen = seen.clone();
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                seen.send(frame).await.unwrap();
            }
        });
        async move {
            Response::builder()
                .header("trailer", "digest")
                .body(any(Fed(fed)))
                .unwrap()
        }
    })
    .await;
    let (rig, authority) = rig(origin.target(), |_| {});
    let mut client = client(&rig, &authority).await;
    let (feed, fed) = mpsc::channel(1);
    let mut asked = request("POST", "/", Fed(fed));
    let fields = asked.headers_mut();
    fields.insert("trailer", "digest".parse().unwrap());
    fields.insert("te", "trailers".parse().unwrap());
    let response = soon("the head", client.send_request(asked)).await.unwrap();
    let mut body = response.into_body();
    for number in 0..3 {
        let part = Bytes::from(number.to_string());
        feed.send(Frame::data(part.clone())).await.unwrap();
        let frame = soon("the part", arrived.recv()).await.unwrap();
        assert_eq!(frame.into_data().unwrap(), part);
        answer_feed.send(Frame::data(part.clone())).await.unwrap();
        let frame = soon("the part", body.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), part);
    }
    let trailers = || {
        let name = hyper::header::HeaderName::from_static("digest");
        HeaderMap::from_iter([(name, "abc".parse().unwrap())])
    };
    feed.send(Frame::trailers(trailers())).await.unwrap();
    drop(feed);
    let frame = soon("trailers", arrived.recv()).await.unwrap();
    assert_eq!(frame.into_trailers().unwrap(), trailers());
    answer_feed.send(Frame::trailers(trailers())).await.unwrap();
    drop(answer_feed);
    let frame = soon("trailers", body.frame()).await.unwrap().unwrap();
    assert_eq!(frame.into_trailers().unwrap(), trailers());
    until("nothing is in flight", || {
        rig.ingress.in_flight(&app()) == 0
    })
    .await;
}

#[tokio::test]
async fn a_request_that_its_client_cancels_is_cancelled_at_the_container() {
    let gone = Arc::new(Notify::new());
    let noted = Arc::clone(&gone);
    let origin = Origin::raw(move |mut stream| {
        let noted = Arc::clone(&noted);
        async move {
            read_head(&mut stream).await;
            // The connection closes.
            assert_eq!(read_head(&mut stream).await, "");
            noted.notify_one();
        }
    })
    .await;
    let (rig, authority) = rig(origin.target(), |_| {});
    let mut client = client(&rig, &authority).await;
    let asked = tokio::spawn(client.send_request(request("GET", "/", empty())));
    until("it is in flight", || rig.ingress.in_flight(&app()) == 1).await;
    asked.abort();
    soon("the container notices", gone.notified()).await;
    until("nothing is in flight", || {
        rig.ingress.in_flight(&app()) == 0
    })
    .await;
}

#[tokio::test]
async fn a_response_that_breaks_off_is_reset_and_the_connection_goes_on() {
    let origin = Origin::raw(|mut stream| async move {
        read_head(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc";
        let _ = stream.write_all(answer).await;
    })
    .await;
    let (rig, authority) = rig(origin.target(), |_| {});
    let mut client = client(&rig, &authority).await;
    for _ in 0..2 {
        let asked = client.send_request(request("GET", "/", empty()));
        let response = asked.await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.into_body().collect().await.is_err());
    }
}

#[tokio::test]
async fn a_stop_lets_requests_of_all_streams_end() {
    let go = Arc::new(Semaphore::new(0));
    let wait = Arc::clone(&go);
    let origin = Origin::new(move |request| {
        let go = Arc::clone(&wait);
        async move {
            if request.uri().path() == "/slow" {
                go.acquire().await.unwrap().forget();
            }
            Response::new(text("ok"))
        }
    })
    .await;
    let (rig, authority) = rig(origin.target(), |_| {});
    let rig = Arc::new(rig);
    let mut client = client(&rig, &authority).await;
    let busy: Vec<_> = (0..3)
        .map(|_| tokio::spawn(client.send_request(request("GET", "/slow", empty()))))
        .collect();
    until("they are in flight", || rig.ingress.in_flight(&app()) == 3).await;
    let stopping = {
        let rig = Arc::clone(&rig);
        tokio::spawn(async move { rig.ingress.stop(LONG).await })
    };
    let told = async {
        let mut ask = || client.send_request(request("GET", "/", empty()));
        while ask().await.is_ok() {}
    };
    soon("the client is told to go", told).await;
    assert!(!stopping.is_finished());
    go.add_permits(busy.len());
    for busy in busy {
        let response = soon("the answer", busy).await.unwrap().unwrap();
        assert_eq!(read(response).await, "ok");
    }
    assert_eq!(soon("the stop", stopping).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_the_route_moves() {
    let served = Arc::new(AtomicUsize::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let origins = [Origin::echo().await, Origin::echo().await];
    let (rig, authority) = rig(origins[0].target(), |_| {});
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (over, served) = (Arc::clone(&over), Arc::clone(&served));
        let mut client = client(&rig, &authority).await;
        clients.spawn(async move {
            let method = if number % 2 == 0 { "GET" } else { "POST" };
            while !over.load(Ordering::Relaxed) {
                let answer = client.send_request(request(method, "/", empty())).await;
                let answer = answer.unwrap();
                assert_eq!(answer.status(), 200);
                answer.into_body().collect().await.unwrap();
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for turn in 1..60 {
        let target = origins[turn % 2].target();
        rig.ingress.publish(crate::rig::routes(target));
        if turn % 3 == 0 {
            rig.ingress.retire_connections(&app(), Duration::ZERO);
        }
        assert_eq!(rig.drain(LONG).await, 0);
        let before = served.load(Ordering::Relaxed);
        until("requests go on", || {
            served.load(Ordering::Relaxed) > before + 8
        })
        .await;
    }
    over.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}

#[tokio::test]
async fn what_the_standard_calls_malformed_is_refused() {
    let origin = Origin::echo().await;
    let (rig, authority) = rig(origin.target(), |_| {});
    let mut client = client(&rig, &authority).await;
    for (uri, name, value) in [
        ("https://shop.localhost?x=y", "x-a", "1"),
        ("https://shop.localhost/", "x-a", " 1"),
        ("https://shop.localhost/", "x-a", "1\t"),
    ] {
        let request = Request::builder()
            .uri(uri)
            .header(name.as_bytes(), value)
            .body(empty());
        client.ready().await.unwrap();
        let response = client.send_request(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), 400, "{uri} {name}: {value:?}");
        assert!(response.headers().contains_key("x-request-id"));
    }
}

#[tokio::test]
async fn trailers_that_are_malformed_break_a_request() {
    let origin = Origin::echo().await;
    let (rig, authority) = rig(origin.target(), |_| {});
    let mut client = client(&rig, &authority).await;
    let (feed, fed) = mpsc::channel(2);
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("digest"),
        http::HeaderValue::from_static(" abc"),
    )]);
    feed.try_send(Frame::data(Bytes::from_static(b"x")))
        .unwrap();
    feed.try_send(Frame::trailers(trailers)).unwrap();
    drop(feed);
    let response = client.send_request(request("POST", "/", Fed(fed))).await;
    assert_eq!(response.unwrap().status(), 400);
}

/// What comes before the answer, and the answer, to a request whose body waits until it is
/// wanted.
async fn told(rig: &Rig) -> (Vec<u16>, u16) {
    let stream = rig.connect().await;
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .method("PUT")
        .uri(format!("http://{NAME}/"))
        .header("expect", "100-continue")
        .body(())
        .unwrap();
    let (mut response, mut body) = sender.send_request(request, false).unwrap();
    let mut before = Vec::new();
    let answer = std::future::poll_fn(|cx| {
        while let std::task::Poll::Ready(Some(Ok(interim))) = response.poll_informational(cx) {
            if interim.status() == 100 {
                body.send_data(Bytes::from_static(b"body"), true).unwrap();
            }
            before.push(interim.status().as_u16());
        }
        std::future::Future::poll(std::pin::Pin::new(&mut response), cx)
    });
    let answer = soon("the answer", answer).await.unwrap();
    (before, answer.status().as_u16())
}

#[tokio::test]
async fn interim_answers_are_passed_on() {
    for (before, after, expected) in [
        (
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            (vec![103, 100], 200),
        ),
        (
            "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n",
            "",
            (vec![], 413),
        ),
    ] {
        let origin = Origin::raw(move |mut stream| async move {
            let head = read_head(&mut stream).await;
            assert!(head.contains("expect: 100-continue\r\n"), "{head}");
            stream.write_all(before.as_bytes()).await.unwrap();
            let mut body = [0; 4];
            if tokio::io::AsyncReadExt::read(&mut stream, &mut body)
                .await
                .unwrap_or(0)
                > 0
            {
                stream.write_all(after.as_bytes()).await.unwrap();
            }
        })
        .await;
        assert_eq!(told(&Rig::new(origin.target())).await, expected);
    }
}

#[tokio::test]
async fn what_may_not_stand_in_a_response_by_http2_does_not() {
    for (answer, fields) in [
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", ""),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", ""),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
            "2",
        ),
    ] {
        let origin = Origin::raw(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let (rig, authority) = rig(origin.target(), |_| {});
        let mut client = client(&rig, &authority).await;
        let response = client.send_request(request("GET", "/", empty())).await;
        let response = response.unwrap();
        let lengths = response.headers().get_all("content-length").iter();
        let lengths: Vec<_> = lengths.map(|length| length.to_str().unwrap()).collect();
        assert_eq!(lengths.concat(), fields);
        response.into_body().collect().await.unwrap();
    }
}
