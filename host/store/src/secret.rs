//! Values of secrets.

use crate::error::doing;
use crate::write::Write;
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
        self.revisions_by(&self.readers, app).await
    }

    async fn revisions_by<'c>(
        &self,
        reader: impl sqlx::Executor<'c, Database = sqlx::Sqlite>,
        app: &AppName,
    ) -> Result<Vec<(SecretName, StoredSecret)>, Error> {
        let rows = sqlx::query(
            "SELECT name, revision, sealed_value FROM secrets WHERE app = ? ORDER BY name, revision",
        )
        .bind(app.as_str())
        .fetch_all(reader)
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
        let mut write = self.write("write an app's secrets").await?;
        self.write_secrets(&mut write, app, values).await?;
        write.commit().await
    }

    /// The same as a part of a transaction.
    pub(crate) async fn write_secrets(
        &self,
        write: &mut Write,
        app: &AppName,
        values: &BTreeMap<SecretName, String>,
    ) -> Result<(), Error> {
        let present: BTreeMap<_, _> = self
            .revisions_by(write.connection(), app)
            .await?
            .into_iter()
            .collect();
        for (name, value) in values {
            let latest = present.get(name);
            if latest.is_some_and(|stored| stored.value == *value) {
                continue;
            }
            let revision = latest.map_or(0, |stored| stored.revision) + 1;
            let secret = sqlx::query(
                "INSERT INTO secrets (app, name, revision, sealed_value) VALUES (?, ?, ?, ?)",
            )
            .bind(app.as_str())
            .bind(name.as_str())
            .bind(revision as i64)
            .bind(self.seal.seal(&purpose(app, name), value.as_bytes()));
            write.run(secret).await?;
        }
        Ok(())
    }

    /// Gives secrets values, or has them forgotten where there is none, all or nothing.
    pub async fn change_secrets(
        &self,
        app: &AppName,
        changes: &BTreeMap<SecretName, Option<String>>,
    ) -> Result<(), Error> {
        let mut write = self.write("change an app's secrets").await?;
        let mut values = BTreeMap::new();
        for (name, value) in changes {
            if let Some(value) = value {
                values.insert(name.clone(), value.clone());
                continue;
            }
            let forgotten = sqlx::query("DELETE FROM secrets WHERE app = ? AND name = ?")
                .bind(app.as_str())
                .bind(name.as_str());
            write.run(forgotten).await?;
        }
        self.write_secrets(&mut write, app, &values).await?;
        write.commit().await
    }

    /// Forgets all secrets of a removed app; of an app that exists, none.
    pub async fn forget_secrets(&self, app: &AppName) -> Result<(), Error> {
        let query = sqlx::query(
            "DELETE FROM secrets WHERE app = ?1 AND NOT EXISTS (SELECT 1 FROM apps WHERE name = ?1)",
        )
        .bind(app.as_str());
        self.change("remove the secrets of a removed app", query)
            .await
    }
}
