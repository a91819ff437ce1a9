//! TLS: which certificate, which versions, who gets none.

use crate::pki::{Authority, BOTH, Visitor};
use crate::rig::{Origin, PATIENCE, Rig, any, app, read_all, refused, soon, until};
use bytes::Bytes;
use doprax_core::route::Target;
use http_body_util::StreamBody;
use hyper::Response;
use hyper::body::Frame;
use rustls::{AlertDescription, HandshakeKind, ProtocolVersion};
use std::convert::Infallible;
use std::io;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

const SHORT: Duration = Duration::from_millis(150);
const NAME: &str = "shop.localhost";

async fn ask(stream: &mut TlsStream<TcpStream>, host: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    read_all(stream).await
}

fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

#[tokio::test]
async fn an_app_is_told_that_it_is_asked_by_https() {
    let (authority, origin) = (Authority::new(), Origin::echo().await);
    let rig = Rig::new(origin.target());
    rig.certificates.serve(NAME, &authority.issue(&[NAME]));
    for (version, expected) in [
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let visitor = authority.trusting(&[version]);
        let mut stream = visitor.connect(rig.https, "SHOP.localhost").await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
        let answer = ask(&mut stream, NAME).await;
        assert!(answer.contains("x-forwarded-proto: https"), "{answer}");
        assert!(answer.contains(";proto=https"), "{answer}");
    }
}

#[tokio::test]
async fn a_name_without_a_certificate_gets_an_alert_and_nobody_elses_certificate() {
    let authority = Authority::new();
    let rig = Rig::new(Target::Stopped);
    rig.certificates.serve(NAME, &authority.issue(&[NAME]));
    let visitor = authority.trusting(BOTH);
    // An address is not sent as a name.
    for name in ["other.localhost", "a.shop.localhost", "127.0.0.1"] {
        let error = visitor.connect(rig.https, name).await.unwrap_err();
        let expected = Some(AlertDescription::UnrecognisedName);
        assert_eq!(alert(&error), expected, "{name}: {error}");
    }
}

#[tokio::test]
async fn a_connection_serves_the_hosts_of_its_certificate_and_no_others() {
    let (authority, origin) = (Authority::new(), Origin::echo().await);
    let rig = Rig::new(origin.target());
    let key = authority.issue(&["one.localhost", "*.two.localhost", NAME]);
    rig.certificates.serve("one.localhost", &key);
    let visitor = authority.trusting(BOTH);
    for (host, status) in [
        ("shop.localhost", "200"),
        ("Shop.localhost:8443", "200"),
        ("one.localhost", "404"),
        ("a.two.localhost", "404"),
        ("two.localhost", "421"),
        ("other.localhost", "421"),
        ("127.0.0.1", "421"),
        ("[::1]:443", "421"),
    ] {
        let mut stream = visitor.connect(rig.https, "one.localhost").await.unwrap();
        let answer = ask(&mut stream, host).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{host}: {answer}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_served_from_the_next_handshake_on() {
    let authority = Authority::new();
    let rig = Rig::new(Target::Stopped);
    let visitor = authority.trusting(BOTH);
    for _ in 0..2 {
        let key = authority.issue(&[NAME]);
        rig.certificates.serve(NAME, &key);
        // Resumed handshakes show no certificate.
        let visitor = authority.trusting(BOTH);
        let stream = visitor.connect(rig.https, NAME).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap().to_vec();
        assert_eq!(shown, [key.cert[0].clone()]);
    }
    rig.certificates.withdraw(NAME);
    assert!(visitor.connect(rig.https, NAME).await.is_err());
}

#[tokio::test]
async fn handshakes_are_resumed_whichever_thread_they_meet() {
    let (authority, origin) = (Authority::new(), Origin::echo().await);
    let rig = Rig::new(origin.target());
    rig.certificates.serve(NAME, &authority.issue(&[NAME]));
    for version in BOTH {
        let visitor = authority.trusting(&[version]);
        let mut kinds = Vec::new();
        for _ in 0..12 {
            let mut stream = visitor.connect(rig.https, NAME).await.unwrap();
            assert!(ask(&mut stream, NAME).await.starts_with("HTTP/1.1 200 "));
            kinds.push(stream.get_ref().1.handshake_kind().unwrap());
        }
        assert_ne!(kinds.remove(0), HandshakeKind::Resumed);
        let resumed = |kind: &HandshakeKind| *kind == HandshakeKind::Resumed;
        assert!(kinds.iter().all(resumed), "{version:?}: {kinds:?}");
    }
}

#[tokio::test]
async fn a_ca_that_checks_a_name_sees_its_answer_and_no_more() {
    let authority = Authority::new();
    let rig = Rig::new(Target::Stopped);
    let (served, answer) = (authority.issue(&[NAME]), authority.issue(&[NAME]));
    rig.certificates.serve(NAME, &served);
    let certificates = &rig.certificates;
    certificates.answer_alpn(NAME, &answer);
    let shown = |stream: &TlsStream<TcpStream>| {
        let connection = stream.get_ref().1;
        connection.peer_certificates().unwrap().to_vec()
    };
    let ca = authority.trusting(BOTH).speaking(&["acme-tls/1"]);
    let stream = ca.connect(rig.https, NAME).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"acme-tls/1"[..]));
    assert_eq!(shown(&stream), [answer.cert[0].clone()]);
    assert_eq!(read_all(stream).await, "");
    let visitor = authority
        .trusting(BOTH)
        .speaking(&["acme-tls/1", "http/1.1"]);
    let stream = visitor.connect(rig.https, NAME).await.unwrap();
    assert_eq!(shown(&stream), [served.cert[0].clone()]);
    certificates.withdraw_alpn(NAME);
    assert!(ca.connect(rig.https, NAME).await.is_err());
}

