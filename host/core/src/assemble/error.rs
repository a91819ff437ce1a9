//! What keeps an app from being assembled.

use crate::name::{PluginName, ServiceName};
use crate::secret::SecretName;
use std::fmt;

/// What keeps an app from being assembled, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A service took main's name.
    #[error(
        "a service of plugin {plugin} is named main, which is the container built from source; give it another `name`"
    )]
    NamedMain {
        /// The service's plugin.
        plugin: PluginName,
    },
    /// No plugin described a service. The caller describes every service first.
    #[error("service {service}: plugin {plugin} did not describe it")]
    Undescribed {
        /// The service.
        service: ServiceName,
        /// Its plugin.
        plugin: PluginName,
    },
    /// A file that the source does not have.
    #[error(
        "{service}: the source has no file {source_path} (wanted at {path}); add it, or correct `source`"
    )]
    MissingFile {
        /// The container.
        service: ServiceName,
        /// Where the container wants it.
        path: String,
        /// Its path below the source folder.
        source_path: String,
    },
    /// A text names a container that the app does not have.
    #[error(
        "{service}: {place} refers to {peer}, which the app does not have; add a service of that name, or correct the reference"
    )]
    UnknownPeer {
        /// The container whose text it is.
        service: ServiceName,
        /// Where the text stands.
        place: Place,
        /// The missing container.
        peer: ServiceName,
    },
    /// A text needs the port of a container that has none.
    #[error(
        "{service}: {place} needs the port of {peer}, which exposes none; set `port` under {peer}"
    )]
    PeerWithoutPort {
        /// The container whose text it is.
        service: ServiceName,
        /// Where the text stands.
        place: Place,
        /// The container without a port.
        peer: ServiceName,
    },
    /// A text needs main's port and main has none.
    #[error(
        "{service}: {place} needs the port of main, and main's image exposes none; add `EXPOSE <port>` to the Dockerfile, or `port: <port>` under main"
    )]
    MainPortNeeded {
        /// The container whose text it is.
        service: ServiceName,
        /// Where the text stands.
        place: Place,
    },
    /// Main has to be reached from outside and has no port.
    #[error(
        "main has no port to be reached on: its image exposes none and no service stands in front of it; add `EXPOSE <port>` to the Dockerfile, or `port: <port>` under main, or `port: none` if it is a worker that listens on none"
    )]
    MainWithoutPort,
    /// A container's health is asked for by HTTP, and it has no port.
    #[error(
        "{service}: `health` asks for a path, and its image exposes no port; set `port` under {service}"
    )]
    HealthWithoutPort {
        /// The container.
        service: ServiceName,
    },
    /// The wanted front does not exist.
    #[error("`front: {service}` names no container of the app; use main or the name of a service")]
    UnknownFront {
        /// The wanted front.
        service: ServiceName,
    },
    /// The wanted front has no port.
    #[error("`front: {service}` has no port to be reached on; set `port: <port>` under {service}")]
    FrontWithoutPort {
        /// The wanted front.
        service: ServiceName,
    },
    /// Variables that refer to each other in a circle.
    #[error("{service}: variables refer to each other in a circle: {}", .variables.join(" → "))]
    Cycle {
        /// The container.
        service: ServiceName,
        /// The circle, its first variable once more at the end.
        variables: Vec<String>,
    },
    /// Variables that refer to each other through too many others.
    #[error("{service}: variables refer to each other through too many others: {}", .variables.join(" → "))]
    TooDeep {
        /// The container.
        service: ServiceName,
        /// The first variables of the row.
        variables: Vec<String>,
    },
    /// Texts that grew too long by what they refer to.
    #[error(
        "{service}: with {place} its texts are longer than {limit} bytes once filled in; shorten what they refer to"
    )]
    TooLong {
        /// The container whose text it is.
        service: ServiceName,
        /// The text with which it is too much.
        place: Place,
        /// The greatest length in bytes, of all texts of the container together.
        limit: usize,
    },
    /// A text wants what another service does not offer.
    #[error(
        "{service}: {place} needs the output {output} of {peer}, which offers {}",
        list(offered)
    )]
    NoOutput {
        /// The container whose text it is.
        service: ServiceName,
        /// Where the text stands.
        place: Place,
        /// The other service.
        peer: ServiceName,
        /// What it does not offer.
        output: String,
        /// What it offers.
        offered: Box<[String]>,
    },
    /// Services that wait for each other in a circle.
    #[error("services {what} in a circle: {}", arrows(services))]
    ServiceCycle {
        /// What they do.
        what: &'static str,
        /// The circle, its first service once more at the end.
        services: Vec<ServiceName>,
    },
    /// A service needs one that starts after it.
    #[error(
        "{service} needs {needed} to be ready first, which starts after it: what stands in front of main starts last"
    )]
    NeedsLater {
        /// The service.
        service: ServiceName,
        /// What it needs.
        needed: ServiceName,
    },
    /// A text names a secret that nobody declared.
    #[error("{service} uses the secret {secret}, which is declared nowhere")]
    UnknownSecret {
        /// The container.
        service: ServiceName,
        /// The secret.
        secret: SecretName,
    },
}

fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    }
}

fn arrows(services: &[ServiceName]) -> String {
    let names: Vec<&str> = services.iter().map(ServiceName::as_str).collect();
    names.join(" → ")
}

/// Where in a container a text stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The value of this variable.
    Env(String),
    /// The file at this path.
    File(String),
    /// This output.
    Output(String),
    /// This variable of a probe's command.
    Probe(String),
    /// What it needs before it starts.
    Needs,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "variable {name}"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Output(name) => write!(f, "output {name}"),
            Self::Probe(name) => write!(f, "variable {name} of a probe"),
            Self::Needs => f.write_str("what it needs first"),
        }
    }
}
