//! The Dockerfile of a source folder.

use crate::folder::similar;
use crate::{Error, Result, regular};
use doprax_core::source::DOCKERFILE;
use std::io::ErrorKind;
use std::path::Path;

/// Largest Dockerfile in bytes.
const MAX: u64 = 1 << 20;

/// The text of the one at `name` below the folder. One in the wrong case is none.
pub(crate) fn read(folder: &Path, name: &str) -> Result<String> {
    let path = folder.join(name);
    if path
        .canonicalize()
        .is_ok_and(|found| !found.starts_with(folder))
    {
        return Err(Error::DockerfileOutside { path });
    }
    let bytes = match regular::read(&path, MAX + 1) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(missing(folder, name)),
        Err(source) => return Err(Error::Read { path, source }),
    };
    if bytes.len() as u64 > MAX {
        return Err(Error::DockerfileTooLarge { path });
    }
    // A file system that takes any case for the name does not change what the engine,
    // on another machine, wants.
    if name == DOCKERFILE && similar(folder, &[DOCKERFILE]).is_some_and(|found| found != DOCKERFILE)
    {
        return Err(missing(folder, name));
    }
    String::from_utf8(bytes).map_err(|source| Error::DockerfileNotUtf8 { path, source })
}

fn missing(folder: &Path, name: &str) -> Error {
    let named = folder.to_owned();
    match name {
        DOCKERFILE => Error::NoDockerfile {
            folder: named,
            similar: similar(folder, &[DOCKERFILE, "Containerfile", "Dockerfile.txt"]),
        },
        _ => Error::NoSuchDockerfile {
            folder: named,
            path: name.to_owned(),
        },
    }
}
