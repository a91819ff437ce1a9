//! What a person is told about a file that is no YAML: from the parser's words and
//! the lines around the place to the mistake that people make there.

use super::{KeyPath, MAX_BYTES, MAX_DEPTH, cut};
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

/// The refusal of nesting that no manifest needs.
pub(super) fn too_deep(file: &TextFile, span: Span, path: &KeyPath) -> Diagnostic {
    let help = "no key of this file needs more than a few levels: look for a bracket or an indentation too many";
    refuse(
        file,
        span,
        path,
        format!("more than {MAX_DEPTH} levels of nesting"),
        help,
    )
}

/// The refusal of a list or mapping where a key is expected.
pub(super) fn key_is_no_text(file: &TextFile, span: Span, path: String) -> Diagnostic {
    match value_start(file.line(span.line)) {
        Some((column, mark @ ('{' | '['))) if column <= span.column => {
            needs_quotes(file, Span { column, ..span }, path, mark)
        }
        _ => {
            let help =
                "write a text before the colon, in quotes where it begins with `[`, `{` or `?`";
            file.diagnostic(
                Severity::Error,
                span,
                path,
                "a key must be a text",
                Some(help.to_owned()),
            )
        }
    }
}

/// The refusal of a file that the parser cannot read.
/// `path_of` gives the path of what was read last where that begins at a place, else of
/// what is being read.
pub(super) fn unreadable(
    file: &TextFile,
    path_of: impl Fn(Span) -> KeyPath,
    error: &ScanError,
) -> Diagnostic {
    let marker = error.marker();
    let span = Span {
        // The end of the file can lie behind its last line.
        line: marker.line().clamp(1, file.line_count()),
        column: marker.col() + 1,
        length: 1,
    };
    let path = &path_of(span);
    if let Some(tab) = tab_in_indentation(file, span.line) {
        let help = "indent with spaces: YAML allows no tabs there (most editors can convert them)";
        return refuse(file, tab, path, "a tab in the indentation", help);
    }
    if let Some((word, name)) = missing_colon(file, span.line) {
        let message = format!(
            "`{}` has no colon, but something is indented below it",
            cut(&name)
        );
        return refuse(
            file,
            word,
            &path_of(word).key(&name),
            message,
            &format!("write `{}:`", cut(&name)),
        );
    }
    if error.info().contains("recursion limit") {
        return too_deep(file, span, path);
    }
    special_character(file, span, path, error.info())
        .or_else(|| open_bracket(file, span, path, error.info()))
        .unwrap_or_else(|| in_plain_words(file, span, path, error.info()))
}

/// A value that begins with a character which means something to YAML.
fn special_character(
    file: &TextFile,
    span: Span,
    path: &KeyPath,
    info: &str,
) -> Option<Diagnostic> {
    let line = file.line(span.line);
    let at = line.chars().nth(span.column - 1);
    let (column, mark) = match (at, value_start(line)) {
        (Some(mark @ ('@' | '`' | '%')), _) if info.starts_with("unexpected character") => {
            (span.column, mark)
        }
        (Some('*'), _) if info.contains("unknown anchor") || info.contains("anchor or alias") => {
            (span.column, '*')
        }
        (_, Some((column, mark @ ('|' | '>' | '!' | '&' | '*'))))
            if !info.contains("mapping values") =>
        {
            (column, mark)
        }
        _ => return None,
    };
    Some(needs_quotes(
        file,
        Span { column, ..span },
        path.to_string(),
        mark,
    ))
}

/// A value above an error that begins with a bracket which is still open there.
fn open_bracket(file: &TextFile, error: Span, path: &KeyPath, info: &str) -> Option<Diagnostic> {
    let first = error.line.saturating_sub(LINES_ABOVE).max(1);
    let balance = |line: &str| {
        let count = |brackets: [char; 2]| line.matches(brackets).count();
        count(['[', '{']).cast_signed() - count([']', '}']).cast_signed()
    };
    let mut open = 0;
    for number in (first..=error.line).rev() {
        let line = file.line(number);
        open += if number == error.line && !is_flow(info) {
            0
        } else {
            balance(line)
        };
        let Some((column, mark @ ('[' | '{'))) = value_start(line) else {
            continue;
        };
        if open > 0 || (number == error.line && is_flow(info)) {
            let span = Span {
                line: number,
                column,
                length: 1,
            };
            let message = format!("a `{mark}` that is not closed where it should be");
            let help = format!(
                "close it, or {} if it belongs to a text",
                quotes_help(line, column)
            );
            return Some(refuse(file, span, path, message, &help));
        }
        return None;
    }
    None
}

