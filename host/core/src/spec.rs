//! What a manifest means: an app, free of dialects, positions and shorthand.
//!
//! Keyed collections are maps, so that two specs can be merged key by key.

use crate::name::{AppName, PluginName, ServiceName, VolumeName};
use crate::resources::Resources;
use crate::secret::{SecretName, SecretSource};
use crate::service::{AppContext, DescribeRequest};
use crate::text::Template;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An app as its owner wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSpec {
    /// The app's name.
    pub app: AppName,
    /// The container the ingress talks to, where the manifest says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub front: Option<ServiceName>,
    /// The container built from source.
    pub main: MainSpec,
    /// The other containers, in the file's order.
    #[serde(default)]
    pub services: IndexMap<ServiceName, ServiceSpec>,
    /// Host names beside the free subdomain.
    #[serde(default)]
    pub domains: BTreeMap<String, DomainSpec>,
    /// Secrets that env values and files name, each with how it comes about.
    #[serde(default)]
    pub secrets: BTreeMap<SecretName, SecretSource>,
}

impl AppSpec {
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
            port: service.port,
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
    /// What every container may have.
    #[serde(flatten)]
    pub container: ContainerSpec,
    /// Port that main listens on; else what the image exposes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub port: Option<u16>,
    /// How a new copy takes over.
    #[serde(default)]
    pub strategy: Strategy,
    /// How to find out whether main serves; else a TCP connection to its port.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub health: Option<Health>,
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
    pub port: Option<u16>,
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
    /// Limits.
    #[serde(default)]
    pub resources: Resources,
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvValue {
    /// Only literals and secrets occur here.
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

/// How to find out whether main serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Path asked for by `GET`; absent: a TCP connection is enough.
    pub path: Option<String>,
    /// Pause between two tries, in milliseconds.
    pub interval_ms: u32,
    /// How long main may take to become ready, in milliseconds.
    pub timeout_ms: u32,
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
