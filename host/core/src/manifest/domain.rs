//! `domains`.

use super::hint::cut;
use super::reader::{At, Reader};
use super::volume::required;
use crate::domain::{ascii, objection, shown};
use crate::spec::DomainSpec;
use crate::yaml::Kind;
use indexmap::IndexMap;
use std::collections::BTreeSet;

const EXAMPLE: &str = "- { name: example.com, www: true }";

/// The host names beside the free subdomain.
pub(super) fn read<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> IndexMap<String, DomainSpec> {
    reader.places.note(&["domains"], at.key_span, &at.path);
    let mut domains = IndexMap::new();
    let mut taken = BTreeSet::new();
    for item in reader.items(at, EXAMPLE) {
        if let Kind::Scalar { text, .. } = &item.node.kind {
            let help = format!("write `- {{ name: {} }}`", cut(text));
            reader.error(
                item.value_span(),
                &item.path,
                "a domain has the keys `name`, `www` and `hsts`",
                help,
            );
            continue;
        }
        let Some(fields) = reader.fields(&item, &["name", "www", "hsts"]) else {
            continue;
        };
        let Some(name_at) = required(reader, &fields, &item, "name", EXAMPLE) else {
            continue;
        };
        let www = fields
            .get("www")
            .and_then(|at| reader.boolean(at, "www: true"))
            .unwrap_or_default();
        let hsts = fields
            .get("hsts")
            .and_then(|at| reader.boolean(at, "hsts: true"))
            .unwrap_or_default();
        let Some(name) = reader.text(name_at, "name: example.com") else {
            continue;
        };
        let name = &ascii(name);
        if let Some((message, help)) = objection(name, "name: ") {
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
                    format!("{} is named twice", shown(&name)),
                    "name every domain once; `www: true` names `www.` before it too",
                );
            }
        }
        reader
            .places
            .note(&["domains", name], name_at.value_span(), &name_at.path);
        domains.insert(name.to_owned(), DomainSpec { www, hsts });
    }
    domains
}
