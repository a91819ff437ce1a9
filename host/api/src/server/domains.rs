//! Host names of apps beside their free subdomains.

use super::problem::Problem;
use crate::wire::{Domain, NewDomain, Verification};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use doprax_core::name::AppName;
use doprax_core::spec::DomainSpec;
use doprax_reconcile::Host;
use doprax_reconcile::report::DomainStatus;
use http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;

type Answer<T> = Result<Json<T>, Problem>;

pub(super) async fn all(State(host): State<Arc<Host>>) -> Answer<Vec<Domain>> {
    Ok(answer(host.domains().list(None).await?))
}

pub(super) async fn of_app(
    State(host): State<Arc<Host>>,
    Path(app): Path<String>,
) -> Answer<Vec<Domain>> {
    Ok(answer(
        host.domains().list(Some(&AppName::new(app)?)).await?,
    ))
}

pub(super) async fn add(
    State(host): State<Arc<Host>>,
    Path(app): Path<String>,
    body: Result<Json<NewDomain>, JsonRejection>,
) -> Answer<Vec<Domain>> {
    let Json(NewDomain { name, www, hsts }) = body?;
    let spec = DomainSpec { www, hsts };
    let added = host.domains().add(&AppName::new(app)?, &name, spec).await?;
    Ok(answer(added))
}

pub(super) async fn remove(
    State(host): State<Arc<Host>>,
    Path((app, name)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    host.domains().remove(&AppName::new(app)?, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    name: Option<String>,
}

pub(super) async fn verify(
    State(host): State<Arc<Host>>,
    Path(app): Path<String>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Answer<Vec<Verification>> {
    let Query(Wanted { name }) = wanted?;
    let app = AppName::new(app)?;
    let verified = host.domains().verify(&app, name.as_deref()).await?;
    Ok(Json(verified.into_iter().map(Into::into).collect()))
}

fn answer(domains: Vec<DomainStatus>) -> Json<Vec<Domain>> {
    Json(domains.into_iter().map(Into::into).collect())
}
