//! Long work on an app, journaled so that neither a lost client nor a lost host
//! loses it.

use crate::name::AppName;
use serde::{Deserialize, Serialize};

/// An operation's identifier, a UUID.
pub type OperationId = String;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    /// A deploy.
    Deploy,
    /// Starting what was stopped.
    Start,
    /// Stopping.
    Stop,
    /// Restarting.
    Restart,
    /// Removing an app, volumes excepted.
    Remove,
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationState {
    /// Under way.
    Running,
    /// Ended well.
    Done,
    /// Ended badly; the app is as it was before, as far as that was possible.
    Failed,
    /// Ended early because a person wanted it, and as one that failed.
    Cancelled,
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its identifier.
    pub id: OperationId,
    /// The app.
    pub app: AppName,
    /// What it does.
    pub kind: OperationKind,
    /// How far it is.
    pub state: OperationState,
    /// Unix time in milliseconds at which it began.
    pub started_ms: i64,
    /// Unix time in milliseconds at which it ended.
    pub ended_ms: Option<i64>,
}
