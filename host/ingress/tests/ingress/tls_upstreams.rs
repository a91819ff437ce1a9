//! Containers that speak only TLS, with certificates that they have made themselves.

use crate::rig::{
    AnyBody, Origin, Rig, app, empty, read_all, read_head, request, soon, text, until,
};
use bytes::Bytes;
use doprax_core::route::Target;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, crypto::ring};
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_async, client_async};

/// For a name that nobody asks for, signed by itself, and long out of date.
fn acceptor(protocols: &[&str]) -> TlsAcceptor {
    let mut params = CertificateParams::new(vec!["inner.example".to_owned()]).unwrap();
    params.not_before = time::OffsetDateTime::UNIX_EPOCH;
    params.not_after = params.not_before + time::Duration::days(30);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
    config.alpn_protocols = protocols.collect();
    TlsAcceptor::from(Arc::new(config))
}

fn tls(origin: &Origin) -> Target {
    Target::Tls(origin.address)
}

/// A server that does with each connection what it is told, once it is encrypted.
async fn raw<F, R>(protocols: &[&str], serve: F) -> Origin
where
    F: Fn(TlsStream<TcpStream>) -> R + Clone + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let acceptor = acceptor(protocols);
    Origin::raw(move |stream| {
        let (acceptor, serve) = (acceptor.clone(), serve.clone());
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream).await;
            }
        }
    })
    .await
}

/// Says by what it was asked, and how long the body was.
async fn echo(request: Request<Incoming>) -> Response<AnyBody> {
    let target = format!("{} {}", request.method(), request.uri());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    Response::new(text(format!("{target} {}", body.len())))
}

async fn server() -> Origin {
    raw(&["h2", "http/1.1"], |stream| async move {
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(stream.get_ref().1.server_name(), None);
        let service = service_fn(|request| async { Ok::<_, Infallible>(echo(request).await) });
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    })
    .await
}

#[tokio::test]
async fn a_container_that_speaks_only_tls_is_asked_by_tls() {
    let origin = server().await;
    let rig = Rig::of(tls(&origin), |config| {
        config.threads = std::num::NonZeroUsize::MIN;
    });
    let mut client = rig.client().await;
    for (number, length) in [0, 1, 70_000, 3_000_000].into_iter().enumerate() {
        let body = Full::new(Bytes::from(vec![7; length]));
        let asked = request("POST", "/a", body);
        let answer = soon("the answer", client.send_request(asked))
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let answer = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(answer, format!("POST /a {length}"));
        assert_eq!(origin.accepted(), 1, "kept for request {number}");
    }
}

#[tokio::test]
async fn a_body_of_any_length_comes_whole_whether_tls_ends_with_a_word_or_without() {
    for word in [true, false] {
        let origin = raw(&[], move |mut stream| async move {
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked).await;
            let part = vec![b'x'; 1 << 20];
            let head = b"HTTP/1.1 200 OK\r\n\r\n";
            stream
                .write_all(&[&head[..], &part].concat())
                .await
                .unwrap();
            stream.flush().await.unwrap();
            if word {
                stream.shutdown().await.unwrap();
            } else {
                stream.get_mut().0.shutdown().await.unwrap();
            }
            let _ = stream.read(&mut asked).await;
        })
        .await;
        let rig = Rig::new(tls(&origin));
        let answer = rig.get("shop.localhost", "/", "").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{}", &answer[..100]);
        assert_eq!(answer.matches('x').count(), 1 << 20, "with a word: {word}");
    }
}

