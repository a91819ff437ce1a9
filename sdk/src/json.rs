//! Reads JSON (RFC 8259) into [`Setting`]s.
//!
//! A reader of its own, because a plugin is small: MySQL's has 137 KB with it and 181 KB with
//! serde_json's values in its place. It keeps numbers as the characters that they are, so that
//! it needs no arithmetic.

use crate::settings::Setting;
use std::str::Chars;

/// How deep lists and maps may nest.
const DEPTH: u32 = 32;

/// The value that `text` is, or nothing where it is not JSON.
pub(crate) fn read(text: &str) -> Option<Setting> {
    let mut reader = Reader { rest: text.chars() };
    let value = reader.value(DEPTH)?;
    reader.peek().is_none().then_some(value)
}

struct Reader<'a> {
    rest: Chars<'a>,
}

impl<'a> Reader<'a> {
    /// The next character that is not white space, without taking it.
    fn peek(&mut self) -> Option<char> {
        loop {
            let rest = self.rest.clone();
            match self.rest.next() {
                Some(' ' | '\t' | '\n' | '\r') => {}
                next => {
                    self.rest = rest;
                    return next;
                }
            }
        }
    }

    /// Takes `wanted` if it comes next.
    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.rest.next();
        }
        found
    }

    fn value(&mut self, depth: u32) -> Option<Setting> {
        let depth = depth.checked_sub(1)?;
        match self.peek()? {
            '"' => self.string().map(Setting::Text),
            '[' => self.list(depth),
            '{' => self.map(depth),
            _ => self.word(),
        }
    }

    fn list(&mut self, depth: u32) -> Option<Setting> {
        self.rest.next();
        let mut items = Vec::new();
        if self.take(']') {
            return Some(Setting::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            if self.take(']') {
                return Some(Setting::List(items));
            }
            if !self.take(',') {
                return None;
            }
        }
    }

    fn map(&mut self, depth: u32) -> Option<Setting> {
        self.rest.next();
        let mut entries = Vec::new();
        if self.take('}') {
            return Some(Setting::Map(entries));
        }
        loop {
            if self.peek() != Some('"') {
                return None;
            }
            let key = self.string()?;
            if !self.take(':') {
                return None;
            }
            entries.push((key, self.value(depth)?));
            if self.take('}') {
                return Some(Setting::Map(entries));
            }
            if !self.take(',') {
                return None;
            }
        }
    }

    /// A number or one of the three literal names.
    fn word(&mut self) -> Option<Setting> {
        let start = self.rest.as_str();
        let is_end = |c: char| matches!(c, ',' | ']' | '}' | ' ' | '\t' | '\n' | '\r');
        let (word, rest) = start.split_at(start.find(is_end).unwrap_or(start.len()));
        self.rest = rest.chars();
        match word {
            "null" => Some(Setting::Nothing),
            "true" => Some(Setting::Flag(true)),
            "false" => Some(Setting::Flag(false)),
            _ => is_number(word).then(|| Setting::Number(word.to_owned())),
        }
    }

    fn string(&mut self) -> Option<String> {
        self.rest.next();
        let mut text = String::new();
        loop {
            match self.rest.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.escape()?),
                control if control < ' ' => return None,
                other => text.push(other),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.rest.next()? {
            same @ ('"' | '\\' | '/') => same,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let unit = self.hex()?;
                // Characters beyond the first 65,536 come as two units (RFC 8259
                // section 7).
                if !(0xd800..0xdc00).contains(&unit) {
                    return char::from_u32(unit);
                }
                if self.rest.next() != Some('\\') || self.rest.next() != Some('u') {
                    return None;
                }
                let low = self.hex()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                return char::from_u32(0x10000 + ((unit - 0xd800) << 10) + low);
            }
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit << 4 | self.rest.next()?.to_digit(16)?;
        }
        Some(unit)
    }
}

/// Whether `word` is a number: digits, perhaps a sign, a fraction, an exponent.
fn is_number(word: &str) -> bool {
    let (number, exponent) = match word.find(['e', 'E']) {
        Some(at) => (&word[..at], &word[at + 1..]),
        None => (word, "0"),
    };
    let number = number.strip_prefix('-').unwrap_or(number);
    let (whole, fraction) = match number.find('.') {
        Some(at) => (&number[..at], &number[at + 1..]),
        None => (number, "0"),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && digits(fraction)
        && digits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same value as a general reader makes of it.
    fn general(value: serde_json::Value) -> Setting {
        use serde_json::Value;
        match value {
            Value::Null => Setting::Nothing,
            Value::Bool(flag) => Setting::Flag(flag),
            Value::Number(number) => Setting::Number(number.to_string()),
            Value::String(text) => Setting::Text(text),
            Value::Array(items) => Setting::List(items.into_iter().map(general).collect()),
            Value::Object(map) => Setting::Map(
                map.into_iter()
                    .map(|(key, value)| (key, general(value)))
                    .collect(),
            ),
        }
    }

    #[test]
    fn reads_what_a_general_reader_reads() {
        for text in [
            "null",
            " true ",
            "[]",
            "{}",
            "[1, -2, 0, 10.5]",
            r#"{"a": {"b": [true, false, null]}, "c": "d"}"#,
            r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 é 😀""#,
            "\t[\n1\r,2 ]",
            "1e3.",
            "",
            "[1,]",
            "{\"a\" 1}",
            "{a: 1}",
            "01",
            "-",
            "1.",
            ".5",
            "+1",
            "nul",
            "\"\u{1}\"",
            r#""\ud83d""#,
            r#""\ud83d\u0041""#,
            r#""\x""#,
            "\"",
            "[[",
            "1 2",
        ] {
            let expected = serde_json::from_str(text).ok().map(general);
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn nesting_ends() {
        assert!(read(&"[".repeat(100_000)).is_none());
        assert!(read(&format!("{}{}", "[".repeat(31), "]".repeat(31))).is_some());
        assert!(read(&format!("{}{}", "[".repeat(33), "]".repeat(33))).is_none());
    }
}
