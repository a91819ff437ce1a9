//! What this host is made of and how its machine is.

use crate::wire::{Finding, Plugin};
use axum::Json;
use axum::extract::State;
use doprax_reconcile::Host;
use std::sync::Arc;

pub(super) async fn list(State(host): State<Arc<Host>>) -> Json<Vec<Plugin>> {
    Json(host.plugins().known().map(Plugin::from).collect())
}

pub(super) async fn doctor(State(host): State<Arc<Host>>) -> Json<Vec<Finding>> {
    let remedies = host.config().remedies;
    let findings = host.doctor().await.into_iter();
    Json(
        findings
            .map(|finding| Finding::new(finding, remedies))
            .collect(),
    )
}
