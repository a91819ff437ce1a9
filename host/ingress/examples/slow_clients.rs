//! What slow clients cost the others: response times of healthy clients of the ingress
//! and of nginx, without slow clients and with many of them.
//!
//! ```sh
//! cargo run --release -p doprax-ingress --example slow_clients [SLOW] [ROUNDS] [SECONDS] [RATE]
//! ```
//!
//! Needs `nginx` (peer and origin). Everything is on loopback. Requests of healthy clients
//! are due at a fixed rate, and each is timed from when it was due. The slow ones run in a
//! process of their own and come from several addresses, for one client may have only so
//! many connections. Neither proxy waits for a whole body before it passes it on. Each
//! run has a proxy of its own. The table shows medians of the rounds; a ratio compares two
//! runs of one round. Memory is what the proxy's processes have gained, for each slow
//! connection.
//!
//! What slow readers have asked for is mostly in sockets of the origin and of the proxy. If
//! that is more than the second number of `net.ipv4.tcp_mem` (in pages), the kernel drops
//! what arrives for anybody, and waits of seconds are its own: see how
//! `TCPMemoryPressures` grows in `/proc/net/netstat`.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use doprax_core::name::AppName;
use doprax_core::route::{Route, Target};
use doprax_ingress::{Config, Ingress};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep_until;

const KINDS: [&str; 3] = ["heads", "bodies", "readers"];

/// Addresses that slow clients come from.
const SOURCES: u32 = 8;

/// Bytes of a slow body and of what a slow reader asks for.
const LARGE: usize = 1 << 20;

/// Connections of healthy clients.
const HEALTHY: u32 = 32;

const SECOND: Duration = Duration::from_secs(1);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let port = |at: usize| arguments[at].parse().unwrap();
    let number = |at: usize, default: u32| {
        let given = arguments.get(at);
        given.map_or(default, |number| number.parse().unwrap())
    };
    match arguments.get(1).map(String::as_str) {
        Some("serve") => return serve(port(2), port(3)),
        Some("slow") => return slow(&arguments[2], port(3), number(4, 0)),
        _ => {}
    }
    let load = Load {
        slow: number(1, 2000),
        seconds: number(3, 5),
        rate: number(4, 1000),
    };
    let rounds = number(2, 3);
    raise_limit();

    let folder = std::env::temp_dir().join(format!("doprax-slow-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("1k"), vec![b'x'; 1024]).unwrap();
    fs::write(folder.join("1m"), vec![b'x'; LARGE]).unwrap();
    let [origin, ingress, peer] = free_ports();
    let origin_process = nginx(&folder, "origin", &origin_config(&folder, origin));
    wait_for(origin);
    let start_ingress = || {
        this_program()
            .arg("serve")
            .args([ingress, origin].map(|port| port.to_string()))
            .spawn()
            .unwrap()
    };
    let start_peer = || nginx(&folder, "peer", &peer_config(&folder, peer, origin));
    let proxies: [(u16, &dyn Fn() -> Child); 2] = [(ingress, &start_ingress), (peer, &start_peer)];

    println!(
        "{} slow clients; {} requests of 1 KB each second for {} s; medians of {rounds} rounds\n",
        load.slow, load.rate, load.seconds
    );
    println!("{:<16}{:^40}{:^40}", "", "ingress", "nginx");
    let columns = format!(
        "{:>10}{:>10}{:>10}{:>10}",
        "p50 ms", "p99 ms", "ratio", "KB each"
    );
    println!("{:<16}{columns}{columns}", "slow");
    let mut samples = vec![[Vec::new(), Vec::new()]; 1 + KINDS.len()];
    for _ in 0..rounds {
        for (at, (port, start)) in proxies.into_iter().enumerate() {
            let alone = load.measure(port, start(), None);
            samples[0][at].push((alone, 1.0));
            for (row, kind) in KINDS.iter().enumerate() {
                let found = load.measure(port, start(), Some(kind));
                samples[row + 1][at].push((found, found.p99 / alone.p99));
            }
        }
    }
    for (kind, samples) in ["none"].iter().chain(&KINDS).zip(samples) {
        let columns = samples.map(|samples| {
            let median = |of: fn(&(Sample, f64)) -> f64| {
                let mut values: Vec<f64> = samples.iter().map(of).collect();
                values.sort_by(f64::total_cmp);
                values[values.len() / 2]
            };
            format!(
                "{:>10.2}{:>10.2}{:>10.2}{:>10.1}",
                median(|(sample, _)| sample.p50),
                median(|(sample, _)| sample.p99),
                median(|(_, ratio)| *ratio),
                median(|(sample, _)| sample.memory),
            )
        });
        println!("{kind:<16}{}", columns.concat());
    }

    end(origin_process);
    let _ = fs::remove_dir_all(&folder);
}

/// What is done to a proxy.
#[derive(Clone, Copy)]
struct Load {
    slow: u32,
    seconds: u32,
    rate: u32,
}

/// Milliseconds, and KB for each slow connection.
#[derive(Clone, Copy)]
struct Sample {
    p50: f64,
    p99: f64,
    memory: f64,
}

impl Load {
    /// Of a proxy that was just started: what it keeps for later is not to be found
    /// twice.
    fn measure(self, port: u16, process: Child, kind: Option<&str>) -> Sample {
        wait_for(port);
        let warm = Self { seconds: 1, ..self };
        warm.healthy(port);
        let before = memory(process.id());
        let slow = kind.map(|kind| Slow::start(kind, port, self.slow));
        let mut times = self.healthy(port);
        let gained = memory(process.id()).saturating_sub(before);
        drop(slow);
        end(process);
        times.sort_by(f64::total_cmp);
        let quantile = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        Sample {
            p50: quantile(0.5),
            p99: quantile(0.99),
            memory: kind.map_or(0.0, |_| gained as f64 / f64::from(self.slow)),
        }
    }

    /// Milliseconds that each request of healthy clients took.
    fn healthy(self, port: u16) -> Vec<f64> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let period = SECOND * HEALTHY / self.rate;
            let start = tokio::time::Instant::now() + SECOND;
            let clients: Vec<_> = (0..HEALTHY)
                .map(|number| {
                    let start = start + period * number / HEALTHY;
                    let count = self.seconds * self.rate / HEALTHY;
                    tokio::spawn(async move {
                        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                        stream.set_nodelay(true).unwrap();
                        let mut times = Vec::new();
                        for turn in 0..count {
                            let due = start + period * turn;
                            sleep_until(due).await;
                            get(&mut stream).await;
                            times.push(due.elapsed().as_secs_f64() * 1e3);
                        }
                        times
                    })
                })
                .collect();
            let mut times = Vec::new();
            for client in clients {
                times.extend(client.await.unwrap());
            }
            times
        })
    }
}

