//! Certificates and the host's own CA.

use doprax_reconcile::certificates::{CertificateStatus, Phase};
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// How things stand with the certificate for one set of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The names.
    pub names: Vec<String>,
    /// What is being done or waited for.
    pub state: CertificateState,
    /// Who issued it.
    pub issuer: Option<String>,
    /// From when it is valid, in Unix seconds.
    pub not_before: Option<u64>,
    /// Until when it is valid, in Unix seconds.
    pub not_after: Option<u64>,
    /// When the next one is asked for, in Unix seconds.
    pub next_attempt: Option<u64>,
    /// What went wrong since the last success.
    pub last_error: Option<String>,
}

/// What is being done or waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateState {
    /// There is none.
    Missing,
    /// The first one is being asked for.
    Issuing,
    /// A valid one is served.
    Valid,
    /// A valid one is served and the next is being asked for.
    Renewing,
    /// It has expired.
    Expired,
}

impl CertificateState {
    /// The state in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Issuing => "issuing",
            Self::Valid => "valid",
            Self::Renewing => "renewing",
            Self::Expired => "expired",
        }
    }
}

/// The certificate of the host's own CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalCa {
    /// In PEM.
    pub certificate: String,
}

impl From<CertificateStatus> for Certificate {
    fn from(status: CertificateStatus) -> Self {
        let seconds = |time: Option<SystemTime>| {
            let since = time?.duration_since(UNIX_EPOCH);
            Some(since.unwrap_or_default().as_secs())
        };
        Self {
            names: status.names.into(),
            state: match status.phase {
                Phase::Missing => CertificateState::Missing,
                Phase::Issuing => CertificateState::Issuing,
                Phase::Valid => CertificateState::Valid,
                Phase::Renewing => CertificateState::Renewing,
                Phase::Expired => CertificateState::Expired,
            },
            issuer: status.issuer,
            not_before: seconds(status.not_before),
            not_after: seconds(status.not_after),
            next_attempt: seconds(status.next_attempt),
            last_error: status.last_error,
        }
    }
}
