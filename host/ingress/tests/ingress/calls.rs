//! How either side of a call ends it early, and how each waits for the other.

use crate::grpc::{call, status};
use crate::interim::{ask, assert_echoed, client, echo, head, read, server};
use crate::rig::{app, soon, until};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// Whatever it had to say, before its answer has begun and after that.
#[tokio::test]
async fn a_client_that_goes_resets_its_call_and_no_other() {
    let (seen, mut resets) = mpsc::channel(1);
    let (began, mut begun) = mpsc::channel(1);
    let origin = server(move |mut request, mut respond| {
        let (seen, began) = (seen.clone(), began.clone());
        async move {
            if request.uri().path() == "/shop.Cart/Get" {
                return echo(request, respond).await;
            }
            let streams = request.uri().path() == "/shop.Cart/Watch";
            let answer = streams.then(|| respond.send_response(head(200), false).unwrap());
            began.send(()).await.unwrap();
            let reset = match answer {
                Some(mut answer) => poll_fn(|cx| answer.poll_reset(cx)).await,
                None => poll_fn(|cx| respond.poll_reset(cx)).await,
            };
            let body = read(request.body_mut())
                .await
                .map_err(|error| error.reason());
            seen.send((reset.unwrap(), body)).await.unwrap();
        }
    })
    .await;
    let (rig, mut client) = client(&origin).await;
    // Whether it has sent all is the same.
    for (method, whole) in [
        ("Wait", true),
        ("Wait", false),
        ("Watch", true),
        ("Watch", false),
    ] {
        let (response, body) = client.send_request(call(method, ()), whole).unwrap();
        soon("the call", begun.recv()).await.unwrap();
        if method == "Watch" {
            drop(soon("the head", response).await.unwrap());
        } else {
            drop(response);
        }
        drop(body);
        let (reset, body) = soon("the reset", resets.recv()).await.unwrap();
        assert_eq!(reset, Reason::CANCEL, "{method} {whole}");
        assert_eq!(body.is_ok(), whole, "{method} {whole}");
    }
    let (_, answer) = ask(&mut client, false).await;
    assert_echoed(answer).await;
    assert_eq!(origin.accepted(), 1);
    until("nothing is in flight", || {
        rig.ingress.in_flight(&app()) == 0
    })
    .await;
}

/// Also while the container takes nothing of what the client has sent.
#[tokio::test]
async fn a_client_that_goes_resets_a_call_that_stands_still() {
    const WINDOW: usize = 65_535;
    let (began, mut begun) = mpsc::channel(1);
    let (seen, mut resets) = mpsc::channel(1);
    let origin = server(move |mut request, mut respond| {
        let (began, seen) = (began.clone(), seen.clone());
        async move {
            let mut answer = respond.send_response(head(200), false).unwrap();
            let mut arrived = 0;
            while arrived < WINDOW {
                let data = request.body_mut().data().await;
                arrived += data.unwrap().unwrap().len();
            }
            began.send(()).await.unwrap();
            let reset = poll_fn(|cx| answer.poll_reset(cx)).await;
            seen.send(reset.unwrap()).await.unwrap();
        }
    })
    .await;
    let (_rig, mut client) = client(&origin).await;
    let (response, mut body) = client.send_request(call("Put", ()), false).unwrap();
    let long = Bytes::from(vec![0; 4 * WINDOW]);
    body.send_data(long, false).unwrap();
    let response = soon("the head", response).await.unwrap();
    soon("a window of it", begun.recv()).await.unwrap();
    drop((response, body));
    assert_eq!(soon("the reset", resets.recv()).await, Some(Reason::CANCEL));
}

/// What a client sends after the answer is there, nobody takes.
#[tokio::test]
async fn a_whole_answer_ends_an_upload_that_the_container_does_not_want() {
    let origin = server(|_, mut respond| async move {
        let mut answer = respond.send_response(head(200), false).unwrap();
        answer.send_data(Bytes::from("no"), false).unwrap();
        answer.send_trailers(status("8")).unwrap();
        // To drop the rest of the request resets it without an error.
    })
    .await;
    let (rig, mut client) = client(&origin).await;
    let (response, mut body) = client.send_request(call("Put", ()), false).unwrap();
    body.send_data(Bytes::from("some"), false).unwrap();
    let mut response = soon("the answer", response).await.unwrap();
    assert_eq!(read(response.body_mut()).await.unwrap(), b"no");
    let trailers = response.body_mut().trailers().await.unwrap();
    assert_eq!(trailers, Some(status("8")));
    until("nothing is in flight", || {
        rig.ingress.in_flight(&app()) == 0
    })
    .await;
    // The client hears of it.
    let reset = poll_fn(|cx| body.poll_reset(cx));
    let reset = soon("the reset", reset).await.unwrap();
    assert_eq!(reset, Reason::NO_ERROR);
}

