//! How an exchange with a container fails.

use crate::body::BoxError;
use std::borrow::Cow;
use std::error::Error as _;
use std::io;

/// Why a container gave no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("connecting took too long")]
    ConnectTimeout,
    #[error("no TLS connection comes about")]
    Handshake(#[source] io::Error),
    #[error("the response took too long")]
    ResponseTimeout,
    #[error("the connection broke")]
    Broken(#[source] BoxError),
}

impl Failure {
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, Self::ConnectTimeout | Self::ResponseTimeout)
    }

    /// What happened, with its causes.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}

/// Why there is no response, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the container closed the connection")]
    Closed { unsent: bool },
    #[error("the connection failed")]
    Failed {
        unsent: bool,
        #[source]
        error: io::Error,
    },
    #[error("the response ended too early")]
    Ended,
    #[error("{0}")]
    Nonsense(Cow<'static, str>),
    #[error("the body of the request broke off")]
    Body(#[source] BoxError),
}

impl Broken {
    pub(super) fn nonsense(what: &'static str) -> Self {
        Self::Nonsense(what.into())
    }

    /// Whether the request may be sent once more: nobody has read it, or it is
    /// `repeatable` and nobody has answered.
    pub(super) fn may_repeat(&self, repeatable: bool) -> bool {
        match self {
            Self::Closed { unsent } | Self::Failed { unsent, .. } => *unsent || repeatable,
            Self::Ended | Self::Nonsense(_) | Self::Body(_) => false,
        }
    }
}
