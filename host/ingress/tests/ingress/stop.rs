//! The end of an ingress.

use crate::rig::{Origin, Rig, app, read_all, read_head, soon, text, until};
use doprax_core::route::Target;
use hyper::Response;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

const LONG: Duration = Duration::from_secs(20);
const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n";

#[tokio::test]
async fn a_stop_lets_requests_end_and_closes_idle_connections() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let origin = Origin::new(move |_| {
        let go = Arc::clone(&wait);
        async move {
            go.notified().await;
            Response::new(text("ok"))
        }
    })
    .await;
    let rig = Arc::new(Rig::new(origin.target()));
    go.notify_one();
    let mut idle = rig.connect().await;
    idle.write_all(ASK).await.unwrap();
    assert!(read_head(&mut idle).await.starts_with("HTTP/1.1 200 "));

    let mut busy = rig.connect().await;
    busy.write_all(ASK).await.unwrap();
    until("a request is in flight", || {
        rig.ingress.in_flight(&app()) == 1
    })
    .await;
    let stopping = {
        let rig = Arc::clone(&rig);
        tokio::spawn(async move { rig.ingress.stop(LONG).await })
    };
    assert_eq!(
        read_all(idle).await,
        "ok".get(2..).unwrap(),
        "the idle connection closes"
    );
    assert!(!stopping.is_finished());
    go.notify_one();
    let answer = read_all(busy).await;
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    assert_eq!(soon("the stop", stopping).await.unwrap(), 0);
    assert!(TcpStream::connect(rig.address).await.is_err());
}

/// Nobody tells one that leaves that a container is about to close what is idle.
#[tokio::test]
async fn one_that_leaves_uses_no_kept_connection_for_what_must_not_be_sent_twice() {
    const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 0\r\n\r\n";
    let origin = Origin::new(|_| async { Response::new(text("ok")) }).await;
    let rig = Arc::new(Rig::new(origin.target()));
    let mut kept = rig.connect().await;
    kept.write_all(POST).await.unwrap();
    assert!(read_head(&mut kept).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(origin.accepted(), 1);
    let leaving = {
        let rig = Arc::clone(&rig);
        tokio::spawn(async move { rig.ingress.leave(LONG).await })
    };
    let left = async { while TcpStream::connect(rig.address).await.is_ok() {} };
    soon("it takes no more connections", left).await;
    kept.write_all(POST).await.unwrap();
    let answer = read_all(kept).await;
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(origin.accepted(), 2);
    assert_eq!(soon("the end", leaving).await.unwrap(), 0);
}

#[tokio::test]
async fn one_that_leaves_still_opens_a_websocket_for_whom_it_has_accepted() {
    const SWITCHED: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    let origin = Origin::raw(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(SWITCHED).await.unwrap();
    })
    .await;
    let rig = Arc::new(Rig::of(origin.target(), |config| {
        config.proxy_protocol = vec!["127.0.0.0/8".parse().unwrap()];
    }));
    // Accepted, and nothing is known of it before the balancer has spoken.
    let mut early = rig.connect().await;
    let leaving = {
        let rig = Arc::clone(&rig);
        tokio::spawn(async move { rig.ingress.leave(LONG).await })
    };
    let left = async { while TcpStream::connect(rig.address).await.is_ok() {} };
    soon("it takes no more connections", left).await;
    early
        .write_all(
            b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n\
              GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        )
        .await
        .unwrap();
    let head = read_head(&mut early).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("connection: upgrade\r\n"), "{head}");
    drop(early);
    assert_eq!(soon("the end", leaving).await.unwrap(), 0);
}

#[tokio::test]
async fn what_does_not_end_within_the_grace_is_cut_and_counted() {
    let origin = Origin::new(|_| std::future::pending()).await;
    let rig = Rig::new(origin.target());
    let mut busy = rig.connect().await;
    busy.write_all(ASK).await.unwrap();
    until("a request is in flight", || {
        rig.ingress.in_flight(&app()) == 1
    })
    .await;
    assert_eq!(
        soon("the stop", rig.ingress.stop(Duration::from_millis(50))).await,
        1
    );
    assert_eq!(rig.ingress.in_flight(&app()), 0);
}

#[tokio::test]
async fn a_grace_may_be_shortened_and_not_lengthened() {
    let origin = Origin::new(|_| std::future::pending()).await;
    let rig = Arc::new(Rig::new(origin.target()));
    let mut busy = rig.connect().await;
    busy.write_all(ASK).await.unwrap();
    until("a request is in flight", || {
        rig.ingress.in_flight(&app()) == 1
    })
    .await;
    let stop = |grace| {
        let rig = Arc::clone(&rig);
        tokio::spawn(async move { rig.ingress.stop(grace).await })
    };
    let mut patient = stop(100 * LONG);
    tokio::select! {
        biased;
        _ = &mut patient => panic!("a request is in flight"),
        () = tokio::task::yield_now() => {}
    }
    let impatient = stop(Duration::from_millis(50));
    let lenient = stop(100 * LONG);
    for stopping in [patient, impatient, lenient] {
        assert_eq!(soon("the stop", stopping).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn an_ingress_needs_an_address_and_no_more_than_one() {
    use doprax_ingress::{Config, Error, Ingress};
    let none = Ingress::start(Config::new(Vec::new()));
    assert!(matches!(none, Err(Error::NoAddress)));
    let one = Ingress::start(Config::new(vec!["127.0.0.1:0".parse().unwrap()]));
    assert_eq!(one.unwrap().addresses().len(), 1);
}

/// The kernel spreads clients over the sockets of all of them.
#[tokio::test]
async fn every_thread_serves() {
    let origin = Origin::new(|_| async { Response::new(text("ok")) }).await;
    let rig = Rig::new(origin.target());
    // Each has a connection of its own to the container.
    for _ in 0..100 {
        rig.get("shop.localhost", "/", "").await;
        if origin.accepted() == 2 {
            return;
        }
    }
    panic!("one of two threads serves all");
}

#[tokio::test]
async fn a_dropped_ingress_frees_its_port() {
    let rig = Rig::new(Target::Stopped);
    let address = rig.address;
    drop(rig);
    let mut refused = false;
    let wait = async {
        while !refused {
            refused = TcpStream::connect(address).await.is_err();
        }
    };
    soon("the port is free", wait).await;
}
