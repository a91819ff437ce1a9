//! What keeps a host from working well.

use crate::network::guard::Guard;
use crate::network::machine;
use crate::network::subnet::shadowing;
use crate::report::{Finding, Level, Problem};
use crate::{Config, Error};
use doprax_core::subnet::{DEFAULT_IN_PARTS, choose, overlap};
use doprax_core::unit::format_bytes;
use doprax_engine::Engine;
use doprax_ingress::Ingress;
use doprax_store::{AppRecord, Store};
use ipnet::Ipv4Net;
use std::net::SocketAddr;
use std::sync::Arc;

/// The oldest API that the host is tested with: Engine 20.10.
const OLDEST_API: (u32, u32) = (1, 41);

/// A build cache that is large where none is bounded, in bytes; twice that is said.
const LARGE_CACHE: u64 = 8 << 30;

fn good(subject: &str, text: String) -> Finding {
    Finding {
        subject: subject.to_owned(),
        level: Level::Good,
        text,
        problem: None,
    }
}

fn finding(level: Level, subject: &str, text: String, problem: Problem) -> Finding {
    Finding {
        subject: subject.to_owned(),
        level,
        text,
        problem: Some(problem),
    }
}

/// Looks at everything that the host depends on.
pub(crate) struct Doctor {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) ingress: Arc<Ingress>,
}

impl Doctor {
    /// Looks at everything that the host depends on.
    pub(crate) async fn look(&self) -> Vec<Finding> {
        let mut findings = self.look_at_engine().await;
        findings.extend(self.look_at_build_cache().await);
        findings.push(self.look_at_pool().await);
        findings.extend(self.look_at_networks().await);
        findings.push(self.look_at_guard());
        findings.push(self.look_at_ingress());
        findings.push(self.look_at_names().await);
        findings
    }

    async fn look_at_engine(&self) -> Vec<Finding> {
        let facts = match self.engine.facts().await {
            Ok(facts) => facts,
            Err(error) => {
                let text = Error::from(error).chain();
                return vec![finding(Level::Bad, "engine", text, Problem::EngineAway)];
            }
        };
        let version = format!(
            "Docker {}, API {}, {}",
            facts.version, facts.api_version, facts.system
        );
        let mut findings = Vec::new();
        let api = facts.api_version.split_once('.');
        let api = api.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        if api.is_none_or(|api: (u32, u32)| api < OLDEST_API) {
            findings.push(finding(Level::Bad, "engine", version, Problem::EngineOld));
        } else {
            findings.push(good("engine", version));
        }
        if !facts.buildkit {
            findings.push(finding(
                Level::Warning,
                "builds",
                "the engine builds without BuildKit: no cache mounts, slower builds".to_owned(),
                Problem::NoBuildKit,
            ));
        }
        let limits = [
            ("memory", facts.memory_limit),
            ("cpu", facts.cpu_limit),
            ("process count", facts.pids_limit),
        ];
        let missing: Vec<&str> = limits
            .iter()
            .filter(|(_, can)| !can)
            .map(|(name, _)| *name)
            .collect();
        if missing.is_empty() {
            findings.push(good(
                "limits",
                "memory, cpu and process count can be limited".to_owned(),
            ));
        } else {
            findings.push(finding(
                Level::Warning,
                "limits",
                format!(
                    "the kernel does not let the engine limit: {}",
                    missing.join(", ")
                ),
                Problem::NoLimits,
            ));
        }
        if !facts.init {
            findings.push(finding(
                Level::Warning,
                "init",
                "the engine has no init for containers (docker-init is missing): programs that \
                 do not expect to be the first process hear no SIGTERM and leave zombies behind"
                    .to_owned(),
                Problem::NoInit,
            ));
        }
        findings.push(if facts.disk_limit {
            good(
                "disk quota",
                "the size of containers can be limited".to_owned(),
            )
        } else {
            finding(
                Level::Warning,
                "disk quota",
                "the engine cannot limit the disk that a container uses; `disk` is ignored"
                    .to_owned(),
                Problem::NoDiskLimit,
            )
        });
        findings
    }

    /// Nothing where the engine does not say; that it is away is said elsewhere.
    async fn look_at_build_cache(&self) -> Option<Finding> {
        let bytes = self.engine.build_cache().await.ok()?;
        let size = format_bytes(bytes >> 20 << 20);
        let bound = self.config.build_cache;
        if bytes > bound.unwrap_or(LARGE_CACHE).saturating_mul(2) {
            return Some(finding(
                Level::Warning,
                "build cache",
                format!("the engine keeps {size} for later builds"),
                Problem::LargeBuildCache,
            ));
        }
        let text = match bound {
            Some(bound) => format!("{size}; {} are kept after a build", format_bytes(bound)),
            None => format!("{size}, without a bound"),
        };
        Some(good("build cache", text))
    }

