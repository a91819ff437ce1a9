//! The names that one certificate is for.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A CA takes at most a hundred names in one certificate (Let's Encrypt's limit).
const MOST: usize = 100;

/// The names that one certificate is for: one to a hundred, in lower case, sorted,
/// each once. What is issued, renewed and limited is such a set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Names(Arc<[Arc<str>]>);

impl Names {
    /// Checks each name: a host name in ASCII of at least one label, or `*.` and such
    /// a name.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, Error> {
        let mut names: Vec<String> = names
            .into_iter()
            .map(|name| name.into().to_ascii_lowercase())
            .collect();
        names.sort();
        names.dedup();
        if names.is_empty() || names.len() > MOST {
            return Err(Error::NamesCount(names.len()));
        }
        match names.iter().find(|name| !is_host_name(name)) {
            Some(name) => Err(Error::Name(name.clone())),
            None => Ok(Self(names.into_iter().map(Arc::from).collect())),
        }
    }

    /// The names.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    /// The names, for whoever keeps them.
    pub(crate) fn shared(&self) -> impl Iterator<Item = Arc<str>> {
        self.0.iter().cloned()
    }

    /// Whether a name is one of these, as written.
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|own| own == name)
    }

    /// Whether a name is in both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.iter().any(|name| other.contains(name))
    }
}

impl fmt::Display for Names {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join(","))
    }
}

impl TryFrom<Vec<String>> for Names {
    type Error = Error;

    fn try_from(names: Vec<String>) -> Result<Self, Error> {
        Self::new(names)
    }
}

impl From<Names> for Vec<String> {
    fn from(names: Names) -> Self {
        names.iter().map(str::to_owned).collect()
    }
}

/// RFC 1123 section 2.1, and a wildcard as the first label (RFC 9525 section 6.3).
fn is_host_name(name: &str) -> bool {
    let host = name.strip_prefix("*.").unwrap_or(name);
    host.len() <= 253 && host.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_in_lower_case_and_once() {
        let names = Names::new(["www.Example.com", "example.com", "example.COM"]).unwrap();
        assert_eq!(names.to_string(), "example.com,www.example.com");
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        for name in [
            "",
            ".",
            "example..com",
            "-a.com",
            "a-.com",
            "a b.com",
            "a.*.com",
            "*",
            "a/b",
            "a,b",
            "exämple.com",
            "example.com.",
            &"a".repeat(64),
        ] {
            assert!(Names::new([name]).is_err(), "{name}");
        }
        assert!(Names::new(["*.example.com"]).is_ok());
        assert!(Names::new(["localhost"]).is_ok());
        assert!(Names::new(Vec::<String>::new()).is_err());
    }
}
