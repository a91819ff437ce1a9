//! What a person is told about a file that is no YAML: from the parser's words and
//! the lines around the place to the mistake that people make there.

use super::{MAX_BYTES, key_path::cut};
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::text_file::TextFile;
use saphyr_parser::ScanError;

/// How many lines above an error are searched for its cause.
const LINES_ABOVE: usize = 50;

pub(super) fn too_large(file: &TextFile) -> Diagnostic {
    let message = format!(
        "the file has {} bytes, more than {} MiB",
        file.text().len(),
        MAX_BYTES >> 20
    );
    let help = "move long texts to files of their own (`config_file`)".to_owned();
    file.diagnostic(
        Severity::Error,
        Span {
            line: 1,
            column: 1,
            length: 1,
        },
        "",
        message,
        Some(help),
    )
}

/// The refusal of the first control character that no text file holds.
pub(super) fn control_character(file: &TextFile) -> Option<Diagnostic> {
    let is_stray = |c: char| c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t');
    let (offset, c) = file.text().char_indices().find(|(_, c)| is_stray(*c))?;
    let message = format!("a control character (U+{:04X})", u32::from(c));
    let help = "remove it; in a value write it as an escape in double quotes, such as \"\\x1b\""
        .to_owned();
    Some(file.diagnostic(
        Severity::Error,
        file.locate(offset),
        "",
        message,
        Some(help),
    ))
}

/// The refusal of a value that begins with `mark`, which means something to YAML.
pub(super) fn needs_quotes(file: &TextFile, span: Span, path: String, mark: char) -> Diagnostic {
    let message = format!("a value that begins with `{mark}` needs quotes");
    file.diagnostic(
        Severity::Error,
        span,
        path,
        message,
        Some(quotes_help(file.line(span.line), span.column)),
    )
}

/// The refusal of a file that the parser cannot read.
pub(super) fn unreadable(file: &TextFile, path: String, error: &ScanError) -> Diagnostic {
    let marker = error.marker();
    let span = Span {
        // The end of the file can lie behind its last line.
        line: marker.line().clamp(1, file.line_count()),
        column: marker.col() + 1,
        length: 1,
    };
    let refuse = |span, path: &str, message: String, help: &str| {
        file.diagnostic(Severity::Error, span, path, message, Some(help.to_owned()))
    };

    if let Some(tab) = tab_in_indentation(file, span.line) {
        return refuse(
            tab,
            "",
            "a tab in the indentation".to_owned(),
            "indent with spaces: YAML allows no tabs there (most editors can convert them)",
        );
    }
    if let Some((word, name)) = missing_colon(file, span.line) {
        let message = format!(
            "`{}` has no colon, but something is indented below it",
            cut(&name)
        );
        return refuse(word, &name, message, &format!("write `{}:`", cut(&name)));
    }

    let line = file.line(span.line);
    let at = line.chars().nth(span.column - 1);
    let info = error.info();
    match at {
        Some(mark @ ('@' | '`' | '%')) if info.starts_with("unexpected character") => {
            return needs_quotes(file, span, path, mark);
        }
        Some('*') if info.contains("unknown anchor") || info.contains("anchor or alias") => {
            return needs_quotes(file, span, path, '*');
        }
        _ => {}
    }
    if let Some((column, mark)) = value_start(line)
        && (matches!(mark, '|' | '>' | '!' | '&' | '*')
            || (matches!(mark, '[' | '{') && is_flow(info)))
        && !info.contains("mapping values")
    {
        return needs_quotes(file, Span { column, ..span }, path, mark);
    }
    if info.contains("quoted scalar") || info.contains("double-quoted") {
        return quoted(file, span, &path, info);
    }
    if info.contains("mapping values are not allowed") || info.contains("illegal placement of ':'")
    {
        if let Some((column, _)) = value_start(line)
            && span.column > column
        {
            let place = Span {
                column,
                length: usize::MAX,
                ..span
            };
            let message = "a value with `: ` in it needs quotes".to_owned();
            return refuse(place, &path, message, &quotes_help(line, column));
        }
        return refuse(
            span,
            &path,
            "a key with a value is not possible here".to_owned(),
            "check the indentation of this line and the one above: keys of one block begin in the same column",
        );
    }
    let indentation = [
        "did not find expected key",
        "expected '-' indicator",
        "invalid indentation",
        "simple key",
    ];
    if indentation.iter().any(|part| info.contains(part))
        || info.contains("block sequence entries are not allowed")
    {
        return refuse(
            span,
            &path,
            "this line does not line up with the ones above".to_owned(),
            "the keys of one block, and the `-` of one list, begin in the same column; every key ends with `:`",
        );
    }
    if is_flow(info) {
        return refuse(
            span,
            &path,
            "a bracket too many, or one that is missing".to_owned(),
            "`[` needs its `]` and `{` its `}`, with commas between; a value that begins with one of them needs quotes",
        );
    }
    let help = "the file is read as YAML 1.2: check this line and the one above; quotes around a value always help";
    refuse(span, &path, format!("this is no valid YAML: {info}"), help)
}

