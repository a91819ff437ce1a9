//! What can go wrong with a request.

use crate::Remedies;
use doprax_core::cause::Cause;
use doprax_core::caution::Downgrade;
use doprax_core::diagnostic::Diagnostic;
use doprax_core::domain::objection;
use doprax_core::name::{AppName, ServiceName, VolumeName};
use doprax_core::subnet::PoolExhausted;
use std::collections::BTreeMap;

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

/// Why the host could not do what was asked. Texts hold no values of secrets, and do not say
/// what to do about it: see [`Remedies`].
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
    #[error("volume {:?} of app {app} is there, with its data", volume.as_str())]
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
    /// No name is written like this.
    #[error("{}", objection(name, "").map(|(message, _)| message).unwrap_or_default())]
    NotADomain {
        /// What was given as one, to which [`objection`] objects.
        name: String,
    },
    /// The name is within the domain of the apps' free names.
    #[error("{name} is within {base}, whose names are given to apps by their own names")]
    FreeDomain {
        /// The domain.
        name: String,
        /// The domain of the free names.
        base: String,
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
        /// What is wrong, one line each.
        message: String,
    },
    /// The manifest takes values from outside that nobody gave.
    #[error(
        "{file_name} takes values from outside that nobody gave: {}",
        with_what(names, asked)
    )]
    NoValues {
        /// The app.
        app: AppName,
        /// The manifest's file.
        file_name: String,
        /// The variables, of which there is one at least.
        names: Vec<String>,
        /// What those are that plugins ask for, by variable. A command sends none of them
        /// that the manifest does not name.
        asked: BTreeMap<String, String>,
    },
    /// Linux takes no variable that is as long.
    #[error(
        "{container}: variable {name} has {} KiB, and Linux takes no variable of 128 KiB",
        bytes >> 10
    )]
    LongVariable {
        /// The container.
        container: ServiceName,
        /// The variable.
        name: String,
        /// Bytes of name, `=` and value.
        bytes: usize,
    },
    /// No subnet is left for an app.
    #[error(transparent)]
    NoSubnet(#[from] PoolExhausted),
    /// Something has removed an image that was just built.
    #[error("the image that was just built is gone")]
    BuiltImageGone,
    /// A rollback would go to what runs.
    #[error("release {number} of app {app} is what runs")]
    CurrentRelease {
        /// The app.
        app: AppName,
        /// The release.
        number: u64,
    },
    /// There is nothing to go back to.
    #[error("app {app} has no release before {current}")]
    NoEarlierRelease {
        /// The app.
        app: AppName,
        /// The release that runs.
        current: u64,
    },
    /// Something that a release was made of is gone.
    #[error("release {number} of app {app} cannot come back: {reason}")]
    LostRelease {
        /// The app.
        app: AppName,
        /// The release.
        number: u64,
        /// What is gone.
        reason: String,
    },
    /// A container did not become ready.
    #[error(
        "{container} did not become ready{}: {}",
        within(*seconds),
        explained(reason, cause.as_deref())
    )]
    NotReady {
        /// The container.
        container: ServiceName,
        /// The time it had, in seconds, if it was given up because that was over.
        seconds: Option<u64>,
        /// Whether its process has ended by itself.
        ended: bool,
        /// Which probe failed and what it saw.
        reason: String,
        /// Why, where that is known.
        cause: Option<Box<Cause>>,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// A container was ready and did not stay so until it could take another's place.
    #[error(
        "{container} was ready and did not stay so: {}",
        explained(reason, cause.as_deref())
    )]
    NotSettled {
        /// The container.
        container: ServiceName,
        /// What was seen of it.
        reason: String,
        /// Why, where that is known.
        cause: Option<Box<Cause>>,
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
    #[error("cannot {action}: {}", cause.text)]
    Explained {
        /// What was tried, as in "start main".
        action: String,
        /// Why it failed.
        cause: Box<Cause>,
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

    /// The event that ends an operation with this error, and with what to do about it.
    pub(crate) fn report(&self, remedies: Remedies) -> crate::report::Event {
        let mut error = self.chain();
        if let Self::Manifest { diagnostics } = self {
            error = doprax_core::diagnostic::render(diagnostics, false);
        }
        crate::report::Event::Failed {
            error,
            help: (remedies.error)(self),
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

/// What was seen, after why, where that is known.
fn explained(reason: &str, cause: Option<&Cause>) -> String {
    match cause {
        Some(cause) => format!("{} ({reason})", cause.text),
        None => reason.to_owned(),
    }
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

/// The names of variables, and what those are that plugins ask for.
fn with_what(names: &[String], asked: &BTreeMap<String, String>) -> String {
    let told = names.iter().map(|name| match asked.get(name) {
        Some(what) => format!("{name} ({what})"),
        None => name.clone(),
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_become_ready_had_so_long_and_may_be_explained() {
        let not_ready = |seconds, cause| Error::NotReady {
            container: ServiceName::main(),
            seconds,
            ended: false,
            reason: "why".to_owned(),
            cause,
            log: Vec::new(),
        };
        assert_eq!(
            not_ready(Some(300), None).to_string(),
            "main did not become ready within 300 s: why"
        );
        let cause = Some(Box::new(Cause {
            text: "its memory ran out".to_owned(),
            help: "give it more".to_owned(),
        }));
        assert_eq!(
            not_ready(None, cause).to_string(),
            "main did not become ready: its memory ran out (why)"
        );
    }

    #[test]
    fn volumes_are_named_as_people_name_them() {
        let app = AppName::new("shop").unwrap();
        let volume = VolumeName::new("new volume 01").unwrap();
        let there = Error::VolumeExists {
            app: app.clone(),
            volume: volume.clone(),
        };
        assert_eq!(
            there.to_string(),
            "volume \"new volume 01\" of app shop is there, with its data"
        );
        let missing = Error::NoVolume { app, volume };
        assert_eq!(
            missing.to_string(),
            "app shop has no volume \"new volume 01\""
        );
    }

    #[test]
    fn values_that_plugins_ask_for_are_named_with_what_they_are() {
        let error = Error::NoValues {
            app: AppName::new("shop").expect("a label"),
            file_name: "doprax.yaml".to_owned(),
            names: vec!["DB_KEY".to_owned(), "TOKEN".to_owned()],
            asked: BTreeMap::from([("DB_KEY".to_owned(), "a key from the maker".to_owned())]),
        };
        assert_eq!(
            error.to_string(),
            "doprax.yaml takes values from outside that nobody gave: DB_KEY (a key from the \
             maker), TOKEN"
        );
    }
}
