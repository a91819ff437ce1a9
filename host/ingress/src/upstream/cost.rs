//! What a request costs by this client and by hyper's, to the same container. Each has a
//! process of its own, whose memory is nobody else's:
//!
//! ```sh
//! for client in own hypers; do
//!     cargo test --release -p doprax-ingress --lib -- \
//!         --ignored --exact --nocapture "upstream::cost::$client"
//! done
//! ```
//!
//! CPU time is that of the thread that asks, with what the kernel does for it. Memory is that of
//! both ends of a connection. With hyper's client each who asks has one connection: finding
//! one, and asking the kernel whether it is alive, are left out in its favour.
#![allow(clippy::print_stdout)]

use super::tests::Asking;
use super::*;
use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::fs;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// Who asks at a time, how often in all, and in how many rounds.
const ASKERS: usize = 50;
const REQUESTS: usize = 50_000;
const ROUNDS: usize = 7;

/// Connections whose memory is looked at.
const CONNECTIONS: usize = 400;

#[ignore = "a measurement"]
#[test]
fn own() {
    measure(Way::Own);
}

#[ignore = "a measurement"]
#[test]
fn hypers() {
    measure(Way::Hypers);
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Own,
    Hypers,
}

fn measure(way: Way) {
    let container = container();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (active, kept) = memory(way, container).await;
        println!("{way:?}: {active:.1} KB for each request under way, {kept:.1} KB kept");
        let mut costs = Vec::new();
        for _ in 0..ROUNDS {
            costs.push(cost(way, container).await);
        }
        costs.sort_by(f64::total_cmp);
        println!("{way:?}: {:.2} µs CPU for each request", costs[ROUNDS / 2]);
    });
}

/// Microseconds of CPU time for each request.
async fn cost(way: Way, container: SocketAddr) -> f64 {
    let mut asking = JoinSet::new();
    let begin = Arc::new(Barrier::new(ASKERS + 1));
    for mut asker in askers(way, container, ASKERS).await {
        let begin = Arc::clone(&begin);
        asking.spawn(async move {
            asker.ask("/").await;
            begin.wait().await;
            for _ in 0..REQUESTS / ASKERS {
                asker.ask("/").await;
            }
        });
    }
    begin.wait().await;
    let before = cpu();
    asking.join_all().await;
    (cpu() - before).as_secs_f64() * 1e6 / REQUESTS as f64
}

/// Kilobytes for each connection: with a request under way, and after it.
async fn memory(way: Way, container: SocketAddr) -> (f64, f64) {
    let before = resident();
    let mut asking = JoinSet::new();
    for mut asker in askers(way, container, CONNECTIONS).await {
        asking.spawn(async move {
            asker.ask("/together").await;
            asker
        });
    }
    // The container answers once all have asked.
    let mut active = 0;
    let mut askers = Vec::new();
    while let Some(asker) = asking.join_next().await {
        if askers.is_empty() {
            active = resident() - before;
        }
        askers.push(asker.unwrap());
    }
    let each = |kilobytes: u64| kilobytes as f64 / CONNECTIONS as f64;
    (each(active), each(resident() - before))
}

enum Asker {
    Own(Arc<Asking>),
    Hypers(SendRequest<Empty<Bytes>>),
}

async fn askers(way: Way, container: SocketAddr, number: usize) -> Vec<Asker> {
    let own = Arc::new(Asking::of(container, Instant::now()));
    let mut askers = Vec::new();
    for _ in 0..number {
        askers.push(match way {
            Way::Own => Asker::Own(Arc::clone(&own)),
            Way::Hypers => {
                let stream = TokioIo::new(connect(container).await.unwrap());
                let (sender, connection) = handshake(stream).await.unwrap();
                tokio::spawn(connection);
                Asker::Hypers(sender)
            }
        });
    }
    askers
}

impl Asker {
    async fn ask(&mut self, path: &str) {
        let request = Request::builder()
            .method(Method::GET)
            .uri(path)
            .header("host", "shop.localhost")
            .header("accept", "*/*")
            .header("x-forwarded-for", "192.0.2.1")
            .header("x-forwarded-proto", "https");
        let length = match self {
            Self::Own(asking) => {
                let request = request.body(RequestBody::Empty).unwrap();
                let answer = asking.send(request, Instant::now(), false).await;
                let mut body = answer.into_body();
                let mut length = 0;
                while let Some(frame) = poll_fn(|cx| body.poll_frame(cx)).await {
                    length += frame.unwrap().into_data().map_or(0, |data| data.len());
                }
                length
            }
            Self::Hypers(sender) => {
                sender.ready().await.unwrap();
                let answer = sender.send_request(request.body(Empty::new()).unwrap());
                // As long as a container may take.
                let answer = answered(Duration::from_secs(120), None, answer);
                let mut body = answer.await.unwrap().unwrap().into_body();
                let mut length = 0;
                while let Some(frame) = body.frame().await {
                    length += frame.unwrap().into_data().map_or(0, |data| data.len());
                }
                length
            }
        };
        assert_eq!(length, 1024);
    }
}

/// Answers with 1 KB, in a thread of its own.
fn container() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            let together = Arc::new(Barrier::new(CONNECTIONS));
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream, Arc::clone(&together)));
            }
        });
    });
    address
}

async fn answer(mut stream: TcpStream, together: Arc<Barrier>) {
    let mut answer =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1024\r\n\r\n".to_vec();
    answer.resize(answer.len() + 1024, b'x');
    let answer: Arc<[u8]> = answer.into();
    let mut head = [0; 512];
    while let Ok(length @ 1..) = stream.read(&mut head).await {
        assert!(head[..length].ends_with(b"\r\n\r\n"));
        if head.starts_with(b"GET /together") {
            together.wait().await;
        }
        stream.write_all(&answer).await.unwrap();
    }
}

/// CPU time of this thread (proc(5), in nanoseconds).
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// Kilobytes of memory of this process.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().next().unwrap();
    kilobytes.parse().unwrap()
}
