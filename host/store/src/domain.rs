//! The host names that apps have beside their free subdomains.

use crate::error::doing;
use crate::{Error, Store};
use doprax_core::domain::{Domain, Domains};
use doprax_core::name::AppName;
use futures_util::TryStreamExt as _;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

/// A host name that an app has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedDomain {
    /// The name.
    pub name: String,
    /// The app.
    pub app: AppName,
    /// What is done for it.
    pub domain: Domain,
    /// Whether a person added it, beside what the manifest names.
    pub by_hand: bool,
    /// Unix time in milliseconds when it was last seen to lead here.
    pub verified_ms: Option<i64>,
}

/// What came of claiming names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// The app has all of them.
    All,
    /// Another app has this one; nothing was claimed.
    Taken {
        /// The name.
        name: String,
        /// The app that has it.
        app: AppName,
    },
}

fn owned(row: &SqliteRow) -> Result<OwnedDomain, Error> {
    let app = AppName::new(row.get::<String, _>("app")).map_err(|source| Error::Row {
        what: "the app of a domain".to_owned(),
        source: source.into(),
    })?;
    Ok(OwnedDomain {
        name: row.get("name"),
        app,
        domain: Domain {
            redirect_to: row.get("redirect_to"),
            hsts: row.get("hsts"),
        },
        by_hand: row.get("by_hand"),
        verified_ms: row.get("verified_ms"),
    })
}

impl Store {
    /// The host names of one app, or of all, ascending.
    pub async fn domains(&self, app: Option<&AppName>) -> Result<Vec<OwnedDomain>, Error> {
        // One after the other: a row takes much more memory than what is made of it.
        sqlx::query("SELECT * FROM domains WHERE ?1 IS NULL OR app = ?1 ORDER BY name")
            .bind(app.map(AppName::as_str))
            .fetch(&self.readers)
            .map_err(doing("read domains"))
            .and_then(async |row| owned(&row))
            .try_collect()
            .await
    }

    /// Gives an app host names, all or none. What it has already is kept; a name that a
    /// person added stays such a one.
    ///
    /// A person only adds: what a name has stays with it, whoever gave it. The manifest
    /// decides about a name, but HSTS stays on where a person added the name.
    pub async fn claim_domains(
        &self,
        app: &AppName,
        names: &Domains,
        by_hand: bool,
    ) -> Result<Claimed, Error> {
        let action = "write an app's domains";
        let mut write = self.write(action).await?;
        let list: Vec<&String> = names.keys().collect();
        let taken = sqlx::query(
            "SELECT * FROM domains WHERE app <> ?
                 AND name IN (SELECT value FROM json_each(?)) ORDER BY name LIMIT 1",
        )
        .bind(app.as_str())
        .bind(serde_json::to_string(&list).expect("a list of texts serializes"))
        .fetch_optional(write.connection())
        .await
        .map_err(doing(action))?;
        if let Some(row) = taken {
            let OwnedDomain { name, app, .. } = owned(&row)?;
            write.commit().await?;
            return Ok(Claimed::Taken { name, app });
        }
        for (name, domain) in names {
            let claim = sqlx::query(
                "INSERT INTO domains (name, app, redirect_to, hsts, by_hand)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (name) DO UPDATE SET
                     redirect_to = iif(?5, coalesce(excluded.redirect_to, redirect_to),
                         excluded.redirect_to),
                     hsts = max(excluded.hsts, iif(by_hand OR ?5, hsts, 0)),
                     by_hand = max(by_hand, excluded.by_hand)",
            )
            .bind(name)
            .bind(app.as_str())
            .bind(&domain.redirect_to)
            .bind(domain.hsts)
            .bind(by_hand);
            write.run(claim).await?;
        }
        write.commit().await?;
        Ok(Claimed::All)
    }

    /// Takes from an app the names that its manifest gave it, but for `kept`.
    pub async fn release_domains(&self, app: &AppName, kept: &Domains) -> Result<(), Error> {
        let kept: Vec<&String> = kept.keys().collect();
        let query = sqlx::query(
            "DELETE FROM domains WHERE app = ? AND NOT by_hand
                 AND name NOT IN (SELECT value FROM json_each(?))",
        )
        .bind(app.as_str())
        .bind(serde_json::to_string(&kept).expect("a list of texts serializes"));
        self.change("write an app's domains", query).await
    }

    /// Takes a name that a person added from an app, with the `www.` that sends on to it.
    pub async fn remove_domain(&self, app: &AppName, name: &str) -> Result<(), Error> {
        let query =
            sqlx::query("DELETE FROM domains WHERE app = ?1 AND (name = ?2 OR redirect_to = ?2)")
                .bind(app.as_str())
                .bind(name);
        self.change("remove a domain", query).await
    }

    /// Remembers when a name was seen to lead here; with none, that it no longer does.
    pub async fn set_verified(&self, name: &str, verified_ms: Option<i64>) -> Result<(), Error> {
        let query = sqlx::query("UPDATE domains SET verified_ms = ? WHERE name = ?")
            .bind(verified_ms)
            .bind(name);
        self.change("remember that a domain leads here", query)
            .await
    }
}