fn quoted(file: &TextFile, span: Span, path: &str, info: &str) -> Diagnostic {
    let (message, help) = if info.contains("escape") {
        (
            "a backslash in double quotes that begins no known escape",
            "use single quotes, in which a backslash is a character like any other",
        )
    } else if info.contains("trailing content") {
        (
            "something follows after the closing quote",
            "put the quotes around the whole value; within single quotes write a quote twice",
        )
    } else {
        (
            "a quote that is opened here is never closed",
            "close it, or put the other kind of quotes around the value",
        )
    };
    file.diagnostic(Severity::Error, span, path, message, Some(help.to_owned()))
}

fn is_flow(info: &str) -> bool {
    [
        "flow",
        "bracket",
        "recursion limit",
        "',' or",
        "expected node content",
        "unexpected end of plain",
    ]
    .iter()
    .any(|part| info.contains(part))
}

/// Where a tab stands among the blanks that a line begins with, if the line is close
/// above an error.
fn tab_in_indentation(file: &TextFile, error: usize) -> Option<Span> {
    let first = error.saturating_sub(LINES_ABOVE).max(1);
    (first..=error).find_map(|number| {
        let line = file.line(number);
        let indentation = &line[..line.len() - line.trim_start().len()];
        if indentation.len() == line.len() {
            return None;
        }
        let column = indentation.chars().position(|c| c == '\t')? + 1;
        Some(Span {
            line: number,
            column,
            length: 1,
        })
    })
}

/// A key without its colon close above an error: one bare word on a line, and the
/// next line deeper.
pub(super) fn missing_colon(file: &TextFile, error: usize) -> Option<(Span, String)> {
    let first = error.saturating_sub(LINES_ABOVE).max(1);
    (first..=error).rev().find_map(|number| {
        let line = file.line(number);
        let content = line.split(" #").next().unwrap_or(line).trim_end();
        let word = content.trim_start().trim_start_matches("- ").trim_start();
        let is_word = word.chars().next().is_some_and(char::is_alphabetic)
            && word.len() <= 64
            && word
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
        if !is_word {
            return None;
        }
        let column = content.chars().count() - word.chars().count();
        let next = (number + 1..=file.line_count().min(number + LINES_ABOVE))
            .map(|next| file.line(next))
            .find(|line| {
                let content = line.trim();
                !content.is_empty() && !content.starts_with('#')
            })?;
        let deeper = next.chars().take_while(|c| *c == ' ').count() > column;
        deeper.then(|| {
            (
                Span {
                    line: number,
                    column: column + 1,
                    length: word.chars().count(),
                },
                word.to_owned(),
            )
        })
    })
}

/// Column (from 1) and first character of the value on a line `key: value` or
/// `- value`.
fn value_start(line: &str) -> Option<(usize, char)> {
    let mut characters = line.chars().enumerate().peekable();
    let mut after = false;
    let mut seen = false;
    while let Some((index, c)) = characters.next() {
        let blank = characters
            .peek()
            .is_none_or(|(_, next)| next.is_whitespace());
        match c {
            ':' if blank && seen => {
                // The first colon ends the key.
                let (index, first) = characters.find(|(_, c)| !c.is_whitespace())?;
                return Some((index + 1, first));
            }
            '-' if blank && !seen => after = true,
            c if c.is_whitespace() => {}
            c if after
                && matches!(c, '@' | '`' | '%' | '|' | '>' | '!' | '&' | '*' | '[' | '{') =>
            {
                return Some((index + 1, c));
            }
            _ => seen = true,
        }
    }
    None
}

/// How the value that begins in `column` of `line` is written in quotes.
fn quotes_help(line: &str, column: usize) -> String {
    let before: String = line.chars().take(column - 1).collect();
    let value: String = line.chars().skip(column - 1).collect();
    let value = value.trim_end();
    if value.is_empty() || value.chars().count() > 60 || value.contains('\'') {
        return "put single quotes around the whole value; within them write a quote twice"
            .to_owned();
    }
    format!("write `{}'{value}'`", before.trim_start())
}
