//! What can go wrong with a request.

use doprax_core::caution::Downgrade;
use doprax_core::diagnostic::Diagnostic;
use doprax_core::name::{AppName, ServiceName, VolumeName};

/// Why a host did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The engine's address is not one.
    #[error(transparent)]
    Engine(#[from] doprax_engine::Error),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] doprax_store::Error),
    /// The plugins cannot be loaded.
    #[error(transparent)]
    Plugins(#[from] doprax_plugin::Error),
    /// The certificates cannot be kept.
    #[error(transparent)]
    Certificates(#[from] doprax_certificates::Error),
    /// The ingress cannot listen.
    #[error(transparent)]
    Ingress(#[from] doprax_ingress::Error),
    /// What is remembered cannot be used.
    #[error(transparent)]
    Host(#[from] Error),
}

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
    /// There is no such release, or it is not kept any more.
    #[error("app {app} has no release {number}")]
    NoRelease {
        /// The app.
        app: AppName,
        /// The wanted number.
        number: u64,
        /// Those that are kept.
        known: Vec<u64>,
    },
    /// A rollback would give services an older version on the data of a newer one.
    #[error("{}", downgraded(*to, services))]
    Downgrade {
        /// The app.
        app: AppName,
        /// The release.
        to: u64,
        /// The services.
        services: Vec<Downgrade>,
    },
    /// There is no such volume.
    #[error("app {app} has no volume {:?}", volume.as_str())]
    NoVolume {
        /// The app.
        app: AppName,
        /// The wanted name.
        volume: VolumeName,
    },
    /// The volume is mounted.
    #[error("volume {:?} of app {app} is in use by {users}", volume.as_str())]
    VolumeInUse {
        /// The app.
        app: AppName,
        /// The volume.
        volume: VolumeName,
        /// The containers that mount it.
        users: String,
    },
    /// The volume is there: nothing has to take its place.
    #[error("volume {volume:?} of app {app} is there, with its data")]
    VolumeExists {
        /// The app.
        app: AppName,
        /// The volume.
        volume: VolumeName,
    },
    /// Volumes that were made for a release are gone.
    #[error(
        "{} of app {app} {}, and {} not started with an empty one",
        listed(volumes.iter().map(|(name, _)| name)),
        if volumes.len() == 1 { "is gone" } else { "are gone" },
        is_or_are(containers)
    )]
    VolumeGone {
        /// The app.
        app: AppName,
        /// The containers that mount them.
        containers: Vec<ServiceName>,
        /// Their names, and the engine's names for them.
        volumes: Vec<(VolumeName, String)>,
    },
    /// The current release needs the variable.
    #[error("the current release of app {app} is made with {name}")]
    VariableInUse {
        /// The app.
        app: AppName,
        /// The variable.
        name: String,
    },
    /// The app has no such domain.
    #[error("app {app} has no domain {name}")]
    NoDomain {
        /// The app.
        app: AppName,
        /// The wanted name.
        name: String,
        /// The names it has.
        known: Vec<String>,
    },
    /// Another app has the domain.
    #[error("the domain {name} belongs to app {app}")]
    DomainTaken {
        /// The domain.
        name: String,
        /// The app that has it.
        app: AppName,
    },
    /// The manifest names the domain.
    #[error("the doprax.yaml of app {app} names {name}")]
    DomainInUse {
        /// The app.
        app: AppName,
        /// The domain.
        name: String,
    },
    /// No app can have such a domain.
    #[error("{message}")]
    Domain {
        /// Why.
        message: String,
        /// What to do instead.
        help: String,
    },
    /// Another operation on the app is under way.
    #[error("app {app} is busy with operation {operation}")]
    Busy {
        /// The app.
        app: AppName,
        /// The operation under way.
        operation: String,
    },
    /// As many operations wait for the app as may.
    #[error("{waiting} operations wait for app {app} already")]
    QueueFull {
        /// The app.
        app: AppName,
        /// How many.
        waiting: usize,
    },
    /// There is no such operation.
    #[error("there is no operation {operation}")]
    NoOperation {
        /// The wanted identifier.
        operation: String,
    },
    /// What would be done is not what was confirmed.
    #[error(
        "what it takes to do this to app {app} has changed since that was confirmed, so nothing was done"
    )]
    Outdated {
        /// The app.
        app: AppName,
    },
    /// The operation is not under way any more.
    #[error("operation {operation} has ended")]
    Ended {
        /// Its identifier.
        operation: String,
    },
    /// A person wanted the operation to end early.
    #[error("cancelled")]
    Cancelled,
    /// A person wanted the operation not to begin when its turn came.
    #[error("cancelled before it began")]
    Withdrawn,
    /// A build took too long.
    #[error("the build of main did not end within {}", minutes(*limit))]
    BuildTimeout {
        /// The time it had.
        limit: std::time::Duration,
        /// The last lines that it printed.
        output: Vec<String>,
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
    /// A container did not become ready.
    #[error("{container} did not become ready{}: {reason}", within(*seconds))]
    NotReady {
        /// The container.
        container: ServiceName,
        /// The time it had, in seconds, if it was given up because that was over.
        seconds: Option<u64>,
        /// Whether its process has ended by itself.
        ended: bool,
        /// Which probe failed and what it saw, and why as far as that is known.
        reason: String,
        /// What to do about it, where that is known.
        help: Option<String>,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// A container was ready and did not stay so until it could take another's place.
    #[error("{container} was ready and did not stay so: {reason}")]
    NotSettled {
        /// The container.
        container: ServiceName,
        /// What was seen of it, and why as far as that is known.
        reason: String,
        /// What to do about it, where that is known.
        help: Option<String>,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// A container did not take notice of its moved neighbours.
    #[error("the reload of {container} ({command}) failed: {reason}")]
    Reload {
        /// The container.
        container: ServiceName,
        /// The command.
        command: String,
        /// What it said.
        reason: String,
    },
    /// A wait was given up because another step failed.
    #[error("given up because another step failed")]
    GivenUp,
    /// The app has no release that could be started or stopped.
    #[error("app {app} was never deployed successfully")]
    NotDeployed {
        /// The app.
        app: AppName,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] doprax_engine::Error),
    /// The engine failed, and it is known why.
    #[error("{message}")]
    Explained {
        /// What failed and why.
        message: String,
        /// What to do about it.
        help: String,
        /// What the engine said.
        source: doprax_engine::Error,
    },
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

impl Error {
    /// What failed and its causes, in one line.
    pub fn chain(&self) -> String {
        chain(self)
    }

    /// What a person can do about it.
    pub fn help(&self) -> Option<String> {
        use doprax_engine::Error as Engine;
        let help = match self {
            Self::Unplannable { help, .. } => return help.clone(),
            Self::Outdated { .. } => "doprax up shows what it takes now, and asks again".to_owned(),
            Self::NoApp { .. } => "doprax apps lists what is deployed".to_owned(),
            Self::NoContainer { known, .. } => {
                let known: Vec<&str> = known.iter().map(ServiceName::as_str).collect();
                format!("it has {}", known.join(", "))
            }
            Self::NoRelease { app, known, .. } if known.is_empty() => {
                format!("doprax releases {app} shows those that it has")
            }
            Self::NoRelease { known, .. } => {
                let known: Vec<String> = known.iter().map(u64::to_string).collect();
                format!("it has {}", known.join(", "))
            }
            Self::Downgrade { app, to, .. } => format!(
                "volumes are never rolled back. Deploy what else that release had with the present version, or, where you know that the older version reads the data: doprax rollback {app} {to} --allow-downgrade"
            ),
            Self::NoVolume { .. } => "doprax volume list shows every volume".to_owned(),
            Self::VolumeInUse { app, .. } => {
                format!("take it out of doprax.yaml and deploy, or remove the app (doprax remove {app}), then remove the volume")
            }
            Self::VolumeExists { app, volume } => format!(
                "doprax volume remove {app} {volume:?} takes it and its data away, once nothing mounts it"
            ),
            Self::VolumeGone { app, volumes, .. } => {
                let names: Vec<&str> = volumes.iter().map(|(_, name)| name.as_str()).collect();
                let accept = volumes.iter().map(|(volume, _)| {
                    format!("doprax volume recreate {app} {:?}", volume.as_str())
                });
                let accept: Vec<String> = accept.collect();
                format!(
                    "bring it back (docker volume create {}, then restore its data), or accept an empty one: {}",
                    names.join(" "),
                    accept.join("; ")
                )
            }
            Self::VariableInUse { .. } => {
                "take it out of doprax.yaml and deploy, then unset it".to_owned()
            }
            Self::NoDomain { known, app, .. } if known.is_empty() => {
                format!("doprax domain add {app} NAME gives it one")
            }
            Self::NoDomain { known, .. } => format!("it has {}", known.join(", ")),
            Self::DomainTaken { name, app } => format!(
                "doprax domain remove {app} {name} takes it from there, or, where the doprax.yaml of {app} names it, a deploy without it"
            ),
            Self::DomainInUse { .. } => "take it out of doprax.yaml and deploy".to_owned(),
            Self::Domain { help, .. } => help.clone(),
            Self::Busy { operation, .. } => format!("follow it with doprax operation {operation}"),
            Self::QueueFull { app, .. } => format!(
                "doprax operation list {app} shows them; doprax operation cancel ID takes one out"
            ),
            Self::NotReady { help: Some(help), .. } | Self::Explained { help, .. } => help.clone(),
            Self::NotSettled { help: Some(help), .. } => {
                format!("{help}. The copy before it goes on serving")
            }
            Self::NotSettled { container, .. } => format!(
                "look at the log above; {container} listened before it could work, and the copy before it goes on serving"
            ),
            Self::NotReady { ended: true, log, .. } => {
                let why = if log.is_empty() {
                    "it printed nothing"
                } else {
                    "the log above says why"
                };
                format!("its process ends by itself; {why}")
            }
            Self::NotReady {
                container,
                seconds: Some(_),
                ..
            } => {
                let key = if container.is_main() {
                    "main".to_owned()
                } else {
                    format!("services: {container}")
                };
                format!(
                    "look at the log above; where {container} only needs longer, raise its \
                     timeout ({key}: health: {{ timeout: 600s }})"
                )
            }
            Self::NotReady { .. } => "look at the log above".to_owned(),
            Self::NotDeployed { .. } => "deploy it with doprax up".to_owned(),
            Self::Ended { operation } => {
                format!("doprax operation {operation} shows how it ended")
            }
            Self::BuildTimeout { .. } => {
                "the last lines of the build are above; where it only needs longer: doprax serve --build-timeout".to_owned()
            }
            Self::Store(error) if error.is_full() => {
                "make room on the disk with the state folder, then do it again".to_owned()
            }
            Self::Engine(Engine::Unreachable { .. }) => {
                "is Docker running? doprax doctor tells more".to_owned()
            }
            Self::Engine(Engine::ImageMissing { .. }) => {
                "check the name and the tag; an image that exists only here must be built or loaded on this machine".to_owned()
            }
            Self::Engine(Engine::BuildFailed { .. }) => {
                "correct the Dockerfile or what it copies, then run doprax up again".to_owned()
            }
            _ => return None,
        };
        Some(help)
    }

    /// The last lines of the log or build that show why.
    pub fn log(&self) -> &[String] {
        match self {
            Self::NotReady { log, .. } | Self::NotSettled { log, .. } => log,
            Self::Engine(doprax_engine::Error::BuildFailed { output, .. })
            | Self::Explained {
                source: doprax_engine::Error::BuildFailed { output, .. },
                ..
            }
            | Self::BuildTimeout { output, .. } => output,
            _ => &[],
        }
    }

    /// The event that ends an operation with this error.
    pub(crate) fn report(&self) -> crate::report::Event {
        let mut error = self.chain();
        if let Self::Manifest { diagnostics } = self {
            error = doprax_core::diagnostic::render(diagnostics, false);
        }
        crate::report::Event::Failed {
            error,
            help: self.help(),
            log: self.log().to_vec(),
        }
    }
}

/// `a rollback to 3 takes mysql from 8.4 back to 8.0 on the data in volume "data"`.
fn downgraded(to: u64, services: &[Downgrade]) -> String {
    let services: Vec<String> = services.iter().map(ToString::to_string).collect();
    format!("a rollback to {to} takes {}", services.join(", and "))
}

/// A limit in whole minutes or seconds.
fn minutes(limit: std::time::Duration) -> String {
    match limit.as_secs() {
        seconds if seconds > 0 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// `volume "data"`, `volumes "a", "b"`.
fn listed<'a>(volumes: impl ExactSizeIterator<Item = &'a VolumeName>) -> String {
    let word = if volumes.len() == 1 {
        "volume"
    } else {
        "volumes"
    };
    let names: Vec<String> = volumes.map(|name| format!("{:?}", name.as_str())).collect();
    format!("{word} {}", names.join(", "))
}

/// `redis is`, `mysql, redis are`.
fn is_or_are(containers: &[ServiceName]) -> String {
    let names: Vec<&str> = containers.iter().map(ServiceName::as_str).collect();
    let word = if names.len() == 1 { "is" } else { "are" };
    format!("{} {word}", names.join(", "))
}

/// The time that a container had, if it was over.
fn within(seconds: Option<u64>) -> String {
    seconds.map_or_else(String::new, |seconds| format!(" within {seconds} s"))
}

/// An error and its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some libraries repeat the cause in their own text.
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_become_ready_is_helped_by_how_that_was() {
        let not_ready = |container: &str, seconds, ended| Error::NotReady {
            container: ServiceName::new(container).unwrap(),
            seconds,
            ended,
            reason: "why".to_owned(),
            help: None,
            log: vec!["a line".to_owned()],
        };
        let said = |error: Error| (error.to_string(), error.help().unwrap_or_default());

        let (slow, help) = said(not_ready("main", Some(300), false));
        assert_eq!(slow, "main did not become ready within 300 s: why");
        assert!(help.contains("main: health: { timeout"), "{help}");

        let (crashed, help) = said(not_ready("main", None, true));
        assert_eq!(crashed, "main did not become ready: why");
        assert_eq!(help, "its process ends by itself; the log above says why");

        let (_, help) = said(not_ready("redis", Some(60), false));
        assert!(help.contains("services: redis: health"), "{help}");
    }

    #[test]
    fn volumes_are_named_as_people_name_them() {
        let app = AppName::new("shop").unwrap();
        let volume = VolumeName::new("new volume 01").unwrap();
        let missing = Error::NoVolume { app, volume };
        assert_eq!(
            missing.to_string(),
            "app shop has no volume \"new volume 01\""
        );
    }
}
