//! Releases: what made each of them, those that failed, and letting go of what no kept
//! one needs.

use crate::document::{BLUEPRINT, REPORT, REQUEST, SPEC};
use crate::error::doing;
use crate::write::{Statement, Write};
use crate::{Error, Store};
use doprax_core::blueprint::Blueprint;
use doprax_core::name::{AppName, ServiceName};
use doprax_core::release::{self, FailedRelease, Kept, Made, Origin, Reason, ReleaseEntry};
use doprax_core::spec::AppSpec;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::collections::{BTreeMap, BTreeSet};

/// Builds that are remembered of an app beside those of the images that are kept.
const BUILDS: i64 = 32;

/// The release of an app that is current.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// From 1, within the app.
    pub number: u64,
    /// Unix time in milliseconds.
    pub created_ms: i64,
    /// Digest of the source.
    pub source: String,
    /// What was wanted.
    pub blueprint: Blueprint,
}

/// A deployment that has succeeded and is to be remembered.
pub struct NewRelease<'a, T> {
    /// What the manifest meant.
    pub manifest: &'a AppSpec,
    /// The same with what was set by hand.
    pub spec: &'a AppSpec,
    /// What runs now.
    pub blueprint: &'a Blueprint,
    /// Digest of the source.
    pub source: &'a str,
    /// Unix time in milliseconds.
    pub created_ms: i64,
    /// Remarks about it.
    pub notes: &'a [String],
    /// What was asked, so that it can be asked again with a change made by hand.
    pub request: &'a T,
    /// Where it comes from.
    pub origin: &'a Origin,
    /// Digests of the plugins' components that described its services.
    pub plugins: &'a BTreeMap<ServiceName, String>,
}

/// A release with all that made it.
#[derive(Debug, Clone)]
pub struct ReleaseRecord<T> {
    /// In one line.
    pub entry: ReleaseEntry,
    /// What was wanted.
    pub blueprint: Blueprint,
    /// Digests of the plugins' components that described its services.
    pub plugins: BTreeMap<ServiceName, String>,
    /// What was asked and what it meant; absent where an earlier host has not kept it.
    pub made_of: Option<MadeOf<T>>,
}

/// What a release was made of.
#[derive(Debug, Clone)]
pub struct MadeOf<T> {
    /// What the manifest meant.
    pub manifest: AppSpec,
    /// The same with what was set by hand.
    pub spec: AppSpec,
    /// What was asked.
    pub request: T,
}

fn row_error<E: Into<Box<dyn std::error::Error + Send + Sync>>>(what: &str) -> impl Fn(E) -> Error {
    move |source| Error::Row {
        what: what.to_owned(),
        source: source.into(),
    }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("stored types have only string keys")
}

fn origin_of(row: &SqliteRow) -> Result<Origin, Error> {
    Ok(Origin {
        reason: serde_json::from_str(&row.get::<String, _>("reason"))
            .map_err(row_error("the reason of a release"))?,
        operation: row.get("operation"),
        actor: row.get("actor"),
        commit: row.get("git_commit"),
        started_ms: row.get("started_ms"),
    })
}

fn entry_of(row: &SqliteRow) -> Result<ReleaseEntry, Error> {
    Ok(ReleaseEntry {
        number: row.get::<i64, _>("number") as u64,
        created_ms: row.get("created_ms"),
        source: row.get("source"),
        origin: origin_of(row)?,
        complete: row.get("complete"),
    })
}

