//! What changes on a host, for whoever watches: one numbered stream.
//!
//! These types are the format in which changes are sent and printed: what is added is
//! optional, and nothing is renamed. Nothing in them holds a secret, nor a text that an
//! app, a build or a CA has printed: why something failed is told where it is asked for.

use crate::name::{AppName, ServiceName};
use crate::operation::{Operation, OperationId};
use crate::status::AppState;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A place in a host's stream: `START-NUMBER`. Numbers ascend by one, from 1, and begin
/// anew with each start of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Position {
    /// When the host started, in Unix time in milliseconds: whose numbers these are.
    pub start: u64,
    /// The number of the change.
    pub number: u64,
}

/// A text that is no place in a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no place in a stream of changes, such as 1767225600000-42")]
pub struct NoPosition {
    /// The text.
    text: String,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.start, self.number)
    }
}

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let numbers = text.split_once('-');
        let position = numbers.and_then(|(start, number)| {
            Some(Self {
                start: start.parse().ok()?,
                number: number.parse().ok()?,
            })
        });
        position.ok_or_else(|| NoPosition {
            text: text.chars().take(64).collect(),
        })
    }
}

impl TryFrom<String> for Position {
    type Error = NoPosition;

    fn try_from(text: String) -> Result<Self, NoPosition> {
        text.parse()
    }
}

impl From<Position> for String {
    fn from(position: Position) -> Self {
        position.to_string()
    }
}

/// Something that has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its place in the stream.
    pub id: Position,
    /// Unix time in milliseconds.
    pub time_ms: i64,
    /// The app that it is about; absent where it is about none alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// What has changed.
    #[serde(flatten)]
    pub what: Changed,
}

/// What has changed. What was so when the host started is not told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Changed {
    /// An operation waits, is under way, or has ended.
    Operation {
        /// As it is from now on.
        operation: Operation,
    },
    /// An operation went on.
    Progress {
        /// Its identifier.
        operation: OperationId,
        /// By what.
        #[serde(flatten)]
        progress: Progress,
    },
    /// An app is in another state.
    App {
        /// The state.
        state: AppState,
        /// The one before, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<AppState>,
    },
    /// A container is in another state.
    Container {
        /// The container.
        container: ServiceName,
        /// The state in a word, as the app's status has it; absent: the app has no such
        /// container any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<String>,
        /// The one before, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<String>,
    },
    /// An app has another release.
    Release {
        /// Its number.
        release: u64,
    },
    /// An app was removed.
    Removed,
    /// Something else answers an app's visitors.
    Route {
        /// What: an address and port, or why nothing does, in a word.
        to: String,
    },
    /// A host name of an app has changed.
    Domain {
        /// The name.
        name: String,
        /// How.
        change: DomainChange,
    },
    /// A certificate is in another state.
    Certificate {
        /// The names that it is for.
        names: Vec<String>,
        /// The state in a word, as `doprax certs` has it; absent: it is not kept any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<String>,
        /// Whether the latest try to get it or the next one failed.
        #[serde(default)]
        failing: bool,
    },
    /// The container engine went away, or is back.
    Engine {
        /// Whether it is away.
        away: bool,
    },
    /// Changes are missing here: they are not kept any more, or are of a host before this
    /// one. How things are must be asked for anew.
    Gap {
        /// The place after which they are missing.
        after: Position,
        /// How many, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        missed: Option<u64>,
    },
}

/// How an operation went on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "progress")]
pub enum Progress {
    /// A step began.
    StepStarted {
        /// The step, for people.
        step: String,
    },
    /// A step ended well.
    StepDone {
        /// The step, for people.
        step: String,
        /// How long it took, in milliseconds.
        ms: u64,
    },
    /// A step failed.
    StepFailed {
        /// The step, for people.
        step: String,
    },
    /// It failed, and the app goes back to what it was.
    GoingBack,
}

/// How a host name of an app has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DomainChange {
    /// The app has it now.
    Added,
    /// The app does not have it any more.
    Removed,
    /// It was seen to lead here.
    Verified,
    /// It does not lead here any more.
    Lost,
}

impl DomainChange {
    /// The change in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Verified => "verified",
            Self::Lost => "lost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place = Position {
            start: 1_767_225_600_000,
            number: 42,
        };
        assert_eq!(place.to_string(), "1767225600000-42");
        assert_eq!(place.to_string().parse(), Ok(place));
        for text in ["", "7", "-", "7-", "-7", "a-1", "1--1", "1-2-3"] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }

    /// Scripts and hosts of other versions read it.
    #[test]
    fn the_format_of_changes_is_pinned() {
        let shop = AppName::new("shop").unwrap();
        let cases = [
            (
                Changed::Progress {
                    operation: "one".to_owned(),
                    progress: Progress::StepDone {
                        step: "start main".to_owned(),
                        ms: 5,
                    },
                },
                r#""event":"progress","operation":"one","progress":"step-done","step":"start main","ms":5"#,
            ),
            (
                Changed::Container {
                    container: ServiceName::main(),
                    state: Some("running".to_owned()),
                    was: None,
                },
                r#""event":"container","container":"main","state":"running""#,
            ),
            (
                Changed::Domain {
                    name: "a.example".to_owned(),
                    change: DomainChange::Verified,
                },
                r#""event":"domain","name":"a.example","change":"verified""#,
            ),
            (Changed::Removed, r#""event":"removed""#),
            (
                Changed::Gap {
                    after: Position {
                        start: 3,
                        number: 4,
                    },
                    missed: Some(2),
                },
                r#""event":"gap","after":"3-4","missed":2"#,
            ),
        ];
        for (what, text) in cases {
            let change = Change {
                id: Position {
                    start: 8,
                    number: 9,
                },
                time_ms: 7,
                app: Some(shop.clone()),
                what,
            };
            let text = format!(r#"{{"id":"8-9","time_ms":7,"app":"shop",{text}}}"#);
            assert_eq!(serde_json::to_string(&change).unwrap(), text);
            assert_eq!(serde_json::from_str::<Change>(&text).unwrap(), change);
        }
    }
}
