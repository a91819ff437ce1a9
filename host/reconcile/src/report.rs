//! What the host tells a person.

use doprax_core::blueprint::ImageIdentity;
use doprax_core::diagnostic::Diagnostic;
use doprax_core::diff::Diff;
use doprax_core::merge::Change;
use doprax_core::name::{AppName, ServiceName, VolumeName};
pub use doprax_core::operation::{
    Event, Operation, OperationEvent, OperationId, OperationKind, OperationState,
};
pub use doprax_core::release::{FailedRelease, ReleaseDetails, Releases};
pub use doprax_core::status::AppState;
use std::net::IpAddr;

/// What a deploy would do.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The app.
    pub app: AppName,
    /// What changes, for people and scripts. Holds no secret.
    pub diff: Diff,
    /// Whether there is anything to do at all.
    pub changes: bool,
    /// Whether the source archive must be sent before the deploy.
    pub needs_source: bool,
    /// Warnings about the manifest.
    pub warnings: Vec<Diagnostic>,
    /// What tells it from every other, see [`doprax_core::proposal::Proposal`].
    pub digest: String,
}

/// What a rollback would do.
#[derive(Debug, Clone)]
pub struct RollbackProposal {
    /// The release that comes back.
    pub to: u64,
    /// What changes.
    pub proposal: Proposal,
}

/// One line about an app.
#[derive(Debug, Clone)]
pub struct AppSummary {
    /// Its name.
    pub app: AppName,
    /// How it is.
    pub state: AppState,
    /// Number of its current release, from 1; absent before the first.
    pub release: Option<u64>,
    /// Where it can be reached; absent where it answers no requests.
    pub url: Option<String>,
    /// Number of containers that work, of those that should, and of those.
    pub running: (usize, usize),
    /// Since when the engine is away, in Unix time in milliseconds: the app is as it was
    /// last seen.
    pub engine_away_ms: Option<i64>,
}

/// All about an app.
#[derive(Debug, Clone)]
pub struct AppStatus {
    /// In one line.
    pub summary: AppSummary,
    /// The subnet of its network.
    pub subnet: String,
    /// Unix time in milliseconds of its current release.
    pub released_ms: Option<i64>,
    /// Its containers, main first.
    pub containers: Vec<ContainerStatus>,
    /// Its volumes, those that nothing mounts any more included.
    pub volumes: Vec<VolumeStatus>,
    /// The operation under way.
    pub operation: Option<Operation>,
    /// Those that wait for it, in the order in which they will begin.
    pub waiting: Vec<Operation>,
    /// What the latest operation failed with, if it failed.
    pub last_error: Option<String>,
    /// What was changed by hand since the manifest was applied.
    pub by_hand: Vec<Change>,
    /// The repair that failed, if the host could not put the app right.
    pub repair: Option<FailedRepair>,
    /// Remarks, such as a limit that this machine forbids.
    pub notes: Vec<String>,
}

/// What keeps the host from putting an app right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedRepair {
    /// What went wrong.
    pub error: String,
    /// Unix time in milliseconds of the next try.
    pub next_try_ms: i64,
}

/// How a container is.
#[derive(Debug, Clone)]
pub struct ContainerStatus {
    /// Its name and hostname.
    pub name: ServiceName,
    /// The plugin that describes it; absent for main.
    pub plugin: Option<String>,
    /// Its image.
    pub image: String,
    /// Which image that is, as far as it is known.
    pub identity: Option<ImageIdentity>,
    /// How it is, in one word: `running`, `unhealthy`, `crashing (1)`, `exited (1)`, `stopped`,
    /// `missing`.
    pub state: String,
    /// Why it does not serve although it runs, if that is so.
    pub unhealthy: Option<Unhealthy>,
    /// What more there is to say of its state: why it does not work, where that is known.
    pub reason: Option<String>,
    /// What to do about it, where that is known.
    pub help: Option<String>,
    /// Exit code of its process, where it has ended.
    pub exit_code: Option<i64>,
    /// Whether the kernel ended its process for want of memory.
    pub oom_killed: bool,
    /// Unix time in milliseconds at which the engine starts it again, at the latest.
    pub next_try_ms: Option<i64>,
    /// The last lines of its log, where it does not work.
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

/// A container that does not serve although its process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unhealthy {
    /// What its probe saw.
    pub reason: String,
    /// Unix time in milliseconds of the first failure.
    pub since_ms: i64,
}

