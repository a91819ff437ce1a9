//! `doprax serve`: the host.
//!
//! Order: the state folder and its lock, then the host (which brings everything back to
//! its blueprint), then the API. On the way out the API goes first. Apps go on running
//! in both directions.

use crate::acme::Acme;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::state;
use crate::upgrade::{self, Invocation, Predecessor, Successor};
use doprax_api::listen;
use doprax_api::server::{self, Listeners};
use doprax_api::token::Token;
use doprax_core::name::{AppName, Instance};
use doprax_core::subnet::DEFAULT_POOL;
use doprax_reconcile::{Config, Host, StartError};
use ipnet::{IpNet, Ipv4Net};
use rustix::fs::{FlockOperation, Mode};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Where the engine is on nearly every machine.
const ENGINE: &str = "unix:///var/run/docker.sock";
/// How long the host that is taken over from may hold on to the state folder.
const HAND_OVER: Duration = Duration::from_secs(60);
/// How often desired and observed are compared where no hint calls for it.
const INTERVAL: Duration = Duration::from_secs(10);
/// The ports of the ingress where none is named.
const HTTP_PORT: u16 = 8080;
const HTTPS_PORT: u16 = 8443;

/// Run the host
///
/// Keeps apps as they should be, takes wishes on a Unix socket in the state folder, and
/// serves apps by HTTP and HTTPS as APP.BASE-DOMAIN. Run it under a service manager; it
/// stops on SIGTERM and SIGINT. On SIGUSR2 it starts the program that is in its place now,
/// with the same arguments, and hands everything over without a failed request. Apps outlive it: when it is back, it finds them and mends what
/// changed in between.
///
/// Whoever may write to the socket may do everything. Other ways in need --api and the
/// token that it makes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
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
      DOPRAX_TOKEN=$(cat /var/lib/doprax/api-token) doprax apps")]
pub(crate) struct Serve {
    /// Address on which apps are served by HTTP [default: port 8080 of this machine]
    #[arg(long, value_name = "ADDRESS")]
    http: Vec<SocketAddr>,
    /// Address on which apps are served by HTTPS [default: port 8443 of this machine, if
    /// --http is not given either]
    #[arg(long, value_name = "ADDRESS")]
    https: Vec<SocketAddr>,
    /// The port at which visitors reach the first of them, where it is another one there
    #[arg(long, value_name = "PORT", requires = "https")]
    public_https_port: Option<u16>,
    /// Apps are reached as APP. followed by this
    #[arg(long, value_name = "DOMAIN", default_value = "localhost", value_parser = domain)]
    base_domain: String,
    /// An address of this machine as the world sees it, where domains must lead; may be
    /// given several times [default: those it listens on and sends from]
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<IpAddr>,
    /// DNS server that finds the name servers of domains [default: this machine's own]
    #[arg(long, value_name = "ADDRESS")]
    dns: Option<SocketAddr>,
    /// The container engine [default: DOCKER_HOST, else unix:///var/run/docker.sock]
    #[arg(long, value_name = "ADDRESS")]
    engine: Option<String>,
    /// Where apps' networks are taken from, a /23 each; may be given several times
    /// [default: 10.16.0.0/12 and 10.192.0.0/11]
    #[arg(long, value_name = "CIDR")]
    pool: Vec<Ipv4Net>,
    /// Tells this host from others on the same engine
    #[arg(long, value_name = "NAME")]
    instance: Option<AppName>,
    /// Serve the API on a TCP port too; opened by the token in STATE/api-token
    #[arg(long, value_name = "ADDRESS")]
    api: Option<SocketAddr>,
    /// A proxy in front whose X-Forwarded-* and Forwarded are believed; those of others
    /// are replaced. May be given several times
    #[arg(long, value_name = "CIDR")]
    trusted_proxy: Vec<IpNet>,
    /// A load balancer in front that begins each connection with a PROXY header (v1, v2);
    /// may be given several times
    #[arg(long, value_name = "CIDR")]
    proxy_protocol: Vec<IpNet>,
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
        let folder = context.state()?;
        let group = self.group.as_deref().map(group_number).transpose()?;
        prepare(&folder, group)?;
        let http = if self.http.is_empty() {
            local_addresses(HTTP_PORT)
        } else {
            self.http.clone()
        };
        let https = if self.http.is_empty() && self.https.is_empty() {
            local_addresses(HTTPS_PORT)
        } else {
            self.https.clone()
        };
        let listen = [http.as_slice(), https.as_slice()].concat();
        let config = Config {
            state: folder.clone(),
            engine: self.engine.clone().unwrap_or_else(engine),
            instance: self
                .instance
                .clone()
                .map(Instance::named)
                .unwrap_or_default(),
            base_domain: self.base_domain.clone(),
            http: http.clone(),
            https,
            public_https_port: self.public_https_port,
            trusted_proxies: self.trusted_proxy.clone(),
            proxy_protocol: self.proxy_protocol.clone(),
            log_health_checks: self.log_health_checks,
            certificates: self.acme.policy()?,
            addresses: if self.address.is_empty() {
                world_addresses(&listen)
            } else {
                self.address.clone()
            },
            dns: self.dns,
            pool: if self.pool.is_empty() {
                DEFAULT_POOL.to_vec()
            } else {
                self.pool.clone()
            },
            interval: INTERVAL,
        };
        let lock = match &mut predecessor {
            None => lock(&folder)?,
            Some(predecessor) => {
                predecessor.wait().map_err(cannot_start)?;
                lock_after(&folder).await?
            }
        };
        let before = doprax_reconcile::Predecessor {
            sockets,
            ended: predecessor.as_ref().map(Predecessor::ended),
        };
        let host = Host::start(config, before).await.map_err(not_started)?;
        let api = self.listen(&folder, group).await?;
        self.announce(context, &folder.join(state::SOCKET), &http, &host);
        let told = predecessor.map_or(Ok(()), Predecessor::relieve);
        if let Err(error) = told.and_then(|()| upgrade::notify()) {
            tracing::warn!(%error, "nobody heard that this host is ready");
        }
        let ended = self.serve(context, &host, api, &invocation, &folder).await;
        match ended {
            Ok(Ended::TakenOver(mut successor)) => {
                host.release().await;
                drop(lock);
                successor.ready().await?;
                output_taken_over(context, &successor);
                host.leave().await;
                Ok(())
            }
            Ok(Ended::Asked) => {
                context.output.remark("ending; apps go on running");
                host.shutdown().await;
                Ok(())
            }
            Err(failure) => {
                host.shutdown().await;
                Err(failure)
            }
        }
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