/// What the parser says, in words for people who have not read YAML's specification.
fn in_plain_words(file: &TextFile, span: Span, path: &KeyPath, info: &str) -> Diagnostic {
    let line = file.line(span.line);
    let (message, help) = if info.contains("mapping values are not allowed")
        || info.contains("illegal placement of ':'")
    {
        if let Some((column, _)) = value_start(line)
            && span.column > column
        {
            let place = Span {
                column,
                length: usize::MAX,
                ..span
            };
            let help = quotes_help(line, column);
            return refuse(
                file,
                place,
                path,
                "a value with `: ` in it needs quotes",
                &help,
            );
        }
        (
            "a key with a value is not possible here",
            "check the indentation of this line and the one above: keys of one block begin in the same column",
        )
    } else if info.contains("escape") {
        (
            "a backslash in double quotes that begins no known escape",
            "use single quotes, in which a backslash is a character like any other",
        )
    } else if info.contains("trailing content") {
        (
            "something follows after the closing quote",
            "put the quotes around the whole value; within single quotes write a quote twice",
        )
    } else if info.contains("quoted scalar") {
        (
            "a quote that is opened here is never closed",
            "close it, or put the other kind of quotes around the value",
        )
    } else if is_misaligned(info) {
        (
            "this line does not line up with the ones above",
            "the keys of one block, and the `-` of one list, begin in the same column; every key ends with `:`",
        )
    } else if is_flow(info) {
        (
            "a bracket too many, or one that is missing",
            "`[` needs its `]` and `{` its `}`, with commas between; a value that begins with one of them needs quotes",
        )
    } else {
        let message = format!("this is no valid YAML: {info}");
        let help = "the file is read as YAML 1.2: check this line and the one above; quotes around a value always help";
        return refuse(file, span, path, message, help);
    };
    refuse(file, span, path, message, help)
}

fn refuse(
    file: &TextFile,
    span: Span,
    path: &KeyPath,
    message: impl Into<String>,
    help: &str,
) -> Diagnostic {
    file.diagnostic(
        Severity::Error,
        span,
        path.to_string(),
        message,
        Some(help.to_owned()),
    )
}

fn is_misaligned(info: &str) -> bool {
    [
        "did not find expected key",
        "expected '-' indicator",
        "invalid indentation",
        "simple key",
        "block sequence entries are not allowed",
    ]
    .iter()
    .any(|part| info.contains(part))
}

fn is_flow(info: &str) -> bool {
    [
        "flow",
        "bracket",
        "',' or",
        "expected node content",
        "unexpected end of plain",
    ]
    .iter()
    .any(|part| info.contains(part))
}

/// Where a tab stands among the blanks that a line begins with: in the line of an
/// error, or the last one above it that is not empty.
fn tab_in_indentation(file: &TextFile, error: usize) -> Option<Span> {
    let first = error.saturating_sub(LINES_ABOVE).max(1);
    let lines = (first..=error)
        .rev()
        .filter(|number| !file.line(*number).trim().is_empty());
    lines.take(2).find_map(|number| {
        let blanks = file.line(number).chars().take_while(|c| c.is_whitespace());
        let column = blanks.into_iter().position(|c| c == '\t')? + 1;
        Some(Span {
            line: number,
            column,
            length: 1,
        })
    })
}

/// A key without its colon above an error: one bare word on a line, the next line
/// deeper, and the error in the first line from there that has a colon.
fn missing_colon(file: &TextFile, error: usize) -> Option<(Span, String)> {
    let first = error.saturating_sub(LINES_ABOVE).max(1);
    for number in (first..=error).rev() {
        let content = file
            .line(number)
            .split(" #")
            .next()
            .unwrap_or_default()
            .trim_end();
        if let Some((column, word)) = bare_word(content) {
            let next = (number + 1..=file.line_count().min(number + LINES_ABOVE))
                .map(|next| file.line(next))
                .find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))?;
            let deeper = next.chars().take_while(|c| *c == ' ').count() >= column;
            let span = Span {
                line: number,
                column,
                length: word.chars().count(),
            };
            return deeper.then(|| (span, word.to_owned()));
        }
        if number < error && content.contains(':') {
            return None;
        }
    }
    None
}

/// Column (from 1) and text of the one word on a line, dashes before it left out.
fn bare_word(content: &str) -> Option<(usize, &str)> {
    let word = content.trim_start().trim_start_matches("- ").trim_start();
    let is_word = word.len() <= 64
        && word.chars().next().is_some_and(char::is_alphabetic)
        && word
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    let column = content.chars().count() - word.chars().count() + 1;
    is_word.then_some((column, word))
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
