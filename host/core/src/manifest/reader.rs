//! Reads mappings, lists and texts out of the tree and collects what is wrong.

use super::hint;
use super::places::Places;
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::text_file::TextFile;
use crate::yaml::{Entry, KeyPath, Kind, MOST_ERRORS, Node};

/// Most warnings told at once.
const MOST_WARNINGS: usize = 20;

/// A node and where it hangs in the file.
#[derive(Debug, Clone)]
pub(super) struct At<'a> {
    pub(super) node: &'a Node,
    pub(super) path: KeyPath,
    /// Where to point when the node as a whole is at fault: its key.
    pub(super) key_span: Span,
}

impl<'a> At<'a> {
    pub(super) fn root(node: &'a Node) -> Self {
        Self {
            node,
            path: KeyPath::root(),
            key_span: node.span,
        }
    }

    pub(super) fn below(&self, entry: &'a Entry) -> Self {
        Self {
            node: &entry.value,
            path: self.path.key(&entry.key),
            key_span: entry.key_span,
        }
    }

    /// Where the value itself stands, or its key where there is no value.
    pub(super) fn value_span(&self) -> Span {
        if self.node.is_absent() {
            self.key_span
        } else {
            self.node.span
        }
    }
}

/// The entries of a mapping, all of known keys.
pub(super) struct Fields<'a> {
    fields: Vec<(&'a str, At<'a>)>,
}

impl<'a> Fields<'a> {
    pub(super) fn into_all(self) -> Vec<(&'a str, At<'a>)> {
        self.fields
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &At<'a>)> {
        self.fields.iter().map(|(key, at)| (*key, at))
    }

    pub(super) fn get(&self, key: &str) -> Option<&At<'a>> {
        self.fields
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, at)| at)
    }
}

/// Collects what is wrong with a file while it is read.
pub(super) struct Reader<'a> {
    file: &'a TextFile,
    pub(super) places: Places,
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a TextFile) -> Self {
        Self {
            file,
            places: Places::new(file.clone()),
            diagnostics: Vec::new(),
            errors: 0,
            warnings: 0,
        }
    }

    /// The line at `span`.
    pub(super) fn line(&self, span: Span) -> &str {
        self.file.line(span.line)
    }

    pub(super) fn error(
        &mut self,
        span: Span,
        path: &KeyPath,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.errors += 1;
        if self.errors <= MOST_ERRORS {
            self.push(Severity::Error, span, path, message.into(), help.into());
        }
    }

    pub(super) fn warn(
        &mut self,
        span: Span,
        path: &KeyPath,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.warnings += 1;
        if self.warnings <= MOST_WARNINGS {
            self.push(Severity::Warning, span, path, message.into(), help.into());
        }
    }

    fn push(
        &mut self,
        severity: Severity,
        span: Span,
        path: &KeyPath,
        message: String,
        help: String,
    ) {
        self.diagnostics.push(self.file.diagnostic(
            severity,
            span,
            path.to_string(),
            message,
            Some(help),
        ));
    }

    /// How many errors were found so far.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// What was found, in the order of the file, and where everything stands.
    pub(super) fn finish(mut self) -> (Vec<Diagnostic>, Places) {
        self.diagnostics
            .sort_by_key(|diagnostic| (diagnostic.span.line, diagnostic.span.column));
        let more = |count: usize, most: usize, what: &str| {
            (count > most).then(|| format!("{} more {what} are not shown", count - most))
        };
        let end = self.diagnostics.last().map(|diagnostic| diagnostic.span);
        if let Some(span) = end {
            let hidden = [
                (Severity::Error, more(self.errors, MOST_ERRORS, "errors")),
                (
                    Severity::Warning,
                    more(self.warnings, MOST_WARNINGS, "warnings"),
                ),
            ];
            for (severity, message) in hidden {
                if let Some(message) = message {
                    self.diagnostics
                        .push(self.file.diagnostic(severity, span, "", message, None));
                }
            }
        }
        (self.diagnostics, self.places)
    }

    /// The entries of a mapping that has only the keys `known`; a key without a
    /// value below it is an empty mapping.
    pub(super) fn fields(&mut self, at: &At<'a>, known: &[&str]) -> Option<Fields<'a>> {
        let entries = match &at.node.kind {
            Kind::Mapping(entries) => entries.as_slice(),
            _ if at.node.is_null() => &[],
            _ => {
                let help = format!(
                    "write keys with values below it; the keys are {}",
                    hint::list(known)
                );
                self.error(
                    at.value_span(),
                    &at.path,
                    "keys with values are expected here",
                    help,
                );
                return None;
            }
        };
        let mut fields = Vec::new();
        for entry in entries {
            let below = at.below(entry);
            if known.contains(&entry.key.as_str()) {
                fields.push((entry.key.as_str(), below));
            } else {
                self.unknown_key(entry, &below.path, known);
            }
        }
        Some(Fields { fields })
    }

    pub(super) fn unknown_key(&mut self, entry: &Entry, path: &KeyPath, known: &[&str]) {
        if self.errors >= MOST_ERRORS {
            // Only counted: what is not shown needs no hint.
            self.errors += 1;
            return;
        }
        let message = format!("`{}` is not known here", hint::cut(&entry.key));
        self.error(
            entry.key_span,
            path,
            message,
            hint::unknown_key(&entry.key, known),
        );
    }

    /// The items of a list; a key without a value is an empty list. `example` is how
    /// an item is written.
    pub(super) fn items(&mut self, at: &At<'a>, example: &str) -> Vec<At<'a>> {
        match &at.node.kind {
            Kind::Sequence(items) => {
                let item = |(index, node): (usize, &'a Node)| At {
                    node,
                    path: at.path.index(index),
                    key_span: node.span,
                };
                items.iter().enumerate().map(item).collect()
            }
            _ if at.node.is_null() => Vec::new(),
            _ => {
                let help = format!("begin each item with `- `, as in `{example}`");
                self.error(at.value_span(), &at.path, "a list is expected here", help);
                Vec::new()
            }
        }
    }

    /// The text of a scalar, exactly as written; `example` is how one is written.
    pub(super) fn text(&mut self, at: &At<'a>, example: &str) -> Option<&'a str> {
        match &at.node.kind {
            Kind::Scalar { .. } if at.node.is_absent() => {
                let help = format!("write one, as in `{example}`, or remove the key");
                self.error(at.key_span, &at.path, "the value is missing", help);
                None
            }
            Kind::Scalar { text, .. } => Some(text),
            kind => {
                let is = if matches!(kind, Kind::Sequence(_)) {
                    "list"
                } else {
                    "mapping"
                };
                let help = format!(
                    "write it as in `{example}`; a text that begins with `[` or `{{` needs quotes"
                );
                self.error(
                    at.value_span(),
                    &at.path,
                    format!("a text is expected here, not a {is}"),
                    help,
                );
                None
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, at: &At<'a>, example: &str) -> Option<bool> {
        match self.text(at, example)? {
            "true" => Some(true),
            "false" => Some(false),
            other => {
                let message = format!("`{}` is neither `true` nor `false`", hint::cut(other));
                self.error(
                    at.value_span(),
                    &at.path,
                    message,
                    "write `true` or `false`",
                );
                None
            }
        }
    }
}
