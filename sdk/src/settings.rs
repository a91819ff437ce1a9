//! From the settings that a user wrote to the struct that an author declared.
//!
//! A manifest keeps every scalar as the characters that were written, so a number
//! or a flag may come as a string: `"512"`, `"yes"`. The type of the field decides
//! what the characters mean, never their look: `5.10` stays `5.10` in a `String`.
//! Unknown settings are refused even where the author did not ask for it.

use crate::{Diagnostic, json};
use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use std::fmt;

/// Reads the settings of a request, a JSON object, as the host does before it calls
/// [`crate::Plugin::plan`].
pub fn parse<T: DeserializeOwned>(json: &str) -> Result<T, Diagnostic> {
    let setting =
        json::read(json).ok_or_else(|| Diagnostic::service("the settings are not JSON"))?;
    T::deserialize(setting).map_err(Diagnostic::from)
}

/// What is wrong with a setting, and where.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// Innermost key first, as the error travels outwards.
    path: Vec<String>,
    message: String,
    help: Option<String>,
}

impl Wrong {
    fn new(message: String) -> Self {
        Self {
            path: Vec::new(),
            message,
            help: None,
        }
    }

    fn inside(mut self, key: impl Into<String>) -> Self {
        self.path.push(key.into());
        self
    }
}

impl From<Wrong> for Diagnostic {
    fn from(wrong: Wrong) -> Self {
        Self {
            path: wrong.path.into_iter().rev().collect(),
            message: wrong.message,
            help: wrong.help,
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = expected.to_string();
        let expected = match expected.as_str() {
            "u8" => "a whole number up to 255",
            "u16" => "a whole number up to 65535",
            "u32" => "a whole number up to 4294967295",
            "u64" | "usize" => "a whole number",
            "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
            "f32" | "f64" => "a number",
            "a string" => "text",
            "a sequence" => "a list",
            other => other,
        };
        // Not `Unexpected`'s own text: it would bring the formatting of floating point
        // numbers into every plugin, a tenth of its size.
        Self::new(match found {
            Unexpected::Str(text) => format!("expected {expected}, found {text:?}"),
            Unexpected::Bool(flag) => format!("expected {expected}, found {flag}"),
            Unexpected::Unsigned(number) => format!("expected {expected}, found {number}"),
            Unexpected::Signed(number) => format!("expected {expected}, found {number}"),
            Unexpected::Other(number) => format!("expected {expected}, found {number}"),
            Unexpected::Seq => format!("expected {expected}, found a list"),
            Unexpected::Map => format!("expected {expected}, found a map"),
            Unexpected::Unit => format!("expected {expected}, found nothing"),
            _ => format!("expected {expected}, found something else"),
        })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        let mut wrong = Self::new(format!("{found:?} is not one of {}", expected.join(", ")));
        wrong.help = nearest(found, expected).map(|name| format!("did you mean `{name}`?"));
        wrong
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let mut wrong = Self::new("no such setting".to_owned()).inside(field);
        wrong.help = Some(match nearest(field, expected) {
            Some(name) => format!("did you mean `{name}`?"),
            None if expected.is_empty() => "this service has no settings".to_owned(),
            None => format!("the settings are {}", expected.join(", ")),
        });
        wrong
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("this setting is required".to_owned()).inside(field)
    }
}

/// The name that is at most a third of its characters away from `found`.
fn nearest<'a>(found: &str, names: &[&'a str]) -> Option<&'a str> {
    let (distance, name) = names
        .iter()
        .map(|name| (strsim::levenshtein(found, name), *name))
        .min_by_key(|(d, _)| *d)?;
    (distance <= 1 + name.len() / 3).then_some(name)
}

/// One value within the settings.
#[derive(Debug, PartialEq)]
pub(crate) enum Setting {
    /// `null`
    Nothing,
    /// `true` or `false`
    Flag(bool),
    /// A number, as it was written.
    Number(String),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Setting>),
    /// An object, in its order.
    Map(Vec<(String, Setting)>),
}

impl Setting {
    fn unexpected(&self) -> Unexpected<'_> {
        match self {
            Self::Nothing => Unexpected::Unit,
            Self::Flag(flag) => Unexpected::Bool(*flag),
            Self::Number(number) => Unexpected::Other(number),
            Self::Text(text) => Unexpected::Str(text),
            Self::List(_) => Unexpected::Seq,
            Self::Map(_) => Unexpected::Map,
        }
    }
}

