//! Apps, and what was built from their sources.

use crate::document::SPEC;
use crate::error::doing;
use crate::release::{Release, manifest_purpose, spec_purpose};
use crate::write::Statement;
use crate::{Error, Store};
use doprax_core::blueprint::Blueprint;
use doprax_core::name::{AppName, ServiceName, VolumeName};
use doprax_core::neighbour::Neighbours;
use doprax_core::spec::AppSpec;
use ipnet::Ipv4Net;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::collections::{BTreeMap, BTreeSet};

/// An app as the host remembers it.
#[derive(Debug, Clone, PartialEq)]
pub struct AppRecord {
    /// Its name.
    pub name: AppName,
    /// The subnet of its network.
    pub subnet: Ipv4Net,
    /// What the last applied manifest meant; absent before the first deploy succeeds, and
    /// where the app was read in brief.
    pub manifest: Option<AppSpec>,
    /// The same with what was set by hand; absent where that is.
    pub spec: Option<AppSpec>,
    /// The current release.
    pub release: Option<Release>,
    /// Containers that their owner stopped.
    pub stopped: BTreeSet<ServiceName>,
    /// Containers that still have to reload: steps that had them do so did not come to
    /// their end.
    pub reloads: BTreeSet<ServiceName>,
    /// Volumes that were made for a release: if one is gone, its data is.
    pub made_volumes: BTreeSet<VolumeName>,
    /// What the latest operation failed with; absent if it did not fail.
    pub last_error: Option<String>,
    /// Remarks of the latest deploy, such as a limit that this machine forbids.
    pub notes: Vec<String>,
}

/// What came of building a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The image's id.
    pub image: String,
    /// Ports that it exposes.
    pub ports: Vec<u16>,
    /// What it was built on: the id, or the registry's digest, by reference; those that
    /// were not known are absent.
    pub bases: BTreeMap<String, String>,
}

const IN_FULL: &str = "sealed_manifest, sealed_spec";
/// With thousands of domains, manifests are large, and those who look at apps again and
/// again do not need them.
const IN_BRIEF: &str = "NULL AS sealed_manifest, NULL AS sealed_spec";

fn select(specs: &str, rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!(
        "SELECT apps.name, subnet, {specs}, stopped, reloads,
            (SELECT json_group_array(volumes.name) FROM volumes
                WHERE volumes.app = apps.name) AS made_volumes,
            last_error, sealed_last_error, notes, number, created_ms, source, sealed_blueprint
         FROM apps LEFT JOIN releases
             ON releases.app = apps.name AND releases.number = apps.release
         {rest}"
    ))
}

fn row_error<E: Into<Box<dyn std::error::Error + Send + Sync>>>(what: &str) -> impl Fn(E) -> Error {
    move |source| Error::Row {
        what: what.to_owned(),
        source: source.into(),
    }
}

impl Store {
    /// Every app, in brief.
    pub async fn apps(&self) -> Result<Vec<AppRecord>, Error> {
        let rows = sqlx::query(select(IN_BRIEF, "ORDER BY apps.name"))
            .fetch_all(&self.readers)
            .await
            .map_err(doing("read the apps"))?;
        rows.iter().map(|row| self.app_of(row)).collect()
    }

    /// The names of all apps.
    pub async fn app_names(&self) -> Result<Vec<AppName>, Error> {
        let rows = sqlx::query("SELECT name FROM apps ORDER BY name")
            .fetch_all(&self.readers)
            .await
            .map_err(doing("read the apps' names"))?;
        rows.iter()
            .map(|row| {
                AppName::new(row.get::<String, _>("name")).map_err(row_error("an app's name"))
            })
            .collect()
    }

    /// One app.
    pub async fn app(&self, name: &AppName) -> Result<Option<AppRecord>, Error> {
        self.read_app(name, IN_FULL).await
    }

    /// One app without what its manifest meant.
    pub async fn app_in_brief(&self, name: &AppName) -> Result<Option<AppRecord>, Error> {
        self.read_app(name, IN_BRIEF).await
    }

    async fn read_app(&self, name: &AppName, specs: &str) -> Result<Option<AppRecord>, Error> {
        let row = sqlx::query(select(specs, "WHERE apps.name = ?"))
            .bind(name.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(doing("read an app"))?;
        row.as_ref().map(|row| self.app_of(row)).transpose()
    }

    /// The subnets that apps have.
    pub async fn subnets(&self) -> Result<Vec<Ipv4Net>, Error> {
        let rows = sqlx::query("SELECT subnet FROM apps")
            .fetch_all(&self.readers)
            .await
            .map_err(doing("read the apps' subnets"))?;
        rows.iter()
            .map(|row| {
                row.get::<String, _>("subnet")
                    .parse()
                    .map_err(row_error("an app's subnet"))
            })
            .collect()
    }

    /// Gives an app another subnet.
    pub async fn set_subnet(&self, name: &AppName, subnet: Ipv4Net) -> Result<(), Error> {
        let query = sqlx::query("UPDATE apps SET subnet = ? WHERE name = ?")
            .bind(subnet.to_string())
            .bind(name.as_str());
        self.change("remember an app's subnet", query).await
    }

    /// Forgets that a volume was made, so that it may be made anew.
    pub async fn forget_volume(&self, app: &AppName, volume: &VolumeName) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM volumes WHERE app = ? AND name = ?")
            .bind(app.as_str())
            .bind(volume.as_str());
        self.change("forget a volume", query).await
    }