/// A variable of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; absent where it is masked, and where a person took the variable away.
    pub value: Option<String>,
    /// Whether its value is masked.
    pub masked: bool,
    /// Where it comes from.
    pub from: VariableSource,
    /// Whether the manifest sets it, be it to something else.
    pub in_manifest: bool,
}

/// Where a variable comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VariableSource {
    /// The manifest.
    Manifest,
    /// A person set it, or took it away.
    Hand,
    /// The plugin that describes the service.
    Plugin,
    /// The image.
    Image,
    /// The host, which tells every container where its app is.
    Host,
}

/// A volume.
#[derive(Debug, Clone)]
pub struct VolumeStatus {
    /// The app that it belongs to.
    pub app: AppName,
    /// Its name within the app.
    pub name: VolumeName,
    /// Where it is mounted: `main:/app_data/static`.
    pub mounts: Vec<String>,
    /// Whether it was made and is gone: what mounts it is held.
    pub gone: bool,
}

/// A host name of an app beside its free subdomain.
#[derive(Debug, Clone)]
pub struct DomainStatus {
    /// The name.
    pub name: String,
    /// The app.
    pub app: AppName,
    /// The name that its requests are sent on to.
    pub redirect_to: Option<String>,
    /// Whether browsers are told to use nothing but HTTPS for it.
    pub hsts: bool,
    /// Whether it was added by hand; else the manifest names it.
    pub by_hand: bool,
    /// Unix time in milliseconds when it was last seen to lead here.
    pub verified_ms: Option<i64>,
    /// Whether it is reserved for private use: no public DNS has it, and its certificate is
    /// of the host's own CA.
    pub private: bool,
    /// The DNS records with which it leads here.
    pub records: Vec<DnsRecord>,
}

/// A DNS record that leads here.
#[derive(Debug, Clone)]
pub struct DnsRecord {
    /// `A` or `AAAA`.
    pub kind: &'static str,
    /// The name.
    pub name: String,
    /// The address.
    pub value: String,
}

/// Where a host name leads.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The name.
    pub name: String,
    /// Whether it leads here and nowhere else.
    pub verified: bool,
    /// The addresses that it leads to.
    pub found: Vec<IpAddr>,
    /// The addresses that it should lead to.
    pub expected: Vec<IpAddr>,
    /// The zone whose servers were asked.
    pub servers_of: Option<String>,
    /// Why nobody could say where it leads.
    pub problem: Option<String>,
}

/// One finding of `doctor`.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub text: String,
    /// What is wrong.
    pub problem: Option<Problem>,
}

/// What is wrong that `doctor` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The engine does not answer.
    EngineAway,
    /// The engine is older than those that the host is tested with.
    EngineOld,
    /// The engine builds without BuildKit.
    NoBuildKit,
    /// The kernel does not let the engine limit what containers take.
    NoLimits,
    /// The engine has no init for containers.
    NoInit,
    /// The engine cannot limit the disk that a container uses.
    NoDiskLimit,
    /// The engine keeps much for later builds.
    LargeBuildCache,
    /// The state cannot be read.
    NoState,
    /// The pool has no subnet left.
    PoolExhausted,
    /// The machine has a route into the pool.
    PoolRouted,
    /// Nobody could say how the apps' networks are.
    NetworksUnknown,
    /// A route of the machine leads away what is meant for an app.
    Shadowed {
        /// The app.
        app: AppName,
    },
    /// Another network of the engine has the subnet of an app.
    SubnetTaken {
        /// The app.
        app: AppName,
    },
    /// Containers can reach what they should not.
    NotIsolated,
    /// The apps' free names do not lead to this machine.
    NamesLost,
}

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Good,
    /// It works, with a limit.
    Warning,
    /// It does not work.
    Bad,
}
