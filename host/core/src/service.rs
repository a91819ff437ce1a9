//! What a plugin says about one service.

use crate::blueprint::{Owner, Runtime};
use crate::name::{ServiceName, VolumeName};
use crate::resources::Resources;
use crate::secret::{SecretName, SecretSource};
use crate::text::Template;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The complete description of a service. Only what an unprivileged container can
/// be is expressible: no host network, no mount from the machine, no privileged mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceDescription {
    /// Image reference with tag or digest.
    pub image: String,
    /// Environment defaults; what the user sets under the same name wins.
    pub env: Vec<EnvTemplate>,
    /// Replaces the image's entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command.
    pub command: Option<Vec<String>>,
    /// User and group the process runs as, as the engine takes it.
    pub user: Option<String>,
    /// Files put into the container before it starts.
    pub files: Vec<FileTemplate>,
    /// Volumes by mount path; a volume of the user on the same path takes its place.
    pub volumes: Vec<VolumeDefault>,
    /// Ports it listens on, the most important first.
    pub ports: Vec<Port>,
    /// All of them must pass before the service counts as ready. They are tried in
    /// order, each only when those before it passed, the cheapest first. The plugin
    /// judges the observations of those that were tried.
    pub probes: Vec<ProbeTemplate>,
    /// How long it may take to become ready, in milliseconds.
    pub ready_timeout_ms: u32,
    /// When one that was ready is restarted; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alive: Option<Liveness>,
    /// Services of the app that must be ready before it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<ServiceName>,
    /// Whether the plugin judges the observations itself.
    pub judged: bool,
    /// SHA-256 in hexadecimal of the component that says so, where somebody keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Command, run in the container, that makes it take notice of moved neighbours.
    pub reload: Option<Vec<String>>,
    /// Whether it starts after main (a proxy that must resolve main) or before it.
    pub after_main: bool,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// Resource limits of its processes.
    pub ulimits: Vec<Ulimit>,
    /// Capabilities beyond the default set, such as `SYS_NICE`.
    pub capabilities: Vec<String>,
    /// Signal that ends it in good order, such as `SIGTERM`.
    pub stop_signal: Option<String>,
    /// How long it may take to end, in milliseconds.
    pub stop_grace_ms: u32,
    /// Limits where the user sets none.
    pub resources: Resources,
    /// Secrets it needs, each with how it comes about.
    pub secrets: Vec<(SecretName, SecretSource)>,
    /// What those are that only a person can give.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub given: BTreeMap<SecretName, String>,
    /// Values for other containers and for people: `host`, `port`, `url`, …
    pub outputs: Vec<Output>,
    /// Remarks for the reader of the plan.
    pub notes: Vec<String>,
    /// Whether an init runs as its first process; absent: as the host thinks right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// How its process runs, beyond what its image says.
    #[serde(default, skip_serializing_if = "Runtime::is_default")]
    pub runtime: Runtime,
}

impl ServiceDescription {
    /// Every text of it: variables, files, outputs, variables of probes.
    pub fn texts(&self) -> impl Iterator<Item = &Template> {
        let probes = self.probes.iter().flat_map(|probe| match &probe.check {
            CheckTemplate::Exec { env, .. } => env.as_slice(),
            _ => &[],
        });
        let env = self.env.iter().map(|env| &env.value);
        let files = self.files.iter().map(|file| &file.content);
        let outputs = self.outputs.iter().map(|output| &output.value);
        let probed = probes.map(|(_, value)| value);
        env.chain(files).chain(outputs).chain(probed)
    }
}

/// One environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvTemplate {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Template,
    /// Whether its value is masked wherever it is shown.
    pub masked: bool,
}

/// A file in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileTemplate {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Its content.
    pub content: Template,
    /// Whose it is; absent: root's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

/// A volume that a service has unless the user mounts another on its path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeDefault {
    /// Absolute path.
    pub path: String,
    /// Name within the app.
    pub name: VolumeName,
}

