//! What is known of the health of what serves.
//!
//! Flow: the loop that keeps apps says what runs; each container is tried at its own
//! steady pace, one that fails more often; after a few failures in a row it is unhealthy,
//! and restarted where its owner wants that.
//! Guarantees: tries at the same time are bounded, whatever the number of apps; one that
//! has just started is given the time to become ready; an app that an operation works on
//! is left alone.
//! Assumes: what is lost with the host's memory is found again within a few tries.

use crate::observe::serving;
use crate::ready::host_of;
use crate::report::Unhealthy;
use crate::{Clock, Config};
use doprax_core::blueprint::Container;
use doprax_core::name::{AppName, ServiceName};
use doprax_core::observed::{Observed, ObservedContainer, State};
use doprax_core::probe::{STEADY_MS, Verdict};
use doprax_core::status::Trouble;
use doprax_store::AppRecord;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Pause before one that failed is tried again, where its own is not shorter.
const AGAIN: Duration = Duration::from_secs(2);

/// Failures in a row that make a container unhealthy.
const FAILURES: u32 = 3;

/// What is known of the health of every container that serves.
pub(crate) struct Health {
    config: Arc<Config>,
    clock: Clock,
    watched: Mutex<HashMap<AppName, BTreeMap<ServiceName, Watched>>>,
}

/// A container that is looked at.
struct Watched {
    subject: Arc<Watch>,
    due: Instant,
    under_way: bool,
    tries: Tries,
}

/// How the tries of a container went since it started.
#[derive(Default)]
struct Tries {
    /// Whether it has passed.
    passed: bool,
    /// Failures in a row, Unix time in milliseconds of the first, and what the last one saw.
    failures: u32,
    first_failure_ms: i64,
    reason: String,
}

/// What a try needs to know.
pub(crate) struct Watch {
    /// What it shall be, without what no probe needs.
    pub(crate) spec: Arc<Container>,
    /// Digest of what decides about its health.
    digest: u64,
    /// The host that requests name.
    pub(crate) host: String,
    /// As it was last seen.
    pub(crate) found: ObservedContainer,
}

impl Health {
    /// Of a host on which nothing runs yet.
    pub(crate) fn new(config: Arc<Config>, clock: Clock) -> Self {
        Self {
            config,
            clock,
            watched: Mutex::default(),
        }
    }

    /// Has the containers of an app that run looked at from now on, and no others.
    pub(crate) fn watch(&self, record: &AppRecord, observed: &Observed) {
        let mut all = self.lock();
        let Some(release) = &record.release else {
            all.remove(&record.name);
            return;
        };
        let services = all.entry(record.name.clone()).or_default();
        let serving = serving(observed);
        let mut kept = BTreeMap::new();
        for spec in release.blueprint.containers.values() {
            let Some(found) = serving.get(spec.name.as_str()) else {
                continue;
            };
            let checked = !spec.probes.is_empty() || found.healthcheck.is_some();
            if found.state != State::Running || !checked {
                continue;
            }
            let before = services.remove(&spec.name);
            let digest = digest(spec);
            let known = before
                .as_ref()
                .filter(|before| before.subject.digest == digest)
                .map(|before| Arc::clone(&before.subject.spec));
            let subject = Arc::new(Watch {
                spec: known.unwrap_or_else(|| Arc::new(without_content(spec))),
                digest,
                host: host_of(&self.config, &release.blueprint, spec),
                found: (*found).clone(),
            });
            let watched = match before {
                Some(before) if before.subject.is_same(&subject) => Watched { subject, ..before },
                _ => Watched {
                    due: self.clock.now() + first_pause(spec, digest),
                    subject,
                    under_way: false,
                    tries: Tries::default(),
                },
            };
            kept.insert(spec.name.clone(), watched);
        }
        *services = kept;
    }

    /// Has no container of an app looked at.
    pub(crate) fn unwatch(&self, app: &AppName) {
        self.lock().remove(app);
    }

    /// Why a container is unhealthy, if it is.
    pub(crate) fn of(&self, app: &AppName, service: &ServiceName) -> Option<Unhealthy> {
        let watched = self.lock();
        let found = watched.get(app)?.get(service)?;
        found.tries.unhealthy(found.subject.spec.restart_after)
    }

