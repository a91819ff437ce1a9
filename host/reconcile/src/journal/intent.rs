//! What is journaled of an operation: all that is needed to do it again.

use crate::request::{Control, DeployRequest, Edit, Removal, Rollback, Selection};
use serde::{Deserialize, Serialize};

/// What an operation is to do.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Intent {
    Deploy(Box<DeployRequest>),
    Control {
        selection: Selection,
        control: Control,
    },
    Edit(Edit),
    Rollback(Rollback),
    Remove,
    RemoveWith(Removal),
}

impl Intent {
    /// Digest of the source that it deploys.
    pub(crate) fn source(&self) -> Option<String> {
        match self {
            Self::Deploy(request) => Some(request.source.clone()),
            _ => None,
        }
    }
}
