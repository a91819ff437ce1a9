//! What the host must remember: apps, releases, secrets, operations.
//!
//! The only user of sqlx. One SQLite file (WAL, synchronous FULL, one writer) that a
//! power cut leaves whole; what could hold a secret is sealed with a key that is not
//! in it. Large source archives are files beside it.

mod app;
mod document;
mod domain;
mod error;
#[cfg(feature = "faults")]
mod faults;
mod format;
mod operation;
mod release;
mod remains;
mod seal;
mod secret;
mod sources;
mod vault;
mod write;

pub use app::{AppRecord, Build};
pub use domain::{Claimed, OwnedDomain};
pub use error::Error;
#[cfg(feature = "faults")]
pub use faults::{Faults, Refusal};
pub use operation::{Ending, EventRecord};
pub use release::{MadeOf, NewRelease, Release, ReleaseRecord};
pub use secret::StoredSecret;

use seal::Seal;
use sqlx::Row as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How much of the database each connection keeps in memory, in KiB. What is read often is
/// in the system's memory too.
const CACHE_KIB: u32 = 256;

/// How long a write waits for another process that has locked the database, such as a
/// backup.
const BUSY: Duration = Duration::from_secs(2);

/// The host's memory. Cheap to clone; all clones share connections.
#[derive(Clone)]
pub struct Store {
    /// One connection, so that writers queue here instead of failing on a lock.
    writer: SqlitePool,
    readers: SqlitePool,
    seal: Seal,
    sources: PathBuf,
}

impl Store {
    /// Opens the store in `folder`, which is created with access for its owner only.
    /// A database of an older format is brought up to date, with a copy of it kept beside
    /// it; one of a newer format is refused and left as it is.
    pub async fn open(folder: &Path) -> Result<Self, Error> {
        Self::open_folder(folder)
            .await
            .map_err(|error| error::or_full(folder, error))
    }

    async fn open_folder(folder: &Path) -> Result<Self, Error> {
        let in_folder = |source| Error::Folder {
            folder: folder.to_owned(),
            source,
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(in_folder)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
            .map_err(in_folder)?;
        let sources = folder.join("sources");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&sources)
            .map_err(in_folder)?;
        let seal = Seal::open(&folder.join("secret.key"))?;

        // SQLite gives the files beside it the same permissions.
        let database = folder.join("doprax.db");
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&database)
            .and_then(|file| file.set_permissions(std::fs::Permissions::from_mode(0o600)))
            .map_err(in_folder)?;
        let options = SqliteConnectOptions::new()
            .filename(database)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("cache_size", format!("-{CACHE_KIB}"))
            .busy_timeout(BUSY);
        let open = |source| Error::Open {
            folder: folder.to_owned(),
            source,
        };
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await
            .map_err(open)?;
        format::migrate(folder, &mut *writer.acquire().await.map_err(open)?).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(2)
            .connect_with(options.read_only(true))
            .await
            .map_err(open)?;
        let store = Self {
            writer,
            readers,
            seal,
            sources,
        };
        store.seal_older().await?;
        store.remove_half_received()?;
        Ok(store)
    }

    /// Who this host is among those that share an engine: 32 hexadecimal digits, made
    /// with the database.
    pub async fn host_id(&self) -> Result<String, Error> {
        let row = sqlx::query("SELECT id FROM host")
            .fetch_one(&self.readers)
            .await
            .map_err(error::doing("read the host's identifier"))?;
        Ok(row.get("id"))
    }

    /// Ends all connections, with everything written.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
