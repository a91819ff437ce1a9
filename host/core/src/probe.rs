//! How the host finds out whether a container serves, as data.

use crate::text::Text;
use serde::{Deserialize, Serialize};

/// A check that the host repeats until it passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What is tried.
    pub check: Check,
    /// Pause between two tries, in milliseconds.
    pub interval_ms: u32,
    /// Longest duration of one try, in milliseconds.
    pub timeout_ms: u32,
}

/// What a probe tries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// A TCP connection to the port is accepted and, where something is sent, the
    /// server answers it. The beginning of the answer is the observation's output.
    Tcp {
        /// Port inside the container.
        port: u16,
        /// Sent once connected; absent: the connection is enough.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        send: Option<String>,
    },
    /// `GET path` answers with a status below 400, or with anything at all where a
    /// plugin judges the answer.
    Http {
        /// Port inside the container.
        port: u16,
        /// Absolute path with query.
        path: String,
    },
    /// A command in the container exits with 0.
    Exec {
        /// The command and its arguments; no shell.
        command: Vec<String>,
        /// Environment added for the command.
        env: Vec<(String, Text)>,
    },
    /// The container's log since its start has a line that contains this text.
    Log {
        /// The text looked for.
        contains: String,
    },
}

/// What came of one try of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Whether the check passed by its own rule.
    pub passed: bool,
    /// HTTP status, or exit code of the command; absent where no answer came.
    pub status: Option<i32>,
    /// The beginning of the body, of what the command printed, of the answer to what
    /// was sent, or of an error. Bytes that are not UTF-8 are replaced by U+FFFD.
    pub output: String,
}

/// What a plugin makes of the observations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It serves.
    Ready,
    /// Not yet; why.
    Waiting(String),
    /// It will not come up; why.
    Failed(String),
}
