//! A command in a container, over a WebSocket.
//!
//! The client's first message is an [`ExecRequest`] as text. After that, what the
//! command reads goes in binary messages; what it prints comes in binary messages
//! whose first byte says by which stream ([`STDOUT`], [`STDERR`]). Text messages are
//! [`ExecInput`] one way and [`ExecOutput`] the other; the last one the host sends
//! is the exit code or a failure.

use super::Failure;
use doprax_core::name::ServiceName;
use serde::{Deserialize, Serialize};

/// First byte of what came by standard output, or from a terminal.
pub(crate) const STDOUT: u8 = 1;
/// First byte of what came by standard error.
pub(crate) const STDERR: u8 = 2;

/// A command to run. Not printable, because its environment may hold secrets.
#[derive(Clone, Serialize, Deserialize)]
pub struct ExecRequest {
    /// The container.
    pub container: ServiceName,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Environment added for the command.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Its terminal; absent: no terminal.
    #[serde(default)]
    pub terminal: Option<TerminalSize>,
    /// Whether standard input is connected.
    #[serde(default)]
    pub stdin: bool,
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Its width.
    pub columns: u16,
    /// Its height.
    pub rows: u16,
}

/// What a client tells a running command beside its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecInput {
    /// The terminal has another size.
    Resize(TerminalSize),
    /// The input ends.
    Eof,
}

/// What the host tells about a command beside its output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecOutput {
    /// It runs.
    Started,
    /// It ended with this code.
    Exit(i64),
    /// It could not be run, or was lost.
    Failed(Failure),
}
