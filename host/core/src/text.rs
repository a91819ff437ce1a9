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
            Part::Secret(name) => Some(name),
            Part::Literal(_) => None,
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
                Part::Literal(text) => filled.push_str(text),
                Part::Secret(name) => filled.push_str(value(name).ok_or_else(|| name.clone())?),
            }
        }
        Ok(filled)
    }
}
