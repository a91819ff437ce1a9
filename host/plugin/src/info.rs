//! What is known of a plugin without calling it.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is known of a plugin without calling it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginInfo {
    /// The name it answers to in a manifest.
    pub id: String,
    /// More names it answers to.
    pub aliases: Vec<String>,
    /// Its name for people.
    pub title: String,
    /// One sentence about the service.
    pub summary: String,
    /// Version of the plugin, not of the service.
    pub version: String,
    /// Versions of the service known to work, the default first.
    pub versions: Vec<String>,
    /// JSON Schema of its settings.
    pub settings: serde_json::Value,
    /// Pages about the service and its image.
    pub links: Vec<Link>,
    /// A small picture, an SVG document.
    pub icon: Option<String>,
    /// What kind of service it is, the closest word first.
    pub categories: Vec<String>,
    /// Licence of the service, an SPDX expression.
    pub license: Option<String>,
    /// The service's own site.
    pub home_page: Option<String>,
    /// What the service takes when nobody uses it.
    pub at_rest: Option<Footprint>,
    /// Processors that its images are made for; empty: not known.
    pub architectures: Vec<String>,
    /// What it may ask for beyond an ordinary container.
    pub grants: Grants,
    /// Whether it judges what its probes saw.
    pub judges: bool,
    /// Whether it says how its service takes notice of moved neighbours.
    pub reloads: bool,
    /// What it imports.
    pub imports: Vec<String>,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// Size of the component in bytes.
    pub size: usize,
    /// Where it comes from.
    pub source: Source,
}

impl PluginInfo {
    /// Every name it answers to, its own first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.id)
            .chain(&self.aliases)
            .map(String::as_str)
    }
}

/// What a service takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    /// Memory in bytes.
    pub memory: u64,
    /// Size of its images and empty volumes in bytes.
    pub disk: u64,
}

/// A page about a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What the page is.
    pub title: String,
    /// Its address.
    pub url: String,
}

/// What a plugin may ask for beyond an ordinary container; the host refuses a
/// service that goes beyond it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Repositories of the images it names.
    pub images: Vec<String>,
    /// Capabilities beyond the host's default set, such as `SYS_NICE`.
    pub capabilities: Vec<String>,
    /// Limits of processes that it changes, such as `nofile`.
    pub ulimits: Vec<String>,
    /// Whether it names commands that run in its containers.
    pub exec: bool,
}

/// Where a plugin comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// It is part of the host.
    BuiltIn,
    /// A file.
    File(PathBuf),
}
