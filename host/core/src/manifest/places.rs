//! Where in the file each part of the spec stands, for whoever finds fault with it
//! later: a plugin with a setting, the planner with a port.

use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::text_file::TextFile;
use crate::yaml::KeyPath;
use std::collections::BTreeMap;

/// Where in the file each part of the spec stands.
#[derive(Debug, Clone)]
pub struct Places {
    file: TextFile,
    by_path: BTreeMap<Vec<String>, (Span, KeyPath)>,
}

impl Places {
    pub(super) fn new(file: TextFile) -> Self {
        Self {
            file,
            by_path: BTreeMap::new(),
        }
    }

    /// Notes where the part of the spec at `path` stands.
    pub(super) fn note(&mut self, path: &[&str], span: Span, key_path: &KeyPath) {
        let path = path.iter().map(|step| (*step).to_owned()).collect();
        self.by_path.entry(path).or_insert((span, key_path.clone()));
    }

    /// A diagnostic about the part of the spec at `path`, by the spec's own names:
    /// `["services", "orders-db", "settings", "user"]`,
    /// `["main", "files", "/etc/app.conf"]`, `["main", "env", "PORT"]`, `["front"]`. Where
    /// that part is not in the file, it points at the nearest one around it.
    pub fn diagnostic(
        &self,
        severity: Severity,
        path: &[&str],
        message: impl Into<String>,
        help: Option<String>,
    ) -> Diagnostic {
        let (span, key_path) = self.find(path);
        self.file
            .diagnostic(severity, span, key_path.to_string(), message, help)
    }

    /// Where the part of the spec at `path`, or the nearest one around it, stands.
    pub(super) fn find(&self, path: &[&str]) -> (Span, KeyPath) {
        (0..=path.len())
            .rev()
            .find_map(|length| {
                let path: Vec<String> = path[..length]
                    .iter()
                    .map(|step| (*step).to_owned())
                    .collect();
                self.by_path.get(&path).cloned()
            })
            .unwrap_or((
                Span {
                    line: 1,
                    column: 1,
                    length: 1,
                },
                KeyPath::root(),
            ))
    }
}
