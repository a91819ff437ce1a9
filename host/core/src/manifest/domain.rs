//! `domains`.

use super::hint::cut;
use super::reader::{At, Reader};
use super::volume::required;
use crate::spec::DomainSpec;
use crate::yaml::Kind;
use std::collections::{BTreeMap, BTreeSet};

const EXAMPLE: &str = "- { name: example.com, www: true }";

/// The host names beside the free subdomain.
pub(super) fn read<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> BTreeMap<String, DomainSpec> {
    reader.places.note(&["domains"], at.key_span, &at.path);
    let mut domains = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for item in reader.items(at, EXAMPLE) {
        if let Kind::Scalar { text, .. } = &item.node.kind {
            let help = format!("write `- {{ name: {} }}`", cut(text));
            reader.error(
                item.value_span(),
                &item.path,
                "a domain has the keys `name` and `www`",
                help,
            );
            continue;
        }
        let Some(fields) = reader.fields(&item, &["name", "www"]) else {
            continue;
        };
        let Some(name_at) = required(reader, &fields, &item, "name", EXAMPLE) else {
            continue;
        };
        let www = fields
            .get("www")
            .and_then(|at| reader.boolean(at, "www: true"))
            .unwrap_or_default();
        let Some(name) = reader.text(name_at, "name: example.com") else {
            continue;
        };
        if let Some((message, help)) = objection(name) {
            reader.error(name_at.value_span(), &name_at.path, message, help);
            continue;
        }
        let mut names = vec![name.to_owned()];
        if www {
            names.push(format!("www.{name}"));
        }
        for name in names {
            if !taken.insert(name.clone()) {
                reader.error(
                    name_at.value_span(),
                    &name_at.path,
                    format!("{name} is named twice"),
                    "name every domain once; `www: true` names `www.` before it too",
                );
            }
        }
        reader
            .places
            .note(&["domains", name], name_at.value_span(), &name_at.path);
        domains.insert(name.to_owned(), DomainSpec { www });
    }
    domains
}

/// Why a text is no host name (RFC 1123 section 2.1), and what to write.
fn objection(name: &str) -> Option<(String, String)> {
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
    let bare = name
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .split(['/', ':'])
        .next()
        .unwrap_or_default()
        .trim_end_matches('.')
        .to_ascii_lowercase();
    let help = if bare != name && valid(&bare) {
        format!("write `name: {bare}`, in lower case and without protocol, port and path")
    } else {
        "write it as in `name: example.com`; a name with other letters in its `xn--` form"
            .to_owned()
    };
    Some((format!("`{}` is no host name", cut(name)), help))
}
