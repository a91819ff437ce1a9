//! What apps' containers cannot reach: the services of the machine itself, the addresses at
//! which clouds tell a machine its credentials, and the containers of other apps.
//!
//! The rules are in chains of iptables that belong to this host alone, for the subnets
//! of its apps' networks. They stay when the host ends, as apps do, and go with the last
//! network. Left open: answers to what the machine asked, DNS, and the host's own ingress,
//! so that apps reach each other by their domains. Where a cloud answers DNS at such an
//! address, DNS goes there if the machine itself asks there, and not else.
//!
//! The engine keeps networks apart itself, and refusals stand in a chain that it has for
//! that. But whenever it makes a network it takes both out of the way for a moment
//! (libnetwork's `EnsureJumpRule` deletes the jump and inserts it again), and a connection
//! that is made then stays. What gets through so is dropped where the engine changes
//! nothing, behind its rules: in the table `mangle`.

mod rules;

use super::machine;
use crate::Config;
use doprax_core::name::AppName;
use doprax_core::observed::Observed;
use ipnet::Ipv4Net;
use rules::{last_rules, metadata_resolvers, rules};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Mutex;

/// Chains in which the rules hold: for what is for the machine, and for what it passes on.
const INPUT: &str = "INPUT";
const FORWARD: [&str; 2] = ["DOCKER-USER", "FORWARD"];
/// What leaves the machine or goes to another network of it comes by here last.
const LEAVING: &str = "POSTROUTING";

const FILTER: &str = "filter";
const MANGLE: &str = "mangle";

/// Where a machine says whom it asks by DNS; the second is behind a first that names only the
/// machine itself.
const RESOLVERS: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
/// Bytes of such a file that are read.
const RESOLVERS_BYTES: u64 = 64 << 10;

/// How long others that change rules are waited for, in seconds.
const LOCK: &str = "5";

/// How long iptables may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is known of the rules before the engine was seen.
const UNSEEN: &str = "the engine's networks were not seen yet";

/// Programs for administrators are not on everybody's path.
const MORE_PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// Keeps containers from the machine.
pub(crate) struct Guard {
    /// The engine's address.
    engine: String,
    /// Whether containers may reach all of it.
    allowed: bool,
    chain: String,
    /// The chain in which other apps' networks are dropped.
    others: String,
    /// Where the ingress listens for more than the machine itself.
    open: Vec<SocketAddr>,
    subnets: Mutex<Subnets>,
    problem: std::sync::Mutex<Option<String>>,
}

/// The subnets for which rules hold.
#[derive(Default)]
struct Subnets {
    held: BTreeSet<Ipv4Net>,
    /// Those that came since the networks were last looked at.
    admitted: BTreeSet<Ipv4Net>,
}

/// Why rules could not be made.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The engine's networks are not this machine's.
    #[error("the engine at {0} is not of this machine")]
    Elsewhere(String),
    /// It could not be run.
    #[error("cannot run {program}")]
    Run {
        /// Its name.
        program: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It refused.
    #[error("{program}: {said}")]
    Refused {
        /// Its name.
        program: &'static str,
        /// What it said.
        said: String,
    },
}

impl Guard {
    /// The guard of the host with this identifier.
    pub(crate) fn of(config: &Config, host: &str) -> Self {
        let ingress = [&config.http[..], &config.https].concat();
        let allowed = config.allow_metadata;
        Self {
            allowed,
            ..Self::new(&config.engine, host, &ingress)
        }
    }

    fn new(engine: &str, host: &str, ingress: &[SocketAddr]) -> Self {
        let short: String = host.chars().take(12).collect();
        let open = ingress.iter().filter(|address| !address.ip().is_loopback());
        Self {
            engine: engine.to_owned(),
            allowed: false,
            chain: format!("DOPRAX-{short}"),
            others: format!("DOPRAX-{short}-APPS"),
            open: open.copied().collect(),
            subnets: Mutex::default(),
            problem: std::sync::Mutex::new(Some(UNSEEN.to_owned())),
        }
    }

