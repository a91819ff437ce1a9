//! Plugins.

use doprax_plugin::{PluginInfo, Source};
use serde::{Deserialize, Serialize};

/// A plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugin {
    /// The name by which a manifest asks for it.
    pub id: String,
    /// More names that it answers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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
    /// What kind of service it is, the closest word first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// Licence of the service, an SPDX expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The service's own site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_page: Option<String>,
    /// What the service takes when nobody uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_rest: Option<Footprint>,
    /// Processors that its images are made for; empty: not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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
    /// Its file; absent where it is part of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
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

/// What a plugin may ask for beyond an ordinary container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Repositories of the images it names.
    pub images: Vec<String>,
    /// Capabilities beyond the host's default set.
    pub capabilities: Vec<String>,
    /// Limits of processes that it changes.
    pub ulimits: Vec<String>,
    /// Whether it names commands that run in its containers.
    pub exec: bool,
}

impl From<&PluginInfo> for Plugin {
    fn from(info: &PluginInfo) -> Self {
        let info = info.clone();
        let link = |link: doprax_plugin::Link| Link {
            title: link.title,
            url: link.url,
        };
        Self {
            id: info.id,
            aliases: info.aliases,
            title: info.title,
            summary: info.summary,
            version: info.version,
            versions: info.versions,
            settings: info.settings,
            links: info.links.into_iter().map(link).collect(),
            categories: info.categories,
            license: info.license,
            home_page: info.home_page,
            at_rest: info.at_rest.map(|at_rest| Footprint {
                memory: at_rest.memory,
                disk: at_rest.disk,
            }),
            architectures: info.architectures,
            grants: Grants {
                images: info.grants.images,
                capabilities: info.grants.capabilities,
                ulimits: info.grants.ulimits,
                exec: info.grants.exec,
            },
            judges: info.judges,
            reloads: info.reloads,
            imports: info.imports,
            digest: info.digest,
            size: info.size,
            file: match info.source {
                Source::BuiltIn => None,
                Source::File(path) => Some(path.display().to_string()),
            },
        }
    }
}
