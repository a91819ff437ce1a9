//! Values of secrets.

use crate::error::doing;
use crate::{Error, Store};
use doprax_core::name::AppName;
use doprax_core::secret::SecretName;
use sqlx::Row as _;
use std::collections::BTreeMap;
use std::fmt;

/// The value of a secret and how often it has changed.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// From 1; one more with every new value.
    pub revision: u64,
    /// The value.
    pub value: String,
}

impl fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredSecret(revision {})", self.revision)
    }
}

fn purpose(app: &AppName, name: &SecretName) -> String {
    format!("secret {name} of app {app}")
}

fn name_of(row: &sqlx::sqlite::SqliteRow) -> Result<SecretName, Error> {
    let name: String = row.get("name");
    serde_json::from_value(serde_json::Value::String(name)).map_err(|error| Error::Row {
        what: "a secret's name".to_owned(),
        source: error.into(),
    })
}

impl Store {
    /// The latest value of each secret of an app, those of a removed app with kept
    /// volumes included.
    pub async fn secrets(
        &self,
        app: &AppName,
    ) -> Result<BTreeMap<SecretName, StoredSecret>, Error> {
        let revisions = self.revisions(app).await?;
        // Ascending, so the last of each name is what stays.
        Ok(revisions.into_iter().collect())
    }

    /// The values that secrets had at these revisions.
    pub async fn secrets_at(
        &self,
        app: &AppName,
        revisions: &BTreeMap<SecretName, u64>,
    ) -> Result<BTreeMap<SecretName, String>, Error> {
        let wanted = |(name, secret): (SecretName, StoredSecret)| {
            (revisions.get(&name) == Some(&secret.revision)).then_some((name, secret.value))
        };
        Ok(self
            .revisions(app)
            .await?
            .into_iter()
            .filter_map(wanted)
            .collect())
    }

    /// Every revision of every secret of an app, ascending.
    async fn revisions(&self, app: &AppName) -> Result<Vec<(SecretName, StoredSecret)>, Error> {
        let rows = sqlx::query(
            "SELECT name, revision, sealed_value FROM secrets WHERE app = ? ORDER BY name, revision",
        )
        .bind(app.as_str())
        .fetch_all(&self.readers)
        .await
        .map_err(doing("read an app's secrets"))?;
        rows.iter()
            .map(|row| {
                let name = name_of(row)?;
                let sealed: Vec<u8> = row.get("sealed_value");
                let what = purpose(app, &name);
                let value =
                    String::from_utf8(self.seal.unseal(&what, &sealed)?).map_err(|error| {
                        Error::Row {
                            what,
                            source: error.into(),
                        }
                    })?;
                let revision = row.get::<i64, _>("revision") as u64;
                Ok((name, StoredSecret { revision, value }))
            })
            .collect()
    }

    /// Gives secrets these values, all or none. A value that is there already keeps
    /// its revision; another becomes the next one.
    pub async fn put_secrets(
        &self,
        app: &AppName,
        values: &BTreeMap<SecretName, String>,
    ) -> Result<(), Error> {
        let present = self.secrets(app).await?;
        let doing = doing("write an app's secrets");
        let mut transaction = self.writer.begin().await.map_err(&doing)?;
        for (name, value) in values {
            let latest = present.get(name);
            if latest.is_some_and(|stored| stored.value == *value) {
                continue;
            }
            let revision = latest.map_or(0, |stored| stored.revision) + 1;
            sqlx::query(
                "INSERT INTO secrets (app, name, revision, sealed_value) VALUES (?, ?, ?, ?)",
            )
            .bind(app.as_str())
            .bind(name.as_str())
            .bind(revision as i64)
            .bind(self.seal.seal(&purpose(app, name), value.as_bytes()))
            .execute(&mut *transaction)
            .await
            .map_err(&doing)?;
        }
        transaction.commit().await.map_err(&doing)
    }

    /// Forgets one secret.
    pub async fn remove_secret(&self, app: &AppName, name: &SecretName) -> Result<(), Error> {
        sqlx::query("DELETE FROM secrets WHERE app = ? AND name = ?")
            .bind(app.as_str())
            .bind(name.as_str())
            .execute(&self.writer)
            .await
            .map_err(doing("remove a secret"))?;
        Ok(())
    }

    /// Forgets all secrets of a removed app; of an app that exists, none.
    pub async fn forget_secrets(&self, app: &AppName) -> Result<(), Error> {
        sqlx::query(
            "DELETE FROM secrets WHERE app = ?1 AND NOT EXISTS (SELECT 1 FROM apps WHERE name = ?1)",
        )
        .bind(app.as_str())
        .execute(&self.writer)
        .await
        .map_err(doing("remove the secrets of a removed app"))?;
        Ok(())
    }
}
