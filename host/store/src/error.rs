//! What can go wrong with the store.

use std::path::{Path, PathBuf};

/// An error of the store. Texts hold no values of secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The state folder cannot be made or read.
    #[error("cannot use the state folder {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The database cannot be opened.
    #[error("cannot open the database in {}", folder.display())]
    Open {
        /// The state folder.
        folder: PathBuf,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// A newer host has written the database.
    #[error(
        "a newer doprax has written the state in {}: its format is {found}, and this one knows formats up to {known}",
        folder.display()
    )]
    Newer {
        /// The state folder.
        folder: PathBuf,
        /// The format that it has.
        found: i64,
        /// The newest format that this host knows.
        known: i64,
    },
    /// A newer host has written a document.
    #[error("cannot understand what is stored as {what}: it is {text}")]
    NewerDocument {
        /// What it is.
        what: String,
        /// Its version, and which are known.
        text: String,
    },
    /// The host cannot start because its disk is full.
    #[error("the disk with the state folder {} is full", folder.display())]
    Full {
        /// The state folder.
        folder: PathBuf,
        /// What could not be done.
        #[source]
        source: Box<Error>,
    },
    /// The key cannot be read or made.
    #[error("cannot use the key {}", path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Something sealed does not open: another key, or damage.
    #[error(
        "cannot open what is sealed as {what}: secret.key is not the key it was sealed with, or the database is damaged"
    )]
    Sealed {
        /// What it is.
        what: String,
    },
    /// A query failed.
    #[error("cannot {action}")]
    Query {
        /// What was tried.
        action: &'static str,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// A row does not mean what it should: written by a newer version, or damaged.
    #[error("cannot understand what is stored as {what}")]
    Row {
        /// What it is.
        what: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// SQLite's result code for a full disk.
const SQLITE_FULL: u32 = 13;

/// Free bytes below which an error is taken for that of a full disk: SQLite makes files of
/// 32 KiB, and says of one that it cannot make no more than that.
const NO_ROOM: u64 = 256 << 10;

impl Error {
    /// Whether a newer host has written the state.
    pub fn is_newer(&self) -> bool {
        matches!(self, Self::Newer { .. } | Self::NewerDocument { .. })
    }

    /// Whether it failed because the disk is full.
    pub fn is_full(&self) -> bool {
        let by_code = |error: &sqlx::Error| {
            let code = error.as_database_error().and_then(|error| error.code());
            let code = code.and_then(|code| code.parse::<u32>().ok());
            code.is_some_and(|code| code & 0xff == SQLITE_FULL)
        };
        match self {
            Self::Full { .. } => true,
            Self::Open { source, .. } | Self::Query { source, .. } => by_code(source),
            Self::Folder { source, .. } | Self::Key { source, .. } => {
                source.kind() == std::io::ErrorKind::StorageFull
            }
            Self::Newer { .. }
            | Self::NewerDocument { .. }
            | Self::Sealed { .. }
            | Self::Row { .. } => false,
        }
    }
}

/// The error, or that the disk is full where this is why.
pub(crate) fn or_full(folder: &Path, error: Error) -> Error {
    let free = rustix::fs::statvfs(folder).map(|disk| disk.f_bavail * disk.f_frsize);
    if error.is_full() || free.is_ok_and(|free| free < NO_ROOM) {
        return Error::Full {
            folder: folder.to_owned(),
            source: Box::new(error),
        };
    }
    error
}

/// Names the action that a query is for.
pub(crate) fn doing(action: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |source| Error::Query { action, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    fn folder(kind: ErrorKind) -> Error {
        Error::Folder {
            folder: PathBuf::new(),
            source: kind.into(),
        }
    }

    fn key(kind: ErrorKind) -> Error {
        Error::Key {
            path: PathBuf::new(),
            source: kind.into(),
        }
    }

    #[test]
    fn a_full_disk_is_told_from_other_troubles() {
        assert!(folder(ErrorKind::StorageFull).is_full());
        assert!(key(ErrorKind::StorageFull).is_full());
        assert!(!folder(ErrorKind::PermissionDenied).is_full());
        assert!(!key(ErrorKind::NotFound).is_full());
        let query = doing("read")(sqlx::Error::RowNotFound);
        assert!(!query.is_full());
    }

    #[test]
    fn an_error_is_that_of_a_full_disk_only_where_there_is_no_room() {
        let here = tempfile::tempdir().unwrap();
        let error = or_full(here.path(), folder(ErrorKind::StorageFull));
        assert!(matches!(error, Error::Full { .. }), "{error:?}");
        assert!(error.is_full());
        let error = or_full(here.path(), folder(ErrorKind::PermissionDenied));
        assert!(matches!(error, Error::Folder { .. }), "{error:?}");
    }

    #[test]
    fn only_newer_hosts_write_what_is_newer() {
        let document = Error::NewerDocument {
            what: String::new(),
            text: String::new(),
        };
        let newer = Error::Newer {
            folder: PathBuf::new(),
            found: 2,
            known: 1,
        };
        assert!(newer.is_newer() && document.is_newer());
        assert!(!folder(ErrorKind::NotFound).is_newer());
        assert!(!newer.is_full() && !document.is_full());
    }

    #[tokio::test]
    async fn a_database_says_by_its_code_that_there_is_no_room() {
        use sqlx::Connection as _;
        let connection = sqlx::sqlite::SqliteConnection::connect("sqlite::memory:");
        let mut connection = connection.await.unwrap();
        let mut run = async |statement: &'static str| {
            let done = sqlx::query(statement).execute(&mut connection).await;
            done.map_err(doing("write"))
        };
        run("CREATE TABLE rows (bytes BLOB)").await.unwrap();
        run("PRAGMA max_page_count = 3").await.unwrap();
        let full = run("INSERT INTO rows VALUES (zeroblob(100000))").await;
        assert!(full.unwrap_err().is_full());
        assert!(
            !run("INSERT INTO nowhere VALUES (1)")
                .await
                .unwrap_err()
                .is_full()
        );
    }
}
