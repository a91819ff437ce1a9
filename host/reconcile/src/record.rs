//! What is remembered of an app, or why there is nothing to work with.

use crate::Error;
use doprax_core::name::{AppName, ServiceName};
use doprax_store::{AppRecord, Store};

/// All that is remembered of an app.
pub(crate) async fn record(store: &Store, app: &AppName) -> Result<AppRecord, Error> {
    let record = store.app(app).await?;
    record.ok_or_else(|| Error::NoApp { app: app.clone() })
}

/// The same without what only a deploy needs.
pub(crate) async fn brief(store: &Store, app: &AppName) -> Result<AppRecord, Error> {
    let record = store.app_in_brief(app).await?;
    record.ok_or_else(|| Error::NoApp { app: app.clone() })
}

/// Refuses a container that the app does not have, and an app that has none.
pub(crate) fn check_selection(
    record: &AppRecord,
    selection: Option<&ServiceName>,
) -> Result<(), Error> {
    let Some(release) = &record.release else {
        return Err(Error::NotDeployed {
            app: record.name.clone(),
        });
    };
    let containers = &release.blueprint.containers;
    match selection {
        Some(container) if !containers.contains_key(container) => Err(Error::NoContainer {
            app: record.name.clone(),
            container: container.clone(),
            known: containers.keys().cloned().collect(),
        }),
        _ => Ok(()),
    }
}
