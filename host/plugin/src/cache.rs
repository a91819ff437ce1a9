//! Compiled plugins, kept in a folder that only the host's user can write.
//!
//! Compiled code is run as it is, so it is loaded only from files that nobody else
//! could have written: the folder and the file belong to this process's user and are
//! closed to others. Entries are written beside their place and renamed, so a host
//! that dies while it writes leaves nothing half.

use crate::error::Error;
use crate::metadata::Metadata;
use crate::runtime::Runtime;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wasmtime::component::Component;

/// How old is what nobody needs any more.
const LEFT_OVER: Duration = Duration::from_secs(24 * 60 * 60);

/// A folder of compiled plugins.
pub(crate) struct Cache {
    folder: PathBuf,
}

/// What is known of a component besides its code.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Facts {
    pub(crate) metadata: Metadata,
    pub(crate) imports: Vec<String>,
    pub(crate) judges: bool,
    pub(crate) reloads: bool,
}

impl Cache {
    /// The folder, made where it is missing. Errors if others could write it.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let cannot = |source| Error::Cache {
            path: folder.to_owned(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(cannot)?;
        let metadata = fs::symlink_metadata(folder).map_err(cannot)?;
        if !metadata.is_dir() || !is_ours(metadata.uid(), metadata.permissions().mode()) {
            return Err(Error::CacheNotOurs {
                path: folder.to_owned(),
            });
        }
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// What is kept for the component of this digest. Nothing where there is none,
    /// or where it does not fit this engine: it is compiled again then.
    pub(crate) fn load(&self, runtime: &Runtime, digest: &str) -> Option<(Component, Facts)> {
        let facts = fs::read(self.path(runtime, digest, "json")).ok()?;
        let facts: Facts = serde_json::from_slice(&facts).ok()?;
        let code = deserialize(runtime, &self.path(runtime, digest, "cwasm")).ok()?;
        Some((code, facts))
    }

    /// Keeps a component. Errors if the folder cannot be written.
    pub(crate) fn store(
        &self,
        runtime: &Runtime,
        digest: &str,
        code: &[u8],
        facts: &Facts,
    ) -> Result<(), Error> {
        let facts = serde_json::to_vec(facts).expect("facts have only string keys");
        // The code last: facts without code are compiled again, not the reverse.
        for (extension, bytes) in [("json", facts.as_slice()), ("cwasm", code)] {
            let path = self.path(runtime, digest, extension);
            self.write(&path, bytes)
                .map_err(|source| Error::Cache { path, source })?;
        }
        Ok(())
    }

    /// Removes what is kept of other components than these, and what other engines compiled,
    /// once it is a day old: each upgrade would leave its own behind, but another program may
    /// be writing its own just now. Errors if the folder cannot be read or
    /// something not be removed.
    pub(crate) fn keep_only<'a>(
        &self,
        runtime: &Runtime,
        digests: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Error> {
        let of = |digest| ["json", "cwasm"].map(|extension| self.path(runtime, digest, extension));
        let kept: HashSet<PathBuf> = digests.into_iter().flat_map(of).collect();
        let cannot = |path: &Path, source| Error::Cache {
            path: path.to_owned(),
            source,
        };
        let entries = fs::read_dir(&self.folder).map_err(|error| cannot(&self.folder, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| cannot(&self.folder, error))?;
            let path = entry.path();
            if kept.contains(&path) {
                continue;
            }
            let removed = entry.metadata().and_then(|metadata| {
                // What is of the future has no age.
                let age = metadata.modified()?.elapsed().unwrap_or_default();
                if age < LEFT_OVER {
                    Ok(())
                } else {
                    fs::remove_file(&path)
                }
            });
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(cannot(&path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        // Created with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(&self.folder)?.sync_all()
    }

    fn path(&self, runtime: &Runtime, digest: &str, extension: &str) -> PathBuf {
        self.folder.join(format!(
            "{digest}-{:016x}.{extension}",
            runtime.compatibility
        ))
    }
}

/// Whether something belongs to this process's user and is closed to others.
fn is_ours(owner: u32, mode: u32) -> bool {
    owner == rustix::process::geteuid().as_raw() && mode & 0o022 == 0
}

/// Loads code from a file that nobody else could have written.
#[allow(unsafe_code)]
fn deserialize(runtime: &Runtime, path: &Path) -> wasmtime::Result<Component> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() || !is_ours(metadata.uid(), metadata.permissions().mode()) {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied).into());
    }
    // SAFETY: the code must be what this engine compiled. The file is ours, lies in
    // a folder that only we can write, came there whole, and its name holds the
    // engine's compatibility hash, which wasmtime checks again.
    unsafe { Component::deserialize_file(&runtime.engine, path) }
}
