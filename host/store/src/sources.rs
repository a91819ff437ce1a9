//! Source archives, one file each, named by the digest of the source.

use crate::error::doing;
use crate::{Error, Store};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the names of archives begin with that are being received.
const DRAFT: &str = ".tmp";

/// How long an archive waits for its deploy.
const NEW: Duration = Duration::from_secs(600);

impl Store {
    /// Where the archive of a source is kept, whether or not it is there. `digest`
    /// must be one by [`doprax_core::source::is_digest`].
    pub fn source_path(&self, digest: &str) -> PathBuf {
        assert!(
            doprax_core::source::is_digest(digest),
            "callers check digests from outside"
        );
        self.sources.join(format!("{digest}.tar"))
    }

    /// A file for an archive that is being received, gone when it is dropped. What a
    /// killed host leaves goes when the store is opened.
    pub fn source_draft(&self) -> std::io::Result<tempfile::NamedTempFile> {
        tempfile::Builder::new()
            .prefix(DRAFT)
            .tempfile_in(&self.sources)
    }

    /// Removes what is left of archives that a host before this one was receiving when it
    /// ended.
    pub(crate) fn remove_half_received(&self) -> Result<(), Error> {
        for path in self.files()? {
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| name.starts_with(DRAFT)) {
                self.remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes the archive of a source that a deploy has failed with, unless a release
    /// of any app or one of `keep` was made from it.
    pub async fn remove_source(&self, digest: &str, keep: &[String]) -> Result<(), Error> {
        if self.sources_in_use(keep).await?.contains(digest) {
            return Ok(());
        }
        self.remove(&self.source_path(digest))
    }

    /// Removes archives that no release of any app and none of `keep` was made from, but
    /// for those that have just come: their deploy is about to begin.
    pub async fn prune_sources(&self, keep: &[String]) -> Result<(), Error> {
        let wanted = self.sources_in_use(keep).await?;
        for path in self.files()? {
            let digest = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or_default();
            if doprax_core::source::is_digest(digest) && !wanted.contains(digest) && !is_new(&path)
            {
                self.remove(&path)?;
            }
        }
        Ok(())
    }

    async fn sources_in_use(&self, keep: &[String]) -> Result<BTreeSet<String>, Error> {
        let released: Vec<String> = sqlx::query_scalar("SELECT DISTINCT source FROM releases")
            .fetch_all(&self.readers)
            .await
            .map_err(doing("read the sources of releases"))?;
        Ok(released.into_iter().chain(keep.iter().cloned()).collect())
    }

    fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let files = std::fs::read_dir(&self.sources)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
        files.map_err(|source| self.in_folder(source))
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(self.in_folder(error))
            }
            _ => Ok(()),
        }
    }

    fn in_folder(&self, source: std::io::Error) -> Error {
        Error::Folder {
            folder: self.sources.clone(),
            source,
        }
    }
}

fn is_new(path: &Path) -> bool {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age < NEW))
}
