//! The container engine: what exists, one act at a time, builds, logs, commands.
//!
//! The only crate that speaks to Docker. Its types never leave: everything comes
//! in and goes out in the words of `doprax-core` and of this page.

use async_trait::async_trait;
use bytes::Bytes;
use doprax_core::cause::Program;
use doprax_core::copy::CopyName;
use doprax_core::name::{AppName, VolumeName};
use doprax_core::observed::{Observed, ObservedContainer};
use doprax_core::plan::Act;
use doprax_core::release::Kept;
use doprax_core::secret::SecretName;
use futures_util::stream::BoxStream;
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::AsyncWrite;

mod docker;
mod error;
#[cfg(feature = "fake")]
mod fake;
pub mod names;
pub use docker::Docker;
pub use error::{Error, Foreign};
#[cfg(feature = "fake")]
pub use fake::{ByHand, Fake, FakeImage, Fault, Looks};

/// What an engine can do, as found out when it was first reached.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Facts {
    /// Its version, such as `28.5.1`.
    pub version: String,
    /// Its API version, such as `1.51`.
    pub api_version: String,
    /// Operating system and kernel, for people.
    pub system: String,
    /// Whether it builds with BuildKit.
    pub buildkit: bool,
    /// Whether it can limit the size of a container's writable layer.
    pub disk_limit: bool,
    /// Whether it can limit memory.
    pub memory_limit: bool,
    /// Whether it can limit processor time.
    pub cpu_limit: bool,
    /// Whether it can limit the number of processes.
    pub pids_limit: bool,
    /// Whether it has an init for containers: a first process that passes signals on and
    /// buries orphans.
    pub init: bool,
}

/// What the engine knows of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImageFacts {
    /// Its id: the digest of its configuration.
    pub id: String,
    /// TCP ports it exposes, ascending.
    pub ports: Vec<u16>,
    /// Folders that it declares to hold data, ascending.
    pub volumes: Vec<String>,
    /// The environment that it gives its containers.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Size in bytes.
    pub size: u64,
    /// The digests by which registries give it out.
    #[serde(default)]
    pub digests: Vec<String>,
}

/// What is found in a container whose process ended or does not answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examination {
    /// The program that it runs, as a path where it was found, and what stands there.
    pub program: Option<(String, Program)>,
    /// The sockets that listen in it; absent where nobody can say, as when it does not run.
    pub sockets: Option<BTreeSet<SocketAddr>>,
    /// The exit code of the process that ended last, also where another runs by now;
    /// absent where none has ended, and where that is long ago.
    pub exit_code: Option<i64>,
}

/// What acts need from around: the values behind the names in a container's texts and
/// files, and what the machine's network is like.
#[derive(Clone, Default)]
pub struct Inputs {
    /// Values of secrets.
    pub secrets: BTreeMap<SecretName, String>,
    /// Variables of every container that does not set them itself. What it is made from
    /// does not have them, so that another value is no reason to make it anew.
    pub env: BTreeMap<String, String>,
    /// Bytes of files by their SHA-256 in hexadecimal.
    pub blobs: BTreeMap<String, Bytes>,
    /// Files that hold source archives (tar) by the digest of the source.
    pub sources: BTreeMap<String, PathBuf>,
    /// The largest packet, in bytes, that a new network passes on whole; absent: the
    /// engine's default.
    pub mtu: Option<u32>,
}

/// Receives the progress of an act.
pub type Progress = Arc<dyn Fn(Event) + Send + Sync>;

/// Progress of a long act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A line of build output; a step's beginning has its number in it.
    Build(String),
    /// Bytes of an image that have arrived so far.
    Pull {
        /// Image reference.
        image: String,
        /// Bytes so far, over all layers.
        done: u64,
        /// Bytes in all, as far as known.
        total: u64,
    },
    /// Something that people should know and that is no error, such as a limit
    /// that this machine forbids and that was left out.
    Note(String),
}

/// What came of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done now.
    Done,
    /// Nothing was left to do.
    AlreadyDone,
}

/// A command to run in a container.
#[derive(Clone, Default)]
pub struct Exec {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Environment added for the command.
    pub env: Vec<(String, String)>,
    /// User, and group after a colon, that it runs as; absent: the container's.
    pub user: Option<String>,
    /// A terminal of this many columns and rows; absent: no terminal.
    pub terminal: Option<(u16, u16)>,
    /// Whether standard input is connected.
    pub stdin: bool,
}

/// A running command.
pub struct ExecSession {
    /// The engine's id for it, for [`Engine::exec_resize`] and [`Engine::exec_exit_code`].
    pub id: String,
    /// What it prints.
    pub output: BoxStream<'static, Result<Output, Error>>,
    /// What it reads. Shut down to end its input.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// A piece of what a container or command printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Whether it came by standard error. A terminal has one stream: `false`.
    pub stderr: bool,
    /// The bytes, not cut at lines.
    pub bytes: Bytes,
}