impl Store {
    /// Remembers a successful deployment as the current one and returns its number. The
    /// values that a rollback brings back are the present ones from then on, but for
    /// secrets that were given another value for the next deploy.
    pub async fn add_release<T: Serialize + Sync>(
        &self,
        app: &AppName,
        new: &NewRelease<'_, T>,
    ) -> Result<u64, Error> {
        let action = "remember a release";
        let mut write = self.write(action).await?;
        let number: i64 =
            sqlx::query("SELECT COALESCE(MAX(number), 0) + 1 AS next FROM releases WHERE app = ?")
                .bind(app.as_str())
                .fetch_one(write.connection())
                .await
                .map_err(doing(action))?
                .get("next");
        if matches!(new.origin.reason, Reason::Rollback { .. }) {
            self.bring_back_secrets(&mut write, app, new.blueprint)
                .await?;
        }
        let blobs: Vec<&str> = release::blobs(new.blueprint).collect();
        let release = sqlx::query(
            "INSERT INTO releases (app, number, created_ms, source, sealed_blueprint,
                sealed_manifest, sealed_spec, sealed_request, reason, operation, actor,
                git_commit, started_ms, plugins, blobs)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(app.as_str())
        .bind(number)
        .bind(new.created_ms)
        .bind(new.source)
        .bind(
            self.seal
                .seal_document(&blueprint_purpose(app), &BLUEPRINT, new.blueprint),
        )
        .bind(
            self.seal
                .seal_document(&manifest_purpose(app), &SPEC, new.manifest),
        )
        .bind(self.seal.seal_document(&spec_purpose(app), &SPEC, new.spec))
        .bind(
            self.seal
                .seal_document(&request_purpose(app), &REQUEST, new.request),
        )
        .bind(json(&new.origin.reason))
        .bind(new.origin.operation.as_deref())
        .bind(new.origin.actor.as_deref())
        .bind(new.origin.commit.as_deref())
        .bind(new.origin.started_ms)
        .bind(json(new.plugins))
        .bind(json(&blobs));
        write.run(release).await?;
        let current = sqlx::query(
            "UPDATE apps SET release = ?, last_error = NULL, sealed_last_error = NULL, notes = ?
             WHERE name = ?",
        )
        .bind(number)
        .bind(json(&new.notes))
        .bind(app.as_str());
        write.run(current).await?;
        for volume in &new.blueprint.volumes {
            let made = sqlx::query("INSERT OR IGNORE INTO volumes (app, name) VALUES (?, ?)")
                .bind(app.as_str())
                .bind(volume.as_str());
            write.run(made).await?;
        }
        write.run(self.remember_remains(app, None)).await?;
        write.commit().await?;
        Ok(number as u64)
    }

