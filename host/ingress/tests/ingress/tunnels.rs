//! WebSockets, by a real library at both ends, and other protocols.

use crate::rig::{Origin, Pace, Rig, app, growing, read_all, read_head, soon, until};
use doprax_ingress::DrainLimits;
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

async fn echo_socket() -> Origin {
    Origin::raw(|stream| async move {
        let mut socket = accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() || message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    })
    .await
}

async fn open(rig: &Rig) -> WebSocketStream<TcpStream> {
    let stream = rig.connect().await;
    let (socket, answer) = client_async("ws://shop.localhost/socket", stream)
        .await
        .unwrap();
    assert_eq!(answer.status(), 101);
    socket
}

#[tokio::test]
async fn a_websocket_carries_messages_of_all_sizes_both_ways() {
    let origin = echo_socket().await;
    let rig = Rig::new(origin.target());
    let mut socket = open(&rig).await;
    for length in [0, 1, 125, 126, 70_000, 1 << 20] {
        let message = Message::binary(vec![7; length]);
        socket.send(message.clone()).await.unwrap();
        assert_eq!(
            soon("the echo", socket.next()).await.unwrap().unwrap(),
            message
        );
    }
    assert_eq!(rig.ingress.in_flight(&app()), 1);
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = soon("the close", socket.next()).await {}
    drop(socket);
    until("nothing is in flight", || {
        rig.ingress.in_flight(&app()) == 0
    })
    .await;
}

#[tokio::test]
async fn a_drain_waits_for_no_websocket_unless_it_is_to() {
    let origin = echo_socket().await;
    let rig = Rig::new(origin.target());
    let mut socket = open(&rig).await;
    let limits = DrainLimits {
        requests: crate::rig::PATIENCE * 2,
        upgraded: Duration::ZERO,
    };
    let left = soon("the drain", rig.ingress.drain(&app(), limits)).await;
    assert_eq!((left.requests, left.upgraded), (0, 1));
    assert_eq!(rig.drain(Duration::from_millis(30)).await, 1);
    socket.send(Message::text("still here")).await.unwrap();
    assert_eq!(
        soon("the echo", socket.next()).await.unwrap().unwrap(),
        Message::text("still here")
    );
    drop(socket);
    assert_eq!(rig.drain(crate::rig::PATIENCE).await, 0);
}

#[tokio::test]
async fn an_idle_websocket_is_closed_and_a_busy_one_is_not() {
    let short = Duration::from_millis(200);
    let origin = echo_socket().await;
    for limit in growing(short) {
        let rig = Rig::with(origin.target(), |limits| limits.quiet_timeout = limit);
        let mut socket = open(&rig).await;
        let mut pace = Pace::new(limit);
        let mut echoed = 0;
        for _ in 0..12 {
            pace.step().await;
            if socket.send(Message::text("x")).await.is_ok() {
                let echo = soon("the echo", socket.next()).await;
                echoed += usize::from(matches!(echo, Some(Ok(message)) if message.is_text()));
            }
        }
        if pace.was_kept() {
            assert_eq!(echoed, 12);
            until("it is closed", || rig.ingress.in_flight(&app()) == 0).await;
            return;
        }
    }
    panic!("the machine is too busy for any pace");
}

#[tokio::test]
async fn a_tunnel_that_one_side_has_left_ends_soon() {
    let origin = echo_socket().await;
    let short = Duration::from_millis(100);
    let rig = Rig::with(origin.target(), |limits| limits.stall_timeout = short);
    let mut socket = open(&rig).await;
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = soon("the close", socket.next()).await {}
    // The client keeps its side open.
    until("nothing is in flight", || {
        rig.ingress.in_flight(&app()) == 0
    })
    .await;
    drop(socket);
}

#[tokio::test]
async fn bytes_sent_with_the_offer_reach_the_other_protocol() {
    let origin = Origin::raw(|mut stream| async move {
        let head = read_head(&mut stream).await;
        assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: echo\r\n"), "{head}");
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello ";
        stream.write_all(answer).await.unwrap();
        let mut early = [0; 5];
        stream.read_exact(&mut early).await.unwrap();
        stream.write_all(&early).await.unwrap();
    })
    .await;
    let rig = Rig::new(origin.target());
    let mut stream = rig.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly")
        .await
        .unwrap();
    let answer = read_all(stream).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello early"), "{answer}");
}

#[tokio::test]
async fn a_declined_offer_is_an_ordinary_request() {
    let origin = Origin::echo().await;
    let rig = Rig::new(origin.target());
    let answer = rig
        .exchange(
            b"GET /a HTTP/1.1\r\nHost: shop.localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n\
              GET /b HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n",
        )
        .await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    assert!(answer.contains("GET /b"), "{answer}");
}

#[tokio::test]
async fn protocols_are_not_switched_unasked() {
    let origin = Origin::raw(|mut stream| async move {
        let _ = read_head(&mut stream).await;
        let answer =
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        let _ = stream.read(&mut [0]).await;
    })
    .await;
    let rig = Rig::new(origin.target());
    let answer = rig.get("shop.localhost", "/", "").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}
