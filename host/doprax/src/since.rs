//! A moment as people name one: how long ago, a date, or Unix time.

use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment, in seconds of Unix time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since(pub(crate) i64);

/// A text names no moment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("write how long ago (30s, 10m, 2h, 3d), a time (2026-01-31T08:00:00Z), or Unix time")]
pub(crate) struct SinceError;

impl FromStr for Since {
    type Err = SinceError;

    fn from_str(text: &str) -> Result<Self, SinceError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs() as i64);
        at(text, now).map(Self).ok_or(SinceError)
    }
}

fn at(text: &str, now: i64) -> Option<i64> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(i64::from(seconds));
    }
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(time.unix_timestamp());
    }
    ago(text).map(|seconds| now - seconds)
}

/// The seconds of `1h30m`.
fn ago(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut seconds = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next()?;
        let factor = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        seconds = seconds.checked_add(count.checked_mul(factor)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_several_names() {
        let now = 1_000_000;
        let cases = [
            ("30s", Some(now - 30)),
            ("10m", Some(now - 600)),
            ("1h30m", Some(now - 5_400)),
            ("2d", Some(now - 172_800)),
            ("1970-01-01T00:01:00Z", Some(60)),
            ("1970-01-01T01:01:00+01:00", Some(60)),
            ("1700000000", Some(1_700_000_000)),
            ("", None),
            ("10", Some(10)),
            ("m", None),
            ("10x", None),
            ("10m5", None),
            ("-5m", None),
            ("99999999999999999999d", None),
        ];
        for (text, expected) in cases {
            assert_eq!(at(text, now), expected, "{text:?}");
        }
    }
}
