//! How the host finds out whether a container serves: as its owner says, else as its
//! plugin does, else by whether its port answers.

use super::Error;
use crate::name::ServiceName;
use crate::probe::{Check, Probe, STEADY_MS};
use crate::service::Liveness;
use crate::spec::Health;

/// How long a container may take to become ready where nobody says.
pub(super) const READY_TIMEOUT_MS: u32 = 60_000;
/// Pause between two tries where nobody says.
const INTERVAL_MS: u32 = 100;
/// Longest duration of one try where nobody says.
const TRY_MS: u32 = 5_000;
/// How long a port that accepts connections may leave a request unanswered before it
/// counts as one of another protocol.
const SILENCE_MS: u32 = 15_000;
/// Pause between two commands in a container that serves: each is a process.
const STEADY_COMMAND_MS: u32 = 60_000;
/// Least pause between two tries on a container that serves.
const LEAST_STEADY_MS: u32 = 1_000;

/// What decides whether a container is ready.
pub(super) struct Readiness {
    pub(super) probes: Vec<Probe>,
    pub(super) ready_timeout_ms: u32,
    pub(super) judged: bool,
    pub(super) restart_after: Option<u32>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            probes: Vec::new(),
            ready_timeout_ms: READY_TIMEOUT_MS,
            judged: false,
            restart_after: None,
        }
    }
}

impl Readiness {
    /// The same for the front, which has to answer on the port that the ingress talks to.
    pub(super) fn of_front(mut self, port: u16) -> Self {
        if self.probes.iter().all(|probe| probe.check.is_bare()) {
            self.probes.clear();
            if port != 0 {
                self.probes.push(serves(port, None));
            }
        }
        self
    }

    /// The same for a container that speaks TLS on these ports.
    pub(super) fn by_tls(mut self, ports: &[u16]) -> Self {
        for probe in &mut self.probes {
            if let Check::Serves { port, tls, .. } | Check::Http { port, tls, .. } =
                &mut probe.check
            {
                *tls |= ports.contains(port);
            }
        }
        self
    }

    /// The same with when its plugin has it restarted, where its owner does not say.
    pub(super) fn kept_alive(mut self, alive: Option<Liveness>, said: Option<&Health>) -> Self {
        let Some(alive) = alive else {
            return self;
        };
        if said.is_none_or(|said| said.interval_ms.is_none()) {
            for probe in &mut self.probes {
                probe.steady_ms = alive.interval_ms;
            }
        }
        self.restart_after = self.restart_after.or(Some(alive.failures));
        self
    }

    /// The same with what the container's owner says.
    pub(super) fn with(
        mut self,
        service: &ServiceName,
        health: Option<&Health>,
        port: Option<u16>,
    ) -> Result<Self, Error> {
        if let Some(path) = health.and_then(|health| health.path.clone()) {
            let port = match port {
                Some(port) => port,
                // Main's is found once it is built.
                None if service.is_main() => return Ok(self),
                None => {
                    return Err(Error::HealthWithoutPort {
                        service: service.clone(),
                    });
                }
            };
            let check = Check::Http {
                port,
                tls: false,
                path,
                host: health.and_then(|health| health.host.clone()),
                headers: health
                    .map(|health| health.headers.clone())
                    .unwrap_or_default(),
                status: health
                    .map(|health| health.status.clone())
                    .unwrap_or_default(),
            };
            self.judged = false;
            self.probes = vec![probe(check, TRY_MS)];
        } else if let (true, true, Some(port)) = (service.is_main(), self.probes.is_empty(), port) {
            self.probes = vec![serves(port, health.and_then(|health| health.host.clone()))];
        }
        let Some(health) = health else {
            return Ok(self);
        };
        if let Some(interval_ms) = health.interval_ms {
            for probe in &mut self.probes {
                probe.interval_ms = interval_ms;
                probe.steady_ms = interval_ms.max(LEAST_STEADY_MS);
            }
        }
        if let Some(timeout_ms) = health.timeout_ms {
            self.ready_timeout_ms = timeout_ms;
            for probe in &mut self.probes {
                probe.timeout_ms = probe.timeout_ms.min(timeout_ms / 2);
            }
        }
        self.restart_after = health.restart_after;
        Ok(self)
    }
}

fn serves(port: u16, host: Option<String>) -> Probe {
    let check = Check::Serves {
        port,
        tls: false,
        host,
    };
    probe(check, SILENCE_MS)
}

fn probe(check: Check, timeout_ms: u32) -> Probe {
    Probe {
        steady_ms: steady_ms(&check),
        check,
        interval_ms: INTERVAL_MS,
        timeout_ms,
    }
}

/// Pause between two tries on a container that serves.
pub(super) fn steady_ms(check: &Check) -> u32 {
    match check {
        Check::Exec { .. } => STEADY_COMMAND_MS,
        _ => STEADY_MS,
    }
}
