//! From what a plugin says about itself to what the host keeps.

use crate::bindings::plugin::exports::doprax::plugin::service as wit;
use crate::info::{Grants, Link};
use crate::reason::{At as _, Reason, Wrong, each};
use crate::value::{line, word};
use crate::{contract_name, image};
use doprax_core::name::PluginName;
use serde_json::Value;

/// The most bytes of an icon.
const ICON: usize = 64 << 10;

/// What a plugin says about itself, checked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Metadata {
    pub(crate) id: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) title: String,
    pub(crate) summary: String,
    pub(crate) version: String,
    pub(crate) versions: Vec<String>,
    pub(crate) settings: Value,
    pub(crate) links: Vec<Link>,
    pub(crate) icon: Option<String>,
    pub(crate) grants: Grants,
}

/// Checks what a plugin says about itself.
pub(crate) fn check(metadata: wit::Metadata) -> Result<Metadata, Wrong> {
    let name = |text: String| Ok(PluginName::new(text)?.as_str().to_owned());
    let grants = metadata.grants;
    Ok(Metadata {
        id: name(metadata.id).at(|| "id".to_owned())?,
        aliases: each("aliases", metadata.aliases, name)?,
        title: line(metadata.title).at(|| "title".to_owned())?,
        summary: line(metadata.summary).at(|| "summary".to_owned())?,
        version: word(metadata.version).at(|| "version".to_owned())?,
        versions: each(
            "versions",
            metadata.versions,
            |version| match image::is_tag(&version) {
                true => Ok(version),
                false => word(version),
            },
        )?,
        settings: schema(&metadata.settings).at(|| "settings".to_owned())?,
        links: each("links", metadata.links, link)?,
        icon: metadata
            .icon
            .map(icon)
            .transpose()
            .at(|| "icon".to_owned())?,
        grants: Grants {
            images: each("grants.images", grants.images, repository)?,
            capabilities: each("grants.capabilities", grants.capabilities, |capability| {
                Ok(contract_name::capability(capability).to_owned())
            })?,
            ulimits: each("grants.ulimits", grants.ulimits, |kind| {
                Ok(contract_name::ulimit(kind).to_owned())
            })?,
            exec: grants.exec,
        },
    })
}

fn schema(text: &str) -> Result<Value, Reason> {
    let schema: Value = serde_json::from_str(text).map_err(|_| Reason::Schema)?;
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => Ok(schema),
        _ => Err(Reason::Schema),
    }
}

fn link(link: wit::Link) -> Result<Link, Reason> {
    let url = line(link.url)?;
    match url.starts_with("https://") && !url.contains([' ', '"', '<', '>']) {
        true => Ok(Link {
            title: line(link.title)?,
            url,
        }),
        false => Err(Reason::Address(url)),
    }
}

fn icon(text: String) -> Result<String, Reason> {
    if text.len() > ICON {
        Err(Reason::Long(ICON))
    } else {
        Ok(text)
    }
}

/// A repository as grants name it: written in full, without a tag.
fn repository(text: String) -> Result<String, Reason> {
    match image::repository(&format!("{text}:tag")) {
        Some(full) if full == text => Ok(text),
        _ => Err(Reason::Image(text)),
    }
}
