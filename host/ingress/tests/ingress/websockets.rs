//! WebSockets (RFC 6455), by a real library at both ends: whatever one end sends, the
//! other gets.

use crate::http2::{NAME, rig as encrypted};
use crate::pki::BOTH;
use crate::rig::{Origin, Rig, app, read_head, soon, text, until};
use futures_util::{SinkExt, StreamExt};
use hyper::Response;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

/// A server that notes each message, and sends texts and binaries back.
async fn noting() -> (Origin, mpsc::UnboundedReceiver<Message>) {
    let (note, notes) = mpsc::unbounded_channel();
    let origin = Origin::raw(move |stream| {
        let note = note.clone();
        async move {
            let mut socket = accept_async(stream).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                let _ = note.send(message.clone());
                if message.is_text() || message.is_binary() {
                    socket.send(message).await.unwrap();
                }
            }
        }
    })
    .await;
    (origin, notes)
}

/// A server that sends this, and then notes what it gets.
async fn sending(message: Message) -> (Origin, mpsc::UnboundedReceiver<Message>) {
    let (note, notes) = mpsc::unbounded_channel();
    let origin = Origin::raw(move |stream| {
        let (message, note) = (message.clone(), note.clone());
        async move {
            let mut socket = accept_async(stream).await.unwrap();
            socket.send(message).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                let _ = note.send(message);
            }
        }
    })
    .await;
    (origin, notes)
}

async fn open(rig: &Rig) -> WebSocketStream<TcpStream> {
    over(rig.connect().await).await
}

async fn over<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> WebSocketStream<S> {
    let opened = client_async("ws://shop.localhost/socket", stream).await;
    let (socket, answer) = opened.unwrap();
    assert_eq!(answer.status(), 101);
    socket
}

async fn next<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> Message {
    let message = soon("a message", socket.next()).await;
    message.expect("it goes on").unwrap()
}

async fn is_over(rig: &Rig) {
    until("nothing is in flight", || {
        rig.ingress.in_flight(&app()) == 0
    })
    .await;
}

#[tokio::test]
async fn texts_and_binaries_come_back_as_they_were() {
    let (origin, _notes) = noting().await;
    let rig = Rig::new(origin.target());
    let mut socket = open(&rig).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    for message in [
        Message::text(""),
        Message::text("κόσμε 🙂\0\r\n\r\n"),
        Message::binary(every_byte),
        Message::binary(b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n".to_vec()),
    ] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(next(&mut socket).await, message);
    }
}

#[tokio::test]
async fn a_message_in_fragments_with_a_ping_between_them_is_one() {
    let (origin, mut notes) = noting().await;
    let rig = Rig::new(origin.target());
    let mut socket = open(&rig).await;
    let part = |text: &'static str, kind, last| {
        Message::Frame(Frame::message(text, OpCode::Data(kind), last))
    };
    let ping = Message::Ping(Bytes::from_static(b"now"));
    for sent in [
        part("one ", Data::Text, false),
        part("two ", Data::Continue, false),
        ping.clone(),
        part("", Data::Continue, false),
        part("three", Data::Continue, true),
    ] {
        socket.send(sent).await.unwrap();
    }
    let whole = Message::text("one two three");
    for expected in [ping, whole.clone()] {
        assert_eq!(soon("it", notes.recv()).await.unwrap(), expected);
    }
    let pong = Message::Pong(Bytes::from_static(b"now"));
    assert_eq!(next(&mut socket).await, pong);
    assert_eq!(next(&mut socket).await, whole);
}

#[tokio::test]
async fn a_server_may_ping_as_well() {
    let (origin, mut notes) = sending(Message::Ping(Bytes::from_static(b"there?"))).await;
    let rig = Rig::new(origin.target());
    let mut socket = open(&rig).await;
    let ping = Message::Ping(Bytes::from_static(b"there?"));
    assert_eq!(next(&mut socket).await, ping);
    // The library answers with whatever is sent next.
    socket.flush().await.unwrap();
    let pong = Message::Pong(Bytes::from_static(b"there?"));
    assert_eq!(soon("the pong", notes.recv()).await.unwrap(), pong);
}

