//! The steps from what is observed to the blueprint, as data.

use crate::blueprint::Container;
use crate::name::{ServiceName, VolumeName};
use crate::resources::Resources;
use crate::source::Recipe;
use crate::spec::Drain;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Ordered steps. Each names the steps that must be done before it; steps without
/// an order between them may run at the same time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The steps; `after` of each points only at earlier ones.
    pub steps: Vec<PlannedStep>,
}

/// A step and its place in the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// What is done.
    pub step: Step,
    /// Indexes of the steps that must be done before.
    pub after: Vec<usize>,
}

/// One idempotent step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// An act on the engine.
    Engine(Act),
    /// Wait until the container of this name passes its probes.
    AwaitReady {
        /// Which container of the blueprint it is.
        service: ServiceName,
        /// The engine's name for the copy at this moment.
        container: String,
    },
    /// See that the container stays up and goes on passing its probes, before the copy
    /// that it replaces is given up.
    Settle {
        /// Which container of the blueprint it is.
        service: ServiceName,
        /// The engine's name for the copy at this moment.
        container: String,
        /// For how long, in milliseconds.
        ms: u32,
    },
    /// Point the app's host names at the container of this name.
    PublishRoute {
        /// The engine's name for the front.
        container: String,
        /// Its port.
        port: u16,
    },
    /// Have the ingress stop reusing the connections it opened to the front before
    /// now, and rely on none until the reload that follows is over, because that cuts
    /// those that are idle.
    RetireConnections,
    /// Run the container's reload command in it.
    Reload {
        /// Which container of the blueprint it is.
        service: ServiceName,
        /// The engine's name for it.
        container: String,
        /// The command.
        command: Vec<String>,
    },
    /// Wait until the requests and upgraded connections that were begun before now have
    /// ended, at most as long as each may take.
    Drain(Drain),
}

/// Whether an image is built although one of its reference exists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rebuild {
    /// It is not.
    #[default]
    Never,
    /// It is; steps of which nothing changed are taken from the builder's cache.
    Cached,
    /// It is, every step of it.
    Uncached,
}

/// An act on the engine. Doing it again when it is done already is no error.
/// Containers are named by their engine name, see [`crate::name::Instance`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Build main's image from its source.
    BuildImage {
        /// The reference it gets.
        reference: String,
        /// Digest of the source, in hexadecimal.
        source: String,
        /// How it is built.
        #[serde(flatten)]
        recipe: Recipe,
        /// Whether it is built although it exists.
        rebuild: Rebuild,
    },
    /// Pull an image where the engine has none of this reference, or another.
    PullImage {
        /// Its reference.
        reference: String,
        /// The digest by which its registry gives out the wanted one; absent: any will
        /// do.
        digest: Option<String>,
    },
    /// Create the app's network.
    CreateNetwork {
        /// Its subnet.
        subnet: Ipv4Net,
    },
    /// Create a volume.
    CreateVolume {
        /// Its name within the app.
        volume: VolumeName,
    },
    /// Create a container, files included, without starting it.
    CreateContainer {
        /// The engine's name for it.
        container: String,
        /// The digest it is made from.
        hash: String,
        /// What it is.
        spec: Box<Container>,
    },
    /// Connect a container to the app's network again.
    ConnectContainer {
        /// The engine's name for it.
        container: String,
        /// Its second names on the network.
        aliases: Vec<String>,
    },
    /// Start a container.
    StartContainer {
        /// The engine's name for it.
        container: String,
    },
    /// Give a container other limits of memory and processor time, and what the host
    /// gives every container where it has lost that, while it goes on running.
    UpdateContainer {
        /// The engine's name for it.
        container: String,
        /// The limits.
        resources: Resources,
    },
    /// Stop a container and start it again.
    RestartContainer {
        /// The engine's name for it.
        container: String,
        /// How long it may take to end, in milliseconds.
        grace_ms: u32,
    },
    /// Give a container another name, and with it another hostname.
    RenameContainer {
        /// The engine's name for it.
        from: String,
        /// The name it gets.
        to: String,
    },
    /// End a container's process in good order.
    StopContainer {
        /// The engine's name for it.
        container: String,
        /// How long it may take to end, in milliseconds.
        grace_ms: u32,
    },
    /// Remove a container; volumes stay.
    RemoveContainer {
        /// The engine's name for it.
        container: String,
    },
    /// Remove the app's network.
    RemoveNetwork,
}

impl fmt::Display for Step {
    /// What is done, in a few words for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(act) => act.fmt(f),
            Self::AwaitReady { service, .. } => write!(f, "wait until {service} is ready"),
            Self::Settle { service, .. } => write!(f, "see that {service} stays ready"),
            Self::PublishRoute { container, port } => {
                write!(f, "send requests to {container} port {port}")
            }
            Self::RetireConnections => f.write_str("retire kept connections"),
            Self::Reload { service, .. } => write!(f, "reload {service}"),
            Self::Drain(drain) if drain.is_default() => f.write_str("wait for requests under way"),
            Self::Drain(drain) => write!(f, "wait for what is under way ({drain})"),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuildImage { recipe, .. } => write!(f, "build main from {recipe}"),
            Self::PullImage { reference, .. } => write!(f, "pull {reference}"),
            Self::CreateNetwork { subnet } => write!(f, "create network {subnet}"),
            Self::CreateVolume { volume } => write!(f, "create volume {volume}"),
            Self::CreateContainer { container, .. } => write!(f, "create {container}"),
            Self::ConnectContainer { container, .. } => {
                write!(f, "connect {container} to its network")
            }
            Self::StartContainer { container } => write!(f, "start {container}"),
            Self::UpdateContainer { container, .. } => write!(f, "set the limits of {container}"),
            Self::RestartContainer { container, .. } => write!(f, "restart {container}"),
            Self::RenameContainer { from, to } => write!(f, "rename {from} to {to}"),
            Self::StopContainer { container, .. } => write!(f, "stop {container}"),
            Self::RemoveContainer { container } => write!(f, "remove {container}"),
            Self::RemoveNetwork => f.write_str("remove the network"),
        }
    }
}
