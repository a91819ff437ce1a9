//! What `doctor` found.

use doprax_reconcile::{Remedies, report};
use serde::{Deserialize, Serialize};

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub text: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Good,
    /// It works, with a limit.
    Warning,
    /// It does not work.
    Bad,
}

impl Finding {
    /// A finding, with what to do about it in the words of the host.
    pub fn new(finding: report::Finding, remedies: Remedies) -> Self {
        let report::Finding {
            subject,
            level,
            text,
            problem,
        } = finding;
        let level = match level {
            report::Level::Good => Level::Good,
            report::Level::Warning => Level::Warning,
            report::Level::Bad => Level::Bad,
        };
        Self {
            subject,
            level,
            text,
            remedy: problem.as_ref().map(remedies.problem),
        }
    }
}
