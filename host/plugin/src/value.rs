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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(length: usize) -> String {
        "x".repeat(length)
    }

    #[test]
    fn a_line_has_1_to_4096_bytes_and_no_control_character() {
        assert_eq!(line(of(1)), Ok(of(1)));
        assert_eq!(line(of(4096)), Ok(of(4096)));
        assert_eq!(line("two words, é".to_owned()).unwrap(), "two words, é");
        assert_eq!(line(of(4097)), Err(Reason::Long(4096)));
        assert_eq!(line(String::new()), Err(Reason::Empty));
        for control in ["a\nb", "a\rb", "a\tb", "a\0b", "\u{85}"] {
            assert_eq!(
                line(control.to_owned()),
                Err(Reason::Control),
                "{control:?}"
            );
        }
    }

    #[test]
    fn a_word_has_1_to_128_letters_digits_and_marks() {
        for good in ["a", "Z", "0", "_-.", &of(128)] {
            assert_eq!(word(good.to_owned()).as_deref(), Ok(good));
        }
        for bad in ["", "a=b", "a\nb", "a b", "a/b", "é", "a\0"] {
            assert_eq!(word(bad.to_owned()), Err(Reason::Word(bad.to_owned())));
        }
        // Of what is refused, no more is said than what fits on a line.
        assert_eq!(word(of(129)), Err(Reason::Word(of(80))));
        assert_eq!(excerpt(&"é".repeat(81)), "é".repeat(80));
    }

    #[test]
    fn a_path_is_absolute_and_in_its_shortest_form() {
        let longest = format!("/{}", of(4095));
        for good in [
            "/a",
            "/etc/app.d/..data/x",
            "/a/.b",
            "/with space",
            &longest,
        ] {
            assert_eq!(path(good.to_owned()).as_deref(), Ok(good));
        }
        let bad = [
            "", "/", "a", "a/b", "//a", "/a/", "/a//b", "/.", "/..", "/a/.", "/a/../b", "/a\nb",
            "/a\0",
        ];
        for bad in bad {
            assert_eq!(path(bad.to_owned()), Err(Reason::Path(bad.to_owned())));
        }
        let long = format!("/{}", of(4096));
        assert_eq!(path(long), Err(Reason::Path(format!("/{}", of(79)))));
    }

    #[test]
    fn both_ends_of_a_range_are_in_it() {
        for value in [3, 4, 5] {
            assert_eq!(range(value, 3, 5), Ok(value));
        }
        for value in [2, 6] {
            let outside = Reason::Range {
                value,
                low: 3,
                high: 5,
            };
            assert_eq!(range(value, 3, 5), Err(outside));
        }
    }

    #[test]
    fn the_longest_duration_is_an_hour() {
        assert_eq!(milliseconds(3_600_000, 10), Ok(3_600_000));
        assert_eq!(milliseconds(10, 10), Ok(10));
        for value in [9, 3_600_001] {
            let outside = Reason::Range {
                value: value.into(),
                low: 10,
                high: 3_600_000,
            };
            assert_eq!(milliseconds(value, 10), Err(outside));
        }
    }

    #[test]
    fn ports_are_1_to_65535() {
        assert_eq!(port(1), Ok(1));
        assert_eq!(port(65_535), Ok(65_535));
        let none = Reason::Range {
            value: 0,
            low: 1,
            high: 65_535,
        };
        assert_eq!(port(0), Err(none));
    }

    #[test]
    fn what_occurs_twice_is_named() {
        assert_eq!(unique(["a", "b", "A"]), Ok(()));
        assert_eq!(unique(["a", "b", "a"]), Err(Reason::Twice("a".to_owned())));
    }

    #[test]
    fn a_command_has_1_to_256_arguments_of_at_most_4096_bytes() {
        let full = vec![of(4096); 256];
        assert_eq!(command(full.clone()).as_ref(), Ok(&full));
        let shell = ["sh", "-c", "a\n\tb", ""].map(str::to_owned).to_vec();
        assert_eq!(command(shell.clone()), Ok(shell));
        assert_eq!(command(vec![of(1); 257]), Err(Reason::Many(256)));
        assert_eq!(command(vec![of(1), of(4097)]), Err(Reason::Long(4096)));
        assert_eq!(command(vec![of(1), "a\0".to_owned()]), Err(Reason::Control));
        assert_eq!(command(Vec::new()), Err(Reason::Empty));
        assert_eq!(command(vec![String::new(), of(1)]), Err(Reason::Empty));
    }
}
