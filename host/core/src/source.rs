//! The identity of an app's source: a digest over what its files are, not over when
//! they were written, so that a fresh checkout of the same commit is the same source.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// Longest path of an entry, in bytes; the limit of the tar format's extensions is
/// far higher, that of Linux is this (`PATH_MAX`).
pub const MAX_PATH: usize = 4096;

/// The name of the file that says how main is built.
pub const DOCKERFILE: &str = "Dockerfile";

/// Most entries of a source.
pub const MAX_ENTRIES: usize = 200_000;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A folder.
    Folder,
    /// A file.
    File {
        /// Whether its owner may execute it; other permission bits do not count.
        executable: bool,
        /// SHA-256 of its bytes.
        sha256: [u8; 32],
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as it is written.
        target: &'a str,
    },
}

/// A digest over a source tree, fed entry by entry.
#[derive(Debug, Clone, Default)]
pub struct SourceDigest {
    hasher: Sha256,
    last: Option<String>,
}

/// An entry came out of order, or twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path:?} does not come after {before:?}")]
pub struct OrderError {
    /// The entry before it.
    pub before: String,
    /// The entry that was refused.
    pub path: String,
}

impl SourceDigest {
    /// A digest of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the entry at `path` (below the source folder, `/`-separated, without a
    /// slash at its ends). Entries come in ascending byte order of their paths.
    pub fn add(&mut self, path: &str, entry: &Entry<'_>) -> Result<(), OrderError> {
        if let Some(before) = &self.last
            && before.as_str() >= path
        {
            return Err(OrderError {
                before: before.clone(),
                path: path.to_owned(),
            });
        }
        // Every field has its length before it, so that no two trees feed the same bytes.
        self.field(path.as_bytes());
        match entry {
            Entry::Folder => self.field(b"d"),
            Entry::File { executable, sha256 } => {
                self.field(if *executable { b"x" } else { b"f" });
                self.field(sha256);
            }
            Entry::Symlink { target } => {
                self.field(b"l");
                self.field(target.as_bytes());
            }
        }
        self.last = Some(path.to_owned());
        Ok(())
    }

    /// The digest, 64 hexadecimal digits.
    pub fn finish(self) -> String {
        crate::blueprint::hex(&self.hasher.finalize())
    }

    fn field(&mut self, bytes: &[u8]) {
        self.hasher.update((bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }
}

/// Whether `text` is a digest as [`SourceDigest::finish`] gives it, and so safe as a
/// file name.
pub fn is_digest(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A source as a plan needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its digest.
    pub digest: String,
    /// How main's image is built from it.
    #[serde(flatten)]
    pub recipe: Recipe,
}

/// How an image is built from a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Path of the Dockerfile below the source folder.
    pub dockerfile: String,
    /// The stage that is built; else the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Build arguments.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            dockerfile: DOCKERFILE.to_owned(),
            target: None,
            args: BTreeMap::new(),
        }
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.dockerfile)?;
        match &self.target {
            Some(target) => write!(f, ", stage {target}"),
            None => Ok(()),
        }
    }
}

impl Source {
    /// What tells one build from another: the digest of the source, and of how it is
    /// built where that is not the usual way.
    pub fn build_digest(&self) -> String {
        if self.recipe == Recipe::default() {
            return self.digest.clone();
        }
        let json = serde_json::to_vec(&(&self.digest, &self.recipe))
            .expect("a recipe has only string keys, so it serializes");
        crate::blueprint::sha256_hex(&json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(entries: &[(&str, Entry<'_>)]) -> String {
        let mut digest = SourceDigest::new();
        for (path, entry) in entries {
            digest.add(path, entry).unwrap();
        }
        digest.finish()
    }

    #[test]
    fn differs_where_a_tree_differs() {
        let file = |executable, byte| Entry::File {
            executable,
            sha256: [byte; 32],
        };
        let trees = [
            digest(&[]),
            digest(&[("a", file(false, 1))]),
            digest(&[("a", file(true, 1))]),
            digest(&[("a", file(false, 2))]),
            digest(&[("b", file(false, 1))]),
            digest(&[("a", Entry::Folder)]),
            digest(&[("a", Entry::Symlink { target: "b" })]),
            digest(&[("a", Entry::Symlink { target: "c" })]),
        ];
        let distinct: std::collections::BTreeSet<_> = trees.iter().collect();
        assert_eq!(distinct.len(), trees.len());
        assert!(trees.iter().all(|tree| is_digest(tree)));
    }

    #[test]
    fn another_way_to_build_is_another_build() {
        let source = |recipe| Source {
            digest: "a".repeat(64),
            recipe,
        };
        let usual = source(Recipe::default());
        assert_eq!(usual.build_digest(), usual.digest);
        let target = source(Recipe {
            target: Some("prod".to_owned()),
            ..Recipe::default()
        });
        let args = source(Recipe {
            args: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
            ..Recipe::default()
        });
        let dockerfile = source(Recipe {
            dockerfile: "Dockerfile.prod".to_owned(),
            ..Recipe::default()
        });
        let all = [usual, target, args, dockerfile].map(|source| source.build_digest());
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(all.iter().all(|digest| is_digest(digest)));
    }

    #[test]
    fn refuses_disorder_and_repetition() {
        for second in ["a", "b"] {
            let mut digest = SourceDigest::new();
            digest.add("b", &Entry::Folder).unwrap();
            assert!(digest.add(second, &Entry::Folder).is_err(), "{second}");
        }
    }
}