/// Which part of a container's log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// Only what is newer than this Unix time in seconds.
    pub since: Option<i64>,
    /// Only this many lines from the end; absent: all.
    pub tail: Option<u32>,
    /// Whether new lines follow until the container is removed or the stream dropped.
    pub follow: bool,
    /// Whether each line begins with its time (RFC 3339, nanoseconds).
    pub timestamps: bool,
}

/// Usage of a container at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    /// Memory in bytes, page cache left out.
    pub memory: u64,
    /// Its limit in bytes; the machine's memory where there is none.
    pub memory_limit: u64,
    /// Processor time used since the container started, in nanoseconds.
    pub cpu_ns: u64,
}

/// A container engine. Every object it makes bears the labels `doprax.instance` and
/// `doprax.app`; it never touches an object of another instance.
#[async_trait]
pub trait Engine: Send + Sync {
    /// What the engine can do. Errors if it cannot be reached.
    async fn facts(&self) -> Result<Facts, Error>;

    /// What exists of one app.
    async fn observe(&self, app: &AppName) -> Result<Observed, Error>;

    /// What exists of every app of this instance, apps that exist only as a
    /// leftover network or volume included. A few requests for all of them; so it leaves
    /// out `limits`, of an image's `healthcheck` all but whether it passes, and of containers
    /// that run steadily, or do not run, `started_ms`, `ended_ms` and `restarts`, which
    /// [`Engine::observe`] has.
    async fn observe_all(&self) -> Result<BTreeMap<AppName, Observed>, Error>;

    /// What a container is called on the engine, for people and for what takes a `container`
    /// by its name or id; it may not exist.
    fn name_of(&self, app: &AppName, copy: &CopyName) -> String;

    /// One container in full; nothing if it does not exist or is not of this instance. Cheaper than [`Engine::observe`] for who
    /// waits for one container.
    async fn container(
        &self,
        app: &AppName,
        copy: &CopyName,
    ) -> Result<Option<ObservedContainer>, Error>;

    /// Does one act. Idempotent: what is done already is reported as such.
    async fn apply(
        &self,
        app: &AppName,
        act: &Act,
        inputs: &Inputs,
        progress: &Progress,
    ) -> Result<Outcome, Error>;

    /// Whether the engine has a volume, also where somebody brought it back by its
    /// engine's name, and no list has it as the app's.
    async fn has_volume(&self, app: &AppName, volume: &VolumeName) -> Result<bool, Error>;

    /// Removes a volume and everything in it. Only for a person who named it.
    async fn remove_volume(&self, app: &AppName, volume: &VolumeName) -> Result<Outcome, Error>;

    /// What the engine knows of an image; nothing if it does not have it.
    async fn image(&self, reference: &str) -> Result<Option<ImageFacts>, Error>;

    /// Looks into a container for why its process ended or does not answer.
    async fn examine(&self, container: &str) -> Result<Examination, Error>;

    /// Which of these absolute paths are files in an image; folders and what is not there
    /// are left out.
    async fn files_at(
        &self,
        app: &AppName,
        image: &str,
        paths: &[String],
    ) -> Result<BTreeSet<String>, Error>;

    /// The digest by which its registry gives out an image at this moment; nothing where
    /// the registry does not have it, or not for everybody.
    async fn registry_digest(&self, reference: &str) -> Result<Option<String>, Error>;

    /// Has the engine keep the image of this id for the app's releases, until
    /// [`Engine::prune_images`] finds that none needs it: a reference of the host's own
    /// holds it, whatever becomes of others.
    async fn keep_image(&self, app: &AppName, id: &str) -> Result<(), Error>;

    /// Removes the app's built images but those kept, the ones that another build has taken
    /// the reference from included, and the host's own references to others. An image that
    /// a container still uses stays.
    async fn prune_images(&self, app: &AppName, keep: &Kept) -> Result<(), Error>;

    /// Bytes that the engine keeps for later builds, those of others included.
    async fn build_cache(&self) -> Result<u64, Error>;

    /// Removes of the build cache what was not used for longest, until this many bytes
    /// are left. Returns the bytes that were removed.
    async fn prune_build_cache(&self, keep: u64) -> Result<u64, Error>;

    /// Starts a command in a running container.
    async fn exec(&self, container: &str, exec: &Exec) -> Result<ExecSession, Error>;

    /// Tells a command's terminal its new size in columns and rows.
    async fn exec_resize(&self, id: &str, columns: u16, rows: u16) -> Result<(), Error>;

    /// The exit code of an ended command.
    async fn exec_exit_code(&self, id: &str) -> Result<i64, Error>;

    /// A container's log.
    async fn logs(
        &self,
        container: &str,
        request: LogRequest,
    ) -> Result<BoxStream<'static, Result<Output, Error>>, Error>;

    /// What a running container uses.
    async fn usage(&self, container: &str) -> Result<Usage, Error>;

    /// Subnets in use by the engine's networks, those of others included.
    async fn subnets(&self) -> Result<Vec<Ipv4Net>, Error>;

    /// Hints that something about an app changed. Ends when the engine goes away;
    /// hints can be lost, so they only shorten the wait for the next look.
    async fn hints(&self) -> Result<BoxStream<'static, AppName>, Error>;
}
