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
        let wrong: [(&str, Change); 7] = [
            ("id", |m| m.id = "Not a label".to_owned()),
            ("aliases[0]", |m| m.aliases = vec!["a=b".to_owned()]),
            ("title", |m| m.title = "two\nlines".to_owned()),
            ("summary", |m| m.summary = String::new()),
            ("version", |m| m.version = "1 2".to_owned()),
            ("versions[1]", |m| m.versions[1] = "a b".to_owned()),
            ("links[0]", |m| m.links[0].title = String::new()),
        ];
        for (at, change) in wrong {
            assert_eq!(refused(change).0, at);
        }
        let many: [(&str, Change); 6] = [
            ("aliases", |m| m.aliases = vec!["a".to_owned(); 257]),
            ("versions", |m| m.versions = vec!["1".to_owned(); 257]),
            ("links", |m| m.links = vec![m.links[0].clone(); 257]),
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
