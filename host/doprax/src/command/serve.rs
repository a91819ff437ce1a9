//! `doprax serve`: the host.
//!
//! Order: the state folder and its lock, then the host (which brings everything back to
//! its blueprint), then the API. On the way out the API goes first. Apps go on running
//! in both directions.

use crate::acme::Acme;
use crate::addresses;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::limits;
use crate::open_files;
use crate::remedy::REMEDIES;
use crate::signals::Signals;
use crate::state::{self, lock};
use crate::upgrade::{self, Invocation, Predecessor};
use doprax_api::listen;
use doprax_api::server::Listeners;
use doprax_api::token::Token;
use doprax_core::name::{AppName, Instance};
use doprax_core::release::{MAX_RETAIN, RETAIN};
use doprax_core::subnet::DEFAULT_POOL;
use doprax_core::unit::{parse_bytes, parse_duration};
use doprax_reconcile::Config;
use doprax_reconcile::limits::{Limits, Setting};
use handover::Handover;
use ipnet::{IpNet, Ipv4Net};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpListener;

mod handover;

/// Where the engine is on nearly every machine.
const ENGINE: &str = "unix:///var/run/docker.sock";
/// How often desired and observed are compared where no hint calls for it.
const INTERVAL: Duration = Duration::from_secs(10);
/// The ports of the ingress where none is named.
const HTTP_PORT: u16 = 8080;
const HTTPS_PORT: u16 = 8443;

const EXAMPLES: &str = "\
Examples:
  doprax serve
      apps at http://APP.localhost:8080, for this machine only
  doprax serve --http 0.0.0.0:80 --https 0.0.0.0:443 --base-domain apps.example.com \
      --acme letsencrypt --acme-email ops@example.com
      apps at https://APP.apps.example.com, for everyone
  doprax serve --group docker
      members of the group may use it without sudo
  doprax serve --api 127.0.0.1:7070
      also by TCP, for those with the token: DOPRAX_HOST=http://127.0.0.1:7070
      DOPRAX_TOKEN=$(cat /var/lib/doprax/api-token) doprax apps
  doprax serve --limit connections-per-client=256 --limit idle-timeout=2m
      fewer connections for each client, and more time between its requests";

/// Run the host
///
/// Keeps apps as they should be, takes wishes on a Unix socket in the state folder, and
/// serves apps by HTTP and HTTPS as APP.BASE-DOMAIN. Run it under a service manager; it
/// stops on SIGTERM and SIGINT. On SIGUSR2 it starts the program that is in its place now,
/// with the same arguments, and hands everything over without a failed request; where that
/// program fails, it goes on itself. Apps outlive it: when it is back, it finds them and
/// mends what changed in between.
///
/// Whoever may write to the socket may do everything. Other ways in need --api and the
/// token that it makes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = format!("{EXAMPLES}\n\n{}", limits::table()))]
pub(crate) struct Serve {
    /// Address on which apps are served by HTTP; may be given several times: 0.0.0.0:80 is
    /// all of IPv4, [::]:80 all of IPv6 [default: port 8080 of this machine]
    #[arg(long, value_name = "ADDRESS")]
    http: Vec<SocketAddr>,
    /// The same by HTTPS [default: port 8443 of this machine, if --http is not given
    /// either]. Names with a certificate of a public CA are sent here from HTTP; those of
    /// the host's own CA are not, for nobody trusts it unasked
    #[arg(long, value_name = "ADDRESS")]
    https: Vec<SocketAddr>,
    /// The port at which visitors reach the first of them, where it is another one there
    #[arg(long, value_name = "PORT", requires = "https")]
    public_https_port: Option<u16>,
    /// Apps are reached as APP. followed by this
    #[arg(long, value_name = "DOMAIN", default_value = "localhost", value_parser = domain)]
    base_domain: String,
    /// An address of this machine as the world sees it, where domains must lead; may be
    /// given several times [default: the public ones that it listens on or sends from]
    #[arg(long, value_name = "ADDRESS", value_parser = addresses::named)]
    address: Vec<IpAddr>,
    /// DNS server that finds the name servers of domains [default: this machine's own]
    #[arg(long, value_name = "ADDRESS", value_parser = dns_server)]
    dns: Option<SocketAddr>,
    /// The container engine [default: DOCKER_HOST, else unix:///var/run/docker.sock]
    #[arg(long, value_name = "ADDRESS")]
    engine: Option<String>,
    /// Where apps' networks are taken from, a /23 each; may be given several times
    /// [default: 10.16.0.0/12 and 10.192.0.0/11]
    #[arg(long, value_name = "CIDR")]
    pool: Vec<Ipv4Net>,
    /// Let containers reach services of this machine, and the addresses at which clouds
    /// tell a machine its credentials (169.254.169.254)
    #[arg(long)]
    allow_metadata: bool,
    /// Tells this host from others on the same engine
    #[arg(long, value_name = "NAME")]
    instance: Option<AppName>,
    /// Longest time for the build of an image
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration)]
    build_timeout: Duration,
    /// How much of the engine's build cache is kept after a build: a size, or `all`. What
    /// was not used for longest goes first, also what builds of others left
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = bound)]
    build_cache: Bound,
    /// How many releases of an app are kept to go back to, with their images, files and
    /// secrets, where its doprax.yaml does not say (`retain`)
    #[arg(long, value_name = "N", default_value_t = RETAIN,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_RETAIN)))]
    retain: u16,
    /// Serve the API on a TCP port too; opened by the token in STATE/api-token
    #[arg(long, value_name = "ADDRESS")]
    api: Option<SocketAddr>,
    /// A proxy in front whose X-Forwarded-* and Forwarded are believed; those of others
    /// are replaced. May be given several times
    #[arg(long, value_name = "CIDR", value_parser = network)]
    trusted_proxy: Vec<IpNet>,
    /// A load balancer in front that begins each connection with a PROXY header (v1, v2);
    /// may be given several times
    #[arg(long, value_name = "CIDR", value_parser = network)]
    proxy_protocol: Vec<IpNet>,
    /// Change a limit of what visitors may take, such as idle-timeout=2m; may be given
    /// several times. They are listed below
    #[arg(long, value_name = "NAME=VALUE")]
    limit: Vec<Setting>,
    /// Serve metrics for Prometheus on a port of their own, as /metrics
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Put requests of health checks into the access log too
    #[arg(long)]
    log_health_checks: bool,
    /// Members of this group (name or number) may use the socket too
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    #[command(flatten)]
    acme: Acme,
}

