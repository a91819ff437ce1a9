//! Releases: where each comes from, and what is kept for those that one can go back to.
//!
//! What is said of releases is said in these types wherever it is stored, sent and printed:
//! what is added is optional, and nothing is renamed.

use crate::blueprint::{Blueprint, Content, ImageIdentity};
use crate::diff::Diff;
use crate::name::ServiceName;
use crate::operation::OperationState;
use crate::secret::SecretName;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How many releases of an app are kept where nobody says.
pub const RETAIN: u16 = 10;

/// The most releases that can be kept of an app.
pub const MAX_RETAIN: u16 = 100;

/// Why there is a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A manifest and a source were deployed.
    Deploy,
    /// Something was changed by hand.
    Edit,
    /// An earlier release was brought back.
    Rollback {
        /// Its number.
        to: u64,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deploy => f.write_str("deploy"),
            Self::Edit => f.write_str("change by hand"),
            Self::Rollback { to } => write!(f, "rollback to {to}"),
        }
    }
}

/// Where a release comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Why there is one.
    pub reason: Reason,
    /// The operation that made it; absent: an earlier host did not write it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Who asked for it, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The Git commit of its source, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Unix time in milliseconds at which the operation began, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<i64>,
}

/// One line about a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseEntry {
    /// From 1, within the app.
    pub number: u64,
    /// Unix time in milliseconds at which it was released.
    pub created_ms: i64,
    /// Digest of the source.
    pub source: String,
    /// Where it comes from.
    #[serde(flatten)]
    pub origin: Origin,
    /// Whether all is there that a rollback to it takes.
    pub complete: bool,
}

/// A deployment that came to no release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRelease {
    /// Where it would have come from.
    #[serde(flatten)]
    pub origin: Origin,
    /// Whether it failed or was cancelled.
    pub state: OperationState,
    /// Digest of the source, where one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Unix time in milliseconds.
    pub ended_ms: i64,
    /// What it failed with.
    #[serde(flatten)]
    pub report: Report,
}

/// What a deployment failed with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What went wrong, on what, and the causes.
    pub error: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The last lines of the log or build that show why.
    pub log: Vec<String>,
    /// The last lines that the build printed, if there was one.
    pub build: Vec<String>,
}

/// The releases of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Releases {
    /// The number of the current one; absent before the first.
    pub current: Option<u64>,
    /// Those that are kept, the latest first.
    pub releases: Vec<ReleaseEntry>,
    /// Deploys, changes and rollbacks that came to no release, the latest first.
    pub failed: Vec<FailedRelease>,
}

/// What a release was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseDetails {
    /// In one line.
    #[serde(flatten)]
    pub entry: ReleaseEntry,
    /// Whether it is what runs now.
    pub is_current: bool,
    /// Its containers.
    pub containers: Vec<ReleasedContainer>,
    /// Revisions of its secrets' values, by name.
    pub secrets: BTreeMap<SecretName, u64>,
    /// The kept release before it; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// What it changed of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Diff>,
    /// What has changed since; absent where it is the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_now: Option<Diff>,
}

/// A container of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedContainer {
    /// Its name and hostname.
    pub name: ServiceName,
    /// Its image.
    pub image: String,
    /// Which image that was, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<ImageIdentity>,
    /// The plugin that described it; absent for main.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// SHA-256 of the plugin's component, in hexadecimal, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_digest: Option<String>,
}

/// A release, as far as it says what it needs.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    /// Its number within the app.
    pub number: u64,
    /// What runs with it.
    pub blueprint: &'a Blueprint,
    /// Digest of its source.
    pub source: &'a str,
}

/// What is kept of an app, because one of its kept releases needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Numbers of the releases.
    pub releases: BTreeSet<u64>,
    /// References of images.
    pub references: BTreeSet<String>,
    /// The engine's ids of images.
    pub image_ids: BTreeSet<String>,
    /// Digests of sources.
    pub sources: BTreeSet<String>,
    /// Digests of files.
    pub blobs: BTreeSet<String>,
    /// Secrets with the revisions of their values.
    pub revisions: BTreeSet<(SecretName, u64)>,
}

/// What is kept of an app that has these releases: of the latest `retain`, and of the
/// current one in any case, all that they need to run again.
///
/// Whatever is pruned - images, source archives, files, values of secrets - is pruned by
/// this and nothing else.
pub fn keep(releases: &[Made<'_>], current: Option<u64>, retain: u16) -> Kept {
    let mut latest: Vec<u64> = releases.iter().map(|release| release.number).collect();
    // The current one first, then the others from the latest on.
    latest.sort_unstable_by_key(|number| (Some(*number) != current, u64::MAX - number));
    latest.truncate(usize::from(retain.max(1)));
    let numbers: BTreeSet<u64> = latest.into_iter().collect();
    let mut kept = Kept::default();
    for made in releases
        .iter()
        .filter(|made| numbers.contains(&made.number))
    {
        kept.sources.insert(made.source.to_owned());
        kept.blobs.extend(blobs(made.blueprint).map(str::to_owned));
        let revisions = made.blueprint.revisions.iter();
        kept.revisions
            .extend(revisions.map(|(name, revision)| (name.clone(), *revision)));
        for container in made.blueprint.containers.values() {
            let reference = container.image.reference();
            kept.references.insert(reference.to_owned());
            let identity = container.identity.iter();
            kept.image_ids
                .extend(identity.map(|identity| identity.id.clone()));
        }
    }
    kept.releases = numbers;
    kept
}

/// Digests of the files that containers of a blueprint get from the source.
pub fn blobs(blueprint: &Blueprint) -> impl Iterator<Item = &str> {
    let containers = blueprint.containers.values();
    let files = containers.flat_map(|container| &container.files);
    files.filter_map(|file| match &file.content {
        Content::Blob { digest, .. } => Some(digest.as_str()),
        Content::Text(_) => None,
    })
}

/// The release that a rollback goes back to where nobody names one: of those `known`, the
/// latest before `current`. One that is itself a rollback counts as what it went back to,
/// so that another rollback goes further back.
pub fn before(known: &[(u64, Reason)], current: u64) -> Option<u64> {
    let reason = known.iter().find(|(number, _)| *number == current);
    let from = match reason {
        Some((_, Reason::Rollback { to })) => *to,
        _ => current,
    };
    let numbers = known.iter().map(|(number, _)| *number);
    numbers.filter(|number| *number < from).max()
}