#[tokio::test]
async fn the_code_and_the_reason_of_a_close_arrive_at_the_other_end() {
    for (code, reason) in [
        (CloseCode::Normal, ""),
        (CloseCode::Away, "deploy"),
        (CloseCode::Policy, "no"),
        (CloseCode::Library(4321), "ποτέ"),
    ] {
        let reason = reason.into();
        let close = Message::Close(Some(CloseFrame { code, reason }));
        let (origin, mut notes) = noting().await;
        let rig = Rig::new(origin.target());
        let mut socket = open(&rig).await;
        socket.send(close.clone()).await.unwrap();
        assert_eq!(soon("the close", notes.recv()).await.unwrap(), close);
        assert_eq!(next(&mut socket).await, close, "the answer");
        assert!(soon("the end", socket.next()).await.is_none());
        drop(socket);
        is_over(&rig).await;

        let (origin, mut notes) = sending(close.clone()).await;
        let rig = Rig::new(origin.target());
        let mut socket = open(&rig).await;
        assert_eq!(next(&mut socket).await, close);
        assert!(soon("the end", socket.next()).await.is_none());
        assert_eq!(soon("the answer", notes.recv()).await.unwrap(), close);
        drop(socket);
        is_over(&rig).await;
    }
}

#[tokio::test]
async fn a_message_may_be_as_big_as_the_ends_allow() {
    let (origin, _notes) = noting().await;
    let rig = Rig::new(origin.target());
    let mut socket = open(&rig).await;
    let big = Message::binary(vec![7; 16 << 20]);
    socket.send(big.clone()).await.unwrap();
    assert!(next(&mut socket).await == big);
}

#[tokio::test]
async fn many_small_messages_arrive_in_order() {
    let (origin, _notes) = noting().await;
    let rig = Rig::new(origin.target());
    let (mut sink, mut stream) = open(&rig).await.split();
    let numbers = || (0..10_000).map(|number: u32| Message::text(number.to_string()));
    let sending = tokio::spawn(async move {
        for message in numbers() {
            sink.feed(message).await.unwrap();
        }
        sink.flush().await.unwrap();
        sink
    });
    for expected in numbers() {
        let message = soon("a message", stream.next()).await.unwrap().unwrap();
        assert_eq!(message, expected);
    }
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn all_the_same_inside_tls() {
    let (origin, mut notes) = noting().await;
    let (rig, authority) = encrypted(origin.target(), |_| {});
    let visitor = authority.trusting(BOTH).speaking(&["http/1.1"]);
    let stream = visitor.connect(rig.https, NAME).await.unwrap();
    let mut socket = over(stream).await;
    for length in [0, 125, 126, 65_535, 65_536, 16 << 20] {
        let message = Message::binary(vec![7; length]);
        socket.send(message.clone()).await.unwrap();
        assert!(next(&mut socket).await == message, "{length} bytes");
        assert!(soon("it", notes.recv()).await.unwrap() == message);
    }
    socket.close(None).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Close(None));
    assert!(soon("the end", socket.next()).await.is_none());
    drop(socket);
    is_over(&rig).await;
}

/// What a server answers to an offer, and then sends back whatever it gets.
async fn answering(answer: &'static str, told: mpsc::UnboundedSender<String>) -> Origin {
    Origin::raw(move |mut stream| {
        let told = told.clone();
        async move {
            let _ = told.send(read_head(&mut stream).await);
            stream.write_all(answer.as_bytes()).await.unwrap();
            let (mut from, mut to) = stream.split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
        }
    })
    .await
}