    /// Makes the values that a release of an app was made with the present ones, where the
    /// present one is what the current release has.
    async fn bring_back_secrets(
        &self,
        write: &mut Write,
        app: &AppName,
        blueprint: &Blueprint,
    ) -> Result<(), Error> {
        let action = "remember a release";
        let current = sqlx::query(
            "SELECT sealed_blueprint FROM releases JOIN apps
                ON apps.name = releases.app AND apps.release = releases.number
             WHERE app = ?",
        )
        .bind(app.as_str())
        .fetch_optional(write.connection())
        .await
        .map_err(doing(action))?;
        let Some(current) = current else {
            return Ok(());
        };
        let current: Blueprint = self.unseal_blueprint(app, &current)?;
        for (name, revision) in &blueprint.revisions {
            // One that was dropped has no present value; one that is not what the current
            // release has was set for the next deploy.
            let brought = sqlx::query(
                "UPDATE secrets SET turn = 1 + (SELECT MAX(turn) FROM secrets
                    WHERE app = ?1 AND name = ?2)
                 WHERE app = ?1 AND name = ?2 AND revision = ?3 AND (
                    0 = (SELECT MAX(turn) FROM secrets WHERE app = ?1 AND name = ?2)
                    OR ?3 <> ?4 AND ?4 = (SELECT revision FROM secrets
                        WHERE app = ?1 AND name = ?2 ORDER BY turn DESC, revision DESC LIMIT 1))",
            )
            .bind(app.as_str())
            .bind(name.as_str())
            .bind(*revision as i64)
            .bind(current.revisions.get(name).map(|revision| *revision as i64));
            write.run(brought).await?;
        }
        Ok(())
    }

    /// The releases of an app that are remembered, the latest first.
    pub async fn releases(&self, app: &AppName) -> Result<Vec<ReleaseEntry>, Error> {
        let rows = sqlx::query(
            "SELECT number, created_ms, source, reason, operation, actor, git_commit, started_ms,
                sealed_manifest IS NOT NULL AS complete
             FROM releases WHERE app = ? ORDER BY number DESC",
        )
        .bind(app.as_str())
        .fetch_all(&self.readers)
        .await
        .map_err(doing("read an app's releases"))?;
        rows.iter().map(entry_of).collect()
    }

    /// Digests of all plugins' components that described the services of releases.
    pub async fn components(&self) -> Result<BTreeSet<String>, Error> {
        let rows = sqlx::query(
            "SELECT DISTINCT json_each.value AS digest FROM releases, json_each(releases.plugins)",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(doing("read which components releases need"))?;
        Ok(rows.iter().map(|row| row.get("digest")).collect())
    }

    /// One release of an app.
    pub async fn release<T: DeserializeOwned>(
        &self,
        app: &AppName,
        number: u64,
    ) -> Result<Option<ReleaseRecord<T>>, Error> {
        let row = sqlx::query(
            "SELECT number, created_ms, source, reason, operation, actor, git_commit, started_ms,
                sealed_manifest IS NOT NULL AS complete, plugins,
                sealed_blueprint, sealed_manifest, sealed_spec, sealed_request
             FROM releases WHERE app = ? AND number = ?",
        )
        .bind(app.as_str())
        .bind(i64::try_from(number).unwrap_or(i64::MAX))
        .fetch_optional(&self.readers)
        .await
        .map_err(doing("read a release"))?;
        row.map(|row| {
            Ok(ReleaseRecord {
                entry: entry_of(&row)?,
                blueprint: self.unseal_blueprint(app, &row)?,
                plugins: serde_json::from_str(&row.get::<String, _>("plugins"))
                    .map_err(row_error("the plugins of a release"))?,
                made_of: self.made_of(app, &row)?,
            })
        })
        .transpose()
    }

    fn made_of<T: DeserializeOwned>(
        &self,
        app: &AppName,
        row: &SqliteRow,
    ) -> Result<Option<MadeOf<T>>, Error> {
        let (Some(manifest), Some(spec), Some(request)) = (
            row.get::<Option<&[u8]>, _>("sealed_manifest"),
            row.get::<Option<&[u8]>, _>("sealed_spec"),
            row.get::<Option<&[u8]>, _>("sealed_request"),
        ) else {
            return Ok(None);
        };
        Ok(Some(MadeOf {
            manifest: self
                .seal
                .unseal_document(&manifest_purpose(app), &SPEC, manifest)?,
            spec: self.seal.unseal_document(&spec_purpose(app), &SPEC, spec)?,
            request: self
                .seal
                .unseal_document(&request_purpose(app), &REQUEST, request)?,
        }))
    }

    /// What was asked for the app's current release.
    pub async fn request<T: DeserializeOwned>(&self, app: &AppName) -> Result<Option<T>, Error> {
        let row = sqlx::query(
            "SELECT sealed_request FROM releases JOIN apps
                ON apps.name = releases.app AND apps.release = releases.number
             WHERE app = ? AND sealed_request IS NOT NULL",
        )
        .bind(app.as_str())
        .fetch_optional(&self.readers)
        .await
        .map_err(doing("read what was deployed"))?;
        row.map(|row| {
            let sealed: &[u8] = row.get("sealed_request");
            self.seal
                .unseal_document(&request_purpose(app), &REQUEST, sealed)
        })
        .transpose()
    }

    /// Remembers a deployment of an app that came to no release. An app that is not
    /// remembered has none.
    pub async fn add_failed_release(
        &self,
        app: &AppName,
        failed: &FailedRelease,
    ) -> Result<(), Error> {
        let operation = failed.origin.operation.as_deref().unwrap_or_default();
        let purpose = report_purpose(operation);
        let query = sqlx::query(
            "INSERT OR REPLACE INTO failed_releases (operation, app, reason, state, source, actor,
                git_commit, started_ms, ended_ms, sealed_report)
             SELECT ?, name, ?, ?, ?, ?, ?, ?, ?, ? FROM apps WHERE name = ?",
        )
        .bind(operation)
        .bind(json(&failed.origin.reason))
        .bind(json(&failed.state))
        .bind(failed.source.as_deref())
        .bind(failed.origin.actor.as_deref())
        .bind(failed.origin.commit.as_deref())
        .bind(failed.origin.started_ms.unwrap_or(failed.ended_ms))
        .bind(failed.ended_ms)
        .bind(self.seal.seal_document(&purpose, &REPORT, &failed.report))
        .bind(app.as_str());
        self.change("remember a deploy that failed", query).await
    }

    /// The deployments of an app that came to no release, as far as they are remembered,
    /// the latest first.
    pub async fn failed_releases(&self, app: &AppName) -> Result<Vec<FailedRelease>, Error> {
        let rows = sqlx::query(
            "SELECT * FROM failed_releases WHERE app = ? ORDER BY ended_ms DESC, rowid DESC",
        )
        .bind(app.as_str())
        .fetch_all(&self.readers)
        .await
        .map_err(doing("read the deploys that failed"))?;
        rows.iter()
            .map(|row| {
                let operation: String = row.get("operation");
                let purpose = report_purpose(&operation);
                let sealed: &[u8] = row.get("sealed_report");
                Ok(FailedRelease {
                    origin: origin_of(row)?,
                    state: serde_json::from_str(&row.get::<String, _>("state"))
                        .map_err(row_error("how a deploy failed"))?,
                    source: row.get("source"),
                    ended_ms: row.get("ended_ms"),
                    report: self.seal.unseal_document(&purpose, &REPORT, sealed)?,
                })
            })
            .collect()
    }

    /// Forgets the releases of an app beyond the latest `retain`, and all that no kept one
    /// needs: values of secrets, and files, where no other operation than `operation` is
    /// about to use them. Returns what is kept, for whoever prunes images and archives.
    pub async fn retire_releases(
        &self,
        app: &AppName,
        retain: u16,
        operation: Option<&str>,
    ) -> Result<Kept, Error> {
        let action = "forget old releases";
        let mut write = self.write(action).await?;
        let releases = self.blueprints(&mut write, app, action).await?;
        let made: Vec<Made<'_>> = releases
            .iter()
            .map(|release| Made {
                number: release.number,
                blueprint: &release.blueprint,
                source: &release.source,
            })
            .collect();
        let current = current_of(&mut write, app, action).await?;
        let kept = release::keep(&made, current, retain);
        for number in made.iter().map(|made| made.number) {
            if !kept.releases.contains(&number) {
                let old = sqlx::query("DELETE FROM releases WHERE app = ? AND number = ?")
                    .bind(app.as_str())
                    .bind(number as i64);
                write.run(old).await?;
            }
        }
        let failed = sqlx::query(
            "DELETE FROM failed_releases WHERE app = ?1 AND (operation NOT IN
                (SELECT operation FROM failed_releases WHERE app = ?1
                    ORDER BY ended_ms DESC, rowid DESC LIMIT ?2)
             OR ended_ms < (SELECT MIN(created_ms) FROM releases WHERE app = ?1))",
        )
        .bind(app.as_str())
        .bind(i64::from(retain.max(1)));
        write.run(failed).await?;
        let current = releases
            .iter()
            .find(|release| Some(release.number) == current);
        if let Some(current) = current {
            self.forget_values(&mut write, app, &current.blueprint, &kept)
                .await?;
        }
        write.run(old_builds(app, &kept)).await?;
        self.forget_blobs(&mut write, operation, action).await?;
        write.commit().await?;
        Ok(kept)
    }

    /// Every release of an app with what it wanted.
    async fn blueprints(
        &self,
        write: &mut Write,
        app: &AppName,
        action: &'static str,
    ) -> Result<Vec<Release>, Error> {
        let rows = sqlx::query(
            "SELECT number, created_ms, source, sealed_blueprint FROM releases WHERE app = ?",
        )
        .bind(app.as_str())
        .fetch_all(write.connection())
        .await
        .map_err(doing(action))?;
        rows.iter()
            .map(|row| {
                Ok(Release {
                    number: row.get::<i64, _>("number") as u64,
                    created_ms: row.get("created_ms"),
                    source: row.get("source"),
                    blueprint: self.unseal_blueprint(app, row)?,
                })
            })
            .collect()
    }

    /// What a kept release of the app needs, as part of a transaction.
    pub(crate) async fn needed(
        &self,
        write: &mut Write,
        app: &AppName,
        action: &'static str,
    ) -> Result<Kept, Error> {
        let releases = self.blueprints(write, app, action).await?;
        let made: Vec<Made<'_>> = releases
            .iter()
            .map(|release| Made {
                number: release.number,
                blueprint: &release.blueprint,
                source: &release.source,
            })
            .collect();
        Ok(release::keep(&made, None, u16::MAX))
    }

    /// Forgets the values of secrets that neither a kept release nor the next deploy needs.
    /// The highest revision stays, so that none is given to two values.
    async fn forget_values(
        &self,
        write: &mut Write,
        app: &AppName,
        current: &Blueprint,
        kept: &Kept,
    ) -> Result<(), Error> {
        for (name, revision) in &current.revisions {
            let revisions: Vec<u64> = kept
                .revisions
                .iter()
                .filter(|(kept, _)| kept == name)
                .map(|(_, revision)| *revision)
                .collect();
            let old = sqlx::query(
                "DELETE FROM secrets WHERE app = ?1 AND name = ?2
                    AND turn < (SELECT turn FROM secrets
                        WHERE app = ?1 AND name = ?2 AND revision = ?3)
                    AND revision < (SELECT MAX(revision) FROM secrets
                        WHERE app = ?1 AND name = ?2)
                    AND revision NOT IN (SELECT value FROM json_each(?4))",
            )
            .bind(app.as_str())
            .bind(name.as_str())
            .bind(*revision as i64)
            .bind(json(&revisions));
            write.run(old).await?;
        }
        Ok(())
    }

    /// Forgets the files that no release of any app needs. Those of a deploy under way are
    /// not known yet: while there is one, none goes.
    async fn forget_blobs(
        &self,
        write: &mut Write,
        operation: Option<&str>,
        action: &'static str,
    ) -> Result<(), Error> {
        // Hosts before this one did not write down which files a release needs.
        let unknown =
            sqlx::query("SELECT app, number, sealed_blueprint FROM releases WHERE blobs IS NULL")
                .fetch_all(write.connection())
                .await
                .map_err(doing(action))?;
        for row in &unknown {
            let app =
                AppName::new(row.get::<String, _>("app")).map_err(row_error("an app's name"))?;
            let blueprint = self.unseal_blueprint(&app, row)?;
            let blobs: Vec<&str> = release::blobs(&blueprint).collect();
            let known = sqlx::query("UPDATE releases SET blobs = ? WHERE app = ? AND number = ?")
                .bind(json(&blobs))
                .bind(app.as_str())
                .bind(row.get::<i64, _>("number"));
            write.run(known).await?;
        }
        let old = sqlx::query(
            "DELETE FROM blobs WHERE digest NOT IN
                (SELECT json_each.value FROM releases, json_each(releases.blobs))
             AND NOT EXISTS
                (SELECT 1 FROM operations WHERE state = 'running' AND id IS NOT ?)",
        )
        .bind(operation);
        write.run(old).await
    }

    pub(crate) fn unseal_blueprint(
        &self,
        app: &AppName,
        row: &SqliteRow,
    ) -> Result<Blueprint, Error> {
        self.seal.unseal_document(
            &blueprint_purpose(app),
            &BLUEPRINT,
            row.get::<&[u8], _>("sealed_blueprint"),
        )
    }
}

