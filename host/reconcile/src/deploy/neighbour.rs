//! Proxies and where they believe their neighbours to be: what has moved by itself, such
//! as by a crash, they are told of as well.

use crate::Error;
use doprax_core::blueprint::Blueprint;
use doprax_core::name::ServiceName;
use doprax_core::neighbour::{self, Known};
use doprax_core::observed::Observed;
use doprax_engine::Engine;
use doprax_store::Store;
use std::collections::BTreeSet;

/// The proxies that believe a neighbour to be where it is not.
pub(crate) async fn outdated_proxies(
    store: &Store,
    blueprint: &Blueprint,
    observed: &Observed,
) -> Result<BTreeSet<ServiceName>, Error> {
    if !blueprint
        .containers
        .values()
        .any(|spec| spec.reload.is_some())
    {
        return Ok(BTreeSet::new());
    }
    let app = &blueprint.app;
    let known = store.neighbours(app).await?;
    let (outdated, believed) = neighbour::outdated(&known, blueprint, observed);
    if believed != known {
        store.set_neighbours(app, &believed).await?;
    }
    Ok(outdated)
}

/// Where a proxy finds its neighbours now.
pub(crate) async fn neighbours_of(
    engine: &dyn Engine,
    proxy: &ServiceName,
    blueprint: &Blueprint,
) -> Result<Option<Known>, Error> {
    let observed = engine.observe(&blueprint.app).await?;
    Ok(neighbour::find(proxy, &observed))
}

/// Remembers where a proxy has found its neighbours.
pub(crate) async fn remember_neighbours(
    store: &Store,
    proxy: &ServiceName,
    blueprint: &Blueprint,
    found: Known,
) -> Result<(), Error> {
    let app = &blueprint.app;
    let mut known = store.neighbours(app).await?;
    known.insert(proxy.clone(), found);
    Ok(store.set_neighbours(app, &known).await?)
}
