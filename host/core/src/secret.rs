//! Secrets by reference: their names and how they come about, never their values.

use crate::name::ServiceName;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of a secret within its app. The prefix says who asked for it, so that
/// a plugin can never name the secret of another service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretName(String);

impl SecretName {
    /// A generated value that the manifest names by a word such as `random_1`: the
    /// same word is the same secret everywhere in the app.
    pub fn word(word: &str) -> Self {
        Self(format!("word:{word}"))
    }

    /// A variable that the manifest takes from outside, as in `${NAME}`.
    pub fn variable(name: &str) -> Self {
        Self(format!("variable:{name}"))
    }

    /// A secret that the plugin of `service` declares.
    pub fn plugin(service: &ServiceName, name: &str) -> Self {
        Self(format!("service:{service}:{name}"))
    }

    /// A secret that the plugin of `service` declares and that only a person can give: a
    /// variable whose name begins with the service's, so that a plugin cannot ask for
    /// one that is meant for something else.
    pub fn given(service: &ServiceName, name: &str) -> Self {
        Self::variable(&format!("{service}_{name}").replace('-', "_").to_uppercase())
    }

    /// The whole name, prefix included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The variable's name, if this is a variable from outside.
    pub fn as_variable(&self) -> Option<&str> {
        self.0.strip_prefix("variable:")
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the value of a secret comes about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretSource {
    /// Generated once: this many of `A-Z a-z 0-9`.
    Random {
        /// Number of characters.
        length: u16,
    },
    /// Generated once: random bytes, written as text.
    Bytes {
        /// Number of bytes.
        count: u16,
        /// How they are written.
        encoding: Encoding,
    },
    /// Generated once: a version 4 UUID (RFC 9562).
    Uuid,
    /// Made of another secret, and anew when that one has another value.
    Derived {
        /// The other, which is not derived itself.
        from: SecretName,
        /// How.
        derivation: Derivation,
    },
    /// Given by a person; never generated.
    Given,
}

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Lower-case hexadecimal.
    Hex,
    /// With padding (RFC 4648 section 4).
    Base64,
    /// For URLs, without padding (RFC 4648 section 5).
    Base64url,
}

/// How a secret is made of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Derivation {
    /// SHA-256 of it, in lower-case hexadecimal.
    Sha256,
    /// A bcrypt hash of it (`$2b$`).
    Bcrypt,
}
