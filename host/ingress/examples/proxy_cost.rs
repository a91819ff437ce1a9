//! CPU time per request of the ingress beside nginx, in one run, alternating.
//!
//! ```sh
//! cargo run --release -p doprax-ingress --example proxy_cost [ROUNDS] [SECONDS] [CASE]
//! ```
//!
//! Needs `nginx` (peer and origin), `wrk` and `openssl`. Everything is on loopback. Each round
//! loads the two in turn, so that noise of the machine hits both; the table shows
//! medians. CPU time is that of the proxy's processes alone.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use doprax_core::name::AppName;
use doprax_core::route::{Route, Target};
use doprax_ingress::{Config, Ingress};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const CASES: [(&str, &str, u32); 8] = [
    ("1 KB, 50 connections", "/1k", 50),
    ("1 KB, 400 connections", "/1k", 400),
    ("100 KB, 50 connections", "/100k", 50),
    ("POST 1 KB, 50 connections", "POST", 50),
    ("HTTPS 1 KB, 50", "/1k", 50),
    ("HTTPS 1 KB, 400", "/1k", 400),
    ("HTTPS 100 KB, 50", "/100k", 50),
    ("HTTPS handshakes, 50", "/1k", 50),
];

/// The host of every request. wrk asks for the name in the URL.
const HOST: &str = "localhost";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == "serve") {
        let port = |at: usize| arguments[at].parse().unwrap();
        return serve(port(2), port(3), port(4), Path::new(&arguments[5]));
    }
    let number = |at: usize, default| arguments.get(at).map_or(default, |n| n.parse().unwrap());
    let (rounds, seconds) = (number(1, 3), number(2, 4));

    let folder = std::env::temp_dir().join(format!("doprax-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("1k"), vec![b'x'; 1024]).unwrap();
    fs::write(folder.join("100k"), vec![b'x'; 100 * 1024]).unwrap();
    fs::write(
        folder.join("post.lua"),
        "wrk.method = 'POST'\nwrk.body = string.rep('x', 1024)\n",
    )
    .unwrap();
    self_signed(&folder);
    let (origin, peer, ingress) = (free_port(), free_port(), free_port());
    let (peer_tls, ingress_tls) = (free_port(), free_port());
    let origin_process = nginx(&folder, "origin", &origin_config(&folder, origin));
    let peer_process = nginx(
        &folder,
        "peer",
        &peer_config(&folder, peer, peer_tls, origin),
    );
    let ingress_process = Command::new(std::env::current_exe().unwrap())
        .arg("serve")
        .args([ingress, ingress_tls, origin].map(|port| port.to_string()))
        .arg(&folder)
        .spawn()
        .unwrap();
    for port in [origin, peer, ingress, peer_tls, ingress_tls] {
        wait_for(port);
    }

    println!("{rounds} rounds of {seconds} s; medians; proxies on loopback\n");
    println!(
        "{:<28}{:>12}{:>12}{:>8}{:>12}{:>12}",
        "", "ingress", "nginx", "ratio", "ingress", "nginx"
    );
    println!(
        "{:<28}{:>12}{:>12}{:>8}{:>12}{:>12}",
        "", "µs CPU/req", "µs CPU/req", "", "req/s", "req/s"
    );
    let only = arguments.get(3).map_or("", String::as_str);
    for (name, path, connections) in CASES.into_iter().filter(|case| case.0.contains(only)) {
        let mut samples: [Vec<(f64, f64)>; 2] = Default::default();
        for _ in 0..rounds {
            for (at, ports, process) in [
                (0, (ingress, ingress_tls), ingress_process.id()),
                (1, (peer, peer_tls), peer_process.id()),
            ] {
                let base = if name.starts_with("HTTPS") {
                    format!("https://{HOST}:{}", ports.1)
                } else {
                    format!("http://{HOST}:{}", ports.0)
                };
                let close = name.contains("handshakes");
                let load = load(&folder, &base, path, connections, seconds, close, process);
                samples[at].push(load);
            }
        }
        let [ours, nginx] = samples.map(median);
        println!(
            "{name:<28}{:>12.1}{:>12.1}{:>8.2}{:>12.0}{:>12.0}",
            ours.0,
            nginx.0,
            ours.0 / nginx.0,
            ours.1,
            nginx.1
        );
    }
    println!(
        "\nresident memory after the run: ingress {} KB, nginx {} KB",
        memory(ingress_process.id()),
        memory(peer_process.id())
    );

    for mut process in [ingress_process, peer_process, origin_process] {
        // nginx ends its workers on SIGTERM, not on SIGKILL.
        let _ = Command::new("kill").arg(process.id().to_string()).status();
        let _ = process.wait();
    }
    let _ = fs::remove_dir_all(&folder);
}

/// The process under test.
fn serve(port: u16, tls: u16, origin: u16, folder: &Path) {
    let mut config = Config::new(vec![([127, 0, 0, 1], port).into()]);
    // Another ingress, lest HTTP be sent to HTTPS.
    let http = Ingress::start(config.clone()).unwrap();
    config.https = vec![([127, 0, 0, 1], tls).into()];
    config.http.clear();
    let https = Ingress::start(config).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let key = any_supported_type(&key).unwrap();
    let certificate = CertificateDer::from_pem_file(folder.join("certificate.pem")).unwrap();
    let certificate = Arc::new(CertifiedKey::new(vec![certificate], key));
    https.certificates().serve([(HOST.to_owned(), certificate)]);
    let app = AppName::new("bench").unwrap();
    let target = Target::Address(SocketAddr::from(([127, 0, 0, 1], origin)));
    for ingress in [&http, &https] {
        let route = Route::new(app.clone(), target.clone());
        ingress.publish([(HOST.to_owned(), route)].into());
    }
    loop {
        std::thread::park();
    }
}

/// A certificate for both, with a key on P-256.
fn self_signed(folder: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
        .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-subj", "/CN=localhost", "-addext"])
        .arg(format!("subjectAltName=DNS:{HOST}"))
        .arg("-keyout")
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(folder.join("certificate.pem"))
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl is installed").success());
}

/// CPU microseconds for each request, and requests for each second.
fn load(
    folder: &Path,
    base: &str,
    path: &str,
    connections: u32,
    seconds: u32,
    close: bool,
    process: u32,
) -> (f64, f64) {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s")]);
    if close {
        wrk.args(["-H", "Connection: close"]);
    }
    if path == "POST" {
        wrk.arg("-s")
            .arg(folder.join("post.lua"))
            .arg(format!("{base}/post"));
    } else {
        wrk.arg(format!("{base}{path}"));
    }
    let (cpu, start) = (cpu(process), Instant::now());
    let output = wrk.output().expect("wrk is installed");
    let elapsed = start.elapsed();
    let used = self::cpu(process) - cpu;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("Non-2xx"), "{text}");
    let requests: f64 = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))
        .and_then(|(count, _)| count.parse().ok())
        .unwrap_or_else(|| panic!("wrk says: {text}"));
    (
        used.as_secs_f64() * 1e6 / requests,
        requests / elapsed.as_secs_f64(),
    )
}