/// The rest of the request goes on beside the response.
#[tokio::test]
async fn an_upload_goes_on_after_its_answer_has_begun() {
    let origin = raw(&[], |mut stream| async move {
        let mut asked = vec![0; 4096];
        let first = stream.read(&mut asked).await.unwrap();
        let begin = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
        stream.write_all(begin).await.unwrap();
        stream.flush().await.unwrap();
        asked.truncate(first);
        while !asked.ends_with(b"the end") {
            assert!(stream.read_buf(&mut asked).await.unwrap() > 0);
        }
        stream.write_all(b"has all").await.unwrap();
        stream.flush().await.unwrap();
        let _ = stream.read(&mut [0]).await;
    })
    .await;
    let rig = Rig::new(tls(&origin));
    let mut stream = rig.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\nContent-Length: 1000007\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 "));
    stream.write_all(&vec![b'x'; 1_000_000]).await.unwrap();
    stream.write_all(b"the end").await.unwrap();
    let rest = read_all(stream).await;
    assert!(rest.ends_with("has all"), "{rest}");
}

#[tokio::test]
async fn websockets_pass_by_tls() {
    let origin = raw(&[], |stream| async move {
        let mut socket = accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() || message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    })
    .await;
    let rig = Rig::new(tls(&origin));
    let stream = rig.connect().await;
    let (mut socket, answer) = client_async("ws://shop.localhost/socket", stream)
        .await
        .unwrap();
    assert_eq!(answer.status(), 101);
    for length in [0, 125, 70_000, 1 << 20] {
        let message = Message::binary(vec![7; length]);
        socket.send(message.clone()).await.unwrap();
        let echoed = soon("the echo", socket.next()).await.unwrap().unwrap();
        assert_eq!(echoed, message);
    }
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = soon("the close", socket.next()).await {}
    drop(socket);
    until("nothing is in flight", || {
        rig.ingress.in_flight(&app()) == 0
    })
    .await;
}

#[tokio::test]
async fn calls_of_grpc_pass_by_tls() {
    let origin = raw(&["h2"], |stream| async move {
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let service =
            service_fn(|request| async { Ok::<_, Infallible>(crate::grpc::echo(request).await) });
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    })
    .await;
    let (rig, authority) = crate::http2::rig(tls(&origin), |_| {});
    let mut client = crate::http2::client(&rig, &authority).await;
    let call = crate::grpc::call("Add", crate::grpc::message("one"));
    let answer = soon("the answer", client.send_request(call)).await.unwrap();
    let target = answer.headers()["seen-target"].to_str().unwrap().to_owned();
    assert_eq!(target, "https://shop.localhost/shop.Cart/Add");
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes(), "one");
}

#[tokio::test]
async fn a_container_that_speaks_no_tls_is_a_bad_gateway() {
    let origin = Origin::echo().await;
    let rig = Rig::new(tls(&origin));
    let answer = rig.get("shop.localhost", "/", "").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

/// An app whose container is spoken with in another way from now on gets no request by a
/// connection of before.
#[tokio::test]
async fn connections_in_the_clear_and_by_tls_are_kept_apart() {
    let acceptor = acceptor(&[]);
    // Speaks both.
    let origin = Origin::raw(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut first = [0];
            stream.peek(&mut first).await.unwrap();
            let service = service_fn(|request| async { Ok::<_, Infallible>(echo(request).await) });
            let http = hyper::server::conn::http1::Builder::new();
            let _ = if first == [0x16] {
                let stream = acceptor.accept(stream).await.unwrap();
                http.serve_connection(TokioIo::new(stream), service).await
            } else {
                http.serve_connection(TokioIo::new(stream), service).await
            };
        }
    })
    .await;
    let rig = Rig::of(origin.target(), |config| {
        config.threads = std::num::NonZeroUsize::MIN;
    });
    let mut client = rig.client().await;
    for (target, accepted) in [
        (origin.target(), 1),
        (origin.target(), 1),
        (tls(&origin), 2),
        (tls(&origin), 2),
        (origin.target(), 3),
    ] {
        rig.ingress.publish(crate::rig::routes(target));
        let answer = client.send_request(request("GET", "/", empty())).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.unwrap();
        assert_eq!(origin.accepted(), accepted);
    }
}
