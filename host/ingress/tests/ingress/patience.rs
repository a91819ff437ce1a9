//! How long either side may be silent, or slow, in the middle of a request or a response.

use crate::grpc;
use crate::http2::{client, request, rig};
use crate::rig::{Fed, Origin, Pace, Rig, any, empty, growing, nobody, read_head, routes, soon};
use bytes::Bytes;
use h2::SendStream;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Frame;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

const SHORT: Duration = Duration::from_millis(150);

/// Parts of a body that is sent slowly, which takes three times as long as it may stand.
const PARTS: usize = 12;

fn part() -> Frame<Bytes> {
    Frame::data(Bytes::from_static(b"x"))
}

/// A container whose one response is what is fed.
async fn fed() -> (Origin, mpsc::Sender<Frame<Bytes>>) {
    let (feed, fed) = mpsc::channel(1);
    let fed = Arc::new(Mutex::new(Some(fed)));
    let origin = Origin::new(move |_| {
        let fed = fed.lock().unwrap().take().unwrap();
        async move { Response::new(any(Fed(fed))) }
    });
    (origin.await, feed)
}

#[tokio::test]
async fn a_response_may_be_slow_as_long_as_it_moves() {
    for limit in growing(SHORT) {
        let (origin, feed) = fed().await;
        let rig = Rig::with(origin.target(), |limits| limits.quiet_timeout = limit);
        let mut client = rig.client().await;
        let asked = client.send_request(crate::rig::request("GET", "/", empty()));
        let mut body = asked.await.unwrap().into_body();
        let mut pace = Pace::new(limit);
        let mut taken = 0;
        for _ in 0..PARTS {
            pace.step().await;
            // Nobody takes it once the response was cut.
            let _ = feed.send(part()).await;
            taken += usize::from(
                soon("a part", body.frame())
                    .await
                    .is_some_and(|f| f.is_ok()),
            );
        }
        if pace.was_kept() {
            assert_eq!(taken, PARTS);
            return;
        }
    }
    panic!("the machine is too busy for any pace");
}

#[tokio::test]
async fn an_upload_by_http2_may_be_slow_as_long_as_it_moves() {
    let origin = Origin::echo().await;
    for limit in growing(SHORT) {
        let (rig, authority) = rig(origin.target(), |config| {
            config.limits.stall_timeout = limit;
        });
        let mut client = client(&rig, &authority).await;
        let (feed, fed) = mpsc::channel(1);
        let asked = tokio::spawn(client.send_request(request("POST", "/", Fed(fed))));
        let mut pace = Pace::new(limit);
        for _ in 0..PARTS {
            pace.step().await;
            let _ = feed.send(part()).await;
        }
        drop(feed);
        let answer = soon("the answer", asked).await.unwrap().unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        if pace.was_kept() {
            let body = String::from_utf8_lossy(&body).into_owned();
            assert_eq!(status, 200, "{body}");
            assert!(body.ends_with(&format!("body: {PARTS}")), "{body}");
            return;
        }
    }
    panic!("the machine is too busy for any pace");
}

/// What stands still in an upload may be meant in a call.
#[tokio::test]
async fn a_call_may_be_silent_for_longer_than_an_upload_may_stand() {
    let calls = grpc::server(100, grpc::echo).await;
    let (rig, authority) = rig(calls.target(), |config| {
        config.limits.stall_timeout = SHORT;
    });
    let mut client = client(&rig, &authority).await;
    let (feed, silent) = mpsc::channel(1);
    let asked = client.send_request(grpc::call("Watch", any(Fed(silent))));
    let answer = soon("the head", asked).await.unwrap();
    // An upload that began later is cut before the call goes on.
    let uploads = Origin::echo().await;
    rig.ingress.publish(routes(uploads.target()));
    let (_standing, fed) = mpsc::channel(1);
    let asked = client.send_request(request("POST", "/", any(Fed(fed))));
    assert_eq!(soon("the page", asked).await.unwrap().status(), 408);
    feed.send(part()).await.unwrap();
    let mut body = answer.into_body();
    let frame = soon("the message", body.frame()).await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "x");
    drop(feed);
    let frame = soon("the status", body.frame()).await.unwrap().unwrap();
    assert_eq!(frame.into_trailers().unwrap(), grpc::status("0"));
}

#[tokio::test]
async fn a_call_may_not_be_silent_for_ever() {
    // It answers once the call has ended.
    let calls = grpc::server(100, |request| async {
        let _ = request.into_body().collect().await;
        Response::new(any(http_body_util::Empty::new()))
    });
    let calls = calls.await;
    let (rig, authority) = rig(calls.target(), |config| {
        config.limits.quiet_timeout = SHORT;
    });
    let mut client = client(&rig, &authority).await;
    let (_feed, silent) = mpsc::channel(1);
    let asked = client.send_request(grpc::call("Put", any(Fed(silent))));
    assert_eq!(soon("the page", asked).await.unwrap().status(), 408);
}

/// The answer is there, and nobody reads what is still sent.
#[tokio::test]
async fn an_upload_that_a_container_stops_to_read_ends_after_the_answer() {
    let origin = Origin::raw(|mut stream| async move {
        read_head(&mut stream).await;
        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok";
        stream.write_all(answer).await.unwrap();
        std::future::pending().await
    })
    .await;
    let rig = Rig::with(origin.target(), |limits| limits.response_timeout = SHORT);
    let mut stream = rig.connect().await;
    let head = b"POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 100000000\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let answer = read_head(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 202 Accepted\r\n"), "{answer}");
    let sent = async { while stream.write_all(&[0; 16384]).await.is_ok() {} };
    soon("the end of the upload", sent).await;
}

/// Bytes that a client sends before it learns that nobody wants them.
async fn sent(mut body: SendStream<Bytes>, part: usize, pause: Option<Duration>) -> usize {
    let mut pause = pause.map(tokio::time::interval);
    let mut sent = 0;
    let sending = async {
        loop {
            if let Some(pause) = &mut pause {
                pause.tick().await;
            }
            body.reserve_capacity(part);
            let room = poll_fn(|cx| {
                if let std::task::Poll::Ready(reset) = body.poll_reset(cx) {
                    return std::task::Poll::Ready(reset.ok().and(None));
                }
                body.poll_capacity(cx)
            });
            let Some(Ok(room)) = room.await else { return };
            let data = Bytes::from(vec![0; room.min(part)]);
            sent += data.len();
            if body.send_data(data, false).is_err() {
                return;
            }
        }
    };
    soon("the end of the upload", sending).await;
    sent
}

#[tokio::test]
async fn an_upload_by_http2_that_nobody_wants_is_heard_out_so_far_and_not_further() {
    const HEARD: usize = 512 * 1024;
    /// What fits on the way.
    const WINDOW: usize = 256 * 1024;
    let (_socket, nobody) = nobody();
    let rig = Rig::new(nobody);
    let connection = h2::client::handshake(rig.connect().await).await;
    let (mut client, connection) = connection.unwrap();
    tokio::spawn(connection);
    for (part, pause) in [(16 * 1024, None), (1, Some(SHORT / 5))] {
        let mut asked = request("POST", "/", ());
        *asked.uri_mut() = "http://unknown.localhost/".parse().unwrap();
        let (response, body) = client.send_request(asked, false).unwrap();
        assert_eq!(soon("the page", response).await.unwrap().status(), 404);
        let sent = sent(body, part, pause).await;
        if pause.is_none() {
            assert!((HEARD..HEARD + 2 * WINDOW).contains(&sent), "{sent}");
        } else {
            assert!(sent > 10, "it was reset after {sent}");
        }
    }
}
