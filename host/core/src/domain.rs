//! The host names of apps beside their free subdomains.

use crate::spec::DomainSpec;
use crate::yaml::cut;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Host names.
pub type Domains = BTreeMap<String, Domain>;

/// What is done for a host name beside answering.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// The name that its requests are sent on to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_to: Option<String>,
    /// Whether browsers are told to use nothing but HTTPS for it.
    #[serde(default)]
    pub hsts: bool,
}

/// Every host name that these stand for: one with `www` is two, of which `www.` sends
/// on to the other.
pub fn host_names<'a>(specs: impl IntoIterator<Item = (&'a String, &'a DomainSpec)>) -> Domains {
    let mut names = Domains::new();
    for (name, spec) in specs {
        let hsts = spec.hsts;
        let domain = |redirect_to| Domain { redirect_to, hsts };
        names.insert(name.clone(), domain(None));
        if spec.www {
            names.insert(format!("www.{name}"), domain(Some(name.clone())));
        }
    }
    names
}

/// Whether a name is a domain or below it.
pub fn is_within(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// A host name as DNS and certificates have it: letters beyond ASCII in their `xn--` form
/// (UTS 46, RFC 5891). A name that has none, or that no host can have, is left as it is.
pub fn ascii(name: &str) -> String {
    match name.is_ascii() {
        true => name.to_owned(),
        false => idna::domain_to_ascii_strict(name).unwrap_or_else(|_| name.to_owned()),
    }
}

/// A host name as people read it, with what DNS has where the two differ:
/// `bücher.example (xn--bcher-kva.example)`.
pub fn shown(name: &str) -> String {
    if !name.split('.').any(|label| label.starts_with("xn--")) {
        return name.to_owned();
    }
    match idna::domain_to_unicode(name) {
        // Only what leads back to the name is shown for it.
        (unicode, Ok(())) if unicode != name && ascii(&unicode) == name => {
            format!("{unicode} ({name})")
        }
        _ => name.to_owned(),
    }
}

/// Why a text is no host name (RFC 1123 section 2.1), and what to write. `before` is what
/// stands before a name where this one stood, such as `name: ` in a manifest.
pub fn objection(name: &str, before: &str) -> Option<(String, String)> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or(name);
    // A last label of digits alone is read as an address (RFC 3696 section 2).
    let valid = |name: &str| {
        name.len() <= 253 && name.split('.').all(label) && !last.bytes().all(|b| b.is_ascii_digit())
    };
    if valid(name) {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    let bare = lower
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .split(['/', ':'])
        .next()
        .unwrap_or_default()
        .trim_end_matches('.');
    let help = if bare != name && valid(bare) {
        format!("write `{before}{bare}`, in lower case and without protocol, port and path")
    } else {
        format!("write it as in `{before}example.com`")
    };
    Some((format!("`{}` is no host name", cut(name)), help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn www_is_a_name_of_its_own_that_sends_on() {
        let specs = BTreeMap::from([
            (
                "example.com".to_owned(),
                DomainSpec {
                    www: true,
                    hsts: true,
                },
            ),
            ("example.org".to_owned(), DomainSpec::default()),
        ]);
        let names = host_names(&specs);
        assert_eq!(names.len(), 3);
        assert_eq!(names["example.com"].redirect_to, None);
        let www = &names["www.example.com"];
        assert_eq!(www.redirect_to.as_deref(), Some("example.com"));
        assert!(www.hsts && !names["example.org"].hsts);
    }

    #[test]
    fn help_writes_a_name_as_its_place_has_it() {
        let help = |name: &str, before: &str| objection(name, before).unwrap().1;
        for name in ["HTTPS://Example.com:8443/", "a b"] {
            assert!(help(name, "name: ").contains("`name: example.com`"));
            assert!(help(name, "").contains("`example.com`"));
        }
        assert_eq!(objection("example.com", ""), None);
    }

    #[test]
    fn letters_beyond_ascii_have_a_form_in_dns() {
        let cases = [
            ("bücher.example", "xn--bcher-kva.example"),
            ("Bücher.Example", "xn--bcher-kva.example"),
            ("straße.de", "xn--strae-oqa.de"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("bücher。example", "xn--bcher-kva.example"),
            ("example.com", "example.com"),
            ("a.xn--bcher-kva.example", "a.xn--bcher-kva.example"),
        ];
        for (name, expected) in cases {
            assert_eq!(ascii(name), expected, "{name}");
            assert_eq!(objection(&ascii(name), ""), None, "{name}");
        }
        for name in [
            "bü cher.example",
            "ü\u{202e}.example",
            "-ü.example",
            "\u{200d}.de",
        ] {
            assert!(objection(&ascii(name), "").is_some(), "{name}");
        }
    }

    #[test]
    fn a_name_is_shown_both_ways() {
        let cases = [
            (
                "xn--bcher-kva.example",
                "bücher.example (xn--bcher-kva.example)",
            ),
            ("example.com", "example.com"),
            // No letter has this form.
            ("xn--a.example", "xn--a.example"),
        ];
        for (name, expected) in cases {
            assert_eq!(shown(name), expected, "{name}");
        }
    }

    #[test]
    fn below_is_whole_labels() {
        assert!(is_within("example.com", "example.com"));
        assert!(is_within("a.example.com", "example.com"));
        assert!(!is_within("anexample.com", "example.com"));
        assert!(!is_within("com", "example.com"));
    }
}
