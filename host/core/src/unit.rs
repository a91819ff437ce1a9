//! Sizes and durations as people write them: in manifests and on the command line.

/// The bytes of a size such as `512MiB`; none if it is no size. As Docker does, this takes
/// `m`, `MB` and `MiB` for the same 1,048,576 bytes.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "ki" | "kib" => 10,
        "m" | "mb" | "mi" | "mib" => 20,
        "g" | "gb" | "gi" | "gib" => 30,
        "t" | "tb" | "ti" | "tib" => 40,
        _ => return None,
    };
    let (value, decimals) = parse_decimal(number, 6)?;
    let bytes = (u128::from(value) << shift) / 10u128.pow(decimals);
    // The engine counts in a signed number of 64 bits.
    i64::try_from(bytes).ok()?.try_into().ok()
}

/// The milliseconds of a duration such as `500ms`, `2s` or `1m30s`; none if it is no
/// duration.
pub fn parse_duration(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        let (value, decimals) = parse_decimal(number, 3)?;
        total = total.checked_add(value.checked_mul(milliseconds)? / 10u64.pow(decimals))?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

/// A size in bytes as [`parse_bytes`] takes it, in the largest unit that loses nothing.
pub fn format_bytes(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = |(shift, _): &(u32, &str)| bytes > 0 && bytes.trailing_zeros() >= *shift;
    match units.into_iter().find(whole) {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

/// A duration in milliseconds as [`parse_duration`] takes it.
pub fn format_duration(milliseconds: u64) -> String {
    match milliseconds {
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

/// A number with at most `most_decimals` decimals as an integer and how many of its
/// digits are decimals; no more than 12 digits before them.
pub(crate) fn parse_decimal(text: &str, most_decimals: usize) -> Option<(u64, u32)> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let fits = !whole.is_empty() && whole.len() <= 12 && digits(whole) && digits(decimals);
    if !fits || decimals.len() > most_decimals || (text.contains('.') && decimals.is_empty()) {
        return None;
    }
    let value = format!("{whole}{decimals}").parse().ok()?;
    Some((value, u32::try_from(decimals.len()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for (bytes, text) in [
            (1, "1B"),
            (1_536, "1536B"),
            (65_536, "64KiB"),
            (1 << 20, "1MiB"),
            (3 << 30, "3GiB"),
        ] {
            assert_eq!(format_bytes(bytes), text);
            assert_eq!(parse_bytes(text), Some(bytes));
        }
        for (milliseconds, text) in [
            (1, "1ms"),
            (1_500, "1500ms"),
            (75_000, "75s"),
            (7_200_000, "2h"),
        ] {
            assert_eq!(format_duration(milliseconds), text);
            assert_eq!(parse_duration(text), Some(milliseconds));
        }
    }
}
