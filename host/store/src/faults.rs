//! Has writes to the database of a store fail, for tests of who uses a store: as on a full
//! disk, each for itself or with its commit, or because somebody else has locked it.

use crate::Error;
use crate::error::doing;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use std::path::Path;
use std::time::Duration;

const ACTION: &str = "have writes fail";

/// Room for all that a test could write.
const ENOUGH: i64 = 1 << 40;

/// How long others may keep the database from this connection.
const BUSY: Duration = Duration::from_secs(30);

/// The tables whose rows are not counted, because how many there are is a matter of time.
const UNCOUNTED: &str = "operation_events";

/// What a write fails with once there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The statement fails.
    Statement,
    /// The statements of a transaction succeed, and its commit fails.
    Commit,
}

/// Another connection to a store's database.
pub struct Faults(SqliteConnection);

impl Faults {
    /// Connects to the database of the store in `folder`, and prepares it.
    pub async fn of(folder: &Path) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new()
            .filename(folder.join("doprax.db"))
            .busy_timeout(BUSY);
        let connection = SqliteConnection::connect_with(&options).await;
        let mut faults = Self(connection.map_err(doing(ACTION))?);
        let tables = faults.tables().await?;
        faults.run("BEGIN IMMEDIATE").await?;
        faults
            .run(&format!(
                "CREATE TABLE IF NOT EXISTS fault_none (id INTEGER PRIMARY KEY) STRICT;
                 CREATE TABLE IF NOT EXISTS fault_debts (
                     id INTEGER REFERENCES fault_none (id) DEFERRABLE INITIALLY DEFERRED
                 ) STRICT;
                 CREATE TABLE IF NOT EXISTS fault_room (
                     rows INTEGER NOT NULL, at_commit INTEGER NOT NULL
                 ) STRICT;
                 DELETE FROM fault_room;
                 INSERT INTO fault_room VALUES ({ENOUGH}, 0)"
            ))
            .await?;
        for table in tables {
            for event in ["INSERT", "UPDATE", "DELETE"] {
                let (count, empty) = if table == UNCOUNTED {
                    (0, "rows <= 0")
                } else {
                    (1, "rows < 0")
                };
                faults
                    .run(&format!(
                        "CREATE TRIGGER IF NOT EXISTS \"fault_{table}_{event}\"
                         BEFORE {event} ON \"{table}\" BEGIN
                             UPDATE fault_room SET rows = rows - {count};
                             SELECT RAISE(ABORT, 'no room for a row') FROM fault_room
                                 WHERE {empty} AND NOT at_commit;
                             INSERT INTO fault_debts SELECT 1 FROM fault_room
                                 WHERE {empty} AND at_commit;
                         END"
                    ))
                    .await?;
            }
        }
        faults.run("COMMIT").await?;
        Ok(faults)
    }

    /// Leaves room for this many rows. What comes then is refused, until there is room.
    pub async fn leave(&mut self, rows: u32, refusal: Refusal) -> Result<(), Error> {
        let at_commit = i64::from(refusal == Refusal::Commit);
        self.set(rows.into(), at_commit).await
    }

    /// Makes room. Returns how many rows were written since there last was.
    pub async fn make_room(&mut self) -> Result<u32, Error> {
        let row = sqlx::query("SELECT rows FROM fault_room");
        let row = row.fetch_one(&mut self.0).await.map_err(doing(ACTION))?;
        let written = ENOUGH - row.get::<i64, _>("rows");
        self.set(ENOUGH, 0).await?;
        Ok(u32::try_from(written).unwrap_or_default())
    }

    /// Keeps everybody else from writing.
    pub async fn lock(&mut self) -> Result<(), Error> {
        self.run("BEGIN IMMEDIATE").await
    }

    /// Lets others write again.
    pub async fn unlock(&mut self) -> Result<(), Error> {
        self.run("ROLLBACK").await
    }

    async fn set(&mut self, rows: i64, at_commit: i64) -> Result<(), Error> {
        self.run(&format!(
            "UPDATE fault_room SET rows = {rows}, at_commit = {at_commit}"
        ))
        .await
    }

    async fn tables(&mut self) -> Result<Vec<String>, Error> {
        let query = "SELECT name FROM sqlite_schema WHERE type = 'table'
                     AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'fault%'
                     AND name NOT LIKE '_sqlx%'";
        let rows = sqlx::query(query).fetch_all(&mut self.0).await;
        let rows = rows.map_err(doing(ACTION))?;
        Ok(rows.iter().map(|row| row.get("name")).collect())
    }

    async fn run(&mut self, statements: &str) -> Result<(), Error> {
        let statements = AssertSqlSafe(statements.to_owned());
        let done = sqlx::raw_sql(statements).execute(&mut self.0).await;
        done.map(drop).map_err(doing(ACTION))
    }
}
