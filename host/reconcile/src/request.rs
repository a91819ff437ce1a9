//! What a person asks of the host.

use bytes::Bytes;
use doprax_core::name::{AppName, ServiceName};
pub use doprax_core::proposal::Refresh;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A request to deploy: everything but the source archive itself, which is sent
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
    /// The Git commit of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Which images are looked for again.
    #[serde(default)]
    pub refresh: Refresh,
    /// Digest of the proposal that a person confirmed: nothing else is carried out. Absent:
    /// whatever it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<String>,
    /// Who asks for it, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

/// A config file from the source.
#[derive(Clone, Serialize, Deserialize)]
pub struct ConfigFile {
    /// Its bytes.
    #[serde(with = "base64_bytes")]
    pub content: Bytes,
    /// Permission bits.
    pub mode: u32,
}

/// A request concerning containers that exist.
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

impl Control {
    /// The request as a verb.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

/// A change by hand to one container of an app.
#[derive(Clone, Serialize, Deserialize)]
pub struct Edit {
    /// The container.
    pub container: ServiceName,
    /// Variables that get a value, or lose theirs.
    pub env: BTreeMap<String, Option<String>>,
    /// Variables that become what doprax.yaml says: these, or all where the list is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<Vec<String>>,
    /// Who asks for it, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

/// A request to bring an earlier release back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rollback {
    /// Its number.
    pub to: u64,
    /// Whether services may go back to an older version on the data that a newer one has
    /// written.
    #[serde(default)]
    pub allow_downgrade: bool,
    /// Digest of the proposal that a person confirmed: nothing else is carried out. Absent:
    /// whatever it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<String>,
    /// Who asks for it, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

/// What becomes of an app's secrets when it is removed. Where nobody says, they are kept
/// while volumes are, for those open only with them, and else forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretsOnRemoval {
    /// An app of the same name finds them again.
    Keep,
    /// The next one gets others.
    Forget,
}

impl SecretsOnRemoval {
    /// The request as a verb.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Forget => "forget",
        }
    }
}

/// A request to remove an app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Removal {
    /// What becomes of its secrets, where somebody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<SecretsOnRemoval>,
    /// Digest of the proposal that a person confirmed: nothing else is carried out. Absent:
    /// whatever it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<String>,
}

/// What becomes of an operation while another one on its app is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenBusy {
    /// It is journaled, and begins when those before it have ended.
    Wait,
    /// It is refused.
    Refuse,
}

/// Which containers of an app: one, or all.
pub type Selection = Option<ServiceName>;

/// Bytes as base64 in JSON, where an array of numbers would be four times as long.
mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(serde::de::Error::custom)
    }
}
