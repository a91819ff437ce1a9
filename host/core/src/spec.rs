//! What a manifest means: an app, free of dialects, positions and shorthand.
//!
//! Keyed collections are maps, so that two specs can be merged key by key.

use crate::name::{AppName, PluginName, ServiceName, VolumeName};
use crate::resources::Resources;
use crate::secret::{SecretName, SecretSource};
use crate::service::{AppContext, DescribeRequest};
use crate::source::Recipe;
use crate::text::{Fact, Template, TemplatePart};
use crate::unit::format_duration;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// An app as its owner wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSpec {
    /// The app's name.
    pub app: AppName,
    /// The container the ingress talks to, where the manifest says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub front: Option<ServiceName>,
    /// How many releases are kept, where the manifest says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retain: Option<u16>,
    /// The container built from source.
    pub main: MainSpec,
    /// The other containers, in the file's order.
    #[serde(default)]
    pub services: IndexMap<ServiceName, ServiceSpec>,
    /// Host names beside the free subdomain, in the file's order.
    #[serde(default)]
    pub domains: IndexMap<String, DomainSpec>,
    /// Secrets that env values and files name, each with how it comes about.
    #[serde(default)]
    pub secrets: BTreeMap<SecretName, SecretSource>,
}

impl AppSpec {
    /// What the values of variables ask the host for.
    pub fn facts(&self) -> BTreeSet<Fact> {
        let services = self.services.values().map(|service| &service.container);
        let containers = services.chain([&self.main.container]);
        let values = containers.flat_map(|container| container.env.values());
        let parts = values.flat_map(|value| &value.value.0);
        parts
            .filter_map(|part| match part {
                TemplatePart::Fact(fact) => Some(*fact),
                _ => None,
            })
            .collect()
    }

    /// What the plugin of a service of this app is asked; nothing if the app has no
    /// service of this name.
    pub fn describe_request(&self, name: &ServiceName) -> Option<DescribeRequest> {
        let service = self.services.get(name)?;
        let mounts = |container: &ContainerSpec| {
            let volumes = container.volumes.iter();
            let mount = |(path, name): (&String, &VolumeName)| VolumeMount {
                name: name.clone(),
                path: path.clone(),
            };
            volumes.map(mount).collect()
        };
        Some(DescribeRequest {
            name: name.clone(),
            version: service.tag.clone(),
            image: service.image.clone(),
            settings: serde_json::Value::Object(service.settings.clone()),
            port: service.port.and_then(PortSpec::number),
            env_names: service.container.env.keys().cloned().collect(),
            volumes: mounts(&service.container),
            file_paths: service.container.files.keys().cloned().collect(),
            app: AppContext {
                name: self.app.to_string(),
                main_volumes: mounts(&self.main.container),
                services: self
                    .services
                    .iter()
                    .map(|(name, service)| (name.clone(), service.plugin.to_string()))
                    .collect(),
            },
        })
    }
}

/// The container built from source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MainSpec {
    /// How its image is built, where that is not from a Dockerfile at the root.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub build: Option<BuildSpec>,
    /// What every container may have.
    #[serde(flatten)]
    pub container: ContainerSpec,
    /// Port that main listens on; else what the image exposes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub port: Option<PortSpec>,
    /// How a new copy takes over.
    #[serde(default)]
    pub strategy: Strategy,
    /// For how long a copy that was replaced goes on with what it has begun.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub drain: Option<Drain>,
}

/// How main's image is built.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSpec {
    /// The folder that is sent to the build, below the source folder, `/`-separated,
    /// without `.` and `..`; else the source folder itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub context: Option<String>,
    /// Path of the Dockerfile below that folder.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dockerfile: Option<String>,
    /// The stage that is built; else the last one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<String>,
    /// Build arguments.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub args: BTreeMap<String, String>,
}

impl MainSpec {
    /// How its image is built from the folder that is sent.
    pub fn recipe(&self) -> Recipe {
        let build = self.build.clone().unwrap_or_default();
        let usual = Recipe::default();
        Recipe {
            dockerfile: build.dockerfile.unwrap_or(usual.dockerfile),
            target: build.target,
            args: build.args,
        }
    }
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// The plugin that describes it, as the manifest names it.
    pub plugin: PluginName,
    /// Wanted version, exactly as written.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tag: Option<String>,
    /// Image that takes the place of the one the plugin names.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub image: Option<String>,
    /// Settings for the plugin, a JSON object; scalars as written.
    #[serde(default)]
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// Port others reach it on, where it differs from what the plugin or image says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub port: Option<PortSpec>,
    /// What every container may have.
    #[serde(flatten)]
    pub container: ContainerSpec,
}

