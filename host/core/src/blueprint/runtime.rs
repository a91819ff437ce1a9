//! How a container's process runs, beyond what its image says.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How a container's process runs, beyond what its image says. What is not said is not
/// written either, so that a container that says nothing keeps its digest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    /// Folder that the process begins in; absent: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// Groups of the process beside its user's own, names or numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Folders in memory, by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tmpfs: BTreeMap<String, Tmpfs>,
    /// Kernel parameters of the container's own, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// Whether nothing but volumes and folders in memory can be written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only_root: bool,
    /// Paths of volumes that are only read.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub read_only: BTreeSet<String>,
    /// Whose the topmost folders of volumes are, by path: a user, with a group after a
    /// colon, by name or number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub owners: BTreeMap<String, String>,
}

impl Runtime {
    /// Whether it says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A folder in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// The most bytes in it.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
}

/// Whether the absolute path `inner` is `outer` or below it.
pub fn is_within(inner: &str, outer: &str) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