fn median(mut samples: Vec<(f64, f64)>) -> (f64, f64) {
    samples.sort_by(|a, b| a.0.total_cmp(&b.0));
    samples[samples.len() / 2]
}

/// CPU time of a process and its children.
fn cpu(process: u32) -> Duration {
    family(process)
        .into_iter()
        .map(|process| {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let fields: Vec<u64> = stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .filter_map(|field| field.parse().ok())
                .collect();
            // utime and stime, in ticks of 10 ms; the state before them is no number.
            let ticks = fields.get(10).unwrap_or(&0) + fields.get(11).unwrap_or(&0);
            Duration::from_millis(ticks * 10)
        })
        .sum()
}

fn memory(process: u32) -> u64 {
    family(process)
        .into_iter()
        .map(|process| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok())
                .unwrap_or(0)
        })
        .sum::<u64>()
}

fn family(process: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let children = children.unwrap_or_default();
    std::iter::once(process)
        .chain(
            children
                .split_whitespace()
                .filter_map(|child| child.parse().ok()),
        )
        .collect()
}

fn nginx(folder: &Path, name: &str, config: &str) -> Child {
    let path = folder.join(format!("{name}.conf"));
    let global = format!(
        "daemon off; master_process on; pid {0}/{name}.pid; error_log {0}/{name}.log;\n{config}",
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

fn origin_config(folder: &Path, port: u16) -> String {
    format!(
        "user root; worker_processes 1; events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 100000000; client_body_temp_path body; \
         open_file_cache max=10; sendfile on; tcp_nopush on;\n\
         server {{ listen 127.0.0.1:{port} backlog=4096; root {}; location /post {{ return 200 ok; }} }} }}",
        folder.display()
    )
}

/// nginx at its best, adding the same fields as the ingress.
fn peer_config(folder: &Path, port: u16, tls: u16, origin: u16) -> String {
    format!(
        "worker_processes {1}; events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 100000000; \
         client_body_temp_path peer-body; proxy_temp_path peer-proxy;\n\
         upstream origin {{ server 127.0.0.1:{origin}; keepalive 512; keepalive_requests 100000000; }}\n\
         ssl_certificate {0}/certificate.pem; ssl_certificate_key {0}/key.pem;\n\
         ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:all:1m;\n\
         server {{ listen 127.0.0.1:{port} reuseport backlog=4096; server_name {HOST};\n\
         listen 127.0.0.1:{tls} ssl http2 reuseport backlog=4096;\n\
         location / {{ proxy_pass http://origin; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_set_header Host $http_host;\n\
         proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;\n\
         proxy_set_header X-Forwarded-Host $http_host;\n\
         proxy_set_header Forwarded 'for=$remote_addr;host=\"$http_host\";proto=$scheme'; }} }} }}",
        folder.display(),
        std::thread::available_parallelism().unwrap()
    )
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn wait_for(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nothing listens on port {port}");
        std::thread::yield_now();
    }
}