/// A DNS server, at its usual port if none is named.
fn dns_server(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().map(|address: IpAddr| (address, 53).into());
    address
        .or_else(|_| text.parse())
        .map_err(|_| "an address such as 9.9.9.9 or 127.0.0.1:5353 is wanted".to_owned())
}

/// A size, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bound(Option<u64>);

fn bound(text: &str) -> Result<Bound, String> {
    let bytes = parse_bytes(text).map(|bytes| Bound(Some(bytes)));
    let all = (text == "all").then_some(Bound(None));
    bytes
        .or(all)
        .ok_or_else(|| "a size such as 4GiB, or all, is wanted".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Some(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        _ => Err("a time such as 45s, 10m or 1h30m is wanted".to_owned()),
    }
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse().map(|address: IpAddr| address.into());
    address
        .or_else(|_| text.parse())
        .map_err(|_| "an address or a network such as 10.0.0.0/8 is wanted".to_owned())
}

/// A domain in lower case, without a dot at its end.
fn domain(text: &str) -> Result<String, String> {
    let domain = text.trim_end_matches('.').to_ascii_lowercase();
    match domain
        .split('.')
        .try_for_each(|label| AppName::new(label).map(drop))
    {
        Ok(()) => Ok(domain),
        Err(_) => Err("a domain such as localhost or apps.example.com is wanted".to_owned()),
    }
}

impl Serve {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        log_to_standard_error(context);
        let cannot_start = |error: std::io::Error| Failure::new("cannot start").because(&error);
        let invocation = Invocation::current().map_err(cannot_start)?;
        let sockets = upgrade::sockets();
        let mut predecessor = Predecessor::from_environment()?;
        let config = self.config(context.state()?)?;
        let group = self.group.as_deref().map(lock::group_number).transpose()?;
        open_files::allow(config.limits.connections);
        lock::prepare(&config.state, group)?;
        let lock = match &mut predecessor {
            None => lock::take(&config.state)?,
            Some(predecessor) => {
                predecessor.wait().map_err(cannot_start)?;
                lock::take_after(&config.state).await?
            }
        };
        let handover = Handover {
            serve: &self,
            context,
            config,
            group,
            invocation,
        };
        let before = doprax_reconcile::Predecessor {
            sockets,
            ended: predecessor.as_ref().map(Predecessor::ended),
        };
        let running = handover.take(lock, before).await?;
        let signals = Signals::watch()
            .map_err(|error| Failure::new("cannot watch for signals").because(&error))?;
        let told = predecessor.map_or(Ok(()), Predecessor::relieve);
        if let Err(error) = told.and_then(|()| upgrade::notify()) {
            tracing::warn!(%error, "nobody heard that this host is ready");
        }
        handover.hold(running, signals).await
    }

    /// What the host is told.
    fn config(&self, state: PathBuf) -> Result<Config> {
        let http = if self.http.is_empty() {
            addresses::local(HTTP_PORT)
        } else {
            self.http.clone()
        };
        let https = if self.http.is_empty() && self.https.is_empty() {
            addresses::local(HTTPS_PORT)
        } else {
            self.https.clone()
        };
        let addresses = if self.address.is_empty() {
            addresses::world(&[http.as_slice(), https.as_slice()].concat())
        } else {
            self.address.clone()
        };
        let limits = Limits::with(&self.limit);
        Ok(Config {
            state,
            engine: self.engine.clone().unwrap_or_else(engine),
            instance: self
                .instance
                .clone()
                .map(Instance::named)
                .unwrap_or_default(),
            base_domain: self.base_domain.clone(),
            http,
            https,
            public_https_port: self.public_https_port,
            trusted_proxies: self.trusted_proxy.clone(),
            proxy_protocol: self.proxy_protocol.clone(),
            limits: limits.map_err(|error| Failure::usage(error.to_string()))?,
            log_health_checks: self.log_health_checks,
            certificates: self.acme.policy()?,
            addresses,
            dns: self.dns,
            pool: if self.pool.is_empty() {
                DEFAULT_POOL.to_vec()
            } else {
                self.pool.clone()
            },
            build_timeout: self.build_timeout,
            build_cache: self.build_cache.0,
            retain: self.retain,
            allow_metadata: self.allow_metadata,
            interval: INTERVAL,
            remedies: REMEDIES,
        })
    }

    /// Opens what the API is served on.
    async fn listen(&self, folder: &Path, group: Option<u32>) -> Result<Listeners> {
        let socket = folder.join(state::SOCKET);
        let unix = listen::unix(&socket, group).await.map_err(|error| {
            Failure::from_error(&error)
                .help("name another state folder with --state, or end the other host")
        })?;
        let tcp = match self.api {
            None => None,
            Some(address) => {
                let token = Token::load_or_create(&folder.join(state::TOKEN))
                    .map_err(|error| Failure::from_error(&error))?;
                let listener = TcpListener::bind(address).await.map_err(|error| {
                    Failure::new(format!("cannot serve the API on {address}")).because(&error)
                })?;
                Some((listener, token))
            }
        };
        let metrics = match self.metrics {
            None => None,
            Some(address) => Some(TcpListener::bind(address).await.map_err(|error| {
                Failure::new(format!("cannot serve metrics on {address}")).because(&error)
            })?),
        };
        Ok(Listeners { unix, tcp, metrics })
    }

    /// Says where the host is reached.
    fn announce(&self, context: &Context, config: &Config) {
        let output = &context.output;
        output.remark(format!(
            "doprax {} serves on {}",
            env!("CARGO_PKG_VERSION"),
            output.error_paint.bold(&format!(
                "unix://{}",
                config.state.join(state::SOCKET).display()
            ))
        ));
        if let Some(address) = self.api {
            output.remark(format!(
                "the API also on http://{address}, with the token in {}",
                state::TOKEN
            ));
        }
        let https = config.https.first();
        let shown = self.public_https_port.or(https.map(SocketAddr::port));
        let served = [
            ("http", 80, config.http.first().map(SocketAddr::port)),
            ("https", 443, shown),
        ];
        for (scheme, usual, port) in served {
            if let Some(port) = port {
                let port = if port == usual {
                    String::new()
                } else {
                    format!(":{port}")
                };
                output.remark(format!("apps at {scheme}://APP.{}{port}", self.base_domain));
            }
        }
    }
}

/// What the host notes goes to standard error; `RUST_LOG` chooses.
fn log_to_standard_error(context: &Context) {
    use tracing_subscriber::EnvFilter;
    let usual = match context.output.verbose {
        0 => "warn,doprax=info",
        1 => "info,doprax=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(context.output.error_paint.colour());
    if context.output.json {
        builder.json().init()
    } else {
        builder.init()
    }
}

/// The engine's address where none was given.
fn engine() -> String {
    std::env::var("DOCKER_HOST")
        .ok()
        .filter(|address| !address.is_empty())
        .unwrap_or_else(|| ENGINE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_domain_is_one() {
        assert_eq!(
            domain("Apps.Example.com."),
            Ok("apps.example.com".to_owned())
        );
        for wrong in ["", ".", "a..b", "http://x", "x:80", "*.x"] {
            assert!(domain(wrong).is_err(), "{wrong:?}");
        }
    }
}
