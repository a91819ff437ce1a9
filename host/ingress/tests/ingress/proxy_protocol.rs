//! Load balancers that say for whom they connect.
//!
//! Raw bytes in, expected outcome: the files of `tests/proxy_protocol`, each named
//! after a section of the specification. A file is written as those of `tests/http1`;
//! its outcome is the client's address, as the app is told it, or `closed`.

use crate::http1::unescaped;
use crate::pki::{Authority, BOTH};
use crate::rig::{Origin, PATIENCE, Rig, read_all, read_head, refused, soon};
use doprax_core::route::Target;
use rustls::pki_types::ServerName;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n";
const HEADER: &[u8] = b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n";

fn rig(target: Target) -> Rig {
    Rig::of(target, |config| {
        config.proxy_protocol = vec!["127.0.0.0/8".parse().unwrap()];
    })
}

fn told(answer: &str) -> Option<&str> {
    answer
        .lines()
        .find_map(|line| line.strip_prefix("x-forwarded-for: "))
}

/// What comes back until the connection ends in whichever way.
async fn exchange(mut stream: TcpStream, bytes: &[u8]) -> String {
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = soon("the end", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn every_file_has_its_outcome() {
    let origin = Origin::echo().await;
    let rig = rig(origin.target());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proxy_protocol");
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() > 25, "the files are gone");
    let mut wrong = Vec::new();
    for path in paths {
        let file = fs::read_to_string(&path).unwrap();
        let (input, expected) = file.split_once("\n---\n").unwrap();
        let lines = input.lines().filter(|line| !line.starts_with('#'));
        let header: Vec<u8> = lines.flat_map(unescaped).collect();
        let answer = exchange(rig.connect().await, &[&header, ASK].concat()).await;
        let outcome = match told(&answer) {
            Some(address) => address,
            None if answer.is_empty() => "closed",
            None => &answer,
        };
        if outcome != expected.trim() {
            wrong.push(format!("{}: {outcome}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_header_may_come_in_parts_and_before_tls() {
    let (authority, origin) = (Authority::new(), Origin::echo().await);
    let rig = rig(origin.target());
    let key = authority.issue(&["shop.localhost"]);
    rig.certificates.serve("shop.localhost", &key);
    let mut stream = TcpStream::connect(rig.https).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in HEADER {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let config = Arc::new(authority.trusting(BOTH).config);
    let mut stream = tokio_rustls::TlsConnector::from(config)
        .connect(ServerName::try_from("shop.localhost").unwrap(), stream)
        .await
        .unwrap();
    stream.write_all(ASK).await.unwrap();
    let answer = read_all(stream).await;
    assert_eq!(told(&answer), Some("203.0.113.7"), "{answer}");
}

#[tokio::test]
async fn a_header_that_does_not_end_in_time_closes_the_connection() {
    let rig = Rig::of(Target::Stopped, |config| {
        config.proxy_protocol = vec!["127.0.0.0/8".parse().unwrap()];
        config.limits.handshake_timeout = Duration::from_millis(150);
    });
    for begun in [&b""[..], &HEADER[..5], &HEADER[..30]] {
        assert_eq!(exchange(rig.connect().await, begun).await, "");
    }
    assert_eq!(refused(&rig), ["proxy-header"; 3]);
}

#[tokio::test]
async fn a_header_of_a_stranger_is_a_malformed_request() {
    let origin = Origin::echo().await;
    let rig = Rig::of(origin.target(), |config| {
        config.proxy_protocol = vec!["192.0.2.0/24".parse().unwrap()];
    });
    let answer = exchange(rig.connect().await, &[HEADER, ASK].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(origin.accepted(), 0);
    let answer = exchange(rig.connect().await, ASK).await;
    assert_eq!(told(&answer), Some("127.0.0.1"));
}

#[tokio::test]
async fn the_clients_of_a_balancer_are_limited_one_by_one() {
    let origin = Origin::echo().await;
    let rig = Rig::of(origin.target(), |config| {
        config.proxy_protocol = vec!["127.0.0.0/8".parse().unwrap()];
        config.limits.connections_per_client = 1;
    });
    let ask = b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n";
    let of = |client: &str, ask: &[u8]| {
        let header = format!("PROXY TCP4 {client} 192.0.2.1 1 2\r\n");
        [header.as_bytes(), ask].concat()
    };
    let mut open = Vec::new();
    for client in ["203.0.113.7", "203.0.113.8"] {
        let mut stream = rig.connect().await;
        stream.write_all(&of(client, ask)).await.unwrap();
        assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 "));
        open.push(stream);
    }
    let surplus = exchange(rig.connect().await, &of("203.0.113.7", ASK)).await;
    assert_eq!(surplus, "");
    drop(open);
    let start = Instant::now();
    while exchange(rig.connect().await, &of("203.0.113.7", ASK))
        .await
        .is_empty()
    {
        assert!(start.elapsed() < PATIENCE, "there is no room");
    }
}