/// Parses a number, whether it came as one or as text.
macro_rules! number {
    ($($method:ident $visit:ident $type:ty)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            let (Self::Number(text) | Self::Text(text)) = &self else {
                return self.deserialize_any(visitor);
            };
            match text.parse::<$type>() {
                Ok(number) => visitor.$visit(number),
                Err(_) => Err(de::Error::invalid_type(self.unexpected(), &visitor)),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Setting {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Nothing => visitor.visit_unit(),
            Self::Flag(flag) => visitor.visit_bool(flag),
            // Whoever takes anything takes a number by its characters.
            Self::Number(text) | Self::Text(text) => visitor.visit_string(text),
            Self::List(items) => visitor.visit_seq(Items {
                items: items.into_iter(),
                index: 0,
            }),
            Self::Map(map) => visitor.visit_map(Fields::new(map, None)),
        }
    }

    number! {
        deserialize_i8 visit_i64 i64
        deserialize_i16 visit_i64 i64
        deserialize_i32 visit_i64 i64
        deserialize_i64 visit_i64 i64
        deserialize_u8 visit_u64 u64
        deserialize_u16 visit_u64 u64
        deserialize_u32 visit_u64 u64
        deserialize_u64 visit_u64 u64
        deserialize_f32 visit_f64 f64
        deserialize_f64 visit_f64 f64
    }

    /// The words that YAML has had for flags, without regard to case.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let Self::Text(text) = &self else {
            return self.deserialize_any(visitor);
        };
        let is_one_of = |words: [&str; 3]| words.iter().any(|w| text.eq_ignore_ascii_case(w));
        if is_one_of(["true", "yes", "on"]) {
            visitor.visit_bool(true)
        } else if is_one_of(["false", "no", "off"]) {
            visitor.visit_bool(false)
        } else {
            Err(de::Error::invalid_type(
                Unexpected::Str(text),
                &"true or false",
            ))
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Nothing => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// Text where the settings want text, also if it came as another scalar.
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Flag(flag) => visitor.visit_string(flag.to_string()),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_string(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self {
            Self::Map(map) => visitor.visit_map(Fields::new(map, Some(fields))),
            _ => Err(de::Error::invalid_type(self.unexpected(), &"a map")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self {
            Self::Text(text) => visitor.visit_enum(text.into_deserializer()),
            // A map of one key, as YAML writes a variant with content.
            Self::Map(mut map) if map.len() == 1 => match map.pop() {
                Some((name, content)) => visitor.visit_enum(Variant { name, content }),
                None => Err(Wrong::new("expected a map of one key".to_owned())),
            },
            other => Err(de::Error::invalid_type(other.unexpected(), &"a word")),
        }
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct seq tuple tuple_struct map
        identifier ignored_any
    }
}

struct Items {
    items: std::vec::IntoIter<Setting>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Wrong> {
        let Some(item) = self.items.next() else {
            return Ok(None);
        };
        let index = self.index;
        self.index += 1;
        seed.deserialize(item)
            .map(Some)
            .map_err(|wrong| wrong.inside(index.to_string()))
    }
}

struct Fields {
    entries: std::vec::IntoIter<(String, Setting)>,
    known: Option<&'static [&'static str]>,
    next: Option<(String, Setting)>,
}

impl Fields {
    fn new(map: Vec<(String, Setting)>, known: Option<&'static [&'static str]>) -> Self {
        Self {
            entries: map.into_iter(),
            known,
            next: None,
        }
    }
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        self.next = self.entries.next();
        let Some((key, _)) = &self.next else {
            return Ok(None);
        };
        if let Some(known) = self.known
            && !known.contains(&key.as_str())
        {
            return Err(de::Error::unknown_field(key, known));
        }
        let key: StringDeserializer<Wrong> = key.clone().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let (key, value) = self
            .next
            .take()
            .ok_or_else(|| Wrong::new("no value".to_owned()))?;
        seed.deserialize(value).map_err(|wrong| wrong.inside(key))
    }
}

