//! The archive of a source, made while it is sent.

use crate::regular;
use crate::tree::{Entry, Tree};
use bytes::Bytes;
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Size of a piece in bytes.
const PIECE: usize = 128 << 10;
/// Pieces that wait for the connection; more would only take memory.
const PIECES: usize = 8;

/// The pieces of the tar archive of `tree`, in constant memory; `sent` counts their
/// bytes. The stream ends with an error if a file cannot be read, or is shorter than
/// it was.
pub fn pack(tree: Tree, sent: Arc<AtomicU64>) -> ReceiverStream<io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let pieces = Pieces {
            sender: sender.clone(),
            sent,
        };
        if let Err(error) = write(&tree, BufWriter::with_capacity(PIECE, pieces)) {
            // Whoever no longer listens has an error of their own.
            let _ = sender.blocking_send(Err(error));
        }
    });
    ReceiverStream::new(receiver)
}

struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    sent: Arc<AtomicU64>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        self.sender
            .blocking_send(Ok(piece))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(tree: &Tree, output: impl Write) -> io::Result<()> {
    let mut archive = Builder::new(output);
    for (path, entry) in &tree.entries {
        let mut header = Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        header.set_mtime(0);
        match entry {
            Entry::Folder => {
                header.set_entry_type(EntryType::Directory);
                header.set_mode(0o755);
                archive.append_data(&mut header, format!("{path}/"), io::empty())?;
            }
            Entry::Symlink { target } => {
                header.set_entry_type(EntryType::Symlink);
                header.set_mode(0o777);
                archive.append_link(&mut header, path, target)?;
            }
            Entry::File {
                size,
                executable,
                modified,
            } => {
                header.set_entry_type(EntryType::Regular);
                header.set_mode(if *executable { 0o755 } else { 0o644 });
                header.set_size(*size);
                // Servers tell by it, and by nothing else, whether a file is new
                // (`Last-Modified`, Nginx's `ETag`), so it is kept.
                header.set_mtime(*modified);
                let file = regular::open(&tree.folder.join(path))?;
                let mut exact = Exact {
                    file: file.take(*size),
                    left: *size,
                    path,
                };
                archive.append_data(&mut header, path, &mut exact)?;
            }
        }
    }
    archive.into_inner()?.flush()
}

/// Reads as many bytes as the header says, or fails.
struct Exact<'a> {
    file: io::Take<File>,
    left: u64,
    path: &'a str,
}

impl io::Read for Exact<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.left -= length as u64;
        if length == 0 && self.left > 0 && !buffer.is_empty() {
            let text = format!("{} became shorter while it was sent", self.path);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::TryStreamExt as _;

    async fn packed(tree: Tree) -> io::Result<Vec<u8>> {
        let pieces: Vec<Bytes> = pack(tree, Arc::default()).try_collect().await?;
        Ok(pieces.concat())
    }

    #[tokio::test]
    async fn an_archive_holds_the_tree_and_is_the_same_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let long = format!("deep/{}/file", "x".repeat(200));
        std::fs::create_dir_all(folder.path().join(&long).parent().unwrap()).unwrap();
        std::fs::write(folder.path().join(&long), "text").unwrap();
        std::fs::write(folder.path().join("large"), vec![7; 3 * PIECE]).unwrap();
        std::os::unix::fs::symlink("large", folder.path().join("link")).unwrap();
        let tree = Tree::walk(folder.path(), "Dockerfile", &Default::default()).unwrap();
        let bytes = packed(tree.clone()).await.unwrap();
        assert_eq!(bytes, packed(tree).await.unwrap());
        let mut archive = tar::Archive::new(bytes.as_slice());
        let found: Vec<(String, u64)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (
                    entry.path().unwrap().to_string_lossy().into_owned(),
                    entry.size(),
                )
            })
            .collect();
        let expected = [
            ("deep/".to_owned(), 0),
            (format!("deep/{}/", "x".repeat(200)), 0),
            (long, 4),
            ("large".to_owned(), 3 * PIECE as u64),
            ("link".to_owned(), 0),
        ];
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_ends_the_archive() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "four").unwrap();
        let tree = Tree::walk(folder.path(), "Dockerfile", &Default::default()).unwrap();
        std::fs::write(folder.path().join("file"), "two").unwrap();
        assert_eq!(
            packed(tree).await.unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