    /// Serves the API until a signal ends it, or until a successor waits to take over.
    async fn serve(
        &self,
        context: &Context,
        host: &Arc<Host>,
        listeners: Listeners,
        invocation: &Invocation,
        folder: &Path,
    ) -> Result<Ended> {
        let cannot_watch =
            |error: std::io::Error| Failure::new("cannot watch for signals").because(&error);
        let mut terminate = signal(SignalKind::terminate()).map_err(cannot_watch)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot_watch)?;
        let mut upgrade = signal(SignalKind::user_defined2()).map_err(cannot_watch)?;
        let stop = CancellationToken::new();
        let mut serving = std::pin::pin!(server::serve(Arc::clone(host), listeners, stop.clone()));
        let take_over = async {
            loop {
                upgrade.recv().await;
                context.output.remark("starting a successor");
                let started = match host.sockets() {
                    Ok(sockets) => Successor::start(invocation, folder, sockets).await,
                    Err(error) => Err(Failure::new("cannot pass sockets on").because(&error)),
                };
                match started {
                    Ok(successor) => return successor,
                    // Nothing has happened yet: this host goes on.
                    Err(failure) => {
                        let _ = failure.report(context.output.json, context.output.error_paint);
                    }
                }
            }
        };
        let ended = tokio::select! {
            () = &mut serving => return Ok(Ended::Asked),
            _ = terminate.recv() => Ended::Asked,
            _ = interrupt.recv() => Ended::Asked,
            successor = take_over => Ended::TakenOver(successor),
        };
        stop.cancel();
        serving.await;
        Ok(ended)
    }

    fn announce(&self, context: &Context, socket: &Path, http: &[SocketAddr], host: &Host) {
        let output = &context.output;
        output.remark(format!(
            "doprax {} serves on {}",
            env!("CARGO_PKG_VERSION"),
            output
                .error_paint
                .bold(&format!("unix://{}", socket.display()))
        ));
        if let Some(address) = self.api {
            output.remark(format!(
                "the API also on http://{address}, with the token in {}",
                state::TOKEN
            ));
        }
        let https = host.config().https.first();
        let shown = self.public_https_port.or(https.map(SocketAddr::port));
        let served = [
            ("http", 80, http.first().map(SocketAddr::port)),
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

/// How a host comes to its end.
enum Ended {
    /// Somebody asked for it.
    Asked,
    /// Another one waits to take over.
    TakenOver(Successor),
}

fn output_taken_over(context: &Context, successor: &Successor) {
    let line = format!("process {} has taken over", successor.id());
    context.output.remark(line);
}

/// Why the host did not start, and what to do about it.
fn not_started(error: StartError) -> Failure {
    let failure = Failure::from_error(&error);
    match error {
        StartError::Ingress(_) => failure.help(
            "serve apps on other addresses with --http ADDRESS:PORT and --https ADDRESS:PORT",
        ),
        StartError::Engine(_) => {
            failure.help("name the engine as unix:///PATH or tcp://HOST:PORT with --engine")
        }
        _ => failure,
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

/// This machine's own addresses: those that browsers take `localhost` for. A machine
/// without IPv6 has one of them.
fn local_addresses(port: u16) -> Vec<SocketAddr> {
    let addresses = [
        SocketAddr::from(([127, 0, 0, 1], port)),
        SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port)),
    ];
    let exists = |address: &SocketAddr| std::net::TcpListener::bind((address.ip(), 0)).is_ok();
    addresses.into_iter().filter(exists).collect()
}

/// The addresses under which the world can reach what listens on these: where one stands
/// for all addresses of its family, the one that this machine sends from. Those for this
/// machine only are none.
fn world_addresses(listen: &[SocketAddr]) -> Vec<IpAddr> {
    // Documentation addresses (RFC 5737, RFC 3849): a UDP socket that is connected chooses
    // a route and its source, and sends nothing.
    let sends_from = |any: &str, outside: &str| {
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(outside).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let mut found: Vec<IpAddr> = listen
        .iter()
        .filter_map(|address| match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => sends_from("0.0.0.0:0", "192.0.2.1:9"),
            IpAddr::V6(ip) if ip.is_unspecified() => sends_from("[::]:0", "[2001:db8::1]:9"),
            ip => Some(ip),
        })
        .filter(|ip| !ip.is_loopback())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Makes the state folder, open to nobody else; the group may pass through it.
fn prepare(folder: &Path, group: Option<u32>) -> Result<()> {
    let failed = |error: std::io::Error| {
        Failure::new(format!(
            "cannot set up the state folder {}",
            folder.display()
        ))
        .because(&error)
        .help("run as root, or name a folder of your own with --state")
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut mode = Mode::RWXU;
    if let Some(group) = group {
        mode |= Mode::XGRP;
        rustix::fs::chown(folder, None, Some(rustix::fs::Gid::from_raw(group)))
            .map_err(|error| failed(error.into()))?;
    }
    rustix::fs::chmod(folder, mode).map_err(|error| failed(error.into()))
}

/// Takes the state folder for this process, as long as the file is open. It holds the
/// process id.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(format!("cannot take the state folder {}", folder.display())).because(error)
    };
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| failed(&error))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            let written = file
                .set_len(0)
                .and_then(|()| writeln!(file, "{}", std::process::id()));
            written.map_err(|error| failed(&error))?;
            Ok(file)
        }
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            // It may not have written it yet.
            let _ = file.read_to_string(&mut holder);
            Err(Failure::new(format!("another host runs with the state folder {} (process {})", folder.display(), holder.trim()))
                .help("end it first, or name another folder with --state (and another --instance on the same engine)"))
        }
        Err(error) => Err(failed(&std::io::Error::from(error))),
    }
}

