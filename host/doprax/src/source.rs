//! An app's source folder, as a deploy needs it: the manifest, the Dockerfile, the
//! config files that the manifest names, and everything that `.dockerignore` leaves.

mod config_file;
mod dockerfile;
mod pack;
mod tree;

pub(crate) use config_file::config_files;
pub(crate) use pack::pack;
pub(crate) use tree::Tree;

use crate::failure::{Failure, Result};
use doprax_core::manifest::app_name_from_folder;
use doprax_core::name::AppName;
use std::path::{Path, PathBuf};

/// The manifest's name.
pub(crate) const MANIFEST: &str = "doprax.yaml";
/// The name of the file that says how main is built.
pub(crate) const DOCKERFILE: &str = "Dockerfile";

/// A source folder and the texts at its root.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The folder, with all links resolved.
    pub(crate) folder: PathBuf,
    /// The manifest, as it is written.
    pub(crate) manifest: Vec<u8>,
    /// The Dockerfile's text.
    pub(crate) dockerfile: String,
    /// The app's name where the manifest gives none.
    pub(crate) default_app: Option<AppName>,
}

impl Source {
    /// Reads the texts at the root of `folder`.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let resolved = folder.canonicalize().map_err(|error| {
            Failure::new(format!(
                "cannot open the source folder {}",
                folder.display()
            ))
            .because(&error)
        })?;
        if !resolved.is_dir() {
            return Err(
                Failure::usage(format!("{} is not a folder", folder.display()))
                    .help("name the folder that holds doprax.yaml and the Dockerfile"),
            );
        }
        let manifest = manifest(&resolved)?;
        let dockerfile = dockerfile::read(&resolved)?;
        let default_app = resolved
            .file_name()
            .and_then(|name| app_name_from_folder(&name.to_string_lossy()));
        Ok(Self {
            folder: resolved,
            manifest,
            dockerfile,
            default_app,
        })
    }
}

/// The bytes of the manifest of `folder`.
fn manifest(folder: &Path) -> Result<Vec<u8>> {
    let path = folder.join(MANIFEST);
    match read_manifest(&path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(no_manifest(folder)),
        Err(error) => Err(Failure::new(format!("cannot read {}", path.display())).because(&error)),
    }
}

/// The bytes of a manifest; of a monstrous one only so many that the parser refuses it.
pub(crate) fn read_manifest(path: &Path) -> std::io::Result<Vec<u8>> {
    read_limited(path, MAX_MANIFEST)
}

/// Bytes of a manifest that are read at most, more than the parser takes.
const MAX_MANIFEST: u64 = 64 << 20;

fn no_manifest(folder: &Path) -> Failure {
    let failure = Failure::new(format!("there is no {MANIFEST} in {}", folder.display()));
    match similar(folder, &["doprax.yaml", "doprax.yml", ".doprax.yaml", ".doprax.yml"]) {
        Some(found) => failure.help(format!("rename {found}: `mv {found} {MANIFEST}`")),
        None => failure.help(format!(
            "name the app's source folder: `doprax up DIR`, or write a {MANIFEST}; `app: NAME` is enough for an app without services"
        )),
    }
}

/// An entry of `folder` whose name is one of `names` in any case.
fn similar(folder: &Path, names: &[&str]) -> Option<String> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut found: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|entry| names.iter().any(|name| entry.eq_ignore_ascii_case(name)))
        .collect();
    found.sort();
    found.into_iter().next()
}

/// The first `limit` bytes of a file.
fn read_limited(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(limit)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
