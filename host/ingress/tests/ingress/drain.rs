//! What a redeploy needs: no request is missed by a drain, none uses a retired
//! connection, and none fails.

use crate::rig::{Origin, Rig, app, empty, request, routes, soon, text, until};
use http_body_util::BodyExt;
use hyper::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

const LONG: Duration = Duration::from_secs(20);

/// An origin that knows whether it may be asked.
struct Copy {
    origin: Origin,
    busy: Arc<AtomicUsize>,
    gone: Arc<AtomicBool>,
}

impl Copy {
    async fn new(late: Arc<AtomicUsize>) -> Self {
        let (busy, gone) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, flag) = (Arc::clone(&busy), Arc::clone(&gone));
        let origin = Origin::new(move |_| {
            let (busy, gone, late) = (Arc::clone(&count), Arc::clone(&flag), Arc::clone(&late));
            async move {
                busy.fetch_add(1, Ordering::SeqCst);
                if gone.load(Ordering::SeqCst) {
                    late.fetch_add(1, Ordering::SeqCst);
                }
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                busy.fetch_sub(1, Ordering::SeqCst);
                Response::new(text("ok"))
            }
        })
        .await;
        Self { origin, busy, gone }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_drain_the_old_copy_is_never_asked_again() {
    let late = Arc::new(AtomicUsize::new(0));
    let copies = [
        Copy::new(Arc::clone(&late)).await,
        Copy::new(Arc::clone(&late)).await,
    ];
    let rig = Arc::new(Rig::new(copies[0].origin.target()));
    let over = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (rig, over, served) = (Arc::clone(&rig), Arc::clone(&over), Arc::clone(&served));
        clients.spawn(async move {
            let method = if number % 2 == 0 { "GET" } else { "POST" };
            let mut client = rig.client().await;
            while !over.load(Ordering::Relaxed) {
                client.ready().await.unwrap();
                let answer = client
                    .send_request(request(method, "/", empty()))
                    .await
                    .unwrap();
                assert_eq!(answer.status(), 200);
                answer.into_body().collect().await.unwrap();
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for turn in 0..200 {
        let (old, new) = (&copies[turn % 2], &copies[(turn + 1) % 2]);
        new.gone.store(false, Ordering::SeqCst);
        rig.ingress.publish(routes(new.origin.target()));
        if turn % 3 == 0 {
            rig.ingress.retire_connections(&app(), Duration::ZERO);
        }
        assert_eq!(rig.drain(LONG).await, 0);
        old.gone.store(true, Ordering::SeqCst);
        assert_eq!(old.busy.load(Ordering::SeqCst), 0, "in turn {turn}");
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
    assert_eq!(late.load(Ordering::SeqCst), 0);
    until("nothing is in flight", || {
        rig.ingress.in_flight(&app()) == 0
    })
    .await;
}

#[tokio::test]
async fn a_drain_waits_for_requests_begun_before_it_and_for_no_others() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let origin = Origin::new(move |request| {
        let go = Arc::clone(&wait);
        async move {
            if request.uri().path() == "/slow" {
                go.notified().await;
            }
            Response::new(text("ok"))
        }
    })
    .await;
    let rig = Arc::new(Rig::new(origin.target()));
    let slow = |rig: &Arc<Rig>| {
        let rig = Arc::clone(rig);
        tokio::spawn(async move { rig.get("shop.localhost", "/slow", "").await })
    };
    let first = slow(&rig);
    until("the first is in flight", || {
        rig.ingress.in_flight(&app()) == 1
    })
    .await;
    assert_eq!(rig.drain(Duration::from_millis(20)).await, 1);

    let draining = {
        let rig = Arc::clone(&rig);
        tokio::spawn(async move { rig.drain(LONG).await })
    };
    tokio::task::yield_now().await;
    let second = slow(&rig);
    until("both are in flight", || rig.ingress.in_flight(&app()) == 2).await;
    assert!(!draining.is_finished());
    go.notify_one();
    assert!(first.await.unwrap().ends_with("ok"));
    assert_eq!(soon("the drain", draining).await.unwrap(), 0);
    assert_eq!(rig.ingress.in_flight(&app()), 1);
    go.notify_one();
    assert!(second.await.unwrap().ends_with("ok"));
}

#[tokio::test]
async fn retired_connections_are_not_used_again() {
    let origin = Origin::echo().await;
    let rig = Rig::new(origin.target());
    let mut client = rig.client().await;
    for expected in [1, 2, 3] {
        for _ in 0..3 {
            client.ready().await.unwrap();
            let answer = client
                .send_request(request("GET", "/", empty()))
                .await
                .unwrap();
            answer.into_body().collect().await.unwrap();
            assert_eq!(origin.accepted(), expected);
        }
        rig.ingress.retire_connections(&app(), Duration::ZERO);
    }
}

/// A reload of Nginx closes idle connections at a moment of its own.
#[tokio::test]
async fn a_post_gets_no_kept_connection_while_the_front_may_close_it() {
    let origin = Origin::echo().await;
    let rig = Rig::new(origin.target());
    let mut client = rig.client().await;
    rig.ingress.retire_connections(&app(), LONG);
    // Two posts with a connection each; one of its own and kept for the gets.
    for (method, expected) in [("POST", 1), ("GET", 2), ("POST", 3), ("GET", 3)] {
        client.ready().await.unwrap();
        let answer = client
            .send_request(request(method, "/", empty()))
            .await
            .unwrap();
        answer.into_body().collect().await.unwrap();
        assert_eq!(origin.accepted(), expected, "after a {method}");
    }
}
