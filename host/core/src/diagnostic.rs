//! What is wrong with a file, where, and what to do about it; and the one place
//! that makes text of it.

use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};

/// Longest excerpt of a source line, in characters.
const EXCERPT: usize = 120;

/// Whether a file with this diagnostic is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is taken, but probably does not mean what its author wanted.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A place in a file: line and column count from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The line.
    pub line: usize,
    /// The column in which it begins.
    pub column: usize,
    /// How many characters of the line it takes; at least 1.
    pub length: usize,
}

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Whether the file is refused for it.
    pub severity: Severity,
    /// The file's name, as the reader knows it.
    pub file: String,
    /// Where in the file.
    #[serde(flatten)]
    pub span: Span,
    /// The path of the key, such as `services[0].mysql.tag`; empty: the whole file.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub help: Option<String>,
    /// The line itself, or the part of it around the place.
    pub excerpt: Excerpt,
}

/// A source line, cut to a printable length around a place in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// The characters of the line; tabs are shown as arrows.
    pub text: String,
    /// How many characters of `text` stand before the place.
    pub offset: usize,
}

impl Diagnostic {
    /// The diagnostic as people read it: severity and message, place and path, the
    /// line with a mark below the place, and the help. Ends with a line break.
    pub fn render(&self, colour: bool) -> String {
        let paint = Paint { colour };
        let severity = match self.severity {
            Severity::Error => paint.red("error"),
            Severity::Warning => paint.yellow("warning"),
        };
        let margin = " ".repeat(self.span.line.to_string().len());
        let bar = paint.blue("|");
        let mark_length = self.span.length.clamp(
            1,
            self.excerpt
                .text
                .chars()
                .count()
                .saturating_sub(self.excerpt.offset)
                .max(1),
        );
        let mark = match self.severity {
            Severity::Error => paint.red(&"^".repeat(mark_length)),
            Severity::Warning => paint.yellow(&"^".repeat(mark_length)),
        };
        let mut text = String::new();
        let mut line = |content: String| {
            text.push_str(content.trim_end());
            text.push('\n');
        };
        line(format!(
            "{severity}: {}",
            paint.bold(&printable(&self.message))
        ));
        let path = if self.path.is_empty() {
            String::new()
        } else {
            format!(" ({})", printable(&self.path))
        };
        line(format!(
            "{margin}{} {}:{}:{}{path}",
            paint.blue("-->"),
            self.file,
            self.span.line,
            self.span.column
        ));
        line(format!("{margin} {bar}"));
        line(format!(
            "{} {bar} {}",
            paint.blue(&self.span.line.to_string()),
            self.excerpt.text
        ));
        line(format!(
            "{margin} {bar} {}{mark}",
            " ".repeat(self.excerpt.offset)
        ));
        if let Some(help) = &self.help {
            for (number, part) in help.lines().enumerate() {
                if number == 0 {
                    line(format!(
                        "{margin} {} {}: {}",
                        paint.blue("="),
                        paint.green("help"),
                        printable(part)
                    ));
                } else {
                    line(format!("{margin}         {}", printable(part)));
                }
            }
        }
        text
    }
}

/// All diagnostics as people read them, an empty line between two.
pub fn render(diagnostics: &[Diagnostic], colour: bool) -> String {
    let parts: Vec<String> = diagnostics
        .iter()
        .map(|diagnostic| diagnostic.render(colour))
        .collect();
    parts.join("\n")
}

/// What a person gave could hold escape sequences that take over a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

impl Excerpt {
    /// The part of `line` around the place that begins `column` (from 1) characters
    /// into it.
    pub fn around(line: &str, column: usize) -> Self {
        let before = column.saturating_sub(1);
        // Cut away whole stretches, so that the place stays within the excerpt.
        let start = if before < EXCERPT - 20 {
            0
        } else {
            before - EXCERPT / 2
        };
        let mut text = String::new();
        if start > 0 {
            text.push('…');
        }
        let mut characters = line.chars().skip(start);
        for c in characters.by_ref().take(EXCERPT) {
            match c {
                '\t' => text.push('→'),
                c if c.is_control() => text.push('\u{fffd}'),
                c => text.push(c),
            }
        }
        if characters.next().is_some() {
            text.push('…');
        }
        let offset = before - start + usize::from(start > 0);
        Self {
            offset: offset.min(text.chars().count()),
            text,
        }
    }
}

struct Paint {
    colour: bool,
}

impl Paint {
    fn code(&self, code: &str, text: &str) -> String {
        let mut painted = String::new();
        if self.colour {
            write!(painted, "\x1b[{code}m{text}\x1b[0m").expect("writing to a String cannot fail");
        } else {
            painted.push_str(text);
        }
        painted
    }

    fn red(&self, text: &str) -> String {
        self.code("1;31", text)
    }

    fn yellow(&self, text: &str) -> String {
        self.code("1;33", text)
    }

    fn green(&self, text: &str) -> String {
        self.code("1;32", text)
    }

    fn blue(&self, text: &str) -> String {
        self.code("1;34", text)
    }

    fn bold(&self, text: &str) -> String {
        self.code("1", text)
    }
}
