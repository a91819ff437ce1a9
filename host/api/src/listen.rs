//! The Unix socket of the API. Whoever may write to the file may use the API, so
//! that the file's permissions are the right to do so.

use rustix::fs::{Gid, Mode};
use std::io;
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// Longest path of a Unix socket in bytes (`sockaddr_un` in unix(7), its final zero
/// and the suffix of the temporary name left out).
const MAX_PATH: usize = 103;

/// The socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another host answers on it.
    #[error("another host already serves on {path}")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The kernel takes no path of this length.
    #[error("the path of the socket {path} is longer than {MAX_PATH} bytes")]
    TooLong {
        /// The socket.
        path: PathBuf,
    },
    /// Something else stands at its path.
    #[error("{path} exists and is no socket")]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot open the socket {path}")]
    Failed {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Opens the socket at `path` for its owner, and for the members of `group` if there
/// is one. A socket that a dead host left is removed; that of a living host is not.
pub async fn unix(path: &Path, group: Option<u32>) -> Result<UnixListener, ListenError> {
    if path.as_os_str().len() > MAX_PATH {
        return Err(ListenError::TooLong {
            path: path.to_owned(),
        });
    }
    let failed = |source| ListenError::Failed {
        path: path.to_owned(),
        source,
    };
    match UnixStream::connect(path).await {
        Ok(_) => {
            return Err(ListenError::InUse {
                path: path.to_owned(),
            });
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            use std::os::unix::fs::FileTypeExt as _;
            let is_socket = std::fs::symlink_metadata(path)
                .map_err(failed)?
                .file_type()
                .is_socket();
            if !is_socket {
                return Err(ListenError::NoSocket {
                    path: path.to_owned(),
                });
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    // Opened under another name, so that nobody can connect before the permissions
    // are right, and moved over what a dead host left.
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    match std::fs::remove_file(&temporary) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(&temporary).map_err(failed)?;
    restrict(&temporary, group).map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)?;
    Ok(listener)
}

fn restrict(path: &Path, group: Option<u32>) -> io::Result<()> {
    let owner = Mode::RUSR | Mode::WUSR;
    let mode = match group {
        Some(group) => {
            rustix::fs::chown(path, None, Some(Gid::from_raw(group)))?;
            owner | Mode::RGRP | Mode::WGRP
        }
        None => owner,
    };
    rustix::fs::chmod(path, mode)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test]
    async fn a_stale_socket_makes_room_and_a_living_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doprax.sock");
        let first = unix(&path, None).await.unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(matches!(
            unix(&path, None).await,
            Err(ListenError::InUse { .. })
        ));
        drop(first);
        assert!(path.exists());
        let _second = unix(&path, None).await.unwrap();
        UnixStream::connect(&path).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_socket_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doprax.sock");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(
            unix(&path, None).await,
            Err(ListenError::NoSocket { .. })
        ));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_path_that_no_socket_can_have_is_named() {
        let path = PathBuf::from(format!("/{}", "x".repeat(MAX_PATH)));
        assert!(matches!(
            unix(&path, None).await,
            Err(ListenError::TooLong { .. })
        ));
    }
}
