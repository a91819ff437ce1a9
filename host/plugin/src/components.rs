//! Components by their digests, kept for releases that they described.
//!
//! They are checked when they are read, so whoever could write the folder could at most
//! remove one. A file comes there whole, or not at all.

use crate::error::Error;
use doprax_core::blueprint::sha256_hex;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Bytes of a component that are read, at most; what is larger is refused when it is loaded.
const MOST_BYTES: u64 = 64 << 20;

/// A folder of components.
pub(crate) struct Components {
    folder: PathBuf,
}

impl Components {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    pub(crate) fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }

    /// Keeps a component, unless it is there. Errors if it cannot be written.
    pub(crate) fn keep(&self, bytes: &[u8]) -> Result<(), Error> {
        let digest = sha256_hex(bytes);
        match self.read(&digest) {
            Ok(_) => Ok(()),
            Err(_) => self.write(&self.path(&digest), bytes),
        }
    }

    /// Whether there is one of this digest: hosts before this one kept none.
    pub(crate) fn has(&self, digest: &str) -> bool {
        self.path(digest).exists()
    }

    /// The component of this digest. Errors if it is not there, or is another.
    pub(crate) fn read(&self, digest: &str) -> Result<Vec<u8>, Error> {
        let path = self.path(digest);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
        let checked = read.and_then(|_| match sha256_hex(&bytes) == digest {
            true => Ok(bytes),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "its digest is another",
            )),
        });
        checked.map_err(|source| Error::Component { path, source })
    }

    /// Removes all but these. Errors if one cannot be removed.
    pub(crate) fn keep_only<'a>(
        &self,
        digests: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Error> {
        let kept: HashSet<PathBuf> = digests
            .into_iter()
            .map(|digest| self.path(digest))
            .collect();
        let cannot = |source| Error::Component {
            path: self.folder.clone(),
            source,
        };
        for entry in fs::read_dir(&self.folder).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            if !kept.contains(&path) {
                fs::remove_file(&path).map_err(cannot)?;
            }
        }
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let written = || {
            fs::create_dir_all(&self.folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            File::open(&self.folder)?.sync_all()
        };
        written().map_err(|source| Error::Component {
            path: path.to_owned(),
            source,
        })
    }
}