    async fn look_at_pool(&self) -> Finding {
        let pool = &self.config.pool;
        let pools = pool
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        let own = match self.store.subnets().await {
            Ok(own) => own,
            Err(error) => {
                return finding(Level::Bad, "pool", error.to_string(), Problem::NoState);
            }
        };
        let routes = machine::nets(&machine::routes());
        let lies_in_pool = |route: &&Ipv4Net| {
            route.prefix_len() >= DEFAULT_IN_PARTS
                && pool.iter().any(|net| overlap(net, route))
                && !own.iter().any(|net| overlap(net, route))
        };
        let conflict = routes.iter().find(lies_in_pool);
        match (choose(pool, &own, &routes), conflict) {
            (Err(error), _) => finding(
                Level::Bad,
                "pool",
                error.to_string(),
                Problem::PoolExhausted,
            ),
            (Ok(next), Some(route)) if overlap(&next, route) => finding(
                Level::Warning,
                "pool",
                format!(
                    "the machine's route {route} has all of the pool {pools}; what it leads to cannot be reached at the addresses of apps"
                ),
                Problem::PoolRouted,
            ),
            (Ok(_), Some(route)) => finding(
                Level::Warning,
                "pool",
                format!(
                    "the machine's route {route} lies in the pool {pools}; its addresses are left out"
                ),
                Problem::PoolRouted,
            ),
            (Ok(_), None) => good("pool", format!("{pools}, {} apps use it", own.len())),
        }
    }

    /// Apps whose addresses something else has too.
    async fn look_at_networks(&self) -> Vec<Finding> {
        let conflicts = match self.conflicts().await {
            Ok(conflicts) => conflicts,
            Err(error) => {
                let text = error.chain();
                return vec![finding(
                    Level::Bad,
                    "networks",
                    text,
                    Problem::NetworksUnknown,
                )];
            }
        };
        conflicts
            .into_iter()
            .map(|(text, problem)| finding(Level::Warning, "networks", text, problem))
            .collect()
    }

    async fn conflicts(&self) -> Result<Vec<(String, Problem)>, Error> {
        let records = self.store.apps().await?;
        let observed = self.engine.observe_all().await?;
        let networks = self.engine.subnets().await?;
        let routes = machine::routes();
        let mut conflicts = Vec::new();
        for AppRecord { name, subnet, .. } in &records {
            let own = observed.get(name).and_then(|found| found.network.as_ref());
            let taken = || networks.iter().find(|other| overlap(other, subnet));
            if own.is_some_and(|own| own.subnet == *subnet) {
                if let Some(route) = shadowing(&routes, subnet) {
                    let text = format!(
                        "the machine's route {} (to {}) shadows the network {subnet} of {name}: its containers are not reached there",
                        route.net, route.interface
                    );
                    conflicts.push((text, Problem::Shadowed { app: name.clone() }));
                }
            } else if let Some(other) = taken() {
                let text = format!(
                    "the subnet {subnet} of {name} overlaps {other}, which another network of the engine has"
                );
                conflicts.push((text, Problem::SubnetTaken { app: name.clone() }));
            }
        }
        Ok(conflicts)
    }

    fn look_at_guard(&self) -> Finding {
        let subject = "isolation";
        if self.config.allow_metadata {
            let text = "containers may reach this machine's services and 169.254.169.254";
            return good(subject, format!("{text} (--allow-metadata)"));
        }
        match self.guard.problem() {
            None => good(
                subject,
                "containers reach neither this machine's services nor 169.254.169.254".to_owned(),
            ),
            Some(problem) => finding(
                Level::Warning,
                subject,
                format!(
                    "containers can reach this machine's services and 169.254.169.254: {problem}"
                ),
                Problem::NotIsolated,
            ),
        }
    }

    fn look_at_ingress(&self) -> Finding {
        let addresses: Vec<String> = self
            .ingress
            .addresses()
            .iter()
            .map(SocketAddr::to_string)
            .collect();
        good("ingress", format!("listens on {}", addresses.join(", ")))
    }

    async fn look_at_names(&self) -> Finding {
        let host = format!("doctor.{}", self.config.base_domain);
        match tokio::net::lookup_host((host.as_str(), 80)).await {
            Ok(mut found) => match found.next() {
                Some(address) => good("names", format!("{host} leads to {}", address.ip())),
                None => finding(
                    Level::Warning,
                    "names",
                    format!("{host} leads nowhere"),
                    Problem::NamesLost,
                ),
            },
            Err(error) => {
                let text = format!("{host} does not resolve here: {error}");
                finding(Level::Warning, "names", text, Problem::NamesLost)
            }
        }
    }
}
