//! The complete desired state of an app. No choices are left in it: every image,
//! variable, file, volume, limit and alias is there, only the values of secrets
//! and the bytes of files stand elsewhere, by name and digest.

use crate::domain::Domains;
use crate::name::{AppName, ServiceName, VolumeName};
use crate::probe::Probe;
use crate::resources::Resources;
use crate::route::Target;
use crate::secret::{SecretName, SecretSource};
use crate::service::Ulimit;
use crate::source::Recipe;
use crate::spec::{Drain, Protocol, Strategy, VolumeMount};
use crate::text::Text;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

mod made;
mod runtime;

pub use runtime::{Runtime, Tmpfs, is_within};
use std::net::{Ipv4Addr, SocketAddr};

/// The complete desired state of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blueprint {
    /// The app's name.
    pub app: AppName,
    /// The subnet of its network.
    pub subnet: Ipv4Net,
    /// Every volume that a container mounts.
    pub volumes: BTreeSet<VolumeName>,
    /// Every container, main included.
    pub containers: BTreeMap<ServiceName, Container>,
    /// The container and port that the ingress talks to; none for an app that answers
    /// no requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub front: Option<Front>,
    /// For how long a copy that was replaced goes on with what it has begun.
    #[serde(default, skip_serializing_if = "Drain::is_default")]
    pub drain: Drain,
    /// Host names beside the free subdomain, `www.` names included.
    #[serde(default)]
    pub domains: Domains,
    /// The one of these that comes first in the manifest; absent where it is the first of
    /// the alphabet, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_domain: Option<String>,
    /// Secrets that containers name, each with how it comes about.
    pub secrets: BTreeMap<SecretName, SecretSource>,
    /// Revision of each secret's value; a new value is a new revision and so a new
    /// container.
    pub revisions: BTreeMap<SecretName, u64>,
    /// The release's number, where a text has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<u64>,
    /// Remarks for the reader of the plan.
    pub notes: Vec<Note>,
}

/// The container and port that the ingress talks to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Front {
    /// The container.
    pub service: ServiceName,
    /// Its port.
    pub port: u16,
    /// What is spoken there.
    #[serde(default, skip_serializing_if = "Protocol::is_http")]
    pub protocol: Protocol,
    /// Why this container and this port, for the reader of the plan.
    pub reason: String,
}

impl Front {
    /// What answers visitors while the container has this address.
    pub fn target(&self, address: Ipv4Addr) -> Target {
        let address = SocketAddr::new(address.into(), self.port);
        match self.protocol {
            Protocol::Http => Target::Address(address),
            Protocol::Https => Target::Tls(address),
        }
    }
}

/// A remark for the reader of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The container it is about; absent: the app.
    pub service: Option<ServiceName>,
    /// The remark.
    pub text: String,
}

/// When a container starts within a deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Before main.
    Service,
    /// Main itself.
    Main,
    /// After main: what stands in front of it.
    Front,
}

/// Where a container's image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Image {
    /// Built from the app's source.
    Build {
        /// The reference it gets.
        reference: String,
        /// Digest of the source, in hexadecimal.
        source: String,
        /// How it is built.
        #[serde(flatten)]
        recipe: Recipe,
    },
    /// Pulled where it is missing.
    Pull {
        /// Its reference.
        reference: String,
    },
}

impl Image {
    /// The reference under which the engine knows the image.
    pub fn reference(&self) -> &str {
        match self {
            Self::Build { reference, .. } | Self::Pull { reference } => reference,
        }
    }
}

/// Which image a reference meant when it was looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageIdentity {
    /// The engine's id of it.
    pub id: String,
    /// The digest by which its registry gives it out; absent for one of the engine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Whether the container was made of this image before containers were told apart
    /// by it: the id is then no part of the container's digest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
}

impl ImageIdentity {
    /// Stands for an image that is not built yet, in a blueprint that is good for
    /// showing only.
    pub fn unbuilt() -> Self {
        Self {
            id: "built again".to_owned(),
            digest: None,
            adopted: false,
        }
    }

    /// What people tell it by: the beginning of the digest, else of the id.
    pub fn short(&self) -> String {
        let text = self.digest.as_deref().unwrap_or(&self.id);
        match text.strip_prefix("sha256:") {
            Some(hex) => format!("sha256:{}", hex.chars().take(12).collect::<String>()),
            None => text.to_owned(),
        }
    }
}

