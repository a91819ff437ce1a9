//! The format of the database: which one it has, and what is done before it gets another.
//!
//! Guarantees: a database that a newer host has written is left as it is; before a
//! database gets a newer format a copy of it is kept, one for each format that it had.

use crate::Error;
use crate::error::doing;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Row as _, migrate::Migrator};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

static MIGRATOR: Migrator = sqlx::migrate!();

/// The first format in which no app's output stands in clear.
const SEALED_EVENTS: i64 = 4;

/// Brings the database of a state folder to the format of this host.
pub(crate) async fn migrate(folder: &Path, connection: &mut SqliteConnection) -> Result<(), Error> {
    let known = MIGRATOR.iter().map(|migration| migration.version);
    let known = known.max().unwrap_or_default();
    let found = format_of(connection).await?;
    match found {
        Some(found) if found > known => {
            return Err(Error::Newer {
                folder: folder.to_owned(),
                found,
                known,
            });
        }
        Some(found) if found < known => keep_copy(folder, connection, found).await?,
        _ => {}
    }
    let open = |source: sqlx::migrate::MigrateError| Error::Open {
        folder: folder.to_owned(),
        source: source.into(),
    };
    MIGRATOR.run(connection).await.map_err(open)
}

/// The format that the database has: the number of its latest migration. Nothing for one
/// that was just made.
async fn format_of(connection: &mut SqliteConnection) -> Result<Option<i64>, Error> {
    let read = doing("read the format of the database");
    let exists = sqlx::query(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'",
    )
    .fetch_optional(&mut *connection)
    .await
    .map_err(&read)?;
    if exists.is_none() {
        return Ok(None);
    }
    let row = sqlx::query("SELECT MAX(version) AS format FROM _sqlx_migrations")
        .fetch_one(connection)
        .await
        .map_err(&read)?;
    Ok(row.get("format"))
}

/// Where the copy of a database of this format is kept.
fn copy_path(folder: &Path, format: i64) -> PathBuf {
    folder.join(format!("doprax.db.format-{format}"))
}

/// Keeps a copy of the database, which has this format. An earlier copy of the same format
/// gives way. It has its name only once it is whole on the disk.
async fn keep_copy(
    folder: &Path,
    connection: &mut SqliteConnection,
    format: i64,
) -> Result<(), Error> {
    let kept = copy_path(folder, format);
    let draft = kept.with_extension(format!("format-{format}.new"));
    let in_folder = |source| Error::Folder {
        folder: folder.to_owned(),
        source,
    };
    // SQLite writes into a file that is there only if it is empty.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(in_folder)?;
    let copied = copy_to(&draft, connection, format).await;
    let named = match copied {
        Ok(()) => File::open(&draft)
            .and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&draft, &kept))
            .and_then(|()| File::open(folder)?.sync_all())
            .map_err(in_folder),
        Err(error) => Err(error),
    };
    if named.is_err() {
        // Half a copy is of no use to anybody, and where the disk is full it is in the way.
        let _ = std::fs::remove_file(&draft);
    }
    named
}

async fn copy_to(
    draft: &Path,
    connection: &mut SqliteConnection,
    format: i64,
) -> Result<(), Error> {
    let copying = doing("keep a copy of the database before it gets a newer format");
    let path = draft.to_str().ok_or_else(|| Error::Folder {
        folder: draft.to_owned(),
        source: std::io::ErrorKind::InvalidFilename.into(),
    })?;
    sqlx::query("VACUUM INTO ?")
        .bind(path)
        .execute(&mut *connection)
        .await
        .map_err(&copying)?;
    if format >= SEALED_EVENTS {
        return Ok(());
    }
    // What apps printed stood in clear. It is in no copy.
    sqlx::query("ATTACH ? AS kept")
        .bind(path)
        .execute(&mut *connection)
        .await
        .map_err(&copying)?;
    for statement in [
        "UPDATE kept.operation_events SET event = ''",
        "UPDATE kept.apps SET last_error = NULL",
        "VACUUM kept",
        "DETACH kept",
    ] {
        sqlx::query(statement)
            .execute(&mut *connection)
            .await
            .map_err(&copying)?;
    }
    Ok(())
}
