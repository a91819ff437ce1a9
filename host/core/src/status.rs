//! How an app is: decided here and nowhere else, for lists, for people, for visitors
//! and for scripts.

use crate::blueprint::{Blueprint, Container};
use crate::copy::CopyName;
use crate::name::{ServiceName, VolumeName};
use crate::observed::{Observed, ObservedContainer, State};
use crate::route::{Outage, Target};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The engine's first pause before it starts a crashed process again. It doubles with
/// each crash and begins anew after a run of [`STEADY_MS`]
/// (<https://docs.docker.com/engine/containers/start-containers-automatically/>).
const FIRST_PAUSE_MS: i64 = 100;
const LONGEST_PAUSE_MS: i64 = 60_000;

/// How long a process must run to count as up after a crash.
const STEADY_MS: i64 = 10_000;

/// From this many crashes in a row on they are a loop, and the pause after the last of them.
const LOOP_RESTARTS: u32 = 4;
const LOOP_PAUSE_MS: i64 = FIRST_PAUSE_MS << (LOOP_RESTARTS - 1);

/// How an app is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppState {
    /// Everything that should run runs.
    Running,
    /// It does not serve yet, and will without anybody's doing.
    Starting,
    /// It serves, and something of it does not work.
    Degraded,
    /// Everything that should run runs, and something of it does not serve.
    Unhealthy,
    /// Stopped by its owner, or what visitors are sent to is.
    Stopped,
    /// It does not serve, and will not without somebody's doing.
    Failed,
    /// The engine has not been seen yet.
    Unknown,
}

/// How a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Its process runs.
    Running,
    /// Its process runs and does not work; what its health check said.
    Unhealthy(String),
    /// It is made or started just now.
    Starting,
    /// Its process ended; the engine starts it again at once.
    Restarting(Exit),
    /// Its process ends again and again; when the engine tries again (Unix time in
    /// milliseconds, at the latest), where it is known.
    Crashing(Exit, Option<i64>),
    /// Its process ended.
    Exited(Exit),
    /// Its owner stopped it.
    Stopped,
    /// Suspended by hand.
    Paused,
    /// The engine could not remove it.
    Dead,
    /// It does not exist.
    Missing,
    /// A volume that it had is gone; it is not started with an empty one.
    NoVolume(VolumeName),
    /// The engine has not been seen yet.
    Unknown,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, where the engine still knows it.
    pub code: Option<i64>,
    /// Whether the kernel ended it because it used more memory than it may.
    pub oom_killed: bool,
}

/// What is known to be wrong with a container beside what the engine's lists say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Its health checks fail; what they saw.
    Unhealthy(String),
    /// A volume that a release has made for it is gone.
    NoVolume(VolumeName),
}

/// All that says how an app is.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What should run; absent before the first deploy has succeeded.
    pub blueprint: Option<&'a Blueprint>,
    /// Containers that their owner stopped.
    pub stopped: &'a BTreeSet<ServiceName>,
    /// What the engine has; absent where it was never seen.
    pub observed: Option<&'a Observed>,
    /// What is known beside that.
    pub troubles: &'a BTreeMap<ServiceName, Trouble>,
    /// Whether an operation is under way.
    pub busy: bool,
    /// Whether the latest operation failed.
    pub failed: bool,
    /// Whether the host could not put the app right when it last tried.
    pub repair_failed: bool,
    /// Unix time in milliseconds.
    pub now_ms: i64,
}

/// How an app and each of its containers is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The app.
    pub state: AppState,
    /// Its containers.
    pub containers: BTreeMap<ServiceName, ContainerState>,
    /// What answers its visitors.
    pub target: Target,
    /// Number of containers that work, of those that should.
    pub running: usize,
    /// Number of containers that should run.
    pub wanted: usize,
}

impl AppState {
    /// The state in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

impl ContainerState {
    /// Whether it does what it should.
    pub fn works(&self) -> bool {
        matches!(self, Self::Running)
    }

