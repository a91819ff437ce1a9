//! The peers, each at its best and adding the same fields as the ingress, and the origin.

use crate::certificates::host;
use crate::process::{Place, Process, command, processors};
use crate::{Proxy, certificate_file};
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// Starts what is behind the proxies.
pub(crate) fn origin(folder: &Path) -> (u16, Process) {
    let port = free_port();
    let config = format!(
        "user root; worker_processes 1; events {{ worker_connections 8192; }}\n\
         http {{ access_log off; keepalive_requests 100000000; client_body_temp_path body; \
         open_file_cache max=10; sendfile on; tcp_nopush on;\n\
         server {{ listen 127.0.0.1:{port} backlog=4096; root {}; location /post {{ return 200 ok; }} }} }}",
        folder.display()
    );
    let nginx = nginx(Place::Load, folder, "origin", &config);
    (port, Process::start(nginx, &[port]))
}

/// Starts those that are installed.
pub(crate) fn start_all(folder: &Path, names: usize, origin: u16) -> Vec<Proxy> {
    type Peer = fn(&Bench<'_>) -> Command;
    let peers: [(&'static str, Peer); 3] = [
        ("nginx", nginx_proxy),
        ("haproxy", haproxy),
        ("caddy", caddy),
    ];
    let mut started = Vec::new();
    for (name, peer) in peers {
        if Command::new(name).arg("-v").output().is_err() {
            println!("{name} is not installed");
            continue;
        }
        let bench = Bench {
            folder,
            names,
            origin,
            http: free_port(),
            https: free_port(),
        };
        let process = Process::start(peer(&bench), &[bench.http, bench.https]);
        let Bench { http, https, .. } = bench;
        started.push(Proxy {
            name,
            http,
            https,
            process,
        });
    }
    started
}

/// What a peer has to do.
struct Bench<'a> {
    folder: &'a Path,
    names: usize,
    origin: u16,
    http: u16,
    https: u16,
}

fn nginx_proxy(bench: &Bench<'_>) -> Command {
    let Bench {
        folder,
        names,
        origin,
        http,
        https,
    } = bench;
    let mut servers = String::new();
    for number in 0..*names {
        // The first server of a port says how it listens.
        let reuseport = if number == 0 {
            " reuseport backlog=4096"
        } else {
            ""
        };
        let file = certificate_file(folder, number);
        let file = file.display();
        writeln!(
            servers,
            "server {{ listen 127.0.0.1:{http}{reuseport}; listen 127.0.0.1:{https} ssl http2{reuseport}; \
             server_name {}; ssl_certificate {file}; ssl_certificate_key {file}; \
             location / {{ proxy_pass http://origin; }} }}",
            host(number)
        )
        .unwrap();
    }
    let config = format!(
        "user root; worker_processes {}; worker_rlimit_nofile 16384; events {{ worker_connections 8192; }}\n\
         http {{ access_log off; keepalive_requests 100000000; server_names_hash_max_size 65536; \
         server_names_hash_bucket_size 128; client_body_temp_path body; proxy_temp_path proxy;\n\
         upstream origin {{ server 127.0.0.1:{origin}; keepalive 4096; keepalive_requests 100000000; }}\n\
         ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:all:1m;\n\
         proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $http_host;\n\
         proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;\n\
         proxy_set_header X-Forwarded-Host $http_host;\n\
         proxy_set_header Forwarded 'for=$remote_addr;host=\"$http_host\";proto=$scheme';\n{servers}}}",
        processors()
    );
    nginx(Place::Proxy, folder, "nginx", &config)
}

fn nginx(place: Place, folder: &Path, name: &str, config: &str) -> Command {
    let path = folder.join(format!("{name}.conf"));
    let global = format!(
        "daemon off; master_process on; pid {0}/{name}.pid; error_log {0}/{name}.log;\n{config}",
        folder.display()
    );
    fs::write(&path, global).unwrap();
    let mut nginx = command(place, "nginx");
    nginx.arg("-p").arg(folder).arg("-c").arg(path);
    nginx
}

fn haproxy(bench: &Bench<'_>) -> Command {
    let Bench {
        folder,
        names,
        origin,
        http,
        https,
    } = bench;
    let mut hosts = String::new();
    for number in 0..*names {
        writeln!(hosts, "{} origin", host(number)).unwrap();
    }
    let map = folder.join("haproxy.map");
    fs::write(&map, hosts).unwrap();
    let config = format!(
        "global\n nbthread {}\n maxconn 8192\n tune.ssl.default-dh-param 2048\n\
         defaults\n mode http\n timeout connect 5s\n timeout client 75s\n timeout server 120s\n \
         option http-keep-alive\n http-reuse always\n\
         frontend all\n bind 127.0.0.1:{http} backlog 4096\n \
         bind 127.0.0.1:{https} backlog 4096 ssl crt {} alpn h2,http/1.1\n \
         http-request set-header X-Forwarded-For %[src]\n \
         http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]\n \
         http-request set-header X-Forwarded-Host %[req.hdr(host)]\n \
         http-request set-header Forwarded for=%[src];host=\\\"%[req.hdr(host)]\\\";proto=%[ssl_fc,iif(https,http)]\n \
         use_backend %[req.hdr(host),field(1,:),lower,map_str({})]\n\
         backend origin\n server origin 127.0.0.1:{origin}\n",
        processors(),
        folder.join("certificates").display(),
        map.display(),
    );
    let path = folder.join("haproxy.cfg");
    fs::write(&path, config).unwrap();
    let mut haproxy = command(Place::Proxy, "haproxy");
    haproxy.arg("-f").arg(path).arg("-db");
    haproxy
}

fn caddy(bench: &Bench<'_>) -> Command {
    let Bench {
        folder,
        names,
        origin,
        http,
        https,
    } = bench;
    let sites = |scheme: &str, port: u16| {
        let sites: Vec<String> = (0..*names)
            .map(|number| format!("{scheme}://{}:{port}", host(number)))
            .collect();
        sites.join(", ")
    };
    let proxy = format!(
        "reverse_proxy 127.0.0.1:{origin} {{\n header_up Forwarded `for={{remote_host}};host=\"{{host}}\";proto={{scheme}}`\n \
         transport http {{\n keepalive_idle_conns_per_host 4096\n compression off\n }}\n }}"
    );
    let config = format!(
        "{{\n admin off\n auto_https off\n log {{\n output discard\n }}\n}}\n\
         {} {{\n {proxy}\n}}\n{} {{\n tls {{\n load {}\n }}\n {proxy}\n}}\n",
        sites("http", *http),
        sites("https", *https),
        folder.join("certificates").display(),
    );
    let path = folder.join("Caddyfile");
    fs::write(&path, config).unwrap();
    let mut caddy = command(Place::Proxy, "caddy");
    caddy.env("GOMAXPROCS", processors().to_string());
    caddy
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(path);
    caddy
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