/// What every container may have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Environment, in the file's order.
    #[serde(default)]
    pub env: IndexMap<String, EnvValue>,
    /// Volumes by mount path.
    #[serde(default)]
    pub volumes: BTreeMap<String, VolumeName>,
    /// Files from the source by path in the container.
    #[serde(default)]
    pub files: BTreeMap<String, ConfigFile>,
    /// Replaces the image's command.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub command: Option<Vec<String>>,
    /// Replaces the image's entrypoint, and its command with it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entrypoint: Option<Vec<String>>,
    /// User, and group, that the process runs as, in place of the image's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<String>,
    /// Signal that ends it in good order, in place of the image's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stop_signal: Option<String>,
    /// How long it may take to end, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stop_grace_ms: Option<u32>,
    /// Size of `/dev/shm` in bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shm_size: Option<u64>,
    /// Whether an init runs as its first process; else as the host thinks right.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub init: Option<bool>,
    /// What the ingress speaks with its port; else HTTP.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub protocol: Option<Protocol>,
    /// How to find out whether it serves; else as its plugin, its image or its port says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub health: Option<Health>,
    /// Limits.
    #[serde(default)]
    pub resources: Resources,
}

/// What the ingress speaks with a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// HTTP in the clear.
    #[default]
    Http,
    /// HTTP inside TLS. Who signed its certificate is not asked.
    Https,
}

impl Protocol {
    /// Whether it is HTTP in the clear.
    pub fn is_http(&self) -> bool {
        *self == Self::Http
    }
}

/// The port that a manifest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PortSpec {
    /// This one.
    Number(u16),
    /// None at all: a worker.
    No(NoPort),
}

/// The word for no port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoPort {
    /// It listens on none.
    None,
}

impl PortSpec {
    /// No port at all.
    pub const NONE: Self = Self::No(NoPort::None);

    /// Its number.
    pub fn number(self) -> Option<u16> {
        match self {
            Self::Number(port) => Some(port),
            Self::No(NoPort::None) => None,
        }
    }
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvValue {
    /// Only literals, secrets and facts occur here.
    pub value: Template,
    /// Whether its value is masked wherever it is shown.
    #[serde(default)]
    pub masked: bool,
}

/// A file from the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFile {
    /// Path below the source folder, `/`-separated, without `.` and `..`.
    pub source: String,
    /// Whether the container may write it.
    #[serde(default)]
    pub writable: bool,
    /// Permission bits; else they follow from those in the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Its owner, and after a colon its group, in the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A volume at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeMount {
    /// Name within the app.
    pub name: VolumeName,
    /// Absolute path in the container, without a slash at its end.
    pub path: String,
}

/// How a new copy of main takes over from the old.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The new copy runs beside the old one until it is ready.
    #[default]
    Rolling,
    /// The old copy ends before the new one starts.
    Recreate,
}

/// How to find out whether a container serves. What is absent is the host's choice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Path asked for by `GET`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub path: Option<String>,
    /// Host that is asked for; else a name that visitors use.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub host: Option<String>,
    /// Further fields of the request, names in lower case.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub headers: BTreeMap<String, String>,
    /// Statuses of a good answer, from and to; empty: all below 400.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub status: Vec<(u16, u16)>,
    /// Pause between two tries, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interval_ms: Option<u32>,
    /// How long it may take to become ready, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timeout_ms: Option<u32>,
    /// Failures in a row after which it is restarted; absent: never.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub restart_after: Option<u32>,
}

/// For how long a copy that was replaced goes on with what it has begun, before it is told
/// to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// Requests, in milliseconds.
    pub requests_ms: u32,
    /// Connections that were upgraded, such as WebSockets, in milliseconds. They go on after
    /// that until the copy has ended.
    pub upgraded_ms: u32,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            requests_ms: 30_000,
            upgraded_ms: 0,
        }
    }
}

impl Drain {
    /// Whether it is what holds where nobody says otherwise.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "requests {}", format_duration(self.requests_ms.into()))?;
        if self.upgraded_ms > 0 {
            let upgraded = format_duration(self.upgraded_ms.into());
            write!(f, ", upgraded connections {upgraded}")?;
        }
        Ok(())
    }
}

/// A host name of the app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainSpec {
    /// Whether `www.` before it is the app's too.
    #[serde(default)]
    pub www: bool,
    /// Whether browsers are told to use nothing but HTTPS for it (RFC 6797).
    #[serde(default)]
    pub hsts: bool,
}
