//! How a host is set up.

use crate::Error;
use crate::report::Problem;
use doprax_certificates::Policy;
use doprax_core::name::{AppName, Instance};
use doprax_ingress::Limits;
use ipnet::{IpNet, Ipv4Net};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How a host is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of everything that the host remembers.
    pub state: PathBuf,
    /// The engine's address, such as `unix:///var/run/docker.sock`.
    pub engine: String,
    /// Tells this host's objects from those of another host on the same engine.
    pub instance: Instance,
    /// Apps are reached as `APP.` followed by this domain.
    pub base_domain: String,
    /// Addresses on which the ingress takes plain HTTP.
    pub http: Vec<SocketAddr>,
    /// Addresses on which the ingress takes HTTPS.
    pub https: Vec<SocketAddr>,
    /// The port at which visitors reach the first of these, if it is another one there.
    pub public_https_port: Option<u16>,
    /// Proxies in front whose word about clients is believed (`X-Forwarded-*`).
    pub trusted_proxies: Vec<IpNet>,
    /// Balancers in front that begin each connection with a PROXY header.
    pub proxy_protocol: Vec<IpNet>,
    /// What visitors and containers may take.
    pub limits: Limits,
    /// Whether the access log has the requests of health checks too.
    pub log_health_checks: bool,
    /// Who issues certificates, and how names are proven.
    pub certificates: Policy,
    /// The machine's addresses as the world sees them: where domains must lead.
    pub addresses: Vec<IpAddr>,
    /// Finds the name servers of domains; absent: the machine's own resolver does.
    pub dns: Option<SocketAddr>,
    /// Where the apps' subnets are taken from.
    pub pool: Vec<Ipv4Net>,
    /// Longest time for the build of an image.
    pub build_timeout: Duration,
    /// Bytes of the engine's build cache that are kept after a build; absent: all.
    pub build_cache: Option<u64>,
    /// How many releases of an app are kept whose manifest does not say.
    pub retain: u16,
    /// Whether containers may reach the machine's own services and its cloud's metadata.
    pub allow_metadata: bool,
    /// How often desired and observed are compared where no hint calls for it.
    pub interval: Duration,
    /// What people are told to do about what is wrong.
    pub remedies: Remedies,
}

/// What people are told to do about what is wrong: in the words of the program that is the
/// host, which alone knows its commands.
#[derive(Debug, Clone, Copy)]
pub struct Remedies {
    /// About what failed, where there is something to do.
    pub error: fn(&Error) -> Option<String>,
    /// About what `doctor` found.
    pub problem: fn(&Problem) -> String,
}

impl Config {
    /// The host name that every app has of its own.
    pub(crate) fn free_name(&self, app: &AppName) -> String {
        format!("{app}.{}", self.base_domain)
    }

    /// The host name by which visitors know an app: the first of its domains, which is
    /// `domain`, else the free one.
    pub(crate) fn host_name(&self, app: &AppName, domain: Option<&str>) -> String {
        domain.map_or_else(|| self.free_name(app), str::to_owned)
    }
}

#[cfg(test)]
impl Config {
    /// One of a host that has no engine and listens nowhere.
    pub(crate) fn of_tests() -> Self {
        Self {
            state: PathBuf::new(),
            engine: "fake://memory".to_owned(),
            instance: Instance::default(),
            base_domain: "localhost".to_owned(),
            http: Vec::new(),
            https: Vec::new(),
            public_https_port: None,
            trusted_proxies: Vec::new(),
            proxy_protocol: Vec::new(),
            limits: Limits::default(),
            log_health_checks: false,
            certificates: Policy::default(),
            addresses: Vec::new(),
            dns: None,
            pool: Vec::new(),
            build_timeout: Duration::from_secs(60),
            build_cache: None,
            retain: 10,
            allow_metadata: false,
            interval: Duration::from_secs(1),
            remedies: Remedies {
                error: |_| None,
                problem: |_| String::new(),
            },
        }
    }
}