/// A port inside the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// What it is for: `http`, `mysql`, …
    pub role: String,
    /// What carries it.
    #[serde(default, skip_serializing_if = "Transport::is_tcp")]
    pub transport: Transport,
    /// Whether TLS is spoken from the first byte on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
    /// Who it is for.
    #[serde(default, skip_serializing_if = "Audience::is_containers")]
    pub audience: Audience,
}

/// What carries the bytes of a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    fn is_tcp(&self) -> bool {
        *self == Self::Tcp
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Who a port is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// The app's other containers.
    #[default]
    Containers,
    /// Visitors of the app: the service stands in front of it.
    Visitors,
    /// Who runs the app, in a browser.
    Operators,
}

impl Audience {
    fn is_containers(&self) -> bool {
        *self == Self::Containers
    }
}

/// A probe whose texts still have gaps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeTemplate {
    /// What is tried.
    pub check: CheckTemplate,
    /// Pause between two tries, in milliseconds.
    pub interval_ms: u32,
    /// Longest duration of one try, in milliseconds.
    pub timeout_ms: u32,
}

/// What a probe tries; see [`crate::probe::Check`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckTemplate {
    /// A TCP connection is accepted and, where something is sent, answered.
    Tcp {
        /// Port inside the container.
        port: u16,
        /// Sent once connected.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        send: Option<String>,
    },
    /// An HTTP request is answered.
    Http {
        /// Port inside the container.
        port: u16,
        /// Absolute path with query.
        path: String,
        /// Whether it is asked by TLS.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        tls: bool,
        /// Host that is asked for; absent: a name that its visitors use.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// Further fields of the request, names in lower case.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
        /// Statuses of a good answer, from and to; empty: all below 400.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        status: Vec<(u16, u16)>,
    },
    /// A command exits with 0.
    Exec {
        /// The command and its arguments.
        command: Vec<String>,
        /// Environment added for the command.
        env: Vec<(String, Template)>,
        /// User it runs as; absent: the container's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
    },
    /// A line is in the log.
    Log {
        /// The text looked for.
        contains: String,
    },
}

/// When a service that was ready is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Liveness {
    /// Pause between two rounds of its probes once it is ready, in milliseconds.
    pub interval_ms: u32,
    /// Rounds in a row that say that it is not ready.
    pub failures: u32,
}

/// A limit of a container's processes (`setrlimit`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Name as the engine takes it: `nofile`, `memlock`.
    pub name: String,
    /// Soft limit; -1 is unlimited.
    pub soft: i64,
    /// Hard limit; -1 is unlimited.
    pub hard: i64,
}

/// A value that a service offers to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Template,
}

/// What a plugin is told about a service and the app around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribeRequest {
    /// The service's name and hostname.
    pub name: ServiceName,
    /// Wanted version (the manifest's `tag`), exactly as written.
    pub version: Option<String>,
    /// Image that takes the place of the one the plugin names; the plugin may adapt
    /// to it.
    #[serde(default)]
    pub image: Option<String>,
    /// Port that others reach it on, where the user says so.
    #[serde(default)]
    pub port: Option<u16>,
    /// Settings as the user wrote them.
    pub settings: serde_json::Value,
    /// Names of the variables that the user sets for this service.
    pub env_names: Vec<String>,
    /// Volumes that the user mounts into this service.
    pub volumes: Vec<crate::spec::VolumeMount>,
    /// Paths of the files that the user puts into this service.
    pub file_paths: Vec<String>,
    /// The app around it.
    pub app: AppContext,
}

/// The app around a service, as far as a plugin needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppContext {
    /// The app's name.
    pub name: String,
    /// Volumes mounted into main.
    pub main_volumes: Vec<crate::spec::VolumeMount>,
    /// Every service of the app: name and the plugin's name.
    pub services: Vec<(ServiceName, String)>,
}

/// A plugin's objection to a request, pointing at the setting at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingDiagnostic {
    /// Path of the setting, outermost key first; empty: the service as a whole.
    pub path: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}
