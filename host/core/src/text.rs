//! Texts that the host fills in: an env value, a config file, an output.
//!
//! A [`Template`] is what a manifest or a plugin says; a [`Text`] is what is left
//! when everything but secrets has been filled in. The values of secrets appear in
//! neither; the host puts them in when it creates a container.

use crate::name::ServiceName;
use crate::secret::SecretName;
use serde::{Deserialize, Serialize};

/// One part of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TemplatePart {
    /// These characters.
    Literal(String),
    /// The value of a secret.
    Secret(SecretName),
    /// The value of an environment variable of the same container, by name; empty
    /// where it has none.
    Env(String),
    /// The hostname of another container of the app.
    Host(ServiceName),
    /// The first port of another container of the app.
    Port(ServiceName),
    /// The port on which main listens.
    MainPort,
    /// What the host knows of the app and its release.
    Fact(Fact),
    /// What another service of the app offers.
    Output {
        /// The service.
        service: ServiceName,
        /// Name of the output.
        output: String,
    },
}

/// The variable in which every container finds the host name of its app.
pub const HOST_VARIABLE: &str = "DOPRAX_APP_URL";

/// What the host knows of an app and its release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// Where the app is reached: `https://shop.example.com`.
    AppUrl,
    /// The host name in that.
    AppHost,
    /// The app's name.
    AppName,
    /// The release's number, from 1.
    ReleaseNumber,
    /// The Git commit of the source.
    ReleaseCommit,
}

impl Fact {
    /// Every fact, in the order in which people are told of them.
    pub const ALL: [Self; 5] = [
        Self::AppUrl,
        Self::AppHost,
        Self::AppName,
        Self::ReleaseNumber,
        Self::ReleaseCommit,
    ];

    /// Its name in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::AppUrl => "app.url",
            Self::AppHost => "app.host",
            Self::AppName => "app.name",
            Self::ReleaseNumber => "release.number",
            Self::ReleaseCommit => "release.commit",
        }
    }

    /// The fact of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fact| fact.name() == name)
    }
}

/// A text with gaps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(pub Vec<TemplatePart>);

impl Template {
    /// A template without gaps.
    pub fn literal(text: impl Into<String>) -> Self {
        Self(vec![TemplatePart::Literal(text.into())])
    }

    /// A template that is one secret.
    pub fn secret(name: SecretName) -> Self {
        Self(vec![TemplatePart::Secret(name)])
    }
}

/// One part of a [`Text`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// These characters.
    Literal(String),
    /// The value of a secret.
    Secret(SecretName),
    /// The value of a secret, percent-encoded, within a URL.
    Encoded(SecretName),
    /// These characters, masked wherever they are shown.
    Masked(String),
}

/// The text as a part of a URL: every character but the unreserved ones of RFC 3986
/// section 2.3 percent-encoded.
pub fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    encoded
}

/// A text in which only the values of secrets are still missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(pub Vec<Part>);

impl Text {
    /// A text without secrets.
    pub fn literal(text: impl Into<String>) -> Self {
        Self(vec![Part::Literal(text.into())])
    }

    /// The secrets that the text names.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        self.0.iter().filter_map(|part| match part {
            Part::Secret(name) | Part::Encoded(name) => Some(name),
            Part::Literal(_) | Part::Masked(_) => None,
        })
    }

    /// The text with each secret replaced by what `value` gives for it, or the
    /// first secret for which it gives nothing.
    pub fn fill<'a>(
        &self,
        value: impl Fn(&SecretName) -> Option<&'a str>,
    ) -> Result<String, SecretName> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) | Part::Masked(text) => filled.push_str(text),
                Part::Secret(name) => filled.push_str(value(name).ok_or_else(|| name.clone())?),
                Part::Encoded(name) => {
                    let value = value(name).ok_or_else(|| name.clone())?;
                    filled.push_str(&percent_encoded(value));
                }
            }
        }
        Ok(filled)
    }
}
