//! A source folder and its manifest.

use crate::{Error, Result, dockerfile, regular};
use doprax_core::manifest::app_name_from_folder;
use doprax_core::name::AppName;
use doprax_core::source::DOCKERFILE;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The manifest's name.
pub const MANIFEST: &str = "doprax.yaml";
/// What it may have been called instead.
const MANIFESTS: [&str; 4] = ["doprax.yaml", "doprax.yml", ".doprax.yaml", ".doprax.yml"];

/// A source folder and its manifest.
#[derive(Debug, Clone)]
pub struct Source {
    /// The folder, with all links resolved.
    pub folder: PathBuf,
    /// The manifest, as it is written.
    pub manifest: Vec<u8>,
    /// The app's name where the manifest gives none.
    pub default_app: Option<AppName>,
}

impl Source {
    /// Reads the manifest at the root of `folder`.
    pub fn open(folder: &Path) -> Result<Self> {
        let named = || folder.to_owned();
        let resolved = folder.canonicalize().map_err(|source| Error::Folder {
            folder: named(),
            source,
        })?;
        if !resolved.is_dir() {
            return Err(Error::NotAFolder { path: named() });
        }
        let manifest = manifest(&resolved)?;
        // What only the Dockerfile's absence shows needs no host.
        if !mentions_build(&manifest) {
            dockerfile::read(&resolved, DOCKERFILE)?;
        }
        let default_app = resolved
            .file_name()
            .and_then(|name| app_name_from_folder(&name.to_string_lossy()));
        Ok(Self {
            folder: resolved,
            manifest,
            default_app,
        })
    }
}

/// Whether a manifest may name another Dockerfile than that at the root.
fn mentions_build(manifest: &[u8]) -> bool {
    let key = b"build";
    manifest.windows(key.len()).any(|window| window == key)
}

/// The bytes of the manifest of `folder`.
fn manifest(folder: &Path) -> Result<Vec<u8>> {
    let path = folder.join(MANIFEST);
    read_manifest(&path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => Error::NoManifest {
            folder: folder.to_owned(),
            similar: similar(folder, &MANIFESTS),
        },
        _ => Error::Read { path, source },
    })
}

/// The bytes of a manifest; of a monstrous one only so many that the parser refuses it.
pub fn read_manifest(path: &Path) -> io::Result<Vec<u8>> {
    regular::read(path, MAX_MANIFEST)
}

/// Bytes of a manifest that are read at most, more than the parser takes.
const MAX_MANIFEST: u64 = 64 << 20;

/// An entry of `folder` whose name is one of `names` in any case.
pub(crate) fn similar(folder: &Path, names: &[&str]) -> Option<String> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut found: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|entry| names.iter().any(|name| entry.eq_ignore_ascii_case(name)))
        .collect();
    found.sort();
    found.into_iter().next()
}
