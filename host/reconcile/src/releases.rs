//! Releases: those that are kept, and what each was made of.

use crate::Error;
use crate::record::brief;
use crate::request::DeployRequest;
use doprax_core::blueprint::Blueprint;
use doprax_core::diff::{Diff, diff};
use doprax_core::name::AppName;
use doprax_core::plan::Plan;
use doprax_core::release::{ReleaseDetails, ReleasedContainer, Releases};
use doprax_store::{ReleaseRecord, Store};

/// The releases of an app that are kept, and the deploys that came to none.
pub(crate) async fn releases(store: &Store, app: &AppName) -> Result<Releases, Error> {
    let record = brief(store, app).await?;
    let (releases, failed) = tokio::try_join!(store.releases(app), store.failed_releases(app))?;
    Ok(Releases {
        current: record.release.map(|release| release.number),
        releases,
        failed,
    })
}

/// What a release was made of, and what it changed.
pub(crate) async fn details(
    store: &Store,
    app: &AppName,
    number: u64,
) -> Result<ReleaseDetails, Error> {
    let record = brief(store, app).await?;
    let current = record.release;
    let release = find_release(store, app, number).await?;
    let entries = store.releases(app).await?;
    let before = entries.iter().map(|entry| entry.number);
    let before = before.filter(|other| *other < number).max();
    let since = match before {
        Some(before) => Some((before, find_release(store, app, before).await?)),
        None => None,
    };
    let change = |from: &Blueprint, to: &Blueprint| {
        let mut diff: Diff = diff(Some(from), to, &[], &Plan::default());
        diff.notes.clear();
        diff
    };
    let blueprint = &release.blueprint;
    let containers = blueprint.containers.values();
    let containers = containers.map(|container| ReleasedContainer {
        name: container.name.clone(),
        image: container.image.reference().to_owned(),
        identity: container.identity.clone(),
        plugin: container.plugin.clone(),
        plugin_digest: release.plugins.get(&container.name).cloned(),
    });
    Ok(ReleaseDetails {
        is_current: current
            .as_ref()
            .is_some_and(|current| current.number == number),
        containers: containers.collect(),
        secrets: blueprint.revisions.clone(),
        before: since.as_ref().map(|(before, _)| *before),
        changed: since
            .as_ref()
            .map(|(_, since)| change(&since.blueprint, blueprint)),
        until_now: current
            .filter(|current| current.number != number)
            .map(|current| change(blueprint, &current.blueprint)),
        entry: release.entry,
    })
}

/// A release of an app, or an error that names those that there are.
pub(crate) async fn find_release(
    store: &Store,
    app: &AppName,
    number: u64,
) -> Result<ReleaseRecord<DeployRequest>, Error> {
    if let Some(release) = store.release(app, number).await? {
        return Ok(release);
    }
    let known = store.releases(app).await?;
    Err(Error::NoRelease {
        app: app.clone(),
        number,
        known: known.iter().map(|entry| entry.number).collect(),
    })
}
