//! Long work on an app, journaled so that neither a lost client nor a lost host
//! loses it.
//!
//! These types are the format in which operations and their events are stored, sent and
//! printed: what is added is optional, and nothing is renamed.

use crate::name::{AppName, ServiceName};
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
    /// Bringing an earlier release back.
    Rollback,
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
            Self::Rollback => "rollback",
            Self::Remove => "remove",
        }
    }
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationState {
    /// It begins when those on its app that were asked for before it have ended.
    Waiting,
    /// Under way.
    Running,
    /// Ended well.
    Done,
    /// Ended badly; the app is as it was before, as far as that was possible.
    Failed,
    /// Ended early because a person wanted it, and as one that failed.
    Cancelled,
}

impl OperationState {
    /// Whether it is under way or waits to be.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Running)
    }

    /// The state in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
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
    /// Unix time in milliseconds at which it began; while it waits: at which it was asked for.
    pub started_ms: i64,
    /// Unix time in milliseconds at which it ended.
    pub ended_ms: Option<i64>,
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
    pub what: Event,
}

/// What happened in an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
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

impl Event {
    /// Whether nothing comes after it.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is stored and sent stays readable for hosts and clients of other versions.
    #[test]
    fn the_format_of_operations_and_events_is_pinned() {
        let operation = Operation {
            id: "one".to_owned(),
            app: AppName::new("shop").unwrap(),
            kind: OperationKind::Deploy,
            state: OperationState::Cancelled,
            started_ms: 1,
            ended_ms: None,
        };
        let text = r#"{"id":"one","app":"shop","kind":"deploy","state":"cancelled","started_ms":1,"ended_ms":null}"#;
        assert_eq!(serde_json::to_string(&operation).unwrap(), text);
        let events = [
            (
                Event::Planned {
                    steps: vec!["build".to_owned()],
                },
                r#""event":"planned","steps":["build"]"#,
            ),
            (
                Event::StepDone { step: 0, ms: 5 },
                r#""event":"step-done","step":0,"ms":5"#,
            ),
            (
                Event::Pull {
                    image: "redis".to_owned(),
                    done: 1,
                    total: 2,
                },
                r#""event":"pull","image":"redis","done":1,"total":2"#,
            ),
            (
                Event::Waiting {
                    container: ServiceName::main(),
                    reason: "asleep".to_owned(),
                },
                r#""event":"waiting","container":"main","reason":"asleep""#,
            ),
            (Event::GoingBack, r#""event":"going-back""#),
            (Event::Done { url: None }, r#""event":"done""#),
            (
                Event::Failed {
                    error: "no".to_owned(),
                    help: None,
                    log: Vec::new(),
                },
                r#""event":"failed","error":"no""#,
            ),
        ];
        for (what, text) in events {
            let event = OperationEvent {
                number: 7,
                time_ms: 9,
                what,
            };
            let text = format!(r#"{{"number":7,"time_ms":9,{text}}}"#);
            assert_eq!(serde_json::to_string(&event).unwrap(), text);
            assert_eq!(
                serde_json::from_str::<OperationEvent>(&text).unwrap(),
                event
            );
        }
    }
}
