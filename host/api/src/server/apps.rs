//! Apps that exist: what they are, starting and stopping, logs, variables, volumes.

use super::operations::{Turn, when_busy};
use super::problem::Problem;
use super::stream::ndjson;
use crate::wire::{
    Access, App, AppSummary, Control, Edit, EnvVariable, LogLine, Proposal, SecretsOnRemoval,
    SetVariables, Started, Volume,
};
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use doprax_core::name::{AppName, ServiceName, VolumeName};
use doprax_reconcile::{Host, request};
use futures_util::StreamExt as _;
use http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;

type Answer<T> = Result<Json<T>, Problem>;

pub(super) async fn list(State(host): State<Arc<Host>>) -> Answer<Vec<AppSummary>> {
    Ok(Json(
        host.apps()
            .list()
            .await?
            .into_iter()
            .map(Into::into)
            .collect(),
    ))
}

pub(super) async fn status(State(host): State<Arc<Host>>, Path(app): Path<String>) -> Answer<App> {
    Ok(Json(host.apps().of(&AppName::new(app)?).await?.into()))
}

#[derive(Deserialize)]
pub(super) struct Removal {
    secrets: Option<SecretsOnRemoval>,
    confirmed: Option<String>,
    wait: Option<bool>,
}

pub(super) async fn removal(
    State(host): State<Arc<Host>>,
    Path(app): Path<String>,
    query: Result<Query<Removal>, QueryRejection>,
) -> Answer<Proposal> {
    let Query(Removal { secrets, .. }) = query?;
    let proposal = host.plan_removal(&AppName::new(app)?, secrets).await?;
    Ok(Json(proposal.into()))
}

pub(super) async fn remove(
    State(host): State<Arc<Host>>,
    Path(app): Path<String>,
    query: Result<Query<Removal>, QueryRejection>,
) -> Result<(StatusCode, Json<Started>), Problem> {
    let Query(Removal {
        secrets,
        confirmed,
        wait,
    }) = query?;
    let app = AppName::new(app)?;
    let removal = request::Removal { secrets, confirmed };
    let operation = host
        .operations()
        .remove(&app, removal, when_busy(wait))
        .await?;
    Ok((StatusCode::ACCEPTED, Json(Started { operation })))
}

#[derive(Deserialize, Default)]
pub(super) struct Selected {
    container: Option<ServiceName>,
    wait: Option<bool>,
}

pub(super) async fn control(
    State(host): State<Arc<Host>>,
    path: Result<Path<(String, Control)>, PathRejection>,
    selected: Result<Query<Selected>, QueryRejection>,
) -> Result<(StatusCode, Json<Started>), Problem> {
    let Path((app, control)) = path?;
    let Query(Selected { container, wait }) = selected?;
    let app = AppName::new(app)?;
    let begun = host
        .operations()
        .control(&app, container, control, when_busy(wait));
    let operation = begun.await?;
    Ok((StatusCode::ACCEPTED, Json(Started { operation })))
}

#[derive(Deserialize)]
pub(super) struct LogQuery {
    container: Option<ServiceName>,
    since: Option<i64>,
    tail: Option<u32>,
    #[serde(default)]
    follow: bool,
}

pub(super) async fn logs(
    State(host): State<Arc<Host>>,
    Path(app): Path<String>,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(LogQuery {
        container,
        since,
        tail,
        follow,
    }) = query?;
    let request = doprax_engine::LogRequest {
        since,
        tail,
        follow,
        timestamps: true,
    };
    let lines = host
        .logs(&AppName::new(app)?, container.as_ref(), request)
        .await?;
    Ok(ndjson(lines.map(LogLine::from)))
}

#[derive(Deserialize)]
pub(super) struct AccessQuery {
    tail: Option<usize>,
    #[serde(default)]
    follow: bool,
}

pub(super) async fn access(
    State(host): State<Arc<Host>>,
    Path(app): Path<String>,
    query: Result<Query<AccessQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(AccessQuery { tail, follow }) = query?;
    let app = AppName::new(app)?;
    let records = host.access(Some(&app), tail, follow).await?;
    Ok(ndjson(records.map(|record| Access::from(&*record))))
}

pub(super) async fn all_access(
    State(host): State<Arc<Host>>,
    query: Result<Query<AccessQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(AccessQuery { tail, follow }) = query?;
    let records = host.access(None, tail, follow).await?;
    Ok(ndjson(records.map(|record| Access::from(&*record))))
}

#[derive(Deserialize)]
pub(super) struct EnvQuery {
    container: ServiceName,
}

pub(super) async fn env(
    State(host): State<Arc<Host>>,
    Path(app): Path<String>,
    query: Result<Query<EnvQuery>, QueryRejection>,
) -> Answer<Vec<EnvVariable>> {
    let Query(EnvQuery { container }) = query?;
    let env = host.env(&AppName::new(app)?, &container).await?;
    Ok(Json(env.into_iter().map(EnvVariable::from).collect()))
}

pub(super) async fn edit(
    State(host): State<Arc<Host>>,
    Path(app): Path<String>,
    turn: Result<Query<Turn>, QueryRejection>,
    body: Result<Json<Edit>, JsonRejection>,
) -> Result<(StatusCode, Json<Started>), Problem> {
    let Json(edit) = body?;
    let Query(turn) = turn?;
    let app = AppName::new(app)?;
    let operation = host
        .operations()
        .edit(&app, edit.into(), turn.when_busy())
        .await?;
    Ok((StatusCode::ACCEPTED, Json(Started { operation })))
}

pub(super) async fn variables(
    State(host): State<Arc<Host>>,
    Path(app): Path<String>,
) -> Answer<Vec<String>> {
    Ok(Json(host.variables(&AppName::new(app)?).await?))
}

pub(super) async fn set_variables(
    State(host): State<Arc<Host>>,
    Path(app): Path<String>,
    body: Result<Json<SetVariables>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(SetVariables { values }) = body?;
    host.set_variables(&AppName::new(app)?, values).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn volumes(State(host): State<Arc<Host>>) -> Answer<Vec<Volume>> {
    Ok(Json(
        host.volumes()
            .list()
            .await?
            .into_iter()
            .map(Into::into)
            .collect(),
    ))
}

pub(super) async fn check_volume(
    State(host): State<Arc<Host>>,
    Path((app, volume)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    host.volumes()
        .check(&AppName::new(app)?, &VolumeName::new(volume)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove_volume(
    State(host): State<Arc<Host>>,
    Path((app, volume)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    host.volumes()
        .remove(&AppName::new(app)?, &VolumeName::new(volume)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn recreate_volume(
    State(host): State<Arc<Host>>,
    Path((app, volume)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    host.volumes()
        .recreate(&AppName::new(app)?, &VolumeName::new(volume)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