/// The number of an app's current release.
async fn current_of(
    write: &mut Write,
    app: &AppName,
    action: &'static str,
) -> Result<Option<u64>, Error> {
    let number: Option<Option<i64>> = sqlx::query_scalar("SELECT release FROM apps WHERE name = ?")
        .bind(app.as_str())
        .fetch_optional(write.connection())
        .await
        .map_err(doing(action))?;
    Ok(number.flatten().map(|number| number as u64))
}

pub(crate) fn manifest_purpose(app: &AppName) -> String {
    format!("the manifest of app {app}")
}

pub(crate) fn request_purpose(app: &AppName) -> String {
    format!("the request of app {app}")
}

pub(crate) fn spec_purpose(app: &AppName) -> String {
    format!("the spec of app {app}")
}

fn blueprint_purpose(app: &AppName) -> String {
    format!("a blueprint of app {app}")
}

fn report_purpose(operation: &str) -> String {
    format!("the failure of operation {operation}")
}

/// Forgets what was built from which source, but for the images that are kept and the latest
/// builds: the images of the first hosts' releases are not known by id.
fn old_builds(app: &AppName, kept: &Kept) -> Statement {
    sqlx::query(
        "DELETE FROM builds WHERE app = ?1
            AND image NOT IN (SELECT value FROM json_each(?2))
            AND rowid NOT IN
                (SELECT rowid FROM builds WHERE app = ?1 ORDER BY rowid DESC LIMIT ?3)",
    )
    .bind(app.as_str())
    .bind(json(&kept.image_ids))
    .bind(BUILDS)
}
