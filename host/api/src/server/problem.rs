//! What failed, as a response: a status and the one shape of all errors.

use crate::wire::Failure;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use doprax_reconcile::{Error, Host, Remedies};
use http::StatusCode;
use std::sync::Arc;

/// An error response.
#[derive(Debug)]
pub(super) enum Problem {
    /// The request was refused before the host heard of it.
    Refused {
        status: StatusCode,
        failure: Failure,
    },
    /// The host could not do it. [`phrase`] makes the response.
    Failed(Arc<Error>),
}

impl Problem {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let error = error.into();
        let failure = Failure {
            error,
            ..Failure::default()
        };
        Self::Refused { status, failure }
    }

    /// A request that the client should not have made.
    pub(super) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        if let Self::Refused { failure, .. } = &mut self {
            failure.help = Some(help.into());
        }
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        match self {
            Self::Refused { status, failure } => (status, Json(failure)).into_response(),
            Self::Failed(error) => (status(&error), Extension(Failed(error))).into_response(),
        }
    }
}

/// What the host failed with, on its way from a handler to where it is phrased.
#[derive(Clone)]
struct Failed(Arc<Error>);

/// Answers what the host failed with, and what to do about it in the host's words, which
/// handlers do without.
pub(super) async fn phrase(
    State(host): State<Arc<Host>>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    let Some(Failed(error)) = response.extensions().get() else {
        return response;
    };
    let failure = failure_of(error, host.config().remedies);
    let status = response.status();
    if status.is_server_error() {
        tracing::error!(error = %failure.error, causes = ?failure.causes, "a request failed");
    }
    (status, Json(failure)).into_response()
}

/// An error of the host as it goes over the wire.
pub(super) fn failure_of(error: &Error, remedies: Remedies) -> Failure {
    let mut failure = Failure {
        help: (remedies.error)(error),
        log: error.log().to_vec(),
        ..Failure::from_error(error)
    };
    match error {
        Error::Manifest { diagnostics } => failure.diagnostics.clone_from(diagnostics),
        Error::Engine(doprax_engine::Error::BuildFailed { reason, .. }) => {
            failure.causes.insert(0, reason.clone());
        }
        _ => {}
    }
    failure
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
        Self::Failed(Arc::new(error))
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
        | Error::NoValues { .. }
        | Error::LongVariable { .. }
        | Error::NoSubnet(_)
        | Error::BuiltImageGone
        | Error::CurrentRelease { .. }
        | Error::NoEarlierRelease { .. }
        | Error::LostRelease { .. }
        | Error::NotADomain { .. }
        | Error::FreeDomain { .. }
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
