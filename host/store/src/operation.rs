//! The journal of operations and their events.

use crate::document::REQUEST;
use crate::error::doing;
use crate::write::Write;
use crate::{Error, Store};
use doprax_core::name::AppName;
use doprax_core::operation::{Operation, OperationKind, OperationState};
use doprax_core::secret::SecretName;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::collections::BTreeMap;

/// How many ended operations of an app are remembered.
const KEPT: i64 = 50;

/// How many operations are listed.
const LISTED: i64 = 100;

/// Events that are sealed in one transaction where an older host left them in clear.
const AT_ONCE: i64 = 500;

/// An event of an operation, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// Its number within the operation, from 1.
    pub number: u64,
    /// The event, as JSON.
    pub event: String,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// The operation.
    pub operation: &'a Operation,
    /// Its state from now on.
    pub state: OperationState,
    /// Unix time in milliseconds.
    pub ended_ms: i64,
    /// Its events, as far as they may not be written yet.
    pub events: &'a [EventRecord],
    /// What it failed with, which is remembered as the app's latest failure.
    pub error: Option<&'a str>,
}

/// The kebab-case name of a plain enum's variant.
fn word<T: serde::Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("a variant without fields is a string, not {other:?}"),
    }
}

fn from_word<T: serde::de::DeserializeOwned>(what: &str, word: String) -> Result<T, Error> {
    serde_json::from_value(serde_json::Value::String(word)).map_err(|error| Error::Row {
        what: what.to_owned(),
        source: error.into(),
    })
}

fn purpose(id: &str) -> String {
    format!("the request of operation {id}")
}

fn given_purpose(id: &str) -> String {
    format!("the secrets that operation {id} gives")
}

fn event_purpose(id: &str, number: i64) -> String {
    format!("event {number} of operation {id}")
}

fn operation_of(row: &SqliteRow) -> Result<Operation, Error> {
    Ok(Operation {
        id: row.get("id"),
        app: AppName::new(row.get::<String, _>("app")).map_err(|error| Error::Row {
            what: "an app's name".to_owned(),
            source: error.into(),
        })?,
        kind: from_word::<OperationKind>("an operation's kind", row.get("kind"))?,
        state: from_word::<OperationState>("an operation's state", row.get("state"))?,
        started_ms: row.get("started_ms"),
        ended_ms: row.get("ended_ms"),
    })
}

impl Store {
    /// Journals an operation before it begins, with all that is needed to begin it
    /// again, and with the values that it gives secrets; of one that waits, they are set
    /// when it begins.
    pub async fn add_operation<T: serde::Serialize + Sync>(
        &self,
        operation: &Operation,
        request: &T,
        secrets: &BTreeMap<SecretName, String>,
    ) -> Result<(), Error> {
        let waits = operation.state == OperationState::Waiting;
        let purpose_of_given = given_purpose(&operation.id);
        let given = waits.then(|| {
            self.seal
                .seal_document(&purpose_of_given, &REQUEST, secrets)
        });
        let mut write = self.write("journal an operation").await?;
        let added = sqlx::query(
            "INSERT INTO operations
                 (id, app, kind, state, started_ms, sealed_request, begun, sealed_given)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&operation.id)
        .bind(operation.app.as_str())
        .bind(word(operation.kind))
        .bind(word(operation.state))
        .bind(operation.started_ms)
        .bind(
            self.seal
                .seal_document(&purpose(&operation.id), &REQUEST, request),
        )
        .bind(!waits)
        .bind(given);
        write.run(added).await?;
        if !waits {
            self.write_secrets(&mut write, &operation.app, secrets)
                .await?;
        }
        let old = sqlx::query(
            "DELETE FROM operations WHERE app = ?1 AND state NOT IN ('running', 'waiting')
             AND id NOT IN
             (SELECT id FROM operations WHERE app = ?1 ORDER BY rowid DESC LIMIT ?2)",
        )
        .bind(operation.app.as_str())
        .bind(KEPT);
        write.run(old).await?;
        write.commit().await
    }

