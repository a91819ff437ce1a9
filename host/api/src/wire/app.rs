//! Apps, their containers, logs and volumes.

use super::Operation;
use doprax_core::merge::Change;
use doprax_core::name::{AppName, ServiceName, VolumeName};
pub use doprax_core::status::AppState;
use doprax_reconcile::report;
use serde::{Deserialize, Serialize};

/// One line about an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSummary {
    /// Its name.
    pub app: AppName,
    /// How it is.
    pub state: AppState,
    /// Number of its current release, from 1; absent before the first.
    pub release: Option<u64>,
    /// Where it can be reached; absent where it answers no requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Number of containers that work, of those that should.
    pub running: usize,
    /// Number of containers that should.
    pub wanted: usize,
    /// Since when the container engine is away, in Unix time in milliseconds: the app is
    /// shown as it was last seen. Absent while the engine answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_away_ms: Option<i64>,
}

impl From<report::AppSummary> for AppSummary {
    fn from(summary: report::AppSummary) -> Self {
        let report::AppSummary {
            app,
            state,
            release,
            url,
            running: (running, wanted),
            engine_away_ms,
        } = summary;
        Self {
            app,
            state,
            release,
            url,
            running,
            wanted,
            engine_away_ms,
        }
    }
}

/// All about an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// In one line.
    #[serde(flatten)]
    pub summary: AppSummary,
    /// The subnet of its network.
    pub subnet: String,
    /// Unix time in milliseconds of its current release.
    pub released_ms: Option<i64>,
    /// Its containers, main first.
    pub containers: Vec<Container>,
    /// Its volumes, those that nothing mounts any more included.
    pub volumes: Vec<Volume>,
    /// The operation under way.
    pub operation: Option<Operation>,
    /// Those that wait for it, in the order in which they will begin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Operation>,
    /// What the latest operation failed with, if it failed.
    pub last_error: Option<String>,
    /// What was changed by hand since doprax.yaml was applied.
    #[serde(default)]
    pub by_hand: Vec<Change>,
    /// What keeps the host from putting the app right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<FailedRepair>,
    /// Remarks, such as a limit that this machine forbids.
    pub notes: Vec<String>,
}

/// What keeps the host from putting an app right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRepair {
    /// What went wrong.
    pub error: String,
    /// Unix time in milliseconds of the next try.
    pub next_try_ms: i64,
}

impl From<report::FailedRepair> for FailedRepair {
    fn from(repair: report::FailedRepair) -> Self {
        let report::FailedRepair { error, next_try_ms } = repair;
        Self { error, next_try_ms }
    }
}

impl From<report::AppStatus> for App {
    fn from(status: report::AppStatus) -> Self {
        let report::AppStatus {
            summary,
            subnet,
            released_ms,
            containers,
            volumes,
            operation,
            waiting,
            last_error,
            by_hand,
            repair,
            notes,
        } = status;
        Self {
            summary: summary.into(),
            subnet,
            released_ms,
            containers: containers.into_iter().map(Into::into).collect(),
            volumes: volumes.into_iter().map(Into::into).collect(),
            operation,
            waiting,
            last_error,
            by_hand,
            repair: repair.map(Into::into),
            notes,
        }
    }
}

/// How a container is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name and hostname.
    pub name: ServiceName,
    /// The plugin that describes it; absent for main.
    pub plugin: Option<String>,
    /// Its image.
    pub image: String,
    /// The engine's id of it, as far as it is known.
    #[serde(default)]
    pub image_id: Option<String>,
    /// The digest by which its registry gives it out, as far as it is known.
    #[serde(default)]
    pub image_digest: Option<String>,
    /// How it is: `running`, `starting`, `unhealthy`, `restarting (1)`, `crashing (1)`,
    /// `exited (1)`, `stopped`, `paused`, `missing`, `volume missing`, `unknown`.
    pub state: String,
    /// Why it does not serve although it runs, if that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhealthy: Option<Unhealthy>,
    /// What more there is to say of its state: why it does not work, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do about it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Exit code of its process, where it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// Whether the kernel ended its process for want of memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// Unix time in milliseconds at which the engine starts it again, at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_ms: Option<i64>,
    /// The last lines of its log, where it does not work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_lines: Vec<String>,
    /// Its address on the app's network.
    pub address: Option<String>,
    /// Port that others reach it on.
    pub port: Option<u16>,
    /// How many times the engine restarted it after a crash.
    pub restarts: u32,
    /// Unix time in milliseconds of its latest start.
    pub started_ms: Option<i64>,
    /// Memory in use, in bytes, while it runs.
    pub memory: Option<u64>,
    /// Its memory limit in bytes, if it has one.
    pub memory_limit: Option<u64>,
    /// Values it offers to others; those that hold a secret are masked.
    pub outputs: Vec<(String, String)>,
}

impl From<report::ContainerStatus> for Container {
    fn from(status: report::ContainerStatus) -> Self {
        let report::ContainerStatus {
            name,
            plugin,
            image,
            identity,
            state,
            unhealthy,
            reason,
            help,
            exit_code,
            oom_killed,
            next_try_ms,
            last_lines,
            address,
            port,
            restarts,
            started_ms,
            memory,
            memory_limit,
            outputs,
        } = status;
        let (image_id, image_digest) = match identity {
            Some(identity) => (Some(identity.id), identity.digest),
            None => (None, None),
        };
        Self {
            name,
            plugin,
            image,
            image_id,
            image_digest,
            state,
            unhealthy: unhealthy.map(Into::into),
            reason,
            help,
            exit_code,
            oom_killed,
            next_try_ms,
            last_lines,
            address,
            port,
            restarts,
            started_ms,
            memory,
            memory_limit,
            outputs,
        }
    }
}

/// A container that does not serve although its process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unhealthy {
    /// What its probe saw.
    pub reason: String,
    /// Unix time in milliseconds of the first failure.
    pub since_ms: i64,
}

impl From<report::Unhealthy> for Unhealthy {
    fn from(unhealthy: report::Unhealthy) -> Self {
        let report::Unhealthy { reason, since_ms } = unhealthy;
        Self { reason, since_ms }
    }
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// The app that it belongs to.
    pub app: AppName,
    /// Its name within the app.
    pub name: VolumeName,
    /// Where it is mounted: `main:/app_data/static`.
    pub mounts: Vec<String>,
    /// Whether it was made and is gone: what mounts it is not started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

impl From<report::VolumeStatus> for Volume {
    fn from(status: report::VolumeStatus) -> Self {
        let report::VolumeStatus {
            app,
            name,
            mounts,
            gone,
        } = status;
        Self {
            app,
            name,
            mounts,
            gone,
        }
    }
}

/// A line of a container's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The container.
    pub container: ServiceName,
    /// Whether it came by standard error.
    #[serde(default)]
    pub stderr: bool,
    /// When it was written (RFC 3339).
    pub time: String,
    /// The line without its end.
    pub text: String,
}

impl From<doprax_reconcile::LogLine> for LogLine {
    fn from(line: doprax_reconcile::LogLine) -> Self {
        let doprax_reconcile::LogLine {
            container,
            stderr,
            time,
            text,
        } = line;
        Self {
            container,
            stderr,
            time,
            text,
        }
    }
}
