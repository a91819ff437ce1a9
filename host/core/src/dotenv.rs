//! Files of variables as Compose, Docker and shells read them: `NAME=value` lines with
//! comments, `export`, quotes, and values of several lines in quotes.
//!
//! Nothing in a value is replaced by anything: a `$` is a `$`.

use std::collections::BTreeMap;

/// Largest file, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// Most variables of one file.
const MAX_VARIABLES: usize = 4096;

/// Why a file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is too large.
    #[error("the file is larger than {} KiB", MAX_BYTES >> 10)]
    TooLarge,
    /// It has too many variables.
    #[error("the file has more than {MAX_VARIABLES} variables")]
    TooMany,
    /// It is no text.
    #[error("line {line} is not UTF-8")]
    NotUtf8 {
        /// Where, from 1.
        line: usize,
    },
    /// A line is no assignment.
    #[error("line {line} is no NAME=value")]
    NoAssignment {
        /// Where, from 1.
        line: usize,
    },
    /// A name that no variable has.
    #[error("line {line}: `{name}` is no name of a variable")]
    Name {
        /// Where, from 1.
        line: usize,
        /// The beginning of the name.
        name: String,
    },
    /// A quote without its end.
    #[error("line {line}: the quote that begins here does not end")]
    OpenQuote {
        /// Where, from 1.
        line: usize,
    },
    /// Something follows the end of a quote.
    #[error("line {line}: something follows the closing quote")]
    AfterQuote {
        /// Where, from 1.
        line: usize,
    },
    /// A value that no variable can have.
    #[error("line {line}: the value holds a NUL character")]
    Nul {
        /// Where, from 1.
        line: usize,
    },
}

/// The variables of a file; the last of several of one name counts. Takes bounded time and
/// memory whatever the bytes are.
pub fn parse(bytes: &[u8]) -> Result<BTreeMap<String, String>, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| Error::NotUtf8 {
        line: 1 + count_lines(&bytes[..error.valid_up_to()]),
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = BTreeMap::new();
    let mut rest = text;
    let mut line = 1;
    while !rest.is_empty() {
        let begin = rest;
        let trimmed = rest.trim_start_matches([' ', '\t', '\r']);
        if let Some(next) = trimmed.strip_prefix('\n') {
            rest = next;
        } else if trimmed.starts_with('#') || trimmed.is_empty() {
            rest = after_line(trimmed);
        } else {
            let (name, value, next) = assignment(trimmed, line)?;
            variables.insert(name, value);
            if variables.len() > MAX_VARIABLES {
                return Err(Error::TooMany);
            }
            rest = next;
        }
        line += count_lines(&begin.as_bytes()[..begin.len() - rest.len()]);
    }
    Ok(variables)
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// What follows the present line.
fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

/// The variable with which `text` begins, and what follows its line.
fn assignment(text: &str, line: usize) -> Result<(String, String, &str), Error> {
    let text = match text.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start_matches([' ', '\t']),
        _ => text,
    };
    let end = text.find(['=', '\n']).unwrap_or(text.len());
    let name = text[..end].trim_end();
    let Some(value) = text[end..].strip_prefix('=') else {
        return Err(Error::NoAssignment { line });
    };
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if !is_name {
        let name = name.chars().take(40).collect();
        return Err(Error::Name { line, name });
    }
    let value = value.trim_start_matches([' ', '\t']);
    let (value, rest) = match value.chars().next() {
        Some('\'') => {
            let inner = &value[1..];
            let end = inner.find('\'').ok_or(Error::OpenQuote { line })?;
            (inner[..end].to_owned(), &inner[end + 1..])
        }
        Some('"') => double_quoted(&value[1..]).ok_or(Error::OpenQuote { line })?,
        _ => (plain(value), after_line(value)),
    };
    if value.contains('\0') {
        return Err(Error::Nul { line });
    }
    let quoted = text[end + 1..]
        .trim_start_matches([' ', '\t'])
        .starts_with(['\'', '"']);
    if !quoted {
        return Ok((name.to_owned(), value, rest));
    }
    let (last, next) = rest.split_once('\n').unwrap_or((rest, ""));
    let last = last.trim();
    if !last.is_empty() && !last.starts_with('#') {
        return Err(Error::AfterQuote { line });
    }
    Ok((name.to_owned(), value, next))
}

/// A value without quotes: to the end of its line, or to a `#` after a blank.
fn plain(text: &str) -> String {
    let line = text.split('\n').next().unwrap_or_default();
    let comment = line
        .match_indices('#')
        .map(|(index, _)| index)
        .find(|index| *index == 0 || line[..*index].ends_with([' ', '\t']));
    line[..comment.unwrap_or(line.len())].trim().to_owned()
}

/// The text in double quotes that begins after them, and what follows it.
fn double_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((index, c)) = characters.next() {
        match c {
            '"' => return Some((value, &text[index + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                c @ ('\\' | '"' | '$' | '`') => value.push(c),
                // A line that continues.
                '\n' => {}
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
    None
}
