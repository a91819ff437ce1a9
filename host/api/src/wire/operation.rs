//! Long work and its progress. Operations and their events are in the host's own format.

pub use doprax_core::operation::{Event, Operation, OperationEvent, OperationKind, OperationState};
pub use doprax_reconcile::request::{Control, SecretsOnRemoval};
use serde::{Deserialize, Serialize};

/// An operation that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its identifier.
    pub operation: String,
}