    /// Begins an operation that has waited: sets the secrets that it gives values.
    /// `started_ms` is the Unix time in milliseconds.
    pub async fn begin_operation(
        &self,
        operation: &Operation,
        started_ms: i64,
    ) -> Result<(), Error> {
        let action = "journal that an operation begins";
        let mut write = self.write(action).await?;
        let row = sqlx::query("SELECT sealed_given FROM operations WHERE id = ?")
            .bind(&operation.id)
            .fetch_optional(write.connection())
            .await
            .map_err(doing(action))?;
        let sealed: Option<Vec<u8>> = row.and_then(|row| row.get("sealed_given"));
        if let Some(sealed) = sealed {
            let given: BTreeMap<SecretName, String> =
                self.seal
                    .unseal_document(&given_purpose(&operation.id), &REQUEST, &sealed)?;
            self.write_secrets(&mut write, &operation.app, &given)
                .await?;
        }
        let begun = sqlx::query(
            "UPDATE operations
             SET state = 'running', begun = 1, started_ms = ?, sealed_given = NULL WHERE id = ?",
        )
        .bind(started_ms)
        .bind(&operation.id);
        write.run(begun).await?;
        write.commit().await
    }

    /// Ends an operation in the journal, with its last events and with what it failed
    /// with. What it was asked is forgotten.
    pub async fn end_operation(&self, ending: &Ending<'_>) -> Result<(), Error> {
        let Operation { id, app, .. } = ending.operation;
        let mut write = self.write("write down the end of an operation").await?;
        self.write_events(&mut write, id, ending.events).await?;
        let ended = sqlx::query(
            "UPDATE operations
             SET state = ?, ended_ms = ?, sealed_request = x'', sealed_given = NULL WHERE id = ?",
        )
        .bind(word(ending.state))
        .bind(ending.ended_ms)
        .bind(id);
        write.run(ended).await?;
        if let Some(error) = ending.error {
            write.run(self.last_error(app, Some(error))).await?;
        }
        write.commit().await
    }

