//! The steps from what is observed to the blueprint, as data.

use crate::blueprint::Container;
use crate::copy::CopyName;
use crate::name::{ServiceName, VolumeName};
use crate::resources::Resources;
use crate::source::Recipe;
use crate::spec::Drain;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

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
    /// Wait until the container passes its probes.
    AwaitReady {
        /// Which container of the blueprint it is.
        service: ServiceName,
        /// The copy, by its name at this moment.
        container: CopyName,
    },
    /// See that the container stays up and goes on passing its probes, before the copy
    /// that it replaces is given up.
    Settle {
        /// Which container of the blueprint it is.
        service: ServiceName,
        /// The copy, by its name at this moment.
        container: CopyName,
        /// For how long, in milliseconds.
        ms: u32,
    },
    /// Point the app's host names at the container.
    PublishRoute {
        /// The front.
        container: CopyName,
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
        /// Which one.
        container: CopyName,
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
        /// Which one.
        container: CopyName,
        /// The digest it is made from.
        hash: String,
        /// What it is.
        spec: Box<Container>,
    },
    /// Connect a container to the app's network again.
    ConnectContainer {
        /// Which one.
        container: CopyName,
        /// Its second names on the network.
        aliases: Vec<String>,
    },
    /// Start a container.
    StartContainer {
        /// Which one.
        container: CopyName,
    },
    /// Give a container other limits of memory and processor time, and what the host
    /// gives every container where it has lost that, while it goes on running.
    UpdateContainer {
        /// Which one.
        container: CopyName,
        /// The limits.
        resources: Resources,
    },
    /// Stop a container and start it again.
    RestartContainer {
        /// Which one.
        container: CopyName,
        /// How long it may take to end, in milliseconds.
        grace_ms: u32,
    },
    /// Give a container another name, and with it another hostname.
    RenameContainer {
        /// Which one.
        from: CopyName,
        /// The name it gets.
        to: CopyName,
    },
    /// End a container's process in good order.
    StopContainer {
        /// Which one.
        container: CopyName,
        /// How long it may take to end, in milliseconds.
        grace_ms: u32,
    },
    /// Remove a container; volumes stay.
    RemoveContainer {
        /// Which one.
        container: CopyName,
    },
    /// Remove the app's network.
    RemoveNetwork,
}

impl Step {
    /// What is done, in a few words for people. `name` says what a container is called.
    pub fn text(&self, name: &dyn Fn(&CopyName) -> String) -> String {
        match self {
            Self::Engine(act) => act.text(name),
            Self::AwaitReady { service, .. } => format!("wait until {service} is ready"),
            Self::Settle { service, .. } => format!("see that {service} stays ready"),
            Self::PublishRoute { container, port } => {
                format!("send requests to {} port {port}", name(container))
            }
            Self::RetireConnections => "retire kept connections".to_owned(),
            Self::Reload { service, .. } => format!("reload {service}"),
            Self::Drain(drain) if drain.is_default() => "wait for requests under way".to_owned(),
            Self::Drain(drain) => format!("wait for what is under way ({drain})"),
        }
    }
}

impl Act {
    /// What is done, in a few words for people. `name` says what a container is called.
    pub fn text(&self, name: &dyn Fn(&CopyName) -> String) -> String {
        match self {
            Self::BuildImage { recipe, .. } => format!("build main from {recipe}"),
            Self::PullImage { reference, .. } => format!("pull {reference}"),
            Self::CreateNetwork { subnet } => format!("create network {subnet}"),
            Self::CreateVolume { volume } => format!("create volume {volume}"),
            Self::CreateContainer { container, .. } => format!("create {}", name(container)),
            Self::ConnectContainer { container, .. } => {
                format!("connect {} to its network", name(container))
            }
            Self::StartContainer { container } => format!("start {}", name(container)),
            Self::UpdateContainer { container, .. } => {
                format!("set the limits of {}", name(container))
            }
            Self::RestartContainer { container, .. } => format!("restart {}", name(container)),
            Self::RenameContainer { from, to } => format!("rename {} to {}", name(from), name(to)),
            Self::StopContainer { container, .. } => format!("stop {}", name(container)),
            Self::RemoveContainer { container } => format!("remove {}", name(container)),
            Self::RemoveNetwork => "remove the network".to_owned(),
        }
    }
}