    /// What stood in the way of the rules when they were last looked at.
    pub(crate) fn problem(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Removes what an earlier run has left, where containers may reach the machine.
    pub(crate) async fn begin(&self) {
        if self.allowed
            && let Err(error) = self.clear().await
        {
            tracing::warn!(%error, "rules of an earlier run were not removed");
        }
    }

    /// Has the rules hold for the networks that were seen and for those that came
    /// meanwhile, and restores what somebody took from them.
    pub(crate) async fn hold(&self, observed: &BTreeMap<AppName, Observed>) {
        if self.allowed {
            return;
        }
        let networks = observed.values().filter_map(|found| found.network.as_ref());
        let seen = networks.map(|network| network.subnet).collect();
        let mut subnets = self.subnets.lock().await;
        subnets.held = seen;
        let admitted = std::mem::take(&mut subnets.admitted);
        subnets.held.extend(admitted);
        let done = self.apply(&subnets.held).await;
        self.note(done);
    }

    /// Has the rules hold for one subnet more.
    pub(crate) async fn admit(&self, subnet: Ipv4Net) {
        if self.allowed {
            return;
        }
        let mut subnets = self.subnets.lock().await;
        subnets.admitted.insert(subnet);
        if subnets.held.insert(subnet) {
            let done = self.apply(&subnets.held).await;
            self.note(done);
        }
    }

    fn note(&self, done: Result<(), Error>) {
        let problem = done.err().map(|error| crate::error::chain(&error));
        let mut known = self.lock();
        if problem != *known {
            match &problem {
                Some(problem) => {
                    tracing::warn!(problem, "containers can reach the machine's services");
                }
                None => tracing::info!("containers are kept from the machine's services"),
            }
            *known = problem;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.problem
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn apply(&self, subnets: &BTreeSet<Ipv4Net>) -> Result<(), Error> {
        if !machine::is_local(&self.engine) {
            return Err(Error::Elsewhere(self.engine.clone()));
        }
        // Fails where no rules can be made at all.
        iptables(FILTER, &["-S", INPUT]).await?;
        if subnets.is_empty() {
            return self.clear().await;
        }
        let mut resolvers = BTreeSet::new();
        for path in RESOLVERS {
            resolvers.extend(metadata_resolvers(&beginning(path).await));
        }
        let refused = rules(&self.chain, subnets, &resolvers, &self.open);
        put(FILTER, &[&self.chain], &refused).await?;
        let mut forward = FORWARD[1];
        if iptables(FILTER, &["-S", FORWARD[0]]).await.is_ok() {
            forward = FORWARD[0];
        }
        self.hook(FILTER, INPUT).await?;
        self.hook(FILTER, forward).await?;
        let dropped = last_rules(&self.chain, &self.others, subnets, &resolvers);
        put(MANGLE, &[&self.chain, &self.others], &dropped).await?;
        self.hook(MANGLE, LEAVING).await
    }

    /// Has a chain go through the rules first.
    async fn hook(&self, table: &'static str, hook: &str) -> Result<(), Error> {
        if iptables(table, &["-C", hook, "-j", &self.chain])
            .await
            .is_err()
        {
            iptables(table, &["-I", hook, "1", "-j", &self.chain]).await?;
        }
        Ok(())
    }

    /// Removes the rules.
    async fn clear(&self) -> Result<(), Error> {
        let (chain, others) = (self.chain.as_str(), self.others.as_str());
        remove(FILTER, &[INPUT, FORWARD[0], FORWARD[1]], &[chain]).await?;
        remove(MANGLE, &[LEAVING], &[chain, others]).await
    }
}

/// Has these chains hold the rules, and no others.
async fn put(table: &'static str, chains: &[&str], wanted: &str) -> Result<(), Error> {
    let mut held = String::new();
    for chain in chains {
        let listed = iptables(table, &["-S", chain]).await.unwrap_or_default();
        let listed = listed.lines().skip(1);
        held.extend(listed.flat_map(|line| [line, "\n"]));
    }
    if held == wanted {
        return Ok(());
    }
    // In one act: there is no moment without rules.
    let empty: String = chains
        .iter()
        .map(|chain| format!(":{chain} - [0:0]\n"))
        .collect();
    let script = format!("*{table}\n{empty}{wanted}COMMIT\n");
    run("iptables-restore", &["--noflush", "-w", LOCK], &script)
        .await
        .map(drop)
}

/// Removes chains of which only the first is gone through by others.
async fn remove(table: &'static str, hooks: &[&str], chains: &[&str]) -> Result<(), Error> {
    let Some(first) = chains.first() else {
        return Ok(());
    };
    for hook in hooks {
        while iptables(table, &["-C", hook, "-j", first]).await.is_ok() {
            iptables(table, &["-D", hook, "-j", first]).await?;
        }
    }
    for chain in chains {
        if iptables(table, &["-S", chain]).await.is_ok() {
            iptables(table, &["-F", chain]).await?;
            iptables(table, &["-X", chain]).await?;
        }
    }
    Ok(())
}

/// The beginning of a file; nothing where there is none.
async fn beginning(path: &str) -> String {
    let mut bytes = Vec::new();
    let read = async {
        let file = tokio::fs::File::open(path).await?;
        file.take(RESOLVERS_BYTES).read_to_end(&mut bytes).await
    };
    if let Err(error) = read.await
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::debug!(path, %error, "cannot read whom the machine asks by DNS");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn iptables(table: &'static str, arguments: &[&str]) -> Result<String, Error> {
    let arguments: Vec<&str> = ["-w", LOCK, "-t", table]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    run("iptables", &arguments, "").await
}

/// Runs a program and returns what it printed.
async fn run(program: &'static str, arguments: &[&str], input: &str) -> Result<String, Error> {
    let failed = |source| Error::Run { program, source };
    let path = std::env::var("PATH").unwrap_or_default();
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", format!("{path}:{MORE_PATH}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let ended = async {
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(PATIENCE, ended).await;
    let output = output
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
        .map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().unwrap_or("it failed and said nothing");
    Err(Error::Refused {
        program,
        said: first.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ingress_and_dns_stay_open_and_subnets_side_by_side_are_one() {
        let subnets = ["10.16.0.0/23", "10.16.2.0/23", "10.20.0.0/23"];
        let subnets = subnets.iter().map(|net| net.parse().unwrap()).collect();
        let ingress = ["127.0.0.1:8080", "0.0.0.0:80", "192.0.2.7:443"];
        let ingress = ingress.map(|address| address.parse().unwrap());
        let guard = Guard::new("", "0123456789abcdef", &ingress);
        insta::assert_snapshot!(rules(&guard.chain, &subnets, &BTreeSet::new(), &guard.open));
    }

    #[test]
    fn apps_reach_their_own_network_and_no_other() {
        let subnets = ["10.16.0.0/23", "10.16.2.0/23", "10.20.0.0/23"];
        let subnets = subnets.iter().map(|net| net.parse().unwrap()).collect();
        let resolvers = BTreeSet::from(["169.254.169.254".parse().unwrap()]);
        let guard = Guard::new("", "0123456789abcdef", &[]);
        let rules = last_rules(&guard.chain, &guard.others, &subnets, &resolvers);
        insta::assert_snapshot!(rules);
    }

    /// Services other than DNS answer at that port too, and addresses of clouds are asked by
    /// name servers of theirs alone.
    #[test]
    fn dns_goes_to_addresses_of_clouds_only_where_the_machine_asks_there() {
        let subnets = BTreeSet::from(["10.16.0.0/23".parse().unwrap()]);
        let text = "\
# nameserver 169.254.169.250
search internal
nameserver 127.0.0.53
nameserver\t169.254.169.254 # the cloud's
nameserver 100.100.2.136
nameserver 168.63.129.16
nameserver fe80::1%eth0
nameserver
options edns0";
        let resolvers = metadata_resolvers(text);
        let expected = ["168.63.129.16", "169.254.169.254"].map(|ip| ip.parse().unwrap());
        assert_eq!(resolvers, BTreeSet::from(expected));
        insta::assert_snapshot!(rules("DOPRAX-0", &subnets, &resolvers, &[]));
        let without = rules("DOPRAX-0", &subnets, &BTreeSet::new(), &[]);
        let refused = without.find("169.254.0.0/16").unwrap();
        assert!(refused < without.find("--dport 53").unwrap());
    }
}
