//! Going back to an earlier release.

use super::Proposal;
use super::deploy::name_of;
use doprax_reconcile::{report, request};
use serde::{Deserialize, Serialize};

/// A wish to bring an earlier release back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// Its number.
    pub to: u64,
    /// Whether services may go back to an older version on the data that a newer one has
    /// written.
    #[serde(default)]
    pub allow_downgrade: bool,
    /// The digest of the proposal that a person confirmed: if it would be another by now,
    /// nothing is done, and the answer is 412.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<String>,
    /// Who asks for it, for the list of releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

impl From<Rollback> for request::Rollback {
    fn from(wire: Rollback) -> Self {
        let Rollback {
            to,
            allow_downgrade,
            confirmed,
            actor,
        } = wire;
        Self {
            to,
            allow_downgrade,
            confirmed,
            actor: actor.map(|actor| name_of(&actor)),
        }
    }
}

/// What a rollback would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackProposal {
    /// The release that comes back.
    pub to: u64,
    /// What changes.
    #[serde(flatten)]
    pub proposal: Proposal,
}

impl From<report::RollbackProposal> for RollbackProposal {
    fn from(planned: report::RollbackProposal) -> Self {
        let report::RollbackProposal { to, proposal } = planned;
        Self {
            to,
            proposal: proposal.into(),
        }
    }
}
