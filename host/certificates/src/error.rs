//! What can go wrong while a certificate is obtained.

use crate::vault::{Kind, VaultError};
use std::time::{Duration, SystemTime};

/// What can go wrong while a certificate is obtained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a host name, nor a wildcard of one.
    #[error("\"{0}\" is not a host name that a certificate can be for")]
    Name(String),

    /// Too many names, or none.
    #[error("a certificate is for 1 to 100 names, not {0}")]
    NamesCount(usize),

    /// The vault failed.
    #[error("cannot {action} the {kind} of {id} in the vault")]
    Vault {
        /// What was to be done.
        action: &'static str,
        /// The kind of value.
        kind: Kind,
        /// Its id.
        id: String,
        /// What the vault says.
        source: VaultError,
    },

    /// No CA is there that may issue for these names.
    #[error(
        "no CA is configured for public names; the local CA is for names that are reserved for private use"
    )]
    NoCa,

    /// The operator has not agreed to the CA's terms.
    #[error("the terms of {0} have not been agreed to")]
    TermsNotAgreed(String),

    /// The certificates that the CA's server should be trusted by cannot be used.
    #[error("cannot use the root certificates to trust {directory}")]
    Roots {
        /// The CA.
        directory: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The MAC key of an external account is not base64url.
    #[error("the MAC key of the external account at {directory} is not in base64url")]
    Binding {
        /// The CA.
        directory: String,
        /// Why.
        source: base64::DecodeError,
    },

    /// The CA, or the way to it, failed.
    #[error("cannot {action} at {directory}")]
    Ca {
        /// What was asked.
        action: &'static str,
        /// The CA.
        directory: String,
        /// The status of its last answer, if there was one.
        status: Option<u16>,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
        /// What went wrong.
        source: Box<instant_acme::Error>,
    },

    /// The CA asked to be left alone, earlier.
    #[error("{directory} asked to be left alone")]
    Paused {
        /// The CA.
        directory: String,
        /// Until when.
        until: SystemTime,
    },

    /// Asking would be beyond the CA's limits.
    #[error("{directory} allows no more {bucket} for now")]
    Limited {
        /// The CA.
        directory: String,
        /// What is counted.
        bucket: String,
        /// When there is room again.
        until: SystemTime,
    },

    /// None of the configured challenges can prove this name.
    #[error("{directory} offers no configured challenge for {name}, only {offered}")]
    NoChallenge {
        /// The CA.
        directory: String,
        /// The name.
        name: String,
        /// The challenges that the CA offers.
        offered: String,
    },

    /// The CA could not verify a name.
    #[error("{directory} could not verify {name}: {detail}")]
    Unproven {
        /// The CA.
        directory: String,
        /// The name.
        name: String,
        /// What the CA says.
        detail: String,
    },

    /// The CA has given up the order.
    #[error("{directory} has given up the order: {detail}")]
    OrderInvalid {
        /// The CA.
        directory: String,
        /// What the CA says.
        detail: String,
    },

    /// The CA takes its time.
    #[error("{directory} did not finish within {} s", waited.as_secs())]
    Slow {
        /// The CA.
        directory: String,
        /// How long it was waited for.
        waited: Duration,
    },

    /// The program for TXT records could not be run, took too long or failed.
    #[error("the DNS hook {program} {action} failed for {name}")]
    Hook {
        /// The program.
        program: String,
        /// `present` or `cleanup`.
        action: &'static str,
        /// The record's name.
        name: String,
        /// What happened, with the end of what it wrote to standard error.
        source: std::io::Error,
    },

    /// A key or a certificate could not be made.
    #[error("cannot make a {what}")]
    Make {
        /// Which.
        what: &'static str,
        /// Why.
        source: rcgen::Error,
    },

    /// A certificate cannot be used.
    #[error("the certificate of {names} cannot be used: {reason}")]
    Certificate {
        /// Its names.
        names: String,
        /// Why.
        reason: String,
    },

    /// The attempt ended by a defect.
    #[error("the attempt for {0} ended unexpectedly")]
    Defect(String),
}

impl Error {
    /// The error and its causes, in one line.
    pub(crate) fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// Before when it is of no use to try again.
    pub(crate) fn not_before(&self, now: SystemTime) -> Option<SystemTime> {
        match self {
            Self::Ca { retry_after, .. } => retry_after.map(|wait| now + wait),
            Self::Paused { until, .. } | Self::Limited { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// Whether nothing was asked of the CA.
    pub(crate) fn is_put_off(&self) -> bool {
        matches!(self, Self::Paused { .. } | Self::Limited { .. })
    }

    /// The type of the problem that the CA reports, without its prefix.
    pub(crate) fn problem(&self) -> Option<&str> {
        match self.answered()? {
            instant_acme::Error::Api(problem) => problem_type(problem),
            _ => None,
        }
    }

    /// Whether the CA has understood and does not want it so.
    pub(crate) fn is_refusal(&self) -> bool {
        match self.answered() {
            Some(instant_acme::Error::Unsupported(_)) => true,
            _ => !matches!(self.problem(), None | Some("badNonce" | "rateLimited")),
        }
    }

    /// Whether no answer was heard, or none that could be understood: what was asked for
    /// may have happened.
    pub(crate) fn is_unheard(&self) -> bool {
        use instant_acme::Error::{Api, Crypto, KeyRejected, Unsupported};
        let said = self.answered();
        said.is_some_and(|said| !matches!(said, Api(_) | Crypto | KeyRejected | Unsupported(_)))
    }

    /// Whether the CA knows nothing of what was asked for, or will never do it: asking
    /// for the same again has no sense.
    pub(crate) fn is_final(&self) -> bool {
        let Self::Ca {
            status: Some(status),
            ..
        } = self
        else {
            return false;
        };
        (400..500).contains(status)
            && *status != 429
            && !matches!(
                self.problem(),
                None | Some("badNonce" | "rateLimited" | "serverInternal" | "orderNotReady")
            )
    }

    fn answered(&self) -> Option<&instant_acme::Error> {
        match self {
            Self::Ca { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The type of a problem, without the prefix that all have (RFC 8555 section 6.7).
pub(crate) fn problem_type(problem: &instant_acme::Problem) -> Option<&str> {
    problem
        .r#type
        .as_deref()?
        .strip_prefix("urn:ietf:params:acme:error:")
}
