//! A wish to deploy, and what it would do.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use doprax_core::diagnostic::Diagnostic;
use doprax_core::diff::Diff;
use doprax_core::name::AppName;
use doprax_reconcile::{report, request};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Characters of the name of whoever asks for something.
const MAX_ACTOR: usize = 64;

/// Everything a deploy needs but the source archive, which is sent beforehand under
/// its digest. Not printable, because it holds the values of variables.
#[derive(Clone, Serialize, Deserialize)]
pub struct DeployRequest {
    /// The name where the manifest gives none: the source folder's.
    pub default_app: Option<AppName>,
    /// Name of the manifest for messages.
    pub file_name: String,
    /// The manifest, byte for byte.
    pub manifest: String,
    /// Digest of the source, see [`doprax_core::source`].
    pub source: String,
    /// The Dockerfile's text.
    pub dockerfile: String,
    /// Config files by path below the source folder.
    #[serde(default)]
    pub files: BTreeMap<String, ConfigFile>,
    /// Values for the manifest's `${NAME}`.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// The Git commit of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether registries are asked again for the services' images and for those that main
    /// is built on.
    #[serde(default)]
    pub pull: bool,
    /// Whether main is built again, on what registries now have.
    #[serde(default)]
    pub build: bool,
    /// Whether it is so without the builder's cache.
    #[serde(default)]
    pub no_cache: bool,
    /// The [`Proposal::digest`] that a person confirmed: if it would be another by now,
    /// nothing is done, and the answer is 412. Absent: whatever it takes is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<String>,
    /// Who asks for it, for the list of releases: `ann@desk`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

impl From<DeployRequest> for request::DeployRequest {
    fn from(wire: DeployRequest) -> Self {
        let DeployRequest {
            default_app,
            file_name,
            manifest,
            source,
            dockerfile,
            files,
            variables,
            commit,
            pull,
            build,
            no_cache,
            confirmed,
            actor,
        } = wire;
        let files = files
            .into_iter()
            .map(|(path, ConfigFile { content, mode })| {
                (path, request::ConfigFile { content, mode })
            })
            .collect();
        Self {
            default_app,
            file_name,
            manifest,
            source,
            dockerfile,
            files,
            variables,
            commit,
            refresh: request::Refresh::new(pull, build, no_cache),
            confirmed,
            actor: actor.map(|actor| name_of(&actor)),
        }
    }
}

/// The name of whoever asks for something, as far as it can stand in a list.
pub(super) fn name_of(actor: &str) -> String {
    let shown = actor.chars().filter(|c| !c.is_control());
    shown.take(MAX_ACTOR).collect()
}

/// A config file from the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFile {
    /// Its bytes, in Base64 on the wire.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub content: Bytes,
    /// Permission bits.
    pub mode: u32,
}

fn to_base64<S: serde::Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
}

fn from_base64<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(deserializer)?;
    BASE64_STANDARD
        .decode(text)
        .map(Bytes::from)
        .map_err(serde::de::Error::custom)
}

/// What a deploy or a removal would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The app.
    pub app: AppName,
    /// What changes.
    pub diff: Diff,
    /// Whether there is anything to do at all.
    pub changes: bool,
    /// Whether the source archive must be sent before the deploy.
    pub needs_source: bool,
    /// Warnings about the manifest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Diagnostic>,
    /// What tells it from every other proposal: goes back with the deploy that was
    /// confirmed. Older hosts give none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl From<report::Proposal> for Proposal {
    fn from(proposal: report::Proposal) -> Self {
        let report::Proposal {
            app,
            diff,
            changes,
            needs_source,
            warnings,
            digest,
        } = proposal;
        Self {
            app,
            diff,
            changes,
            needs_source,
            warnings,
            digest: Some(digest),
        }
    }
}

/// Variables to set; those without a value are unset.
#[derive(Clone, Serialize, Deserialize)]
pub struct SetVariables {
    /// Values by name.
    pub values: BTreeMap<String, Option<String>>,
}
