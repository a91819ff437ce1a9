//! Values of secrets.

use crate::error::doing;
use crate::write::Write;
use crate::{Error, Store};
use doprax_core::name::AppName;
use doprax_core::secret::SecretName;
use sqlx::Row as _;
use std::collections::BTreeMap;
use std::fmt;

/// The value of a secret and which of its values that is.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// From 1; each new value has one more than any before it.
    pub revision: u64,
    /// The highest revision that a value of the secret has.
    pub newest: u64,
    /// The value.
    pub value: String,
}

/// One value of a secret.
struct Revision {
    name: SecretName,
    revision: u64,
    /// The value with the highest one is the present one; 0: it is none any more.
    turn: u64,
    value: String,
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

/// The highest revision of each secret.
fn newest(revisions: &[Revision]) -> BTreeMap<SecretName, u64> {
    let mut newest: BTreeMap<SecretName, u64> = BTreeMap::new();
    for found in revisions {
        let highest = newest.entry(found.name.clone()).or_default();
        *highest = found.revision.max(*highest);
    }
    newest
}

/// The present value of each secret, of `revisions` as they come from the database.
fn present(revisions: Vec<Revision>) -> BTreeMap<SecretName, StoredSecret> {
    let newest = newest(&revisions);
    let present = revisions.into_iter().filter(|found| found.turn > 0);
    // Ascending, so the last of each name is what stays.
    present
        .map(|found| {
            let secret = StoredSecret {
                revision: found.revision,
                newest: newest.get(&found.name).copied().unwrap_or(found.revision),
                value: found.value,
            };
            (found.name, secret)
        })
        .collect()
}

impl Store {
    /// The present value of each secret of an app, those of a removed app with kept
    /// volumes included.
    pub async fn secrets(
        &self,
        app: &AppName,
    ) -> Result<BTreeMap<SecretName, StoredSecret>, Error> {
        Ok(present(self.revisions(&self.readers, app).await?))
    }

    /// The values that secrets had at these revisions.
    pub async fn secrets_at(
        &self,
        app: &AppName,
        revisions: &BTreeMap<SecretName, u64>,
    ) -> Result<BTreeMap<SecretName, String>, Error> {
        let wanted = |found: Revision| {
            (revisions.get(&found.name) == Some(&found.revision))
                .then_some((found.name, found.value))
        };
        let found = self.revisions(&self.readers, app).await?;
        Ok(found.into_iter().filter_map(wanted).collect())
    }

    /// Every value of every secret of an app, by name, the present one last.
    async fn revisions<'c>(
        &self,
        reader: impl sqlx::Executor<'c, Database = sqlx::Sqlite>,
        app: &AppName,
    ) -> Result<Vec<Revision>, Error> {
        let rows = sqlx::query(
            "SELECT name, revision, turn, sealed_value FROM secrets WHERE app = ?
             ORDER BY name, turn, revision",
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
                Ok(Revision {
                    name,
                    revision: row.get::<i64, _>("revision") as u64,
                    turn: row.get::<i64, _>("turn") as u64,
                    value,
                })
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
        let revisions = self.revisions(write.connection(), app).await?;
        let newest = newest(&revisions);
        let latest = revisions
            .iter()
            .map(|found| (found.name.clone(), found.turn));
        let latest: BTreeMap<SecretName, u64> = latest.collect();
        let present = present(revisions);
        for (name, value) in values {
            if present
                .get(name)
                .is_some_and(|stored| stored.value == *value)
            {
                continue;
            }
            let revision = newest.get(name).copied().unwrap_or_default() + 1;
            let turn = latest.get(name).copied().unwrap_or_default() + 1;
            let secret = sqlx::query(
                "INSERT INTO secrets (app, name, revision, turn, sealed_value)
                 VALUES (?, ?, ?, ?, ?)",
            )
            .bind(app.as_str())
            .bind(name.as_str())
            .bind(revision as i64)
            .bind(turn as i64)
            .bind(self.seal.seal(&purpose(app, name), value.as_bytes()));
            write.run(secret).await?;
        }
        Ok(())
    }

    /// Gives secrets values, or has them forgotten where there is none, all or nothing. What
    /// a release needs that one can go back to is forgotten with that release.
    pub async fn change_secrets(
        &self,
        app: &AppName,
        changes: &BTreeMap<SecretName, Option<String>>,
    ) -> Result<(), Error> {
        let action = "change an app's secrets";
        let mut write = self.write(action).await?;
        let mut needed = None;
        let mut values = BTreeMap::new();
        for (name, value) in changes {
            if let Some(value) = value {
                values.insert(name.clone(), value.clone());
                continue;
            }
            let needed = match &needed {
                Some(needed) => needed,
                None => needed.insert(self.needed(&mut write, app, action).await?.revisions),
            };
            let kept = needed.iter().filter(|(needed, _)| needed == name);
            let kept: Vec<u64> = kept.map(|(_, revision)| *revision).collect();
            let kept = serde_json::to_string(&kept).expect("a list of numbers serializes");
            for statement in [
                "UPDATE secrets SET turn = 0 WHERE app = ? AND name = ?
                    AND revision IN (SELECT value FROM json_each(?))",
                "DELETE FROM secrets WHERE app = ? AND name = ?
                    AND revision NOT IN (SELECT value FROM json_each(?))",
            ] {
                let forgotten = sqlx::query(statement)
                    .bind(app.as_str())
                    .bind(name.as_str())
                    .bind(&kept);
                write.run(forgotten).await?;
            }
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