    /// The containers of an app that are unhealthy.
    pub(crate) fn troubles(&self, app: &AppName) -> BTreeMap<ServiceName, Trouble> {
        let watched: Vec<ServiceName> = match self.lock().get(app) {
            Some(services) => services.keys().cloned().collect(),
            None => Vec::new(),
        };
        let unhealthy = |service: ServiceName| {
            let found = self.of(app, &service)?;
            Some((service, Trouble::Unhealthy(found.reason)))
        };
        watched.into_iter().filter_map(unhealthy).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AppName, BTreeMap<ServiceName, Watched>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is due, and under way from now on.
    pub(crate) fn take_due(&self) -> Vec<(AppName, Arc<Watch>)> {
        self.take_due_at(self.clock.now())
    }

    fn take_due_at(&self, now: Instant) -> Vec<(AppName, Arc<Watch>)> {
        let mut due = Vec::new();
        for (app, services) in self.lock().iter_mut() {
            for watched in services.values_mut() {
                if !watched.under_way && watched.due <= now {
                    watched.under_way = true;
                    due.push((app.clone(), Arc::clone(&watched.subject)));
                }
            }
        }
        due
    }

    /// Puts a try off to the next round.
    pub(crate) fn put_off(&self, app: &AppName, service: &ServiceName) {
        if let Some(watched) = self
            .lock()
            .get_mut(app)
            .and_then(|all| all.get_mut(service))
        {
            watched.under_way = false;
            watched.due = self.clock.now() + AGAIN;
        }
    }

    /// Takes down what came of a try. Returns whether the container is to be restarted.
    pub(crate) fn take_down(&self, app: &AppName, subject: &Watch, verdict: Verdict) -> bool {
        let spec = &subject.spec;
        let mut watched = self.lock();
        let Some(watched) = watched.get_mut(app).and_then(|all| all.get_mut(&spec.name)) else {
            return false;
        };
        watched.under_way = false;
        if !watched.subject.is_same(subject) {
            return false;
        }
        watched.due = self.clock.now() + pause_after(spec, &verdict);
        let now_ms = self.clock.now_ms();
        let started_ms = subject.found.started_ms;
        let up_ms = started_ms.map_or(i64::MAX, |start| now_ms - start);
        let is_starting = up_ms < spec.ready_timeout_ms.into();
        watched.tries.take_down(verdict, is_starting, now_ms);
        let failures = watched.tries.failures;
        failures > 0 && spec.restart_after.is_some_and(|most| failures >= most)
    }
}

impl Tries {
    /// Takes down what came of one. Failures of one that `is_starting` do not count until it
    /// has passed.
    fn take_down(&mut self, verdict: Verdict, is_starting: bool, now_ms: i64) {
        let reason = match verdict {
            Verdict::Ready => {
                (self.passed, self.failures) = (true, 0);
                return;
            }
            Verdict::Waiting(reason) | Verdict::Failed(reason) => reason,
        };
        if !self.passed && is_starting {
            return;
        }
        if self.failures == 0 {
            self.first_failure_ms = now_ms;
        }
        self.failures = self.failures.saturating_add(1);
        self.reason = reason;
    }

    /// Why the container is unhealthy, if it is; it is not later than when it is restarted.
    fn unhealthy(&self, restart_after: Option<u32>) -> Option<Unhealthy> {
        let enough = FAILURES.min(restart_after.unwrap_or(FAILURES));
        (self.failures >= enough).then(|| Unhealthy {
            reason: self.reason.clone(),
            since_ms: self.first_failure_ms,
        })
    }
}

impl Watch {
    /// Whether it is the same run of the same copy, tried in the same way.
    fn is_same(&self, other: &Self) -> bool {
        let run = |watch: &Self| (watch.digest, watch.found.started_ms);
        run(self) == run(other) && self.found.id == other.found.id
    }
}

/// What probes need to know of a container.
fn without_content(spec: &Container) -> Container {
    Container {
        env: BTreeMap::new(),
        files: Vec::new(),
        outputs: BTreeMap::new(),
        ..spec.clone()
    }
}

/// Pause between two tries of a container that serves.
fn steady(spec: &Container) -> Duration {
    // Its probes are tried together.
    let longest = spec.probes.iter().map(|probe| probe.steady_ms).max();
    Duration::from_millis(longest.unwrap_or(STEADY_MS).into())
}

/// Pause after a try.
fn pause_after(spec: &Container, verdict: &Verdict) -> Duration {
    match verdict {
        Verdict::Ready => steady(spec),
        Verdict::Waiting(_) | Verdict::Failed(_) => steady(spec).min(AGAIN),
    }
}

/// Pause before the first try: apps that start together are not tried together.
fn first_pause(spec: &Container, seed: u64) -> Duration {
    let steady = steady(spec);
    let part = u32::try_from(seed % 64).unwrap_or_default();
    steady / 2 + steady / 128 * part
}

fn digest(spec: &Container) -> u64 {
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(&(
        &spec.probes,
        spec.restart_after,
        spec.ready_timeout_ms,
        spec.stop_grace_ms,
    ))
    .unwrap_or_default()
    .hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
