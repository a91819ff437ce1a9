//! Documents: values that are stored sealed, as JSON, with the version of their format.
//!
//! A document is written as `{"version": 1, "document": …}`. What hosts wrote before there
//! were versions is the document alone, and reads as version 1. A version that this host
//! does not know is refused rather than half understood.

use crate::Error;
use crate::seal::Seal;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

/// A kind of document.
pub(crate) struct Kind {
    /// What it is called in errors.
    pub(crate) name: &'static str,
    /// The version that is written, and the highest that is read.
    pub(crate) version: u32,
}

/// What an app was to be, see [`doprax_core::spec::AppSpec`].
pub(crate) const SPEC: Kind = Kind {
    name: "a spec",
    version: 1,
};

/// What runs, see [`doprax_core::blueprint::Blueprint`].
pub(crate) const BLUEPRINT: Kind = Kind {
    name: "a blueprint",
    version: 1,
};

/// What was asked.
pub(crate) const REQUEST: Kind = Kind {
    name: "a request",
    version: 1,
};

/// How a deploy failed.
pub(crate) const REPORT: Kind = Kind {
    name: "a report",
    version: 1,
};

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    document: T,
}

/// Tells a document with a version from one without.
#[derive(Deserialize)]
struct Head {
    version: Option<u32>,
    document: Option<IgnoredAny>,
}

impl Seal {
    /// Seals a document.
    pub(crate) fn seal_document<T: Serialize>(
        &self,
        purpose: &str,
        kind: &Kind,
        document: &T,
    ) -> Vec<u8> {
        let versioned = Versioned {
            version: kind.version,
            document,
        };
        self.seal_json(purpose, &versioned)
    }

    /// Opens a document.
    pub(crate) fn unseal_document<T: DeserializeOwned>(
        &self,
        purpose: &str,
        kind: &Kind,
        sealed: &[u8],
    ) -> Result<T, Error> {
        read(kind, &self.unseal(purpose, sealed)?).map_err(|error| error.into_error(purpose))
    }
}

/// Why a document is not understood.
#[derive(Debug)]
enum Unread {
    Newer(String),
    Malformed(serde_json::Error),
}

impl Unread {
    fn into_error(self, purpose: &str) -> Error {
        match self {
            Self::Newer(text) => Error::NewerDocument {
                what: purpose.to_owned(),
                text,
            },
            Self::Malformed(source) => Error::Row {
                what: purpose.to_owned(),
                source: source.into(),
            },
        }
    }
}

fn read<T: DeserializeOwned>(kind: &Kind, json: &[u8]) -> Result<T, Unread> {
    match serde_json::from_slice(json) {
        Ok(Head {
            version: Some(version),
            document: Some(_),
        }) if version > kind.version => Err(Unread::Newer(format!(
            "{} of version {version}; this host knows versions up to {}",
            kind.name, kind.version
        ))),
        Ok(Head {
            version: Some(_),
            document: Some(_),
        }) => serde_json::from_slice(json)
            .map(|versioned: Versioned<T>| versioned.document)
            .map_err(Unread::Malformed),
        _ => serde_json::from_slice(json).map_err(Unread::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn documents_with_and_without_a_version_are_read() {
        type Map = BTreeMap<String, u64>;
        let map = Map::from([("version".to_owned(), 7)]);
        for json in [
            r#"{"version":7}"#,
            r#"{"version":1,"document":{"version":7}}"#,
        ] {
            assert_eq!(read::<Map>(&SPEC, json.as_bytes()).unwrap(), map, "{json}");
        }
        // A request may be a word alone.
        for json in [r#""remove""#, r#"{"version":1,"document":"remove"}"#] {
            let word: String = read(&REQUEST, json.as_bytes()).unwrap();
            assert_eq!(word, "remove", "{json}");
        }
    }

    #[test]
    fn a_document_of_a_version_to_come_is_refused() {
        let json = br#"{"version":2,"document":"remove"}"#;
        match read::<String>(&REQUEST, json) {
            Err(Unread::Newer(text)) => {
                assert_eq!(
                    text,
                    "a request of version 2; this host knows versions up to 1"
                );
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            read::<String>(&REQUEST, br#"{"version":1,"document":7}"#),
            Err(Unread::Malformed(_))
        ));
    }
}
