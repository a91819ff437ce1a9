//! Certificates and the host's own CA.

use super::problem::Problem;
use super::{Refusal, Served};
use crate::wire::{Certificate, LocalCa};
use axum::Json;
use axum::extract::State;
use doprax_reconcile::Host;
use http::StatusCode;
use std::sync::Arc;

pub(super) async fn list(State(host): State<Arc<Host>>) -> Json<Vec<Certificate>> {
    Json(host.certificates().into_iter().map(Into::into).collect())
}

pub(super) async fn local_ca(State(served): State<Served>) -> Result<Json<LocalCa>, Problem> {
    let certificate = served.host.local_ca().ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "this host serves nothing by HTTPS")
            .help((served.remedy)(Refusal::NoHttps))
    })?;
    Ok(Json(LocalCa { certificate }))
}