    /// Remembers a new app and its subnet. An app that exists keeps what it has.
    pub async fn add_app(&self, name: &AppName, subnet: Ipv4Net) -> Result<(), Error> {
        let query = sqlx::query(
            "INSERT INTO apps (name, subnet) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
        )
        .bind(name.as_str())
        .bind(subnet.to_string());
        self.change("remember a new app", query).await
    }

    /// Forgets an app and its releases; of what it ran, `left` is remembered, see
    /// [`Store::remains`]. Its secrets stay, see [`Store::forget_secrets`].
    pub async fn remove_app(&self, name: &AppName, left: Option<&Blueprint>) -> Result<(), Error> {
        let mut write = self.write("forget an app").await?;
        write.run(self.remember_remains(name, left)).await?;
        for statement in [
            "DELETE FROM releases WHERE app = ?",
            "DELETE FROM builds WHERE app = ?",
            "DELETE FROM apps WHERE name = ?",
        ] {
            write
                .run(sqlx::query(statement).bind(name.as_str()))
                .await?;
        }
        write.commit().await
    }

    /// Remembers which containers their owner stopped.
    pub async fn set_stopped(
        &self,
        app: &AppName,
        stopped: &BTreeSet<ServiceName>,
    ) -> Result<(), Error> {
        let query = sqlx::query("UPDATE apps SET stopped = ? WHERE name = ?")
            .bind(serde_json::to_string(stopped).expect("a set of names serializes"))
            .bind(app.as_str());
        self.change("remember what is stopped", query).await
    }

    /// Remembers which containers have to reload before all is as it should be.
    pub async fn set_reloads(
        &self,
        app: &AppName,
        reloads: &BTreeSet<ServiceName>,
    ) -> Result<(), Error> {
        let query = sqlx::query("UPDATE apps SET reloads = ? WHERE name = ?")
            .bind(serde_json::to_string(reloads).expect("a set of names serializes"))
            .bind(app.as_str());
        self.change("remember what has to reload", query).await
    }