    /// How its process ended, if that is why it does not run.
    pub fn exit(&self) -> Option<Exit> {
        match self {
            Self::Restarting(exit) | Self::Crashing(exit, _) | Self::Exited(exit) => Some(*exit),
            _ => None,
        }
    }
}

/// In one word, with the exit code behind it: `running`, `exited (1)`.
impl fmt::Display for ContainerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Unhealthy(_) => "unhealthy",
            Self::Starting => "starting",
            Self::Restarting(_) => "restarting",
            Self::Crashing(..) => "crashing",
            Self::Exited(_) => "exited",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
            Self::Dead => "dead",
            Self::Missing => "missing",
            Self::NoVolume(_) => "volume missing",
            Self::Unknown => "unknown",
        })?;
        match self.exit().and_then(|exit| exit.code) {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

/// How the app is.
pub fn status(facts: &Facts<'_>) -> Status {
    let Some(blueprint) = facts.blueprint else {
        let (state, target) = if facts.busy || !facts.failed {
            (AppState::Starting, Target::Starting)
        } else {
            (AppState::Failed, Target::Failed(Outage::NeverDeployed))
        };
        return Status {
            state,
            containers: BTreeMap::new(),
            target,
            running: 0,
            wanted: 0,
        };
    };
    let containers: BTreeMap<ServiceName, ContainerState> = blueprint
        .containers
        .values()
        .map(|spec| (spec.name.clone(), container(facts, spec)))
        .collect();
    let wanted = |name: &ServiceName| !facts.stopped.contains(name);
    let should = containers.iter().filter(|(name, _)| wanted(name));
    let (mut running, mut unhealthy, mut of) = (0, 0, 0);
    for (_, state) in should {
        of += 1;
        running += usize::from(state.works());
        unhealthy += usize::from(matches!(state, ContainerState::Unhealthy(_)));
    }
    // An app that answers no requests is its main.
    let main = ServiceName::main();
    let front = blueprint.front.as_ref();
    let front = front.map_or(&main, |front| &front.service);
    let front_state = containers.get(front).unwrap_or(&ContainerState::Missing);
    let state = if of == 0 || !wanted(front) {
        AppState::Stopped
    } else {
        app(facts, front_state, running == of, running + unhealthy == of)
    };
    Status {
        state,
        target: target(facts, blueprint, state, front_state),
        containers,
        running,
        wanted: of,
    }
}

/// How an app is whose front is like this and should run.
fn app(facts: &Facts<'_>, front: &ContainerState, all_work: bool, all_run: bool) -> AppState {
    use ContainerState as C;
    match front {
        C::Unknown => AppState::Unknown,
        C::Running if all_work => AppState::Running,
        C::Running | C::Unhealthy(_) if all_run => AppState::Unhealthy,
        // What an operation has not come to yet is not broken.
        _ if facts.busy => AppState::Starting,
        C::Running | C::Unhealthy(_) => AppState::Degraded,
        // The host makes or starts it, unless that has failed.
        C::Starting | C::Restarting(_) | C::Exited(_) | C::Missing | C::Stopped
            if !facts.repair_failed =>
        {
            AppState::Starting
        }
        _ => AppState::Failed,
    }
}

/// What answers visitors.
fn target(
    facts: &Facts<'_>,
    blueprint: &Blueprint,
    state: AppState,
    front: &ContainerState,
) -> Target {
    use ContainerState as C;
    let Some(front_of_app) = &blueprint.front else {
        return Target::Nowhere;
    };
    if state == AppState::Stopped {
        return Target::Stopped;
    }
    let address = copy(facts, &front_of_app.service)
        .filter(|copy| copy.state == State::Running)
        .and_then(|copy| copy.address);
    // A process that crashes again and again may still answer while it runs.
    if let (Some(address), false) = (address, matches!(front, C::NoVolume(_))) {
        return front_of_app.target(address);
    }
    match (state, front) {
        (AppState::Starting | AppState::Running | AppState::Degraded, _) => Target::Starting,
        (_, C::NoVolume(_)) => Target::Failed(Outage::NoVolume),
        (_, C::Crashing(..) | C::Exited(_)) => Target::Failed(Outage::Crashing),
        (AppState::Unknown, _) => Target::Failed(Outage::Unknown),
        _ => Target::Failed(Outage::NotRunning),
    }
}

/// The copy of a container that has its name.
pub fn copy<'a>(facts: &Facts<'a>, service: &ServiceName) -> Option<&'a ObservedContainer> {
    let name = CopyName::serving(service);
    let containers = &facts.observed?.containers;
    containers.iter().find(|copy| copy.name == name)
}

fn container(facts: &Facts<'_>, spec: &Container) -> ContainerState {
    use ContainerState as C;
    if facts.observed.is_none() {
        return C::Unknown;
    }
    let stopped = facts.stopped.contains(&spec.name);
    let trouble = facts.troubles.get(&spec.name);
    if let (Some(Trouble::NoVolume(volume)), false) = (trouble, stopped) {
        return C::NoVolume(volume.clone());
    }
    let Some(copy) = copy(facts, &spec.name) else {
        return if stopped {
            C::Stopped
        } else if facts.busy {
            C::Starting
        } else {
            C::Missing
        };
    };
    let exit = Exit {
        code: copy.exit_code,
        oom_killed: copy.out_of_memory,
    };
    match copy.state {
        State::Running if is_looping(copy, facts.now_ms) => C::Crashing(exit, None),
        State::Running => match trouble {
            Some(Trouble::Unhealthy(reason)) => C::Unhealthy(reason.clone()),
            _ => C::Running,
        },
        State::Restarting if is_looping(copy, facts.now_ms) => C::Crashing(exit, next_try(copy)),
        State::Restarting => C::Restarting(exit),
        State::Paused => C::Paused,
        State::Created | State::Exited(_) if stopped => C::Stopped,
        State::Created => C::Starting,
        State::Exited(code) => C::Exited(Exit {
            code: Some(code),
            ..exit
        }),
        State::Dead => C::Dead,
    }
}

/// Whether the container's process ends again and again, soon after each start.
pub fn is_looping(copy: &ObservedContainer, now_ms: i64) -> bool {
    let (Some(started), Some(ended)) = (copy.started_ms, copy.ended_ms) else {
        return false;
    };
    match copy.state {
        // The pause that was made before this start tells how many crashes went before it.
        State::Running => {
            copy.restarts >= LOOP_RESTARTS
                && started - ended >= LOOP_PAUSE_MS
                && now_ms - started < STEADY_MS
        }
        State::Restarting => pause(copy.restarts, ended - started) >= LOOP_PAUSE_MS,
        _ => false,
    }
}

/// When the engine starts a crashed process again, at the latest.
fn next_try(copy: &ObservedContainer) -> Option<i64> {
    let (started, ended) = (copy.started_ms?, copy.ended_ms?);
    Some(ended + pause(copy.restarts, ended - started))
}

/// The engine's pause after so many restarts, at most, when the process last ran this long.
fn pause(restarts: u32, ran_ms: i64) -> i64 {
    if ran_ms >= STEADY_MS {
        return FIRST_PAUSE_MS;
    }
    let doubled = FIRST_PAUSE_MS << restarts.saturating_sub(1).min(16);
    doubled.min(LONGEST_PAUSE_MS)
}
