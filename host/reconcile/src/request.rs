//! What a person asks of the host.

use bytes::Bytes;
use doprax_core::name::{AppName, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A wish to deploy: everything but the source archive itself, which is sent
/// beforehand under its digest.
#[derive(Clone, Serialize, Deserialize)]
pub struct DeployRequest {
    /// The name where the manifest gives none: the source folder's.
    pub default_app: Option<AppName>,
    /// Name of the manifest for messages: `doprax.yaml`.
    pub file_name: String,
    /// The manifest, byte for byte.
    pub manifest: String,
    /// Digest of the source, see [`doprax_core::source`].
    pub source: String,
    /// The Dockerfile's text, for the ports it exposes.
    pub dockerfile: String,
    /// Config files by path below the source folder.
    pub files: BTreeMap<String, ConfigFile>,
    /// Values for the manifest's `${NAME}`.
    pub variables: BTreeMap<String, String>,
}

/// A config file from the source.
#[derive(Clone, Serialize, Deserialize)]
pub struct ConfigFile {
    /// Its bytes.
    pub content: Bytes,
    /// Permission bits.
    pub mode: u32,
}

/// A wish concerning containers that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// Run what was stopped.
    Start,
    /// End it, and keep it ended until it is started.
    Stop,
    /// Stop it and start it again.
    Restart,
}

/// Which containers of an app: one, or all.
pub type Selection = Option<ServiceName>;
