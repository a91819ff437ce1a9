//! What failed, as a response: a status and the one shape of all errors.

use crate::wire::Failure;
use axum::Json;
use axum::response::{IntoResponse, Response};
use doprax_reconcile::Error;
use http::StatusCode;

/// An error response.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    failure: Failure,
}

impl Problem {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            failure: Failure {
                error: error.into(),
                ..Failure::default()
            },
        }
    }

    /// A request that the client should not have made.
    pub(super) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.failure.help = Some(help.into());
        self
    }

    pub(super) fn into_failure(self) -> Failure {
        self.failure
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(self.failure)).into_response()
    }
}

impl From<axum::extract::rejection::JsonRejection> for Problem {
    fn from(rejection: axum::extract::rejection::JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<axum::extract::rejection::QueryRejection> for Problem {
    fn from(rejection: axum::extract::rejection::QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<axum::extract::rejection::PathRejection> for Problem {
    fn from(rejection: axum::extract::rejection::PathRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<doprax_core::name::NameError> for Problem {
    fn from(error: doprax_core::name::NameError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = status(&error);
        let mut failure = Failure::from_error(&error);
        failure.help = error.help();
        failure.log = error.log().to_vec();
        match error {
            Error::Manifest { diagnostics } => failure.diagnostics = diagnostics,
            Error::Engine(doprax_engine::Error::BuildFailed { reason, .. }) => {
                failure.causes.insert(0, reason);
            }
            _ => {}
        }
        if status.is_server_error() {
            tracing::error!(error = %failure.error, causes = ?failure.causes, "a request failed");
        }
        Self { status, failure }
    }
}

fn status(error: &Error) -> StatusCode {
    use doprax_engine::Error as Engine;
    match error {
        Error::NoApp { .. }
        | Error::NoContainer { .. }
        | Error::NoVolume { .. }
        | Error::NoDomain { .. }
        | Error::NoRelease { .. }
        | Error::NoOperation { .. } => StatusCode::NOT_FOUND,
        Error::Downgrade { .. }
        | Error::VolumeInUse { .. }
        | Error::VolumeExists { .. }
        | Error::VolumeGone { .. }
        | Error::VariableInUse { .. }
        | Error::DomainTaken { .. }
        | Error::DomainInUse { .. }
        | Error::Busy { .. }
        | Error::QueueFull { .. }
        | Error::Withdrawn
        | Error::Ended { .. }
        | Error::Cancelled
        | Error::Source { .. }
        | Error::NotDeployed { .. }
        | Error::Engine(Engine::NoContainer { .. }) => StatusCode::CONFLICT,
        Error::Outdated { .. } => StatusCode::PRECONDITION_FAILED,
        Error::Manifest { .. }
        | Error::Unplannable { .. }
        | Error::Domain { .. }
        | Error::NotReady { .. }
        | Error::NotSettled { .. }
        | Error::Explained { .. }
        | Error::BuildTimeout { .. }
        | Error::Engine(Engine::ImageMissing { .. } | Engine::BuildFailed { .. }) => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Error::Engine(Engine::Unreachable { .. }) | Error::ShuttingDown => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Error::Engine(_) => StatusCode::BAD_GATEWAY,
        Error::Store(error) if error.is_full() => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
