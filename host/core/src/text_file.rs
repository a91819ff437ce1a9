//! The text of a file and its lines.

use crate::diagnostic::{Diagnostic, Excerpt, Severity, Span};

/// The text of a file with the name its reader knows it by.
#[derive(Debug, Clone)]
pub struct TextFile {
    name: String,
    text: String,
    /// Byte offset at which each line begins.
    lines: Vec<usize>,
}

impl TextFile {
    /// The text `text` of the file `name`. A byte order mark at its beginning is
    /// not part of it.
    pub fn new(name: &str, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = vec![0];
        let bytes = text.as_bytes();
        for (index, byte) in bytes.iter().enumerate() {
            // YAML 1.2 section 5.4: a line ends with CR LF, CR or LF.
            let ends = *byte == b'\n' || (*byte == b'\r' && bytes.get(index + 1) != Some(&b'\n'));
            if ends {
                lines.push(index + 1);
            }
        }
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
            lines,
        }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many lines there are; at least 1.
    pub fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// The line of this number, counted from 1, without its line break; empty where
    /// there is none.
    pub fn line(&self, number: usize) -> &str {
        let Some(start) = number
            .checked_sub(1)
            .and_then(|index| self.lines.get(index))
        else {
            return "";
        };
        let end = self.lines.get(number).copied().unwrap_or(self.text.len());
        self.text[*start..end].trim_end_matches(['\n', '\r'])
    }

    /// The place of the byte at `offset`.
    pub fn locate(&self, offset: usize) -> Span {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines[line - 1];
        let column = self.text[start..]
            .char_indices()
            .take_while(|(at, _)| start + at < offset)
            .count()
            + 1;
        Span {
            line,
            column,
            length: 1,
        }
    }

    /// A diagnostic about the place `span` in this file.
    pub fn diagnostic(
        &self,
        severity: Severity,
        span: Span,
        path: impl Into<String>,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Diagnostic {
        let line = self.line(span.line);
        let rest = (line.chars().count() + 1)
            .saturating_sub(span.column)
            .max(1);
        Diagnostic {
            severity,
            file: self.name.clone(),
            span: Span {
                length: span.length.clamp(1, rest),
                ..span
            },
            path: path.into(),
            message: message.into(),
            help,
            excerpt: Excerpt::around(line, span.column),
        }
    }
}
