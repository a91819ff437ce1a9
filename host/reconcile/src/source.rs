//! Receiving source archives: kept only if they are what their digest says.

use crate::{Error, Host};
use doprax_core::source::{Entry, MAX_PATH, SourceDigest, is_digest};
use sha2::{Digest as _, Sha256};
use std::io::Read;
use std::path::Path;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

/// Largest archive, in bytes.
const MAX_ARCHIVE: u64 = 4 << 30;

impl Host {
    /// Takes in the archive (tar) of the source with this digest. It is read as it
    /// arrives, never held in memory, and kept only if its content has that digest.
    pub async fn receive_source(
        &self,
        digest: &str,
        body: impl AsyncRead + Send + Unpin,
    ) -> Result<(), Error> {
        let refused = |reason: String| Error::Source {
            digest: digest.chars().take(64).collect(),
            reason,
        };
        if !is_digest(digest) {
            return Err(refused("has no valid digest".to_owned()));
        }
        let path = self.store().source_path(digest);
        let failed = |error: std::io::Error| refused(format!("could not be kept: {error}"));
        let draft =
            tempfile::NamedTempFile::new_in(self.store().sources_folder()).map_err(failed)?;
        let mut file = tokio::fs::File::from_std(draft.reopen().map_err(failed)?);
        let length = tokio::io::copy(&mut body.take(MAX_ARCHIVE + 1), &mut file)
            .await
            .map_err(|error| refused(format!("did not arrive whole: {error}")))?;
        if length > MAX_ARCHIVE {
            return Err(refused(format!("is larger than {} GiB", MAX_ARCHIVE >> 30)));
        }
        file.flush().await.map_err(failed)?;
        file.sync_all().await.map_err(failed)?;

        let draft = draft.into_temp_path();
        let (draft, found) = tokio::task::spawn_blocking(move || {
            let found = archive_digest(&draft);
            (draft, found)
        })
        .await
        .expect("reading an archive does not panic");
        let found = found.map_err(|error| refused(format!("is no source archive: {error}")))?;
        if found != digest {
            return Err(refused(format!("holds another source, {found}")));
        }
        draft.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// The digest of the source in an archive.
fn archive_digest(path: &Path) -> std::io::Result<String> {
    let invalid = |text: String| std::io::Error::new(std::io::ErrorKind::InvalidData, text);
    let mut archive = tar::Archive::new(std::io::BufReader::new(std::fs::File::open(path)?));
    let mut digest = SourceDigest::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path_bytes();
        if path.len() > MAX_PATH {
            return Err(invalid("a path is too long".to_owned()));
        }
        let path = std::str::from_utf8(&path)
            .map_err(|_| invalid("a path is not UTF-8".to_owned()))?
            .trim_end_matches('/')
            .to_owned();
        let safe = |part: &str| !matches!(part, "" | "." | "..");
        if !path.split('/').all(safe) {
            return Err(invalid(format!(
                "{path:?} is not a path below the source folder"
            )));
        }
        let kind = entry.header().entry_type();
        let result = if kind.is_dir() {
            digest.add(&path, &Entry::Folder)
        } else if kind.is_symlink() {
            let target = entry
                .link_name()?
                .and_then(|target| target.to_str().map(str::to_owned))
                .ok_or_else(|| invalid(format!("the link {path:?} has no readable target")))?;
            digest.add(&path, &Entry::Symlink { target: &target })
        } else if kind.is_file() {
            let executable = entry.header().mode()? & 0o100 != 0;
            let sha256 = content_digest(&mut entry)?;
            digest.add(&path, &Entry::File { executable, sha256 })
        } else {
            return Err(invalid(format!(
                "{path:?} is neither file, folder nor symbolic link"
            )));
        };
        result.map_err(|error| invalid(error.to_string()))?;
    }
    Ok(digest.finish())
}

fn content_digest(content: &mut impl Read) -> std::io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            length => hasher.update(&buffer[..length]),
        }
    }
}
