//! What main is built from.

use crate::folder::{MANIFEST, Source};
use crate::tree::{self, DOCKERIGNORE, Tree};
use crate::{Error, Result, dockerfile};
use doprax_core::diagnostic::Severity;
use doprax_core::dockerfile::names_file;
use doprax_core::ignore_file::LEFT_OUT;
use doprax_core::manifest::Manifest;
use std::path::{Path, PathBuf};

/// What main is built from.
#[derive(Debug, Clone)]
pub struct Context {
    /// The folder that is sent, with all links resolved.
    pub folder: PathBuf,
    /// Path of the Dockerfile below it.
    pub dockerfile: String,
    /// The Dockerfile's text.
    pub text: String,
}

impl Context {
    /// Finds the folder that `manifest` has main built from, and reads its Dockerfile.
    pub fn open(source: &Source, manifest: &Manifest) -> Result<Self> {
        let main = &manifest.spec.main;
        let below = main.build.as_ref().and_then(|build| build.context.as_ref());
        let folder = match below {
            None => source.folder.clone(),
            Some(below) => context_folder(&source.folder, below).map_err(|(problem, help)| {
                let place = ["main", "build", "context"];
                let help = Some(help.to_owned());
                let places = &manifest.places;
                let diagnostic = places.diagnostic(Severity::Error, &place, problem, help);
                Error::Refused {
                    diagnostics: vec![diagnostic],
                }
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
    pub fn tree(&self, source: &Path, manifest: &Manifest) -> Result<Tree> {
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
