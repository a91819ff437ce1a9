//! Validated identifiers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text is not a name of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a DNS label (RFC 1123 section 2.1, RFC 1035 section 2.3.4), lower case.
    #[error(
        "{name:?} is not a hostname: use 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends"
    )]
    NotALabel {
        /// The refused text, cut to a printable length.
        name: String,
    },
    /// Empty, too long, or holds a control character.
    #[error("{name:?} is not a volume name: use 1 to 128 characters, no control characters")]
    NotAVolume {
        /// The refused text, cut to a printable length.
        name: String,
    },
}

fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Whether `text` is a lower-case DNS label.
fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    bytes.len() <= 63 && bytes.iter().all(inner) && edge(bytes.first()) && edge(bytes.last())
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the name if `text` is a lower-case DNS label.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                if is_label(&text) { Ok(Self(text)) } else { Err(NameError::NotALabel { name: excerpt(&text) }) }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

label! {
    /// An app's name; also its subdomain.
    AppName
}
label! {
    /// The name of a container within its app; also its hostname. `main` is the
    /// one built from source.
    ServiceName
}
label! {
    /// The name a plugin answers to in a manifest (`mysql`, `postgres`).
    PluginName
}

/// The name of the container that is built from the app's source.
pub const MAIN: &str = "main";

impl ServiceName {
    /// The name of the container that is built from source.
    pub fn main() -> Self {
        Self(MAIN.to_owned())
    }

    /// Whether this is the container that is built from source.
    pub fn is_main(&self) -> bool {
        self.0 == MAIN
    }
}

/// A volume's name within its app: free text, blanks and capitals included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumeName(String);

impl VolumeName {
    /// Returns the name if `text` is 1 to 128 characters without control characters.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let length = text.chars().count();
        if (1..=128).contains(&length) && !text.chars().any(char::is_control) && text.trim() == text
        {
            Ok(Self(text))
        } else {
            Err(NameError::NotAVolume {
                name: excerpt(&text),
            })
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for VolumeName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<VolumeName> for String {
    fn from(name: VolumeName) -> String {
        name.0
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells one host's objects from those of another host on the same engine. The
/// default instance has no name and adds nothing to the names of objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance(Option<AppName>);

impl Instance {
    /// An instance of the given name, a DNS label.
    pub fn named(name: AppName) -> Self {
        Self(Some(name))
    }

    /// The value of the label `doprax.instance`: the name, or `default`.
    pub fn label(&self) -> &str {
        self.0.as_ref().map_or("default", AppName::as_str)
    }

    /// The search domain of an app's containers: `shop.internal`, or
    /// `shop.INSTANCE.internal` on an engine that hosts share.
    pub fn domain(&self, app: &AppName) -> String {
        match &self.0 {
            None => format!("{app}.internal"),
            Some(instance) => format!("{app}.{instance}.internal"),
        }
    }

    /// The reference that an image built from `source` gets.
    pub fn image(&self, app: &AppName, source: &str) -> String {
        let short: String = source.chars().take(16).collect();
        format!("{}{app}/main:{short}", self.prefix())
    }

    /// What the names of an instance's objects on the engine begin with that are not unique
    /// by themselves.
    pub fn prefix(&self) -> String {
        match &self.0 {
            None => "doprax-".to_owned(),
            // Two dashes would be a valid app name's inside; a dot is in no label.
            Some(instance) => format!("doprax.{instance}-"),
        }
    }
}
