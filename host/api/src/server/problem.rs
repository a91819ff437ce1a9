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
        let mut failure = Failure::from_error(&error);
        let (status, help) = status_and_help(&error);
        failure.help = help;
        match error {
            Error::Manifest { diagnostics } => failure.diagnostics = diagnostics,
            Error::NotReady { log, .. } => failure.log = log,
            Error::Engine(doprax_engine::Error::BuildFailed { output, reason, .. }) => {
                failure.log = output;
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

fn status_and_help(error: &Error) -> (StatusCode, Option<String>) {
    use doprax_engine::Error as Engine;
    match error {
        Error::Manifest { .. } => (StatusCode::UNPROCESSABLE_ENTITY, None),
        Error::NoApp { .. } => (StatusCode::NOT_FOUND, Some("`doprax apps` lists what is there".to_owned())),
        Error::NoContainer { known, .. } => {
            let known: Vec<&str> = known.iter().map(|name| name.as_str()).collect();
            (StatusCode::NOT_FOUND, Some(format!("it has {}", known.join(", "))))
        }
        Error::NoVolume { app, .. } => {
            (StatusCode::NOT_FOUND, Some(format!("`doprax volume list {app}` lists what is there")))
        }
        Error::VolumeInUse { app, .. } => (
            StatusCode::CONFLICT,
            Some(format!("take it out of doprax.yaml and deploy, or remove the app first: `doprax remove {app}`")),
        ),
        Error::Busy { operation, .. } => (
            StatusCode::CONFLICT,
            Some(format!("wait for it to end; `doprax operation {operation}` follows it")),
        ),
        Error::NoOperation { .. } => {
            (StatusCode::NOT_FOUND, Some("old operations are forgotten; `doprax status APP` says how an app is".to_owned()))
        }
        Error::Source { .. } => (
            StatusCode::CONFLICT,
            Some("if files changed while they were sent, run the command again".to_owned()),
        ),
        Error::Unplannable { help, .. } => (StatusCode::UNPROCESSABLE_ENTITY, help.clone()),
        Error::NotReady { container, .. } => (
            StatusCode::UNPROCESSABLE_ENTITY,
            Some(format!("its whole log: `doprax logs APP {container}`")),
        ),
        Error::Engine(Engine::Unreachable { .. }) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Some("start it (`systemctl start docker`), or name another with `doprax serve --engine`; `doprax doctor` looks closer".to_owned()),
        ),
        Error::Engine(Engine::ImageMissing { .. }) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            Some("check the image's name and tag, and that this machine reaches its registry".to_owned()),
        ),
        Error::Engine(Engine::BuildFailed { .. }) => {
            (StatusCode::UNPROCESSABLE_ENTITY, Some("mend the Dockerfile and run `doprax up` again".to_owned()))
        }
        Error::Engine(Engine::NoContainer { .. }) => (StatusCode::CONFLICT, Some("`doprax status APP` says what runs".to_owned())),
        Error::Engine(_) => (StatusCode::BAD_GATEWAY, None),
        Error::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, Some("try again when it is back".to_owned())),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, None),
    }
}