/// One request for 1 KB, whole.
async fn get(stream: &mut TcpStream) {
    let request = b"GET /1k HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::with_capacity(2048);
    loop {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "it closed");
        if let Some(at) = answer.windows(4).position(|end| end == b"\r\n\r\n")
            && answer.len() >= at + 4 + 1024
        {
            assert!(answer.starts_with(b"HTTP/1.1 200 "));
            return;
        }
    }
}

/// The process of the slow clients. They are gone with this.
struct Slow(Child);

impl Slow {
    /// Returns when each has begun.
    fn start(kind: &str, port: u16, count: u32) -> Self {
        let mut process = this_program()
            .args(["slow", kind, &port.to_string(), &count.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let said = BufReader::new(process.stdout.take().unwrap()).read_line(&mut line);
        assert!(said.unwrap() > 0, "the slow clients have failed");
        Self(process)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process of the slow clients.
fn slow(kind: &str, port: u16, count: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut clients = Vec::new();
        for number in 0..count {
            let stream = connect(number, port).await;
            // Not all in the same moment of a second.
            let first = tokio::time::Instant::now() + SECOND * number / count;
            clients.push(match kind {
                "heads" => tokio::spawn(send(stream, first, b"GET / HTTP/1.1\r\nX: ", 1)),
                "bodies" => tokio::spawn(send(
                    stream,
                    first,
                    b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048576\r\n\r\n",
                    100,
                )),
                _ => tokio::spawn(read(stream, first)),
            });
        }
        tokio::time::sleep(2 * SECOND).await;
        println!("they have begun");
        for client in clients {
            client.await.unwrap();
        }
    });
}

/// A connection with a small buffer, from one of several addresses.
async fn connect(number: u32, port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let source = Ipv4Addr::new(127, 0, 0, 2 + (number % SOURCES) as u8);
    socket.bind((source, 0).into()).unwrap();
    socket.connect(([127, 0, 0, 1], port).into()).await.unwrap()
}

/// Sends the beginning, then so many bytes each second for as long as they are taken.
async fn send(mut stream: TcpStream, first: tokio::time::Instant, start: &[u8], bytes: usize) {
    let mut sent = stream.write_all(start).await;
    let mut pause = tokio::time::interval_at(first, SECOND);
    while sent.is_ok() {
        pause.tick().await;
        sent = stream.write_all(&[b'x'; 100][..bytes]).await;
    }
}

/// Asks for much, and takes 1 KB of it each second.
async fn read(mut stream: TcpStream, first: tokio::time::Instant) {
    let request = b"GET /1m HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut pause = tokio::time::interval_at(first, SECOND);
    let mut part = [0; 1024];
    while stream.read_exact(&mut part).await.is_ok() {
        pause.tick().await;
    }
}

/// The process of the ingress.
fn serve(port: u16, origin: u16) {
    let ingress = Ingress::start(Config::new(vec![([127, 0, 0, 1], port).into()])).unwrap();
    let target = Target::Address(SocketAddr::from(([127, 0, 0, 1], origin)));
    let route = Route::new(AppName::new("bench").unwrap(), target);
    ingress.publish([("localhost".to_owned(), route)].into());
    loop {
        std::thread::park();
    }
}

fn this_program() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

/// As many descriptors as this process may have; its children inherit that.
fn raise_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

fn end(mut process: Child) {
    // nginx ends its workers on SIGTERM, not on SIGKILL.
    let _ = Command::new("kill").arg(process.id().to_string()).status();
    let _ = process.wait();
}

/// KB of memory of a process and its children.
fn memory(process: u32) -> u64 {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let children = children.unwrap_or_default();
    let family = children
        .split_whitespace()
        .map(|child| child.parse().unwrap());
    let of = |process: u32| -> u64 {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.unwrap().parse().unwrap()
    };
    family.chain([process]).map(of).sum()
}

fn nginx(folder: &Path, name: &str, config: &str) -> Child {
    let path = folder.join(format!("{name}.conf"));
    let global = format!(
        "daemon off; master_process on; pid {0}/{name}.pid; error_log {0}/{name}.log;\n\
         worker_rlimit_nofile 16384; events {{ worker_connections 8192; }}\n{config}",
        folder.display()
    );
    fs::write(&path, global).unwrap();
    Command::new("nginx")
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(&path)
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx is installed")
}

/// Answers a POST when all of it is there.
fn origin_config(folder: &Path, port: u16) -> String {
    format!(
        "user root; worker_processes 1;\n\
         http {{ access_log off; keepalive_requests 100000000; client_body_temp_path body; \
         proxy_temp_path proxy; client_max_body_size 2m; open_file_cache max=10; sendfile on;\n\
         server {{ listen 127.0.0.1:{port} backlog=4096; root {};\n\
         location /post {{ proxy_method GET; proxy_pass http://127.0.0.1:{port}/1k; }} }} }}",
        folder.display()
    )
}

/// With the limits of time of the ingress, adding the same fields.
fn peer_config(folder: &Path, port: u16, origin: u16) -> String {
    format!(
        "user root; worker_processes {};\n\
         http {{ access_log off; keepalive_requests 100000000; client_max_body_size 0;\n\
         client_body_temp_path {1}/peer-body; proxy_temp_path {1}/peer-proxy;\n\
         client_header_timeout 15s; client_body_timeout 60s; send_timeout 60s;\n\
         proxy_request_buffering off; proxy_max_temp_file_size 0;\n\
         upstream origin {{ server 127.0.0.1:{origin}; keepalive 512; keepalive_requests 100000000; }}\n\
         server {{ listen 127.0.0.1:{port} reuseport backlog=4096;\n\
         location / {{ proxy_pass http://origin; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_set_header Host $http_host;\n\
         proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;\n\
         proxy_set_header X-Forwarded-Host $http_host;\n\
         proxy_set_header Forwarded 'for=$remote_addr;host=\"$http_host\";proto=$scheme'; }} }} }}",
        std::thread::available_parallelism().unwrap(),
        folder.display()
    )
}

/// Ports that nobody listens on, all different.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn wait_for(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nothing listens on port {port}");
        std::thread::yield_now();
    }
}