/// The same when the host that has it is about to let go of it.
async fn lock_after(folder: &Path) -> Result<File> {
    let end = Instant::now() + HAND_OVER;
    loop {
        match lock(folder) {
            Err(failure) if Instant::now() > end => return Err(failure),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            taken => return taken,
        }
    }
}

/// The number of a group, from its name in /etc/group (group(5)) or as it is.
fn group_number(name: &str) -> Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let groups = std::fs::read_to_string("/etc/group")
        .map_err(|error| Failure::new("cannot read /etc/group").because(&error))?;
    let number = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name))
            .then(|| fields.nth(1)?.parse().ok())
            .flatten()
    });
    number.ok_or_else(|| {
        Failure::usage(format!("there is no group {name} in /etc/group")).help("a number works too")
    })
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

    #[test]
    fn what_listens_for_this_machine_only_has_no_address_for_the_world() {
        let listen = |text: &str| text.parse().unwrap();
        assert_eq!(
            world_addresses(&[
                listen("127.0.0.1:80"),
                listen("[::1]:80"),
                listen("192.0.2.7:80")
            ]),
            [IpAddr::from([192, 0, 2, 7])]
        );
    }

    #[test]
    fn one_process_has_the_state_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        assert!(lock(folder.path()).is_err());
        drop(first);
        assert!(lock(folder.path()).is_ok());
    }
}