#[tokio::test]
async fn a_whole_answer_ends_no_upload_that_the_container_wants() {
    let (seen, mut arrived) = mpsc::channel(1);
    let origin = server(move |mut request, mut respond| {
        let seen = seen.clone();
        async move {
            respond.send_response(head(200), true).unwrap();
            let body = read(request.body_mut()).await;
            seen.send(body.map_err(|error| error.reason()))
                .await
                .unwrap();
        }
    })
    .await;
    let (rig, mut client) = client(&origin).await;
    let (response, mut body) = client.send_request(call("Put", ()), false).unwrap();
    assert!(
        soon("the answer", response)
            .await
            .unwrap()
            .body()
            .is_end_stream()
    );
    until("nothing is in flight", || {
        rig.ingress.in_flight(&app()) == 0
    })
    .await;
    body.send_data(Bytes::from("body"), true).unwrap();
    let arrived = soon("the body", arrived.recv()).await;
    assert_eq!(arrived, Some(Ok(b"body".to_vec())));
}

/// There are clients that take a reset without an error for the end.
#[tokio::test]
async fn an_answer_that_a_container_resets_does_not_pass_for_a_whole_one() {
    for (said, expected) in [
        (Reason::CANCEL, Reason::CANCEL),
        (Reason::NO_ERROR, Reason::INTERNAL_ERROR),
        (Reason::ENHANCE_YOUR_CALM, Reason::ENHANCE_YOUR_CALM),
    ] {
        let (go, wait) = tokio::sync::watch::channel(false);
        let origin = server(move |_, mut respond| {
            let mut wait = wait.clone();
            async move {
                let mut answer = respond.send_response(head(200), false).unwrap();
                answer.send_data(Bytes::from("some"), false).unwrap();
                // A reset takes back what has not been sent.
                wait.wait_for(|arrived| *arrived).await.unwrap();
                answer.send_reset(said);
            }
        })
        .await;
        let (_rig, mut client) = client(&origin).await;
        let (_, answer) = ask(&mut client, false).await;
        let mut body = answer.unwrap().into_body();
        let data = soon("some of it", body.data()).await.unwrap();
        assert_eq!(data.unwrap(), "some");
        go.send(true).unwrap();
        let end = soon("the reset", body.data()).await.unwrap();
        assert_eq!(end.unwrap_err().reason(), Some(expected));
    }
}

/// A body that breaks off at the client breaks off at the container, and as it did there.
#[tokio::test]
async fn a_request_that_its_client_resets_does_not_pass_for_a_whole_one() {
    let (seen, mut arrived) = mpsc::channel(1);
    let origin = server(move |mut request, _respond| {
        let seen = seen.clone();
        async move {
            let body = read(request.body_mut()).await;
            seen.send(body.map_err(|error| error.reason()))
                .await
                .unwrap();
        }
    })
    .await;
    let (rig, mut client) = client(&origin).await;
    for (said, expected) in [
        (Reason::NO_ERROR, Reason::INTERNAL_ERROR),
        (Reason::ENHANCE_YOUR_CALM, Reason::ENHANCE_YOUR_CALM),
    ] {
        let (_response, mut body) = client.send_request(call("Put", ()), false).unwrap();
        until("it is in flight", || rig.ingress.in_flight(&app()) == 1).await;
        body.send_reset(said);
        let end = soon("the end", arrived.recv()).await;
        assert_eq!(end, Some(Err(Some(expected))));
        until("it has ended", || rig.ingress.in_flight(&app()) == 0).await;
    }
}

/// The status of the answer to a call, and how often a container was asked that does so.
async fn asked<F>(answer: F) -> (u16, usize)
where
    F: Fn(SendResponse<Bytes>) + Clone + Send + Sync + 'static,
{
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let origin = server(move |_, respond| {
        count.fetch_add(1, Ordering::SeqCst);
        answer(respond);
        async {}
    })
    .await;
    let (_rig, mut client) = client(&origin).await;
    let (_, answer) = ask(&mut client, false).await;
    (
        answer.unwrap().status().as_u16(),
        asked.load(Ordering::SeqCst),
    )
}

