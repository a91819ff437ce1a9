//! What others wrote, as a terminal may have it: containers, images, file names and
//! manifests hold whatever somebody put there, and a terminal obeys it. Colours pass where
//! colours are on; all else that a terminal would obey, or that turns what is read around,
//! is shown as an escape.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A text of several lines.
pub(crate) fn visible(text: &str, colour: bool) -> Cow<'_, str> {
    let harmless = |c: char| !is_obeyed(c) || c == '\n';
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let mut painted = false;
    while let Some(c) = rest.chars().next() {
        if let Some(code) = colour_code(rest).filter(|_| colour) {
            painted = !matches!(&code[2..code.len() - 1], "" | "0");
            shown.push_str(code);
            rest = &rest[code.len()..];
            continue;
        }
        if harmless(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_default());
        }
        rest = &rest[c.len_utf8()..];
    }
    if painted {
        shown.push_str("\x1b[0m");
    }
    Cow::Owned(shown)
}

/// A text within a line, without colours.
pub(crate) fn in_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let escaped = |c: char| -> String {
        match is_obeyed(c) {
            true => c.escape_default().collect(),
            false => c.to_string(),
        }
    };
    Cow::Owned(text.chars().map(escaped).collect())
}

/// JSON in which such characters are escaped; inside of strings, so nowhere else.
pub(crate) fn in_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(is_obeyed) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_obeyed(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Whether a terminal, or the order in which text is read, obeys the character.
fn is_obeyed(c: char) -> bool {
    match c {
        '\t' => false,
        // Bidirectional formatting (Unicode standard annex 9), line and paragraph
        // separators, and tags and marks that show nothing.
        '\u{61c}'
        | '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => true,
        // C0, DEL and C1.
        c => c.is_control(),
    }
}

/// The sequence that chooses a colour or a weight (ECMA-48, SGR) with which the text
/// begins. One that hides what is written is none.
fn colour_code(text: &str) -> Option<&str> {
    let codes = text.strip_prefix("\x1b[")?;
    let length = codes.find(|c: char| !matches!(c, '0'..='9' | ';' | ':'))?;
    let hides = |code: &str| matches!(code.trim_start_matches('0'), "8" | "5" | "6");
    let is_colour = codes[length..].starts_with('m') && length <= 32;
    // In 38;5;8 a number is a colour.
    let plain = codes[..length].starts_with("38") || codes[..length].starts_with("48");
    let hidden = !plain && codes[..length].split([';', ':']).any(hides);
    (is_colour && !hidden).then(|| &text[..length + 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_goes_through() {
        let cases = [
            ("plain\ttext, ümläut 日本", "plain\ttext, ümläut 日本"),
            ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            ("\x1b[2J\x1b[H", "\\u{1b}[2J\\u{1b}[H"),
            ("\x1b]52;c;aGk=\x1b\\", "\\u{1b}]52;c;aGk=\\u{1b}\\"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("10%\r100%", "10%\\r100%"),
            (
                "bell\x07 back\x08 del\x7f",
                "bell\\u{7} back\\u{8} del\\u{7f}",
            ),
            ("user\u{202e}gpj.exe", "user\\u{202e}gpj.exe"),
            ("\u{2066}a\u{2069}\u{200f}", "\\u{2066}a\\u{2069}\\u{200f}"),
            ("\x1b[8mhidden\x1b[0m", "\\u{1b}[8mhidden\\u{1b}[0m"),
            ("\x1b[31", "\\u{1b}[31"),
        ];
        for (text, plain) in cases {
            assert_eq!(visible(text, false), plain, "{text:?}");
            assert_eq!(in_line(text), plain, "{text:?}");
            let coloured = visible(text, true);
            let coloured = coloured.replace("\x1b[0m", "\\u{1b}[0m");
            assert_eq!(coloured, plain, "{text:?}");
        }
    }

    #[test]
    fn colours_pass_where_they_are_on_and_end_with_their_line() {
        let red = "\x1b[1;31mred\x1b[0m";
        assert_eq!(visible(red, true), red);
        assert_eq!(visible("\x1b[38;5;8mgrey", true), "\x1b[38;5;8mgrey\x1b[0m");
        assert_eq!(visible(red, false), "\\u{1b}[1;31mred\\u{1b}[0m");
        assert_eq!(in_line("a\nb"), "a\\nb");
        assert_eq!(visible("a\nb", false), "a\nb");
    }

    #[test]
    fn json_means_the_same() {
        let value = "\x1b[31m\u{9b}\u{202e}\u{e0041}\x7f";
        let json = serde_json::to_string(value).unwrap();
        let escaped = in_json(&json);
        assert!(escaped.is_ascii(), "{escaped}");
        let back: String = serde_json::from_str(&escaped).unwrap();
        assert_eq!(back, value);
    }
}
