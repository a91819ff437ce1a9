//! What must outlive the process beside apps: keys, orders and schedules of certificates,
//! the last words of containers. What the values mean is not known here.

use crate::error::doing;
use crate::{Error, Store};
use sqlx::Row as _;

/// Binds a sealed value to its place, so that it opens nowhere else.
fn purpose(kind: &str, id: &str) -> String {
    format!("vault {kind} {id}")
}

impl Store {
    /// A value.
    pub async fn vault_value(&self, kind: &str, id: &str) -> Result<Option<Vec<u8>>, Error> {
        let row = sqlx::query("SELECT sealed_value FROM vault WHERE kind = ? AND id = ?")
            .bind(kind)
            .bind(id)
            .fetch_optional(&self.readers)
            .await
            .map_err(doing("read a value from the vault"))?;
        row.map(|row| {
            let sealed: Vec<u8> = row.get("sealed_value");
            self.seal.unseal(&purpose(kind, id), &sealed)
        })
        .transpose()
    }

    /// The next values of a kind in the order of their ids, with these: up to 256 whose
    /// ids come after `after`.
    pub async fn vault_page(
        &self,
        kind: &str,
        after: &str,
    ) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let query = "SELECT id, sealed_value FROM vault WHERE kind = ? AND id > ?
             ORDER BY id LIMIT 256";
        let rows = sqlx::query(query)
            .bind(kind)
            .bind(after)
            .fetch_all(&self.readers)
            .await
            .map_err(doing("read a value from the vault"))?;
        rows.iter()
            .map(|row| {
                let (id, sealed): (String, Vec<u8>) = (row.get("id"), row.get("sealed_value"));
                let value = self.seal.unseal(&purpose(kind, &id), &sealed)?;
                Ok((id, value))
            })
            .collect()
    }

    /// Keeps a value in the place of the one there was.
    pub async fn set_vault_value(&self, kind: &str, id: &str, value: &[u8]) -> Result<(), Error> {
        let query = sqlx::query(
            "INSERT INTO vault (kind, id, sealed_value) VALUES (?, ?, ?)
             ON CONFLICT (kind, id) DO UPDATE SET sealed_value = excluded.sealed_value",
        )
        .bind(kind)
        .bind(id)
        .bind(self.seal.seal(&purpose(kind, id), value));
        self.change("keep a value in the vault", query).await
    }

    /// Removes a value; there may be none.
    pub async fn remove_vault_value(&self, kind: &str, id: &str) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM vault WHERE kind = ? AND id = ?")
            .bind(kind)
            .bind(id);
        self.change("remove what certificates no longer need", query)
            .await
    }
}