#[tokio::test]
async fn a_call_that_is_refused_again_and_again_is_made_so_often_and_not_more() {
    let refused = asked(|mut respond| respond.send_reset(Reason::REFUSED_STREAM));
    assert_eq!(refused.await, (502, 3));
    // That it was worked on cannot be ruled out.
    let gave_up = asked(|mut respond| respond.send_reset(Reason::INTERNAL_ERROR));
    assert_eq!(gave_up.await, (502, 1));
}

/// More is remembered of none.
#[tokio::test]
async fn a_call_of_which_much_was_sent_is_not_made_again() {
    const LONG: usize = 200 * 1024;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let origin = server(move |mut request, mut respond| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            read(request.body_mut()).await.unwrap();
            respond.send_reset(Reason::REFUSED_STREAM);
        }
    })
    .await;
    let (_rig, mut client) = client(&origin).await;
    let (response, mut body) = client.send_request(call("Put", ()), false).unwrap();
    body.send_data(Bytes::from(vec![0; LONG]), true).unwrap();
    let response = soon("the answer", response).await.unwrap();
    assert_eq!(response.status(), 502);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_may_not_come_after_an_answer_does_not() {
    let origin = server(|_, mut respond| async move {
        let mut answer = respond.send_response(head(200), false).unwrap();
        let mut trailers = status("0");
        trailers.insert("set-cookie", "a=1".parse().unwrap());
        answer.send_trailers(trailers).unwrap();
    })
    .await;
    let (_rig, mut client) = client(&origin).await;
    let (_, answer) = ask(&mut client, false).await;
    let trailers = answer.unwrap().body_mut().trailers().await.unwrap();
    assert_eq!(trailers, Some(status("0")));
}

/// It is the ingress that takes no more of it.
#[tokio::test]
async fn a_call_whose_answer_has_too_large_a_head_is_not_made_again() {
    let large = asked(|mut respond| {
        let mut head = head(200);
        let value = "a".repeat(17 * 1024).parse().unwrap();
        head.headers_mut().insert("x-large", value);
        respond.send_response(head, true).unwrap();
    });
    assert_eq!(large.await, (502, 1));
}

/// Sends as much as it is given room for, and counts it.
async fn fill(mut stream: SendStream<Bytes>, sent: mpsc::UnboundedSender<usize>) {
    let part = Bytes::from(vec![0; 16 * 1024]);
    loop {
        stream.reserve_capacity(part.len());
        let room = poll_fn(|cx| stream.poll_capacity(cx)).await;
        let Some(Ok(room)) = room else { return };
        let data = part.slice(..room.min(part.len()));
        let bytes = data.len();
        if stream.send_data(data, false).is_err() || sent.send(bytes).is_err() {
            return;
        }
    }
}

/// Bytes of one call that are anywhere between its two ends, at most: both windows of the
/// ingress, what it has ready to send, and what the two sockets hold.
const BETWEEN: usize = 1024 * 1024;

/// The others of the connection go on while nobody takes what is sent.
#[tokio::test]
async fn what_nobody_takes_waits_where_it_is() {
    let (count, mut sent) = mpsc::unbounded_channel();
    let answering = count.clone();
    let origin = server(move |request, mut respond| {
        let count = answering.clone();
        async move {
            match request.uri().path() {
                "/shop.Cart/Watch" => {
                    let answer = respond.send_response(head(200), false).unwrap();
                    fill(answer, count).await;
                }
                "/shop.Cart/Put" => {
                    // It does not read.
                    let reset = poll_fn(|cx| respond.poll_reset(cx)).await;
                    drop((request, reset));
                }
                _ => echo(request, respond).await,
            }
        }
    })
    .await;
    let (_rig, mut client) = client(&origin).await;
    for method in ["Watch", "Put"] {
        let (response, body) = client.send_request(call(method, ()), false).unwrap();
        let filling = (method == "Put").then(|| tokio::spawn(fill(body, count.clone())));
        let held = tokio::spawn(response);
        let mut between = soon("some of it", sent.recv()).await.unwrap();
        for _ in 0..200 {
            let (_, answer) = ask(&mut client, false).await;
            assert_echoed(answer).await;
            while let Ok(bytes) = sent.try_recv() {
                between += bytes;
            }
        }
        assert!(between < BETWEEN, "{method}: {between}");
        if let Some(filling) = filling {
            filling.abort();
        }
        held.abort();
        while sent.try_recv().is_ok() {}
    }
    assert_eq!(origin.accepted(), 1);
}
