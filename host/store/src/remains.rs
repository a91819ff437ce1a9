//! What a removed app ran last whose volumes stay: what the data in them was made with.

use crate::document::BLUEPRINT;
use crate::error::doing;
use crate::write::Statement;
use crate::{Error, Store};
use doprax_core::blueprint::Blueprint;
use doprax_core::name::AppName;
use sqlx::Row as _;

impl Store {
    /// What an app ran last that was removed and left volumes behind; absent for one that
    /// has been deployed since, and where nothing is left.
    pub async fn remains(&self, app: &AppName) -> Result<Option<Blueprint>, Error> {
        let row = sqlx::query("SELECT sealed_blueprint FROM remains WHERE app = ?")
            .bind(app.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(doing("read what a removed app ran"))?;
        row.map(|row| {
            let sealed = row.get::<&[u8], _>("sealed_blueprint");
            self.seal.unseal_document(&purpose(app), &BLUEPRINT, sealed)
        })
        .transpose()
    }

    /// Forgets what a removed app ran, as nothing of it is left.
    pub async fn forget_remains(&self, app: &AppName) -> Result<(), Error> {
        self.change("forget what a removed app ran", forgotten(app))
            .await
    }

    /// The statement that remembers what a removed app ran, or forgets it.
    pub(crate) fn remember_remains(&self, app: &AppName, left: Option<&Blueprint>) -> Statement {
        let Some(left) = left else {
            return forgotten(app);
        };
        sqlx::query("INSERT OR REPLACE INTO remains (app, sealed_blueprint) VALUES (?, ?)")
            .bind(app.to_string())
            .bind(self.seal.seal_document(&purpose(app), &BLUEPRINT, left))
    }
}

fn forgotten(app: &AppName) -> Statement {
    sqlx::query("DELETE FROM remains WHERE app = ?").bind(app.to_string())
}

fn purpose(app: &AppName) -> String {
    format!("what the removed app {app} ran")
}
