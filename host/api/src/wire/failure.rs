//! Errors: one shape for all of them.

use doprax_core::diagnostic::Diagnostic;
use serde::{Deserialize, Serialize};

/// Why something failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What failed, and on what.
    pub error: String,
    /// Why, from the nearest cause to the farthest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// What is wrong with the manifest, and where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
    /// The last lines of the log or build that show why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

impl Failure {
    /// The error with its chain of causes. A cause that only repeats the text before
    /// it is left out.
    pub fn from_error(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut causes: Vec<String> = Vec::new();
        let text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if causes.last().unwrap_or(&text) != &cause_text {
                causes.push(cause_text);
            }
            source = cause.source();
        }
        Self {
            error: text,
            causes,
            ..Self::default()
        }
    }

    /// The same with what to do about it.
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}
