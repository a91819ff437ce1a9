//! What can go wrong with a wish.

use doprax_core::diagnostic::Diagnostic;
use doprax_core::name::{AppName, ServiceName, VolumeName};

/// Why the host could not do what was asked. Texts hold no values of secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The manifest was refused.
    #[error("doprax.yaml was refused")]
    Manifest {
        /// Why, with places and remedies; warnings among them.
        diagnostics: Vec<Diagnostic>,
    },
    /// There is no such app.
    #[error("there is no app {app}")]
    NoApp {
        /// Its name.
        app: AppName,
    },
    /// There is no such container.
    #[error("app {app} has no container {container}")]
    NoContainer {
        /// The app.
        app: AppName,
        /// The wanted name.
        container: ServiceName,
        /// The names it has.
        known: Vec<ServiceName>,
    },
    /// There is no such volume.
    #[error("app {app} has no volume {volume:?}")]
    NoVolume {
        /// The app.
        app: AppName,
        /// The wanted name.
        volume: VolumeName,
    },
    /// The volume is mounted.
    #[error("volume {volume:?} of app {app} is in use by {users}")]
    VolumeInUse {
        /// The app.
        app: AppName,
        /// The volume.
        volume: VolumeName,
        /// The containers that mount it.
        users: String,
    },
    /// Another operation on the app is under way.
    #[error("app {app} is busy with operation {operation}")]
    Busy {
        /// The app.
        app: AppName,
        /// The operation under way.
        operation: String,
    },
    /// There is no such operation.
    #[error("there is no operation {operation}")]
    NoOperation {
        /// The wanted identifier.
        operation: String,
    },
    /// The source archive was not sent, or is not what its digest says.
    #[error("the source archive {digest} {reason}")]
    Source {
        /// The digest asked for.
        digest: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The blueprint cannot be made from the manifest.
    #[error("{message}")]
    Unplannable {
        /// What is wrong.
        message: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// A container did not become ready in time.
    #[error("{container} did not become ready within {seconds} s: {reason}")]
    NotReady {
        /// The container.
        container: ServiceName,
        /// The time it had, in seconds.
        seconds: u64,
        /// Which probe failed and what it saw.
        reason: String,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] doprax_engine::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] doprax_store::Error),
    /// A plugin failed.
    #[error("the plugin of service {service} failed")]
    Plugin {
        /// The service.
        service: ServiceName,
        /// What it failed with.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The host is ending.
    #[error("the host is shutting down")]
    ShuttingDown,
}
