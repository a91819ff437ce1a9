//! What a container's process runs as, and what ends it.

use super::hint::cut;
use super::reader::{At, Reader};

/// Signals with a name (signal(7)), without `SIG`.
const SIGNALS: [&str; 32] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH",
];

/// A user, and a group after a colon, by name or number; `example` is how one is written.
pub(super) fn user<'a>(reader: &mut Reader<'a>, at: &At<'a>, example: &str) -> Option<String> {
    let text = reader.text(at, example)?;
    if is_user(text) {
        return Some(text.to_owned());
    }
    let help = format!(
        "write a user of the image by name or number, with a group after a colon where it is another one, as in `{example}` or `1000:1000`"
    );
    let message = format!("`{}` is no user", cut(text));
    reader.error(at.value_span(), &at.path, message, help);
    None
}

/// Whether a text names a user and, after a colon, a group.
pub(super) fn is_user(text: &str) -> bool {
    let name = |text: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.-$".contains(c);
        !text.is_empty() && text.len() <= 64 && !text.starts_with('-') && text.chars().all(fits)
    };
    match text.split_once(':') {
        None => name(text),
        Some((user, group)) => name(user) && name(group),
    }
}

/// A signal as the engine takes it, such as `SIGINT`.
pub(super) fn signal<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<String> {
    let text = reader.text(at, "stop-signal: SIGINT")?;
    if let Some(signal) = signal_name(text) {
        return Some(signal);
    }
    let help = "write it as in `stop-signal: SIGINT`, or as a number from 1 to 64; what a container is ended by without it, its image says, or it is SIGTERM";
    let message = format!("`{}` is no signal", cut(text));
    reader.error(at.value_span(), &at.path, message, help);
    None
}

fn signal_name(text: &str) -> Option<String> {
    if let Ok(number) = text.parse::<u8>() {
        return (1..=64).contains(&number).then(|| number.to_string());
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |after: &str, sign: char| {
        let number = match after.strip_prefix(sign) {
            Some(number) => number.parse::<u8>().ok(),
            None => after.is_empty().then_some(0),
        };
        number.is_some_and(|number| number <= 15)
    };
    let is_real_time = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(after), _) => offset(after, '+'),
        (_, Some(after)) => offset(after, '-'),
        (None, None) => false,
    };
    (is_real_time || SIGNALS.contains(&name)).then(|| format!("SIG{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_one_form() {
        let cases = [
            ("SIGINT", Some("SIGINT")),
            ("quit", Some("SIGQUIT")),
            ("15", Some("15")),
            ("RTMIN+3", Some("SIGRTMIN+3")),
            ("SIGRTMAX-1", Some("SIGRTMAX-1")),
            ("0", None),
            ("65", None),
            ("SIGNAL", None),
            ("RTMIN+99", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(signal_name(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_user_may_have_a_group() {
        for text in ["app", "1000", "1000:1000", "www-data:adm", "a.b_c"] {
            assert!(is_user(text), "{text}");
        }
        for text in ["", ":", "app:", ":1", "a b", "-x", "1:2:3"] {
            assert!(!is_user(text), "{text}");
        }
    }
}
