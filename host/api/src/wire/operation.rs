//! Long work and its progress.

use doprax_core::name::{AppName, ServiceName};
use doprax_reconcile::{report, request};
use serde::{Deserialize, Serialize};

/// An operation that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its identifier.
    pub operation: String,
}

/// A wish concerning containers that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// Run what was stopped.
    Start,
    /// End it, and keep it ended until it is started.
    Stop,
    /// Stop it and start it again.
    Restart,
}

impl Control {
    /// The wish as a verb.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

impl From<Control> for request::Control {
    fn from(control: Control) -> Self {
        match control {
            Control::Start => Self::Start,
            Control::Stop => Self::Stop,
            Control::Restart => Self::Restart,
        }
    }
}

/// What becomes of an app's secrets when it is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretsOnRemoval {
    /// An app of the same name finds them again.
    Keep,
    /// The next one gets others.
    Forget,
}

impl SecretsOnRemoval {
    /// The wish as a verb.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Forget => "forget",
        }
    }
}

impl From<SecretsOnRemoval> for request::SecretsOnRemoval {
    fn from(secrets: SecretsOnRemoval) -> Self {
        match secrets {
            SecretsOnRemoval::Keep => Self::Keep,
            SecretsOnRemoval::Forget => Self::Forget,
        }
    }
}

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

impl OperationKind {
    /// What it does as a verb.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Remove => "remove",
        }
    }
}

impl From<report::OperationKind> for OperationKind {
    fn from(kind: report::OperationKind) -> Self {
        match kind {
            report::OperationKind::Deploy => Self::Deploy,
            report::OperationKind::Start => Self::Start,
            report::OperationKind::Stop => Self::Stop,
            report::OperationKind::Restart => Self::Restart,
            report::OperationKind::Remove => Self::Remove,
        }
    }
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationState {
    /// Under way.
    Running,
    /// Ended well.
    Done,
    /// Ended badly.
    Failed,
    /// Ended early because a person wanted it.
    Cancelled,
}

impl OperationState {
    /// The state in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<report::OperationState> for OperationState {
    fn from(state: report::OperationState) -> Self {
        match state {
            report::OperationState::Running => Self::Running,
            report::OperationState::Done => Self::Done,
            report::OperationState::Failed => Self::Failed,
            report::OperationState::Cancelled => Self::Cancelled,
        }
    }
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its identifier.
    pub id: String,
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

impl From<report::Operation> for Operation {
    fn from(operation: report::Operation) -> Self {
        let report::Operation {
            id,
            app,
            kind,
            state,
            started_ms,
            ended_ms,
        } = operation;
        Self {
            id,
            app,
            kind: kind.into(),
            state: state.into(),
            started_ms,
            ended_ms,
        }
    }
}

/// A numbered event of an operation; numbers ascend, so that a client that comes
/// back asks for what it has not seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationEvent {
    /// Its number within the operation, from 1.
    pub number: u64,
    /// Unix time in milliseconds.
    pub time_ms: i64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened in an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum What {
    /// The steps are known; those that follow are numbered from 0.
    Planned {
        /// One line each, for people.
        steps: Vec<String>,
    },
    /// A step began.
    StepStarted {
        /// Its index among the planned steps.
        step: usize,
    },
    /// A step ended well.
    StepDone {
        /// Its index among the planned steps.
        step: usize,
        /// How long it took, in milliseconds.
        ms: u64,
    },
    /// A step failed.
    StepFailed {
        /// Its index among the planned steps.
        step: usize,
        /// What went wrong.
        error: String,
    },
    /// An image is being built.
    Build {
        /// A line that the build printed.
        line: String,
    },
    /// An image is arriving.
    Pull {
        /// Its reference.
        image: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, as far as known.
        total: u64,
    },
    /// A container is not ready yet.
    Waiting {
        /// The container.
        container: ServiceName,
        /// Why.
        reason: String,
    },
    /// Something worth knowing that is no error.
    Note {
        /// The remark.
        text: String,
    },
    /// The deploy failed and the app goes back to what it was.
    GoingBack,
    /// The end: it worked.
    Done {
        /// Where the app can be reached.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// The end: it failed.
    Failed {
        /// What went wrong, on what, and the causes.
        error: String,
        /// What to do about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        help: Option<String>,
        /// The last lines of the log or build that show why.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        log: Vec<String>,
    },
}

impl What {
    /// Whether nothing comes after it.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed { .. })
    }
}

impl From<report::OperationEvent> for OperationEvent {
    fn from(event: report::OperationEvent) -> Self {
        let report::OperationEvent {
            number,
            time_ms,
            what,
        } = event;
        let what = match what {
            report::What::Planned { steps } => What::Planned { steps },
            report::What::StepStarted { step } => What::StepStarted { step },
            report::What::StepDone { step, ms } => What::StepDone { step, ms },
            report::What::StepFailed { step, error } => What::StepFailed { step, error },
            report::What::Build { line } => What::Build { line },
            report::What::Pull { image, done, total } => What::Pull { image, done, total },
            report::What::Waiting { container, reason } => What::Waiting { container, reason },
            report::What::Note { text } => What::Note { text },
            report::What::GoingBack => What::GoingBack,
            report::What::Done { url } => What::Done { url },
            report::What::Failed { error, help, log } => What::Failed { error, help, log },
        };
        Self {
            number,
            time_ms,
            what,
        }
    }
}
