//! Certificates and the host's own CA.

use super::problem::Problem;
use crate::wire::{Certificate, LocalCa};
use axum::Json;
use axum::extract::State;
use doprax_reconcile::Host;
use http::StatusCode;
use std::sync::Arc;

pub(super) async fn list(State(host): State<Arc<Host>>) -> Json<Vec<Certificate>> {
    Json(host.certificates().into_iter().map(Into::into).collect())
}

pub(super) async fn local_ca(State(host): State<Arc<Host>>) -> Result<Json<LocalCa>, Problem> {
    let certificate = host.local_ca().ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "this host serves nothing by HTTPS")
            .help("serve with --https ADDRESS:PORT")
    })?;
    Ok(Json(LocalCa { certificate }))
}
