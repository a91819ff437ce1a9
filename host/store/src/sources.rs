//! Source archives, one file each, named by the digest of the source.

use crate::{Error, Store};
use std::path::PathBuf;

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

    /// The folder of the archives, for one that is still being received.
    pub fn sources_folder(&self) -> PathBuf {
        self.sources.clone()
    }

    /// Removes archives that no release of any app and none of `keep` was made from.
    pub async fn prune_sources(&self, keep: &[String]) -> Result<(), Error> {
        let wanted: std::collections::BTreeSet<String> = self
            .apps()
            .await?
            .into_iter()
            .filter_map(|app| app.release.map(|release| release.source))
            .chain(keep.iter().cloned())
            .collect();
        let in_folder = |source| Error::Folder {
            folder: self.sources.clone(),
            source,
        };
        for entry in std::fs::read_dir(&self.sources).map_err(in_folder)? {
            let path = entry.map_err(in_folder)?.path();
            let digest = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or_default();
            if doprax_core::source::is_digest(digest) && !wanted.contains(digest) {
                match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(in_folder(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
