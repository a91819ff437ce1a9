//! What the ingress may be told, and its defaults.

use crate::access::AccessLog;
use crate::limits::Limits;
use ipnet::IpNet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

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