struct Variant {
    name: String,
    content: Setting,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Wrong;
    type Variant = Setting;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Setting), Wrong> {
        let name: StringDeserializer<Wrong> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self.content))
    }
}

impl<'de> VariantAccess<'de> for Setting {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        Err(Wrong::new("expected a word alone".to_owned()))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Wrong> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_struct("", fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wanted {
        memory: Option<u32>,
        #[serde(default)]
        flag: bool,
        ratio: Option<f64>,
        version: Option<String>,
        kind: Option<Kind>,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Kind {
        First,
        SecondOne,
        Sized { bytes: u64 },
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        port: u16,
    }

    #[derive(Debug, Deserialize)]
    struct Nothing {}

    #[track_caller]
    fn same(one: &str, other: &str) {
        let one: Wanted = parse(one).expect("the first is good");
        let other: Wanted = parse(other).expect("the second is good");
        assert_eq!(one, other);
    }

    #[track_caller]
    fn refused<T: DeserializeOwned + fmt::Debug>(json: &str, expected: &str) {
        let wrong = parse::<T>(json).expect_err("it is refused");
        let help = wrong.help.unwrap_or_default();
        assert_eq!(
            format!("{}: {} ({help})", wrong.path.join("."), wrong.message),
            expected
        );
    }

    #[test]
    fn scalars_as_text_mean_the_same() {
        same(r#"{"memory": "512"}"#, r#"{"memory": 512}"#);
        same(r#"{"ratio": "0.5"}"#, r#"{"ratio": 0.5}"#);
        for yes in ["true", "yes", "Yes", "on"] {
            same(&format!(r#"{{"flag": "{yes}"}}"#), r#"{"flag": true}"#);
        }
        for no in ["false", "no", "OFF"] {
            same(&format!(r#"{{"flag": "{no}"}}"#), r#"{"flag": false}"#);
        }
        same(r#"{"memory": null}"#, "{}");
        same(
            r#"{"inner": [{"port": "80"}]}"#,
            r#"{"inner": [{"port": 80}]}"#,
        );
        same(
            r#"{"kind": {"sized": {"bytes": "1"}}}"#,
            r#"{"kind": {"sized": {"bytes": 1}}}"#,
        );
    }

    #[test]
    fn text_keeps_its_characters() {
        for text in ["5.10", "007", "yes", "1e3", "0x10"] {
            let wanted: Wanted = parse(&format!(r#"{{"version": "{text}"}}"#)).expect("good");
            assert_eq!(wanted.version.as_deref(), Some(text));
        }
    }

    #[test]
    fn refusals_point_at_the_setting() {
        refused::<Wanted>(
            r#"{"memory": "lots"}"#,
            "memory: expected a whole number up to 4294967295, found \"lots\" ()",
        );
        refused::<Wanted>(
            r#"{"memory": "-1"}"#,
            "memory: expected a whole number up to 4294967295, found \"-1\" ()",
        );
        refused::<Wanted>(
            r#"{"memory": "4294967296"}"#,
            "memory: expected a whole number up to 4294967295, found 4294967296 ()",
        );
        refused::<Wanted>(
            r#"{"flag": "maybe"}"#,
            "flag: expected true or false, found \"maybe\" ()",
        );
        refused::<Wanted>(
            r#"{"flags": "yes"}"#,
            "flags: no such setting (did you mean `flag`?)",
        );
        refused::<Wanted>(
            r#"{"zzzzzzzzz": "yes"}"#,
            "zzzzzzzzz: no such setting (the settings are memory, flag, ratio, version, kind, inner)",
        );
        refused::<Wanted>(
            r#"{"kind": "second"}"#,
            "kind: \"second\" is not one of first, second-one, sized (did you mean `second-one`?)",
        );
        refused::<Wanted>(
            r#"{"inner": [{"port": 80}, {"port": "http"}]}"#,
            "inner.1.port: expected a whole number up to 65535, found \"http\" ()",
        );
        refused::<Wanted>(
            r#"{"inner": [{}]}"#,
            "inner.0.port: this setting is required ()",
        );
        refused::<Wanted>(r#"{"inner": {}}"#, "inner: expected a list, found a map ()");
        refused::<Nothing>(
            r#"{"a": 1}"#,
            "a: no such setting (this service has no settings)",
        );
    }
}
