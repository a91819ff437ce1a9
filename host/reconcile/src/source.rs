//! Receiving source archives: kept only if they are what their digest says.

mod archive;

use crate::Error;
use doprax_core::source::is_digest;
use doprax_store::Store;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

/// Largest archive, in bytes.
const MAX_ARCHIVE: u64 = 4 << 30;

/// Takes in the archive (tar) of the source with this digest. It is read as it
/// arrives, never held in memory, and kept only if its content has that digest.
pub(crate) async fn receive(
    store: &Store,
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
    let path = store.source_path(digest);
    let failed = |error: std::io::Error| refused(format!("could not be kept: {error}"));
    let draft = store.source_draft().map_err(failed)?;
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
        let found = std::fs::File::open(&draft)
            .and_then(|file| archive::digest(std::io::BufReader::new(file)));
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
