//! The copies of an app's containers: of one service several can exist.

use crate::name::ServiceName;
use serde::{Deserialize, Serialize};

/// Digits of a digest that tell copies of one service apart.
const DIGITS: usize = 12;

/// Names one of the containers that an app has; what it is called on the engine is the
/// engine's concern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopyName {
    /// The copy that answers to the name of its service.
    Serving(ServiceName),
    /// One beside it, that waits or has to go: its service, and the beginning of the digest
    /// that it was made from.
    Spare(ServiceName, String),
    /// One that somebody gave a name of their own.
    Foreign(String),
}

impl CopyName {
    /// The copy that answers to the name of a service.
    pub fn serving(service: &ServiceName) -> Self {
        Self::Serving(service.clone())
    }

    /// A copy beside that, made from this digest.
    pub fn spare(service: &ServiceName, hash: &str) -> Self {
        Self::Spare(service.clone(), hash.chars().take(DIGITS).collect())
    }

    /// The service, where the name says it.
    pub fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::Serving(service) | Self::Spare(service, _) => Some(service),
            Self::Foreign(_) => None,
        }
    }
}
