//! What the ingress may be told, and its defaults.

use crate::access::AccessLog;
use ipnet::IpNet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

/// How an ingress listens and what it allows.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses to listen on for HTTP; port 0 takes a free one.
    pub http: Vec<SocketAddr>,
    /// Addresses to listen on for HTTPS; port 0 takes a free one.
    pub https: Vec<SocketAddr>,
    /// The port at which visitors reach the first of them, if it is another one there;
    /// redirects name it.
    pub public_https_port: Option<u16>,
    /// Number of threads that serve, each with its own sockets and connections.
    pub threads: NonZeroUsize,
    /// Proxies in front whose `X-Forwarded-*` and `Forwarded` are believed.
    /// Everybody else's are replaced.
    pub trusted_proxies: Vec<IpNet>,
    /// Load balancers in front that say by the PROXY protocol for whom they open a
    /// connection. Each connection of theirs, HTTP or HTTPS, has to begin with such a
    /// header; nobody else's may.
    pub proxy_protocol: Vec<IpNet>,
    /// Where each request is recorded, if it is.
    pub access_log: Option<AccessLog>,
    /// What clients and containers may take.
    pub limits: Limits,
}

impl Config {
    /// The defaults, with HTTP alone and one thread for each core.
    pub fn new(http: Vec<SocketAddr>) -> Self {
        Self {
            http,
            https: Vec::new(),
            public_https_port: None,
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            trusted_proxies: Vec::new(),
            proxy_protocol: Vec::new(),
            access_log: None,
            limits: Limits::default(),
        }
    }
}

/// What clients and containers may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open client connections; more are closed as soon as they are accepted.
    pub connections: usize,
    /// Open connections of one client: an IPv4 address or an IPv6 /64. Trusted
    /// proxies are not counted, and behind a load balancer its clients are.
    pub connections_per_client: usize,
    /// From the opening of a connection to the end of its PROXY header, and from there
    /// to the end of its TLS handshake.
    pub handshake_timeout: Duration,
    /// Bytes of a request line and its header fields.
    pub head_bytes: usize,
    /// Number of a request's header fields.
    pub head_fields: usize,
    /// From the first byte of a request to the end of its header fields, and from
    /// the opening of a connection to that first byte.
    pub head_timeout: Duration,
    /// Between two requests on one connection.
    pub idle_timeout: Duration,
    /// Without a byte of a request's body while the container waits for it, and
    /// without a byte of a response taken by the client.
    pub stall_timeout: Duration,
    /// Requests that one HTTP/2 connection may have open.
    pub http2_streams: u32,
    /// Requests of an HTTP/2 connection that the client has cancelled before anything
    /// looked at them; with more at a time, the connection is closed.
    pub http2_pending_resets: usize,
    /// Requests of an HTTP/2 connection that are refused as malformed; with more, the
    /// connection is closed.
    pub http2_errors: usize,
    /// Requests of an HTTP/2 connection that the client has cancelled before they were
    /// answered; with more, and if most were cancelled, the connection is closed.
    pub http2_cancelled_requests: usize,
    /// Between two pings on an HTTP/2 connection.
    pub http2_ping_interval: Duration,
    /// Until the answer to such a ping.
    pub http2_ping_timeout: Duration,
    /// Until a connection to a container is made.
    pub connect_timeout: Duration,
    /// From the whole request to the container's answer.
    pub response_timeout: Duration,
    /// Without a byte from the container in a response that has begun, and without a
    /// byte in either direction through a tunnel, such as a WebSocket.
    pub quiet_timeout: Duration,
    /// For how long an unused connection to a container is kept.
    pub upstream_idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_client: 1_024,
            handshake_timeout: Duration::from_secs(10),
            head_bytes: 64 * 1024,
            head_fields: 100,
            head_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(60),
            http2_streams: 128,
            http2_pending_resets: 20,
            http2_errors: 256,
            http2_cancelled_requests: 500,
            http2_ping_interval: Duration::from_secs(45),
            http2_ping_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(120),
            quiet_timeout: Duration::from_secs(3_600),
            upstream_idle_timeout: Duration::from_secs(15),
        }
    }
}
