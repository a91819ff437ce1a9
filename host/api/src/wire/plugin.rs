//! Installed plugins.

use serde::{Deserialize, Serialize};

/// An installed plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugin {
    /// Its identifier, and the name by which a manifest asks for it.
    pub id: String,
    /// Second names that it answers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Its name for people.
    pub title: String,
    /// Versions of its service that it offers, the default first.
    #[serde(default)]
    pub versions: Vec<String>,
    /// JSON Schema of its settings.
    pub settings: serde_json::Value,
    /// Links to documentation.
    #[serde(default)]
    pub links: Vec<String>,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// Size of the component in bytes.
    pub size: u64,
    /// What it may ask of the host beyond a plain container.
    #[serde(default)]
    pub grants: Vec<String>,
    /// Interfaces that the component imports.
    #[serde(default)]
    pub imports: Vec<String>,
    /// Optional interfaces that it has.
    #[serde(default)]
    pub exports: Vec<String>,
}