    /// Where the app's proxies believe their neighbours to be.
    pub async fn neighbours(&self, app: &AppName) -> Result<Neighbours, Error> {
        let row: Option<String> = sqlx::query_scalar("SELECT neighbours FROM apps WHERE name = ?")
            .bind(app.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(doing("read what proxies know"))?;
        let known = row.map(|text| serde_json::from_str(&text)).transpose();
        Ok(known
            .map_err(row_error("what proxies know"))?
            .unwrap_or_default())
    }

    /// Remembers where the app's proxies believe their neighbours to be.
    pub async fn set_neighbours(&self, app: &AppName, known: &Neighbours) -> Result<(), Error> {
        let query = sqlx::query("UPDATE apps SET neighbours = ? WHERE name = ?")
            .bind(serde_json::to_string(known).expect("names and addresses serialize"))
            .bind(app.as_str());
        self.change("remember what proxies know", query).await
    }

    /// Forgets what the latest operation failed with.
    pub async fn clear_last_error(&self, app: &AppName) -> Result<(), Error> {
        self.change("forget a failure", self.last_error(app, None))
            .await
    }

    /// The statement that remembers what the latest operation failed with. It is sealed,
    /// for an app may have printed it.
    pub(crate) fn last_error(&self, app: &AppName, error: Option<&str>) -> Statement {
        let sealed = error.map(|error| self.seal.seal(&error_purpose(app), error.as_bytes()));
        sqlx::query("UPDATE apps SET last_error = NULL, sealed_last_error = ? WHERE name = ?")
            .bind(sealed)
            .bind(app.to_string())
    }

    /// What was built from a source of the app.
    pub async fn build(&self, app: &AppName, source: &str) -> Result<Option<Build>, Error> {
        let row =
            sqlx::query("SELECT image, ports, bases FROM builds WHERE app = ? AND source = ?")
                .bind(app.as_str())
                .bind(source)
                .fetch_optional(&self.readers)
                .await
                .map_err(doing("read what was built"))?;
        row.map(|row| {
            let ports = serde_json::from_str(&row.get::<String, _>("ports"))
                .map_err(row_error("an image's ports"))?;
            let bases = serde_json::from_str(&row.get::<String, _>("bases"))
                .map_err(row_error("what an image was built on"))?;
            Ok(Build {
                image: row.get("image"),
                ports,
                bases,
            })
        })
        .transpose()
    }

    /// The source from which an image of the app was first built, while that build is
    /// remembered.
    pub async fn first_source(&self, app: &AppName, image: &str) -> Result<Option<String>, Error> {
        let row = sqlx::query(
            "SELECT source FROM builds WHERE app = ? AND image = ? ORDER BY rowid LIMIT 1",
        )
        .bind(app.as_str())
        .bind(image)
        .fetch_optional(&self.readers)
        .await
        .map_err(doing("read what was built"))?;
        Ok(row.map(|row| row.get("source")))
    }

    /// Remembers what was built from a source.
    pub async fn put_build(&self, app: &AppName, source: &str, build: &Build) -> Result<(), Error> {
        let query = sqlx::query(
            "INSERT OR REPLACE INTO builds (app, source, image, ports, bases) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(app.as_str())
        .bind(source)
        .bind(&build.image)
        .bind(serde_json::to_string(&build.ports).expect("a list of numbers serializes"))
        .bind(serde_json::to_string(&build.bases).expect("a map of texts serializes"));
        self.change("remember what was built", query).await
    }

    /// Keeps the bytes of a file under their digest.
    pub async fn put_blob(&self, digest: &str, content: &[u8]) -> Result<(), Error> {
        let query =
            sqlx::query("INSERT OR IGNORE INTO blobs (digest, sealed_content) VALUES (?, ?)")
                .bind(digest)
                .bind(self.seal.seal(&blob_purpose(digest), content));
        self.change("keep a config file", query).await
    }

    /// The bytes that were kept under a digest.
    pub async fn blob(&self, digest: &str) -> Result<Option<Vec<u8>>, Error> {
        let row = sqlx::query("SELECT sealed_content FROM blobs WHERE digest = ?")
            .bind(digest)
            .fetch_optional(&self.readers)
            .await
            .map_err(doing("read a config file"))?;
        row.map(|row| {
            self.seal.unseal(
                &blob_purpose(digest),
                &row.get::<Vec<u8>, _>("sealed_content"),
            )
        })
        .transpose()
    }

    fn last_error_of(&self, app: &AppName, row: &SqliteRow) -> Result<Option<String>, Error> {
        let purpose = error_purpose(app);
        let Some(sealed) = row.get::<Option<&[u8]>, _>("sealed_last_error") else {
            // As hosts wrote it before they sealed it.
            return Ok(row.get("last_error"));
        };
        let text = String::from_utf8(self.seal.unseal(&purpose, sealed)?);
        text.map(Some).map_err(row_error(&purpose))
    }

    fn app_of(&self, row: &SqliteRow) -> Result<AppRecord, Error> {
        let name =
            AppName::new(row.get::<String, _>("name")).map_err(row_error("an app's name"))?;
        let spec = |column, purpose: String| {
            let sealed: Option<&[u8]> = row.get(column);
            sealed
                .map(|sealed| self.seal.unseal_document(&purpose, &SPEC, sealed))
                .transpose()
        };
        let subnet = row
            .get::<String, _>("subnet")
            .parse()
            .map_err(row_error("an app's subnet"))?;
        let mut made_volumes: BTreeSet<VolumeName> =
            serde_json::from_str(&row.get::<String, _>("made_volumes"))
                .map_err(row_error("an app's volumes"))?;
        let release = match row.get::<Option<i64>, _>("number") {
            None => None,
            Some(number) => {
                let mut blueprint = self.unseal_blueprint(&name, row)?;
                // An app may have moved since.
                blueprint.subnet = subnet;
                // A release of an earlier host was remembered without them.
                made_volumes.extend(blueprint.volumes.iter().cloned());
                Some(Release {
                    number: number as u64,
                    created_ms: row.get("created_ms"),
                    source: row.get("source"),
                    blueprint,
                })
            }
        };
        Ok(AppRecord {
            subnet,
            made_volumes,
            manifest: spec("sealed_manifest", manifest_purpose(&name))?,
            spec: spec("sealed_spec", spec_purpose(&name))?,
            release,
            stopped: serde_json::from_str(&row.get::<String, _>("stopped"))
                .map_err(row_error("what is stopped"))?,
            reloads: serde_json::from_str(&row.get::<String, _>("reloads"))
                .map_err(row_error("what has to reload"))?,
            last_error: self.last_error_of(&name, row)?,
            notes: serde_json::from_str(&row.get::<String, _>("notes"))
                .map_err(row_error("an app's notes"))?,
            name,
        })
    }
}

fn error_purpose(app: &AppName) -> String {
    format!("the latest failure of app {app}")
}

fn blob_purpose(digest: &str) -> String {
    format!("file {digest}")
}
