//! What went wrong below, before it is known what it means: the one place where
//! the engine's answers become [`Error`]s.

use crate::{Error, Foreign};
use std::time::Duration;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No answer: the engine is down, hangs, or the connection broke.
    #[error(transparent)]
    Away(Source),
    /// The engine answered with an error.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The engine's text.
        message: String,
    },
    /// Something that is not this host's is in the way.
    #[error(transparent)]
    Foreign(Foreign),
    /// The answer makes no sense, or the request could not be made.
    #[error(transparent)]
    Other(Source),
}

impl Failure {
    /// The engine could not be asked.
    pub(super) fn away(source: impl Into<Source>) -> Self {
        Self::Away(source.into())
    }

    /// Neither the connection nor a refusal.
    pub(super) fn other(source: impl Into<Source>) -> Self {
        Self::Other(source.into())
    }

    /// No answer in time.
    pub(super) fn timeout(after: Duration) -> Self {
        Self::Away(Box::new(NoAnswer {
            seconds: after.as_secs(),
        }))
    }

    /// Whether the engine answered with this status.
    pub(super) fn is(&self, wanted: u16) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == wanted)
    }

    /// The engine's text; empty if it gave none.
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Refused { message, .. } => message,
            Self::Away(_) | Self::Foreign(_) | Self::Other(_) => "",
        }
    }

    /// Whether the engine says that the container does not exist. A missing network
    /// or image of an existing container is a 404 too.
    pub(super) fn is_no_container(&self) -> bool {
        self.is(404)
            && self
                .message()
                .to_ascii_lowercase()
                .contains("no such container")
    }

    /// Whether the engine misses the network of a container that is between two restarts.
    pub(super) fn is_no_sandbox(&self) -> bool {
        let message = self.message();
        message.contains("sandbox") && message.contains("not found")
    }

    /// The error that people see. `action` is what was tried, as in "create
    /// container main.shop.internal".
    pub(super) fn error(self, address: &str, action: impl Into<String>) -> Error {
        match self {
            Self::Away(source) => Error::Unreachable {
                address: address.to_owned(),
                source,
            },
            Self::Other(source) => Error::Failed {
                action: action.into(),
                source,
            },
            Self::Foreign(source) => Error::Foreign {
                action: action.into(),
                source,
            },
            refused @ Self::Refused { .. } => Error::Failed {
                action: action.into(),
                source: Box::new(refused),
            },
        }
    }
}

impl From<bollard::errors::Error> for Failure {
    fn from(error: bollard::errors::Error) -> Self {
        use bollard::errors::Error as E;
        match error {
            E::DockerResponseServerError {
                status_code,
                message,
            } => Self::Refused {
                status: status_code,
                message: message.trim().to_owned(),
            },
            E::DockerStreamError { error } => Self::Refused {
                status: 500,
                message: error,
            },
            // What the transport said, wrapped by it for the way through bollard.
            E::IOError { err } => match err.downcast::<Self>() {
                Ok(failure) => failure,
                Err(err) => Self::away(err),
            },
            E::HyperResponseError { err } => Self::away(err),
            E::RequestTimeoutError => Self::Away(Box::new(E::RequestTimeoutError)),
            other => Self::other(other),
        }
    }
}

/// The engine took too long.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {seconds} s")]
struct NoAnswer {
    seconds: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_the_engines_text_as_source() {
        let refused = Failure::Refused {
            status: 409,
            message: "name in use".to_owned(),
        };
        let error = refused.error("unix:///x", "create container a");
        assert_eq!(error.to_string(), "cannot create container a");
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(source.as_deref(), Some("name in use"));
    }

    #[test]
    fn what_the_transport_says_survives_the_way_through_bollard() {
        let wrapped = bollard::errors::Error::IOError {
            err: std::io::Error::other(Failure::timeout(Duration::from_secs(3))),
        };
        let error = Failure::from(wrapped).error("unix:///x", "look");
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    }

    #[test]
    fn a_missing_network_is_no_missing_container() {
        let missing = |message: &str| Failure::Refused {
            status: 404,
            message: message.to_owned(),
        };
        assert!(missing("No such container: main.shop.internal").is_no_container());
        assert!(!missing("network doprax-shop not found").is_no_container());
    }
}
