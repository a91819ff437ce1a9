//! What goes over the wire, as JSON. These types belong to the API alone: what the
//! host reports is converted here, so that neither can change the other unnoticed.
//! Operations and events alone have one format for all, which is pinned where it is defined.

mod access;
mod app;
mod certificate;
mod deploy;
mod doctor;
mod domain;
mod edit;
mod exec;
mod failure;
mod operation;
mod plugin;
mod release;

pub use access::Access;
pub use app::{App, AppState, AppSummary, Container, FailedRepair, LogLine, Unhealthy, Volume};
pub use certificate::{Certificate, CertificateState, LocalCa};
pub use deploy::{ConfigFile, DeployRequest, Proposal, SetVariables};
pub use doctor::{Finding, Level};
pub use domain::{DnsRecord, Domain, NewDomain, Verification};
pub use edit::{Edit, EnvSource, EnvVariable};
pub use exec::{ExecInput, ExecOutput, ExecRequest, TerminalSize};
pub(crate) use exec::{STDERR, STDOUT};
pub use failure::Failure;
pub use operation::{
    Control, Event, Operation, OperationEvent, OperationKind, OperationState, SecretsOnRemoval,
    Started,
};
pub use plugin::{Grants, Link, Plugin};
pub use release::{Rollback, RollbackProposal};

pub use doprax_core::change::{Change, Changed, DomainChange, Position, Progress};
use serde::{Deserialize, Serialize};

/// Which host answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The host's version.
    pub version: String,
}
