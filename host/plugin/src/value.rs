//! Checks of the plain values in an answer: lines, words, paths, durations.

use crate::reason::Reason;
use std::collections::BTreeSet;

/// The most entries that any list of an answer may have.
pub(crate) const ENTRIES: usize = 256;
/// The most characters of a name, a line or a path.
pub(crate) const LINE: usize = 4096;
/// The most bytes of a text: an env value or a config file.
pub(crate) const TEXT: usize = 512 << 10;
/// The longest duration that a plugin may ask for: an hour.
pub(crate) const LONGEST_MS: u32 = 3_600_000;

/// A text on one line, without control characters, not empty.
pub(crate) fn line(text: String) -> Result<String, Reason> {
    if text.is_empty() {
        return Err(Reason::Empty);
    }
    if text.len() > LINE {
        return Err(Reason::Long(LINE));
    }
    if text.chars().any(char::is_control) {
        Err(Reason::Control)
    } else {
        Ok(text)
    }
}

/// A word of letters, digits, `_`, `-` and `.` that at most 128 of them.
pub(crate) fn word(text: String) -> Result<String, Reason> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text)
    } else {
        Err(Reason::Word(excerpt(&text)))
    }
}

pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

pub(crate) fn path(text: String) -> Result<String, Reason> {
    let shortest = |text: &str| {
        text.strip_prefix('/').is_some_and(|rest| {
            rest.split('/')
                .all(|part| !part.is_empty() && part != "." && part != "..")
        })
    };
    if text.len() <= LINE && shortest(&text) && !text.chars().any(char::is_control) {
        Ok(text)
    } else {
        Err(Reason::Path(excerpt(&text)))
    }
}

pub(crate) fn range(value: u64, low: u64, high: u64) -> Result<u64, Reason> {
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(Reason::Range { value, low, high })
    }
}

pub(crate) fn milliseconds(value: u32, low: u32) -> Result<u32, Reason> {
    range(value.into(), low.into(), LONGEST_MS.into()).map(|_| value)
}

pub(crate) fn port(number: u16) -> Result<u16, Reason> {
    range(number.into(), 1, u16::MAX.into()).map(|_| number)
}

pub(crate) fn unique<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), Reason> {
    let mut seen = BTreeSet::new();
    match names.into_iter().find(|name| !seen.insert(*name)) {
        Some(name) => Err(Reason::Twice(name.to_owned())),
        None => Ok(()),
    }
}

/// The command and its arguments. Tabs and line ends may be in arguments.
pub(crate) fn command(arguments: Vec<String>) -> Result<Vec<String>, Reason> {
    match arguments.first() {
        None => return Err(Reason::Empty),
        Some(first) if first.is_empty() => return Err(Reason::Empty),
        Some(_) => {}
    }
    if arguments.len() > ENTRIES {
        return Err(Reason::Many(ENTRIES));
    }
    if arguments.iter().any(|argument| argument.len() > LINE) {
        return Err(Reason::Long(LINE));
    }
    if arguments.iter().any(|argument| argument.contains('\0')) {
        return Err(Reason::Control);
    }
    Ok(arguments)
}
