//! From what a plugin says about itself to what the host keeps.

use crate::bindings::plugin::exports::doprax::plugin::service as wit;
use crate::info::{Footprint, Grants, Link};
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
    pub(crate) categories: Vec<String>,
    pub(crate) license: Option<String>,
    pub(crate) home_page: Option<String>,
    pub(crate) at_rest: Option<Footprint>,
    pub(crate) architectures: Vec<String>,
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
        categories: each("categories", metadata.categories, word)?,
        license: metadata
            .license
            .map(line)
            .transpose()
            .at(|| "license".to_owned())?,
        home_page: metadata
            .home_page
            .map(address)
            .transpose()
            .at(|| "home-page".to_owned())?,
        at_rest: metadata.at_rest.map(|at_rest| Footprint {
            memory: at_rest.memory,
            disk: at_rest.disk,
        }),
        architectures: each("architectures", metadata.architectures, architecture)?,
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
    Ok(Link {
        url: address(link.url)?,
        title: line(link.title)?,
    })
}

fn address(text: String) -> Result<String, Reason> {
    let url = line(text)?;
    match url.starts_with("https://") && !url.contains([' ', '"', '<', '>']) {
        true => Ok(url),
        false => Err(Reason::Address(url)),
    }
}

/// A processor as image indexes name it, with its variant after a slash.
fn architecture(text: String) -> Result<String, Reason> {
    let (name, variant) = text.split_once('/').unwrap_or((&text, "v"));
    word(name.to_owned()).and(word(variant.to_owned()))?;
    Ok(text)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes what a plugin says about itself.
    type Change = fn(&mut wit::Metadata);

    fn metadata() -> wit::Metadata {
        wit::Metadata {
            id: "redis".to_owned(),
            aliases: vec!["valkey".to_owned()],
            title: "Redis".to_owned(),
            summary: "A store.".to_owned(),
            version: "1.2.3".to_owned(),
            versions: vec!["8.0".to_owned(), "7".to_owned()],
            settings: r#"{"type":"object"}"#.to_owned(),
            links: vec![wit::Link {
                title: "Image".to_owned(),
                url: "https://hub.example/redis".to_owned(),
            }],
            icon: Some("<svg/>".to_owned()),
            categories: vec!["cache".to_owned(), "database".to_owned()],
            license: Some("MIT OR Apache-2.0".to_owned()),
            home_page: Some("https://redis.example/".to_owned()),
            at_rest: Some(wit::Footprint {
                memory: 8 << 20,
                disk: 128 << 20,
            }),
            architectures: vec!["amd64".to_owned(), "arm/v7".to_owned()],
            grants: wit::Grants {
                images: vec!["docker.io/library/redis".to_owned()],
                capabilities: vec![wit::Capability::SysNice],
                ulimits: vec![wit::UlimitKind::Nofile],
                exec: true,
            },
        }
    }

    fn refused(change: impl FnOnce(&mut wit::Metadata)) -> (String, Reason) {
        let mut metadata = metadata();
        change(&mut metadata);
        match check(metadata) {
            Err(wrong) => (wrong.at, wrong.reason),
            Ok(metadata) => panic!("expected a refusal, got {metadata:?}"),
        }
    }

    #[test]
    fn all_that_a_plugin_says_about_itself_is_kept() {
        let expected = Metadata {
            id: "redis".to_owned(),
            aliases: vec!["valkey".to_owned()],
            title: "Redis".to_owned(),
            summary: "A store.".to_owned(),
            version: "1.2.3".to_owned(),
            versions: vec!["8.0".to_owned(), "7".to_owned()],
            settings: serde_json::json!({"type": "object"}),
            links: vec![Link {
                title: "Image".to_owned(),
                url: "https://hub.example/redis".to_owned(),
            }],
            icon: Some("<svg/>".to_owned()),
            categories: vec!["cache".to_owned(), "database".to_owned()],
            license: Some("MIT OR Apache-2.0".to_owned()),
            home_page: Some("https://redis.example/".to_owned()),
            at_rest: Some(Footprint {
                memory: 8 << 20,
                disk: 128 << 20,
            }),
            architectures: vec!["amd64".to_owned(), "arm/v7".to_owned()],
            grants: Grants {
                images: vec!["docker.io/library/redis".to_owned()],
                capabilities: vec!["SYS_NICE".to_owned()],
                ulimits: vec!["nofile".to_owned()],
                exec: true,
            },
        };
        assert_eq!(check(metadata()).ok(), Some(expected));
    }

    #[test]
    fn what_is_wrong_is_said_where_it_is() {
        let wrong: [(&str, Change); 12] = [
            ("id", |m| m.id = "Not a label".to_owned()),
            ("aliases[0]", |m| m.aliases = vec!["a=b".to_owned()]),
            ("title", |m| m.title = "two\nlines".to_owned()),
            ("summary", |m| m.summary = String::new()),
            ("version", |m| m.version = "1 2".to_owned()),
            ("versions[1]", |m| m.versions[1] = "a b".to_owned()),
            ("links[0]", |m| m.links[0].title = String::new()),
            ("categories[1]", |m| m.categories[1] = "a b".to_owned()),
            ("license", |m| m.license = Some("two\nlines".to_owned())),
            ("home-page", |m| m.home_page = Some("http://a".to_owned())),
            ("architectures[0]", |m| m.architectures[0] = "/".to_owned()),
            ("architectures[1]", |m| {
                m.architectures[1] = "arm/v/7".to_owned()
            }),
        ];
        for (at, change) in wrong {
            assert_eq!(refused(change).0, at);
        }
        let many: [(&str, Change); 8] = [
            ("aliases", |m| m.aliases = vec!["a".to_owned(); 257]),
            ("versions", |m| m.versions = vec!["1".to_owned(); 257]),
            ("links", |m| m.links = vec![m.links[0].clone(); 257]),
            ("categories", |m| m.categories = vec!["a".to_owned(); 257]),
            ("architectures", |m| {
                m.architectures = vec!["amd64".to_owned(); 257]
            }),
            ("grants.images", |m| {
                m.grants.images = vec!["docker.io/library/a".to_owned(); 257]
            }),
            ("grants.capabilities", |m| {
                m.grants.capabilities = vec![wit::Capability::Kill; 257];
            }),
            ("grants.ulimits", |m| {
                m.grants.ulimits = vec![wit::UlimitKind::Core; 257]
            }),
        ];
        for (at, change) in many {
            assert_eq!(refused(change), (at.to_owned(), Reason::Many(256)));
        }
    }

    #[test]
    fn settings_are_the_schema_of_an_object() {
        for settings in [
            "",
            "{}",
            "[]",
            r#"{"type":"string"}"#,
            r#"{"type":["object"]}"#,
        ] {
            let refused = refused(|m| m.settings = settings.to_owned());
            assert_eq!(
                refused,
                ("settings".to_owned(), Reason::Schema),
                "{settings}"
            );
        }
    }

    #[test]
    fn links_lead_to_https_alone() {
        for url in [
            "http://a.example",
            "javascript:x",
            "https://a b",
            "https://a\"b",
            "https://a<b",
            "https://a>b",
        ] {
            let refused = refused(|m| m.links[0].url = url.to_owned());
            assert_eq!(
                refused,
                ("links[0]".to_owned(), Reason::Address(url.to_owned()))
            );
        }
    }

    #[test]
    fn an_icon_has_at_most_64_kib() {
        let most = 64 * 1024;
        let full = wit::Metadata {
            icon: Some("x".repeat(most)),
            ..metadata()
        };
        assert!(check(full).is_ok());
        let refused = refused(|m| m.icon = Some("x".repeat(most + 1)));
        assert_eq!(refused, ("icon".to_owned(), Reason::Long(most)));
    }

    #[test]
    fn granted_images_are_repositories_in_full() {
        for image in [
            "redis",
            "docker.io/redis",
            "docker.io/library/redis:7",
            "A",
            "",
        ] {
            let refused = refused(|m| m.grants.images = vec![image.to_owned()]);
            let reason = Reason::Image(image.to_owned());
            assert_eq!(refused, ("grants.images[0]".to_owned(), reason));
        }
    }
}
