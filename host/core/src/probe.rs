//! How the host finds out whether a container serves, as data.

use crate::text::Text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A check that the host repeats until it passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What is tried.
    pub check: Check,
    /// Pause between two tries, in milliseconds.
    pub interval_ms: u32,
    /// Longest duration of one try, in milliseconds.
    pub timeout_ms: u32,
    /// Pause between two tries once it serves, in milliseconds.
    #[serde(default = "steady_ms", skip_serializing_if = "is_steady")]
    pub steady_ms: u32,
}

/// Pause between two tries on what serves where nobody says, in milliseconds.
pub const STEADY_MS: u32 = 10_000;

fn steady_ms() -> u32 {
    STEADY_MS
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_steady(ms: &u32) -> bool {
    *ms == STEADY_MS
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
    /// A TCP connection is answered in whatever protocol the port speaks: HTTP, with any
    /// status, else TLS, else nothing that is known.
    Serves {
        /// Port inside the container.
        port: u16,
        /// Whether it has to speak TLS, as the ingress will.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        tls: bool,
        /// Host that is asked for; absent: a name that its visitors use.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
    },
    /// `GET path` answers with a status below 400 or one of those listed, or with
    /// anything at all where a plugin judges the answer.
    Http {
        /// Port inside the container.
        port: u16,
        /// Whether it is asked by TLS.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        tls: bool,
        /// Absolute path with query.
        path: String,
        /// Host that is asked for; absent: a name that its visitors use.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// Further fields of the request, names in lower case.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
        /// Statuses of a good answer, from and to; empty: all below 400.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        status: Vec<(u16, u16)>,
    },
    /// A command in the container exits with 0.
    Exec {
        /// The command and its arguments; no shell.
        command: Vec<String>,
        /// Environment added for the command.
        env: Vec<(String, Text)>,
        /// User it runs as; absent: the container's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
    },
    /// The container's log since its start has a line that contains this text.
    Log {
        /// The text looked for.
        contains: String,
    },
}

impl Check {
    /// Whether it tells no more than that something listens: what the image itself
    /// declares says more.
    pub fn is_bare(&self) -> bool {
        matches!(self, Self::Serves { .. } | Self::Tcp { send: None, .. })
    }

    /// Whether a text of it may name a secret.
    pub fn needs_secrets(&self) -> bool {
        matches!(self, Self::Exec { env, .. } if !env.is_empty())
    }
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
