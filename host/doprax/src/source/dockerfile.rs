//! The Dockerfile of a source folder.

use super::similar;
use crate::failure::{Failure, Result};
use crate::regular;
use doprax_core::source::DOCKERFILE;
use std::io::ErrorKind;
use std::path::Path;

/// Largest Dockerfile in bytes.
const MAX: u64 = 1 << 20;

/// The text of the one at `name` below the folder. A missing one and one in the wrong case
/// are refused with the remedy.
pub(super) fn read(folder: &Path, name: &str) -> Result<String> {
    let path = folder.join(name);
    if path
        .canonicalize()
        .is_ok_and(|found| !found.starts_with(folder))
    {
        let leads_out = format!("{} leads out of the source folder", path.display());
        return Err(Failure::new(leads_out).help("put a copy of the file itself in its place"));
    }
    let missing = |folder: &Path| match name {
        DOCKERFILE => missing(folder),
        _ => Failure::new(format!("there is no {name} in {}", folder.display()))
            .help("correct `dockerfile` below `build`: its path counts from the `context`"),
    };
    let bytes = match regular::read(&path, MAX + 1) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(missing(folder)),
        Err(error) => {
            return Err(Failure::new(format!("cannot read {}", path.display())).because(&error));
        }
    };
    if bytes.len() as u64 > MAX {
        return Err(Failure::new(format!(
            "{} is larger than 1 MiB",
            path.display()
        )));
    }
    // A file system that takes any case for the name does not change what the engine,
    // on another machine, wants.
    if name == DOCKERFILE && similar(folder, &[DOCKERFILE]).is_some_and(|found| found != DOCKERFILE)
    {
        return Err(missing(folder));
    }
    String::from_utf8(bytes).map_err(|error| {
        Failure::new(format!("{} is not UTF-8", path.display()))
            .because(&error)
            .help("save it as UTF-8")
    })
}

fn missing(folder: &Path) -> Failure {
    match similar(folder, &[DOCKERFILE, "Containerfile", "Dockerfile.txt"]) {
        Some(found) => Failure::new(format!("the Dockerfile in {} is named {found}", folder.display()))
            .help(format!("rename it: `mv {found} {DOCKERFILE}`")),
        None => Failure::new(format!("there is no Dockerfile in {}", folder.display())).help(
            "main is built from a Dockerfile beside doprax.yaml; it begins with a line such as `FROM python:3.13-slim`",
        ),
    }
}