/// The desired state of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name and hostname.
    pub name: ServiceName,
    /// The plugin that describes it; absent for main.
    pub plugin: Option<String>,
    /// When it starts.
    pub stage: Stage,
    /// Its image.
    pub image: Image,
    /// Which image that is; absent: not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<ImageIdentity>,
    /// Its environment.
    pub env: BTreeMap<String, Env>,
    /// Replaces the image's entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command.
    pub command: Option<Vec<String>>,
    /// User and group the process runs as.
    pub user: Option<String>,
    /// Files put into it before it starts.
    pub files: Vec<File>,
    /// Volumes it mounts, by path.
    pub mounts: Vec<VolumeMount>,
    /// Second names on the app's network, lower case, `SERVICE` itself included.
    pub aliases: Vec<String>,
    /// Port that others reach it on, if it listens at all.
    pub port: Option<u16>,
    /// Why this port, for the reader of the plan.
    pub port_reason: String,
    /// All of them must pass before it counts as ready.
    pub probes: Vec<Probe>,
    /// How long it may take to become ready, in milliseconds.
    pub ready_timeout_ms: u32,
    /// Whether its plugin judges the observations.
    pub judged: bool,
    /// SHA-256 in hexadecimal of the plugin's component that described it and judges it:
    /// after an upgrade of the host there may be another of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Failures in a row after which it is restarted while it serves; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_after: Option<u32>,
    /// Services that must be ready before it starts.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub needs: BTreeSet<ServiceName>,
    /// Command, run in it, that makes it take notice of moved neighbours.
    pub reload: Option<Vec<String>>,
    /// How a new copy takes over.
    pub strategy: Strategy,
    /// Limits.
    pub resources: Resources,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// Limits of its processes.
    pub ulimits: Vec<Ulimit>,
    /// Capabilities beyond the default set.
    pub capabilities: Vec<String>,
    /// Signal that ends it in good order; absent: the image's.
    pub stop_signal: Option<String>,
    /// How long it may take to end, in milliseconds.
    pub stop_grace_ms: u32,
    /// Values for people and other containers, by name.
    pub outputs: BTreeMap<String, Text>,
    /// Whether an init runs as its first process; absent: as the host thinks right for
    /// its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// How its process runs, beyond what its image says.
    #[serde(default, skip_serializing_if = "Runtime::is_default")]
    pub runtime: Runtime,
}

/// The value of a variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Env {
    /// Its value.
    pub value: Text,
    /// Whether it is masked wherever it is shown.
    pub masked: bool,
}

/// A file put into a container before it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Its content.
    pub content: Content,
    /// Whose it is; absent: root's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

/// Whose a file in a container is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// The user's that the container's process runs as, found out when it is created.
    Process,
    /// This user's, with a group after a colon, by name or number.
    Named(String),
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A text, with secrets by name.
    Text(Text),
    /// Bytes kept by their digest (SHA-256, hexadecimal), and the path below the
    /// source folder that they came from.
    Blob {
        /// SHA-256 of the bytes, in hexadecimal.
        digest: String,
        /// Path below the source folder.
        source: String,
    },
}

impl Blueprint {
    /// Whether the ingress talks to this container.
    pub fn is_front(&self, service: &ServiceName) -> bool {
        let front = self.front.as_ref();
        front.is_some_and(|front| front.service == *service)
    }

    /// The domain by which visitors know the app: the first in the manifest; none where it
    /// has none.
    pub fn domain(&self) -> Option<&str> {
        self.first_domain.as_deref().or_else(|| {
            let mut own = self.domains.iter();
            let (name, _) = own.find(|(_, domain)| domain.redirect_to.is_none())?;
            Some(name)
        })
    }
}

impl Container {
    /// The secrets that the container's environment, files and probes name.
    pub fn secrets(&self) -> BTreeSet<&SecretName> {
        let probes = self.probes.iter().flat_map(|probe| match &probe.check {
            crate::probe::Check::Exec { env, .. } => env.as_slice(),
            _ => &[],
        });
        let probed = probes.flat_map(|(_, text)| text.secrets());
        self.made_with().into_iter().chain(probed).collect()
    }

    /// The secrets that it cannot get without being made anew: those that its environment
    /// and files name.
    fn made_with(&self) -> BTreeSet<&SecretName> {
        let env = self.env.values().map(|env| &env.value);
        let files = self.files.iter().filter_map(|file| match &file.content {
            Content::Text(text) => Some(text),
            Content::Blob { .. } => None,
        });
        env.chain(files).flat_map(Text::secrets).collect()
    }
}

/// SHA-256 of `bytes`, in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// `bytes` in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
    }
    hex
}
