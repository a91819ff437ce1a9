//! Planning a deploy, receiving its source, and beginning it.

use super::operations::Turn;
use super::problem::Problem;
use crate::wire::{DeployRequest, Proposal, Started};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use doprax_reconcile::Host;
use futures_util::TryStreamExt as _;
use http::StatusCode;
use http_body_util::Limited;
use std::io;
use std::sync::Arc;
use tokio_util::io::StreamReader;

/// Largest source archive in bytes.
const MAX_SOURCE: usize = 4 << 30;

pub(super) async fn plan(
    State(host): State<Arc<Host>>,
    body: Result<Json<DeployRequest>, JsonRejection>,
) -> Result<Json<Proposal>, Problem> {
    let Json(request) = body?;
    Ok(Json(host.plan(&request.into()).await?.into()))
}

pub(super) async fn deploy(
    State(host): State<Arc<Host>>,
    turn: Result<Query<Turn>, QueryRejection>,
    body: Result<Json<DeployRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<Started>), Problem> {
    let Query(turn) = turn?;
    let Json(request) = body?;
    let operation = host
        .operations()
        .deploy(request.into(), turn.when_busy())
        .await?;
    Ok((StatusCode::ACCEPTED, Json(Started { operation })))
}

/// Streams the archive to the host, which keeps it in a file and checks its digest.
pub(super) async fn receive_source(
    State(host): State<Arc<Host>>,
    Path(digest): Path<String>,
    body: Body,
) -> Result<StatusCode, Problem> {
    if !doprax_core::source::is_digest(&digest) {
        return Err(Problem::bad_request(format!("{digest:?} is not a digest")));
    }
    let bytes = Body::new(Limited::new(body, MAX_SOURCE))
        .into_data_stream()
        .map_err(io::Error::other);
    host.receive_source(&digest, std::pin::pin!(StreamReader::new(bytes)))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