/// What the library at neither end understands: a proxy must not either.
#[tokio::test]
async fn what_the_ends_agree_on_is_theirs_alone() {
    let (told, mut heads) = mpsc::unbounded_channel();
    let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: superchat\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n";
    let origin = answering(answer, told).await;
    let rig = Rig::new(origin.target());
    let offered = [
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "sec-websocket-version: 13\r\n",
        "sec-websocket-protocol: chat, superchat\r\n",
        "sec-websocket-extensions: permessage-deflate; client_max_window_bits, x-other\r\n",
        "origin: https://shop.localhost\r\n",
    ];
    // Browsers other than one send a list (RFC 6455 section 4.1 asks for the token only).
    for connection in ["Upgrade", "keep-alive, Upgrade", "keep-alive,upgrade"] {
        let mut stream = rig.connect().await;
        let offer = format!(
            "GET /socket HTTP/1.1\r\nHost: shop.localhost\r\nConnection: {connection}\r\n\
             Upgrade: websocket\r\n{}\r\n",
            offered.concat()
        );
        stream.write_all(offer.as_bytes()).await.unwrap();
        let head = soon("the offer", heads.recv()).await.unwrap();
        for field in offered {
            assert!(head.contains(field), "{field} in {head}");
        }
        assert!(head.contains("upgrade: websocket\r\n"), "{head}");
        assert!(head.contains("connection: upgrade\r\n"), "{head}");
        let accepted = read_head(&mut stream).await;
        for field in [
            "HTTP/1.1 101 ",
            "connection: upgrade\r\n",
            "upgrade: websocket\r\n",
            "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            "sec-websocket-protocol: superchat\r\n",
            "sec-websocket-extensions: permessage-deflate; server_no_context_takeover\r\n",
        ] {
            assert!(accepted.contains(field), "{field} in {accepted}");
        }
        // A compressed frame (RFC 7692 section 7.2.3.1), and no frame at all.
        let frames = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xff\xff\xff\0HTTP/1.1 400 \r\n\r\n";
        stream.write_all(frames).await.unwrap();
        let mut back = [0; 32];
        let back = &mut back[..frames.len()];
        soon("the frames", stream.read_exact(back)).await.unwrap();
        assert_eq!(back, frames);
    }
}

#[tokio::test]
async fn the_server_notices_a_client_that_is_gone() {
    let (told, mut ends) = mpsc::unbounded_channel();
    let origin = Origin::raw(move |stream| {
        let told = told.clone();
        async move {
            let mut socket = accept_async(stream).await.unwrap();
            while let Some(Ok(_)) = socket.next().await {}
            told.send(()).unwrap();
        }
    })
    .await;
    let rig = Rig::new(origin.target());
    for reset in [false, true] {
        let mut socket = open(&rig).await;
        socket.send(Message::text("hello")).await.unwrap();
        if reset {
            let socket = socket2::SockRef::from(socket.get_ref());
            socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
        }
        drop(socket);
        soon("the end", ends.recv()).await.unwrap();
        is_over(&rig).await;
    }
}

#[tokio::test]
async fn the_client_notices_a_server_that_is_gone() {
    let origin = Origin::raw(|stream| async move {
        let mut socket = accept_async(stream).await.unwrap();
        let asked = socket.next().await.unwrap().unwrap();
        if asked == Message::text("reset") {
            let socket = socket2::SockRef::from(socket.get_ref());
            socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
        }
    })
    .await;
    let rig = Rig::new(origin.target());
    for how in ["close", "reset"] {
        let mut socket = open(&rig).await;
        socket.send(Message::text(how)).await.unwrap();
        // No close came before: the library calls that an error.
        let end = soon("the end", socket.next()).await;
        assert!(end.is_some_and(|end| end.is_err()), "{how}");
        if how == "close" {
            // Its own half is open as long as it keeps it.
            drop(socket);
        }
        is_over(&rig).await;
    }
}

#[tokio::test]
async fn an_offer_that_is_refused_leaves_the_connection_to_other_requests() {
    for status in [426, 400, 403] {
        let origin = Origin::new(move |request| async move {
            let mut response = Response::new(text("refused"));
            if request.headers().contains_key("upgrade") {
                *response.status_mut() = status.try_into().unwrap();
                let fields = response.headers_mut();
                if status == 426 {
                    fields.insert("connection", "upgrade".parse().unwrap());
                    fields.insert("upgrade", "websocket".parse().unwrap());
                }
            }
            response
        })
        .await;
        let rig = Rig::new(origin.target());
        let offer = "GET /socket HTTP/1.1\r\nHost: shop.localhost\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\nSec-WebSocket-Version: 12\r\n\r\n";
        let other = "GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n";
        let answer = rig
            .exchange([offer, offer, other].concat().as_bytes())
            .await;
        let refused = format!("HTTP/1.1 {status} ");
        assert_eq!(answer.matches(&refused).count(), 2, "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 1, "{answer}");
        let fields = answer.matches("upgrade: websocket\r\n").count();
        assert_eq!(fields, if status == 426 { 2 } else { 0 }, "{answer}");
        assert_eq!(origin.accepted(), 1);
        let refusal = client_async("ws://shop.localhost/", rig.connect().await).await;
        assert!(
            refusal
                .unwrap_err()
                .to_string()
                .contains(&status.to_string())
        );
    }
}
