//! Long work: how far it is, and its events from any number on.

use super::problem::Problem;
use super::stream::ndjson;
use crate::wire::Operation;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use doprax_core::name::AppName;
use doprax_reconcile::Host;
use doprax_reconcile::request::WhenBusy;
use http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;

/// What a request says about waiting for others on the app.
#[derive(Deserialize)]
pub(super) struct Turn {
    wait: Option<bool>,
}

impl Turn {
    pub(super) fn when_busy(&self) -> WhenBusy {
        when_busy(self.wait)
    }
}

/// Whoever says nothing waits.
pub(super) fn when_busy(wait: Option<bool>) -> WhenBusy {
    match wait {
        Some(false) => WhenBusy::Refuse,
        Some(true) | None => WhenBusy::Wait,
    }
}

pub(super) async fn one(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
) -> Result<Json<Operation>, Problem> {
    Ok(Json(host.operations().one(&id).await?))
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
    Ok(Json(host.operations().list(app.as_ref()).await?))
}

pub(super) async fn cancel(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    host.operations().cancel(&id).await?;
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
    Ok(ndjson(host.operations().events(&id, after).await?))
}
