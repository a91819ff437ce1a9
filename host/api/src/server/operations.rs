//! Long work: how far it is, and its events from any number on.

use super::problem::Problem;
use super::stream::ndjson;
use crate::wire::{Operation, OperationEvent};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use doprax_core::name::AppName;
use doprax_reconcile::Host;
use futures_util::StreamExt as _;
use http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;

pub(super) async fn one(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
) -> Result<Json<Operation>, Problem> {
    Ok(Json(host.operation(&id).await?.into()))
}

#[derive(Deserialize)]
pub(super) struct OfApp {
    app: Option<AppName>,
}

pub(super) async fn list(
    State(host): State<Arc<Host>>,
    query: Result<Query<OfApp>, QueryRejection>,
) -> Result<Json<Vec<Operation>>, Problem> {
    let Query(OfApp { app }) = query?;
    let operations = host.operations(app.as_ref()).await?;
    Ok(Json(operations.into_iter().map(Into::into).collect()))
}

pub(super) async fn cancel(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    host.cancel(&id).await?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
pub(super) struct After {
    #[serde(default)]
    after: u64,
}

pub(super) async fn events(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    query: Result<Query<After>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(After { after }) = query?;
    let events = host.operation_events(&id, after).await?;
    Ok(ndjson(events.map(OperationEvent::from)))
}
