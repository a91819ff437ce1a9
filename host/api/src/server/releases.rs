//! Releases of an app, and going back to one.

use super::operations::Turn;
use super::problem::Problem;
use crate::wire::{Rollback, RollbackProposal, Started};
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use doprax_core::name::AppName;
use doprax_core::release::{ReleaseDetails, Releases};
use doprax_reconcile::Host;
use http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;

pub(super) async fn list(
    State(host): State<Arc<Host>>,
    Path(app): Path<String>,
) -> Result<Json<Releases>, Problem> {
    Ok(Json(host.releases(&AppName::new(app)?).await?))
}

pub(super) async fn one(
    State(host): State<Arc<Host>>,
    path: Result<Path<(String, u64)>, PathRejection>,
) -> Result<Json<ReleaseDetails>, Problem> {
    let Path((app, number)) = path?;
    let details = host.release_details(&AppName::new(app)?, number).await?;
    Ok(Json(details))
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    to: Option<u64>,
    #[serde(default)]
    allow_downgrade: bool,
}

pub(super) async fn plan_rollback(
    State(host): State<Arc<Host>>,
    Path(app): Path<String>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<RollbackProposal>, Problem> {
    let Query(Wanted {
        to,
        allow_downgrade,
    }) = query?;
    let app = AppName::new(app)?;
    let planned = host.plan_rollback(&app, to, allow_downgrade).await?;
    Ok(Json(planned.into()))
}

pub(super) async fn roll_back(
    State(host): State<Arc<Host>>,
    Path(app): Path<String>,
    turn: Result<Query<Turn>, QueryRejection>,
    body: Result<Json<Rollback>, JsonRejection>,
) -> Result<(StatusCode, Json<Started>), Problem> {
    let Json(rollback) = body?;
    let Query(turn) = turn?;
    let app = AppName::new(app)?;
    let begun = host
        .operations()
        .roll_back(&app, rollback.into(), turn.when_busy());
    let operation = begun.await?;
    Ok((StatusCode::ACCEPTED, Json(Started { operation })))
}
