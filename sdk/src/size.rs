//! Amounts of bytes, as people write them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::borrow::Cow;
use std::fmt;

/// An amount of bytes: `512`, `512k`, `256MB`, `1.5 GiB`. Every unit is a power of
/// 1024, as engines and databases take them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// This many MiB.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole: u64 = whole.parse().ok()?;
        let fraction = match fraction {
            "" => 0,
            // Three places are more than anyone writes, and keep the sum exact.
            digits => {
                let thousandths: u64 = format!("{digits:0<3}").get(..3)?.parse().ok()?;
                (thousandths << shift) / 1000
            }
        };
        Some(Self(whole.checked_mul(1 << shift)?.checked_add(fraction)?))
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as 512MiB")
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<ByteSize, E> {
        Ok(ByteSize(bytes))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ByteSize, E> {
        let wrong = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
        ByteSize::parse(text).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": r"^[0-9]+(\.[0-9]+)? *([kKmMgGtT]?([iI]?[bB])?)$",
            "minimum": 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ByteSize;

    #[test]
    fn sizes_as_people_write_them() {
        let parse = |text| ByteSize::parse(text).map(|size| size.0);
        for (text, bytes) in [
            ("512", 512),
            ("512b", 512),
            ("2k", 2048),
            ("1MB", 1 << 20),
            ("1.5 GiB", 3 << 29),
            ("0.25g", 1 << 28),
            ("1t", 1 << 40),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "MB",
            "-1",
            "1 banana",
            "1.2.3",
            "99999999999999t",
            "1.é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