    /// One operation.
    pub async fn operation(&self, id: &str) -> Result<Option<Operation>, Error> {
        let row = sqlx::query("SELECT * FROM operations WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.readers)
            .await
            .map_err(doing("read an operation"))?;
        row.as_ref().map(operation_of).transpose()
    }

    /// What an operation that has not ended was asked; nothing where there is no such one.
    pub async fn request_of<T: serde::de::DeserializeOwned>(
        &self,
        id: &str,
    ) -> Result<Option<T>, Error> {
        let row = sqlx::query(
            "SELECT sealed_request FROM operations
             WHERE id = ? AND state IN ('running', 'waiting')",
        )
        .bind(id)
        .fetch_optional(&self.readers)
        .await
        .map_err(doing("read what an operation was asked"))?;
        row.map(|row| {
            let sealed: Vec<u8> = row.get("sealed_request");
            self.seal.unseal_document(&purpose(id), &REQUEST, &sealed)
        })
        .transpose()
    }

    /// The latest operations of one app, or of all, the latest first.
    pub async fn operations(&self, app: Option<&AppName>) -> Result<Vec<Operation>, Error> {
        let rows = sqlx::query(
            "SELECT id, app, kind, state, started_ms, ended_ms FROM operations
             WHERE ?1 IS NULL OR app = ?1 ORDER BY rowid DESC LIMIT ?2",
        )
        .bind(app.map(AppName::as_str))
        .bind(LISTED)
        .fetch_all(&self.readers)
        .await
        .map_err(doing("read the operations"))?;
        rows.iter().map(operation_of).collect()
    }

    /// The operations that wait, and those that were begun and not ended and that nothing
    /// newer on their app has followed, oldest first, with their requests.
    pub async fn unfinished<T: serde::de::DeserializeOwned>(
        &self,
    ) -> Result<Vec<(Operation, T)>, Error> {
        let rows = self.running(false).await?;
        rows.iter()
            .map(|row| {
                let operation = operation_of(row)?;
                let sealed: Vec<u8> = row.get("sealed_request");
                let request =
                    self.seal
                        .unseal_document(&purpose(&operation.id), &REQUEST, &sealed)?;
                Ok((operation, request))
            })
            .collect()
    }

    /// The operations that were begun and not ended and that another one on their app has
    /// followed: to do them again would undo what is newer.
    pub async fn overtaken(&self) -> Result<Vec<Operation>, Error> {
        let rows = self.running(true).await?;
        rows.iter().map(operation_of).collect()
    }

    async fn running(&self, followed: bool) -> Result<Vec<SqliteRow>, Error> {
        sqlx::query(
            "SELECT * FROM operations WHERE state IN ('running', 'waiting') AND ? =
                 (begun AND EXISTS
                     (SELECT 1 FROM operations AS newer WHERE newer.begun
                      AND newer.app = operations.app AND newer.rowid > operations.rowid))
             ORDER BY rowid",
        )
        .bind(followed)
        .fetch_all(&self.readers)
        .await
        .map_err(doing("read the unfinished operations"))
    }

    /// Writes events of an operation, all or none. They are sealed: what an app printed is
    /// among them.
    pub async fn add_events(&self, id: &str, events: &[EventRecord]) -> Result<(), Error> {
        let mut write = self.write("write the events of an operation").await?;
        self.write_events(&mut write, id, events).await?;
        write.commit().await
    }

    async fn write_events(
        &self,
        write: &mut Write,
        id: &str,
        events: &[EventRecord],
    ) -> Result<(), Error> {
        for event in events {
            let number = event.number as i64;
            let sealed = self
                .seal
                .seal(&event_purpose(id, number), event.event.as_bytes());
            let event = sqlx::query(
                "INSERT OR REPLACE INTO operation_events (operation, number, event, sealed_event)
                 VALUES (?, ?, '', ?)",
            )
            .bind(id)
            .bind(number)
            .bind(sealed);
            write.run(event).await?;
        }
        Ok(())
    }

    /// The events of an operation whose number is above `after`, ascending.
    pub async fn events(&self, id: &str, after: u64) -> Result<Vec<EventRecord>, Error> {
        let rows = sqlx::query(
            "SELECT number, event, sealed_event FROM operation_events
             WHERE operation = ? AND number > ? ORDER BY number",
        )
        .bind(id)
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .fetch_all(&self.readers)
        .await
        .map_err(doing("read the events of an operation"))?;
        rows.iter()
            .map(|row| {
                let number: i64 = row.get("number");
                let event = match row.get::<Option<&[u8]>, _>("sealed_event") {
                    // As hosts wrote it before they sealed it.
                    None => row.get("event"),
                    Some(sealed) => {
                        let what = event_purpose(id, number);
                        String::from_utf8(self.seal.unseal(&what, sealed)?).map_err(|error| {
                            Error::Row {
                                what,
                                source: error.into(),
                            }
                        })?
                    }
                };
                let number = number as u64;
                Ok(EventRecord { number, event })
            })
            .collect()
    }

    /// Seals what hosts wrote in clear before they sealed events and failures, and
    /// overwrites it on the disk.
    pub(crate) async fn seal_older(&self) -> Result<(), Error> {
        let action = "seal the events of older operations";
        let mut any = false;
        loop {
            let mut write = self.write(action).await?;
            let rows = sqlx::query(
                "SELECT operation, number, event FROM operation_events
                 WHERE sealed_event IS NULL LIMIT ?",
            )
            .bind(AT_ONCE)
            .fetch_all(write.connection())
            .await
            .map_err(doing(action))?;
            for row in &rows {
                let number: i64 = row.get("number");
                let (id, event): (&str, String) = (row.get("operation"), row.get("event"));
                let record = EventRecord {
                    number: number as u64,
                    event,
                };
                self.write_events(&mut write, id, &[record]).await?;
            }
            let failures =
                sqlx::query("SELECT name, last_error FROM apps WHERE last_error IS NOT NULL")
                    .fetch_all(write.connection())
                    .await
                    .map_err(doing(action))?;
            for row in &failures {
                let app =
                    AppName::new(row.get::<String, _>("name")).map_err(|error| Error::Row {
                        what: "an app's name".to_owned(),
                        source: error.into(),
                    })?;
                let error: String = row.get("last_error");
                write.run(self.last_error(&app, Some(&error))).await?;
            }
            write.commit().await?;
            if rows.is_empty() && failures.is_empty() {
                break;
            }
            any = true;
        }
        if any {
            // Pages and the log still have it, in places that are free now.
            for statement in ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"] {
                sqlx::query(statement)
                    .execute(&self.writer)
                    .await
                    .map_err(doing(action))?;
            }
        }
        Ok(())
    }
}
