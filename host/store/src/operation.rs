//! The journal of operations and their events.

use crate::error::doing;
use crate::{Error, Store};
use doprax_core::name::AppName;
use doprax_core::operation::{Operation, OperationKind, OperationState};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

/// How many ended operations of an app are remembered.
const KEPT: i64 = 50;

/// An event of an operation, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// Its number within the operation, from 1.
    pub number: u64,
    /// The event, as JSON.
    pub event: String,
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
    /// again.
    pub async fn add_operation<T: serde::Serialize + Sync>(
        &self,
        operation: &Operation,
        request: &T,
    ) -> Result<(), Error> {
        let doing = doing("journal an operation");
        let mut transaction = self.writer.begin().await.map_err(&doing)?;
        sqlx::query(
            "INSERT INTO operations (id, app, kind, state, started_ms, sealed_request)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(&operation.id)
        .bind(operation.app.as_str())
        .bind(word(operation.kind))
        .bind(word(operation.state))
        .bind(operation.started_ms)
        .bind(self.seal.seal_json(&purpose(&operation.id), request))
        .execute(&mut *transaction)
        .await
        .map_err(&doing)?;
        sqlx::query(
            "DELETE FROM operations WHERE app = ?1 AND state <> 'running' AND id NOT IN
             (SELECT id FROM operations WHERE app = ?1 ORDER BY started_ms DESC LIMIT ?2)",
        )
        .bind(operation.app.as_str())
        .bind(KEPT)
        .execute(&mut *transaction)
        .await
        .map_err(&doing)?;
        transaction.commit().await.map_err(&doing)
    }

    /// Ends an operation in the journal. What it was asked is forgotten.
    pub async fn end_operation(
        &self,
        id: &str,
        state: OperationState,
        ended_ms: i64,
    ) -> Result<(), Error> {
        sqlx::query(
            "UPDATE operations SET state = ?, ended_ms = ?, sealed_request = x'' WHERE id = ?",
        )
        .bind(word(state))
        .bind(ended_ms)
        .bind(id)
        .execute(&self.writer)
        .await
        .map_err(doing("end an operation"))?;
        Ok(())
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

    /// The operations that were begun and not ended, oldest first, with their
    /// requests.
    pub async fn unfinished<T: serde::de::DeserializeOwned>(
        &self,
    ) -> Result<Vec<(Operation, T)>, Error> {
        let rows =
            sqlx::query("SELECT * FROM operations WHERE state = 'running' ORDER BY started_ms")
                .fetch_all(&self.readers)
                .await
                .map_err(doing("read the unfinished operations"))?;
        rows.iter()
            .map(|row| {
                let operation = operation_of(row)?;
                let sealed: Vec<u8> = row.get("sealed_request");
                let request = self.seal.unseal_json(&purpose(&operation.id), &sealed)?;
                Ok((operation, request))
            })
            .collect()
    }

    /// Writes events of an operation, all or none.
    pub async fn add_events(&self, id: &str, events: &[EventRecord]) -> Result<(), Error> {
        let doing = doing("write the events of an operation");
        let mut transaction = self.writer.begin().await.map_err(&doing)?;
        for event in events {
            sqlx::query(
                "INSERT OR REPLACE INTO operation_events (operation, number, event) VALUES (?, ?, ?)",
            )
            .bind(id)
            .bind(event.number as i64)
            .bind(&event.event)
            .execute(&mut *transaction)
            .await
            .map_err(&doing)?;
        }
        transaction.commit().await.map_err(&doing)
    }

    /// The events of an operation whose number is above `after`, ascending.
    pub async fn events(&self, id: &str, after: u64) -> Result<Vec<EventRecord>, Error> {
        let rows = sqlx::query(
            "SELECT number, event FROM operation_events WHERE operation = ? AND number > ?
             ORDER BY number",
        )
        .bind(id)
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .fetch_all(&self.readers)
        .await
        .map_err(doing("read the events of an operation"))?;
        Ok(rows
            .iter()
            .map(|row| EventRecord {
                number: row.get::<i64, _>("number") as u64,
                event: row.get("event"),
            })
            .collect())
    }
}
