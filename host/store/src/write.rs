//! Writing: the one way in which anything in the database changes.
//!
//! Flow: the writer's connection is taken, a transaction begun, its statements run, and
//! the connection is given back once the commit has succeeded.
//! Guarantees: nothing is said to be written before its commit. A connection whose
//! transaction did not end in a good commit, for whatever cause, is thrown away: on a
//! full disk SQLite ends a transaction by itself, and whoever believes it to be open
//! writes all that follows into savepoints that nobody commits.

use crate::error::doing;
use crate::{Error, Store};
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection};

/// A statement with its values.
pub(crate) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// A transaction under way.
pub(crate) struct Write {
    /// Absent once it was given back.
    connection: Option<PoolConnection<Sqlite>>,
    action: &'static str,
}

impl Store {
    /// Begins to write. The action is named in errors.
    pub(crate) async fn write(&self, action: &'static str) -> Result<Write, Error> {
        let connection = self.writer.acquire().await.map_err(doing(action))?;
        let mut write = Write {
            connection: Some(connection),
            action,
        };
        // By hand: what sqlx believes of a transaction plays no part.
        write.run(sqlx::query("BEGIN IMMEDIATE")).await?;
        Ok(write)
    }

    /// Writes with one statement.
    pub(crate) async fn change(
        &self,
        action: &'static str,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<(), Error> {
        let mut write = self.write(action).await?;
        write.run(query).await?;
        write.commit().await
    }
}

impl Write {
    /// Runs a statement.
    pub(crate) async fn run(
        &mut self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<(), Error> {
        let action = self.action;
        let done = query.execute(self.connection()).await;
        done.map(drop).map_err(doing(action))
    }

    /// The connection, for reading what the transaction goes by.
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        self.connection
            .as_deref_mut()
            .expect("it is given back only by the commit, which takes the value")
    }

    /// Ends it: all is written, or nothing.
    pub(crate) async fn commit(mut self) -> Result<(), Error> {
        self.run(sqlx::query("COMMIT")).await?;
        drop(self.connection.take());
        Ok(())
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // Closed, which takes back what was not committed.
            drop(connection.detach());
        }
    }
}
