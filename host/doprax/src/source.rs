//! An app's source folder, as a deploy needs it: the manifest, the config files that it
//! names, the Dockerfile, and everything around that which `.dockerignore` leaves.

mod config_file;
mod dockerfile;
mod pack;
mod tree;

pub(crate) use config_file::config_files;
pub(crate) use pack::pack;
pub(crate) use tree::Tree;

use crate::failure::{Failure, Result};
use crate::regular;
use doprax_api::wire;
use doprax_core::diagnostic::{Diagnostic, Severity};
use doprax_core::dockerfile::names_file;
use doprax_core::ignore_file::LEFT_OUT;
use doprax_core::manifest::{Manifest, app_name_from_folder};
use doprax_core::name::AppName;
use doprax_core::source::DOCKERFILE;
use std::path::{Path, PathBuf};

/// The manifest's name.
pub(crate) const MANIFEST: &str = "doprax.yaml";
/// The name of the file that says what is not sent.
const DOCKERIGNORE: &str = ".dockerignore";

/// A source folder and its manifest.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The folder, with all links resolved.
    pub(crate) folder: PathBuf,
    /// The manifest, as it is written.
    pub(crate) manifest: Vec<u8>,
    /// The app's name where the manifest gives none.
    pub(crate) default_app: Option<AppName>,
}

impl Source {
    /// Reads the manifest at the root of `folder`.
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

/// What main is built from.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The folder that is sent, with all links resolved.
    pub(crate) folder: PathBuf,
    /// Path of the Dockerfile below it.
    pub(crate) dockerfile: String,
    /// The Dockerfile's text.
    pub(crate) text: String,
}

impl Context {
    /// Finds the folder that `manifest` has main built from, and reads its Dockerfile.
    pub(crate) fn open(source: &Source, manifest: &Manifest) -> Result<Self> {
        let main = &manifest.spec.main;
        let below = main.build.as_ref().and_then(|build| build.context.as_ref());
        let folder = match below {
            None => source.folder.clone(),
            Some(below) => context_folder(&source.folder, below).map_err(|(problem, help)| {
                let place = ["main", "build", "context"];
                let help = Some(help.to_owned());
                refused(vec![manifest.places.diagnostic(
                    Severity::Error,
                    &place,
                    problem,
                    help,
                )])
            })?,
        };
        let dockerfile = main.recipe().dockerfile;
        let text = dockerfile::read(&folder, &dockerfile)?;
        Ok(Self {
            folder,
            dockerfile,
            text,
        })
    }

    /// What is sent of the folder. What the manifest is for is no part of it: neither the
    /// manifest itself nor the config files that it names, so that a change there builds
    /// nothing, unless the Dockerfile names one.
    pub(crate) fn tree(&self, source: &Path, manifest: &Manifest) -> Result<Tree> {
        let containers = manifest.spec.services.values();
        let containers = containers.map(|service| &service.container);
        let below = |path: &str| {
            let path = source.join(path);
            let below = path.strip_prefix(&self.folder).ok()?;
            Some(below.to_str()?.to_owned())
        };
        let named = |path: &String| names_file(&self.text, path);
        let left_out = std::iter::once(&manifest.spec.main.container)
            .chain(containers)
            .flat_map(|container| container.files.values())
            .map(|file| file.source.as_str())
            .chain([MANIFEST])
            .filter_map(below)
            .chain([
                DOCKERIGNORE.to_owned(),
                tree::dockerfile_ignore(&self.dockerfile),
            ])
            .filter(|path| !named(path))
            .collect();
        let ignore = tree::ignore_file(&self.folder, &self.dockerfile, left_out)?;
        // A variable that may mean any file does not mean these.
        let named = LEFT_OUT
            .iter()
            .filter(|path| self.text.contains(**path) && names_file(&self.text, path));
        let ignore = named.fold(ignore, |ignore, path| ignore.taking_in(path));
        Tree::walk(&self.folder, &self.dockerfile, &ignore)
    }
}

/// The folder at a path below the source folder, or what is wrong with it and what to do.
fn context_folder(source: &Path, below: &str) -> Result<PathBuf, (String, &'static str)> {
    let correct = "correct the path; it counts from the folder of doprax.yaml";
    match source.join(below).canonicalize() {
        Ok(folder) if !folder.starts_with(source) => Err((
            format!("{below} leads out of the source folder"),
            "put the folder itself into the source folder",
        )),
        Ok(folder) if folder.is_dir() => Ok(folder),
        Ok(_) => Err((format!("{below} is not a folder"), correct)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err((
            format!("there is no folder {below} in the source folder"),
            correct,
        )),
        Err(error) => Err((format!("cannot open {below}: {error}"), correct)),
    }
}

/// A manifest that is refused.
pub(crate) fn refused(diagnostics: Vec<Diagnostic>) -> Failure {
    Failure::Failed(Box::new(wire::Failure {
        error: format!("{MANIFEST} was refused"),
        diagnostics,
        ..wire::Failure::default()
    }))
}

/// Whether a manifest may name another Dockerfile than that at the root.
fn mentions_build(manifest: &[u8]) -> bool {
    let key = b"build";
    manifest.windows(key.len()).any(|window| window == key)
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
    regular::read(path, MAX_MANIFEST)
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