#[tokio::test]
async fn a_ca_that_checks_a_name_by_http_is_answered_before_any_app() {
    let origin = Origin::echo().await;
    let rig = Rig::new(origin.target());
    let path = "/.well-known/acme-challenge/token-1";
    let asked = rig.get(NAME, path, "").await;
    assert!(asked.contains(&format!("GET {path}")), "the app: {asked}");
    rig.certificates.answer_http("token-1", "token-1.print");
    for host in [NAME, "not-yet-routed.localhost"] {
        let answer = rig.get(host, path, "").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\ntoken-1.print"), "{answer}");
    }
    rig.certificates.withdraw_http("token-1");
    let asked = rig.get(NAME, path, "").await;
    assert!(asked.contains(&format!("GET {path}")), "the app: {asked}");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_in_time_is_cut() {
    let rig = Rig::with(Target::Stopped, |limits| limits.handshake_timeout = SHORT);
    for begun in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(rig.https).await.unwrap();
        stream.write_all(begun).await.unwrap();
        assert_eq!(read_all(stream).await, "");
    }
}

#[tokio::test]
async fn plain_http_where_tls_is_spoken_ends_with_an_alert() {
    let rig = Rig::new(Target::Stopped);
    let mut stream = TcpStream::connect(rig.https).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = soon("the end", stream.read_to_end(&mut answer)).await;
    assert_eq!(answer.first(), Some(&21), "{answer:?}");
    until("it is counted", || refused(&rig) == ["tls"]).await;
}

#[tokio::test]
async fn connections_are_limited_before_the_handshake() {
    let (authority, origin) = (Authority::new(), Origin::echo().await);
    let rig = Rig::with(origin.target(), |limits| limits.connections_per_client = 1);
    rig.certificates.serve(NAME, &authority.issue(&[NAME]));
    let visitor = authority.trusting(BOTH);
    // Nothing was sent on it yet.
    let silent = TcpStream::connect(rig.https).await.unwrap();
    let refused = async {
        // The kernel may give the second connection to the faster thread.
        while visitor.connect(rig.https, NAME).await.is_ok() {}
    };
    soon("a second connection is refused", refused).await;
    drop(silent);
    let start = Instant::now();
    while visitor.connect(rig.https, NAME).await.is_err() {
        assert!(start.elapsed() < PATIENCE, "there is no room");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_inside_tls_too() {
    let authority = Authority::new();
    // Less than what is buffered inside TLS, and more than the sockets take.
    for parts in [usize::MAX, 70] {
        let origin = Origin::new(move |_| async move {
            let part = || Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[b'x'; 65536])));
            let parts = futures_util::stream::iter(std::iter::repeat_with(part).take(parts));
            Response::new(any(StreamBody::new(parts)))
        })
        .await;
        let rig = Rig::with(origin.target(), |limits| limits.stall_timeout = SHORT);
        rig.certificates.serve(NAME, &authority.issue(&[NAME]));
        let visitor: Visitor = authority.trusting(BOTH);
        let mut stream = visitor.connect(rig.https, NAME).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
            .await
            .unwrap();
        until("it is in flight", || rig.ingress.in_flight(&app()) == 1).await;
        until("it is cut", || rig.ingress.in_flight(&app()) == 0).await;
        let grace = Duration::from_secs(60);
        assert_eq!(
            soon("no connection is left", rig.ingress.stop(grace)).await,
            0
        );
        drop(stream);
    }
}
