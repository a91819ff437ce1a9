//! How to find out whether a container serves.

use super::reader::{At, Reader};
use super::{hint, unit};
use crate::spec::Health;
use crate::yaml::Kind;
use std::collections::BTreeMap;

const KEYS: [&str; 7] = [
    "path",
    "host",
    "headers",
    "status",
    "interval",
    "timeout",
    "restart-after",
];

/// How long a container may take to become ready where the file says nothing, in
/// milliseconds.
const TIMEOUT_MS: u32 = 60_000;

/// Most fields and answers that are listed.
const MOST: usize = 32;

/// The value of `health`.
pub(super) fn read<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<Health> {
    if let Kind::Scalar { text, .. } = &at.node.kind
        && text.starts_with('/')
    {
        let help = format!("write `health: {{ path: {} }}`", hint::cut(text));
        reader.error(
            at.value_span(),
            &at.path,
            "keys with values are expected here",
            help,
        );
        return None;
    }
    let fields = reader.fields(at, &KEYS)?;
    let mut health = Health::default();
    let mut duration = |key, least: u32, most: u32| match fields.get(key) {
        None => Some(None),
        Some(at) => unit::duration(reader, at, least, most).map(Some),
    };
    health.interval_ms = duration("interval", 50, 3_600_000)?;
    health.timeout_ms = duration("timeout", 1_000, 86_400_000)?;
    if let (Some(at), Some(interval)) = (fields.get("interval"), health.interval_ms)
        && interval > health.timeout_ms.unwrap_or(TIMEOUT_MS)
    {
        reader.error(
            at.value_span(),
            &at.path,
            "the interval is longer than the timeout",
            "choose a shorter `interval` or a longer `timeout`",
        );
    }
    if let Some(at) = fields.get("path") {
        health.path = Some(path(reader, at)?);
    }
    if let Some(at) = fields.get("host") {
        health.host = Some(host(reader, at)?);
    }
    if let Some(at) = fields.get("headers") {
        health.headers = headers(reader, at)?;
    }
    if let Some(at) = fields.get("status") {
        health.status = statuses(reader, at)?;
    }
    if let Some(at) = fields.get("restart-after") {
        health.restart_after = Some(restart_after(reader, at)?);
    }
    for key in ["headers", "status"] {
        if let (Some(at), None) = (fields.get(key), &health.path) {
            reader.error(
                at.key_span,
                &at.path,
                format!("`{key}` needs a `path`"),
                "add the path that is asked for, as in `path: /up`",
            );
        }
    }
    Some(health)
}

fn path<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<String> {
    let text = reader.text(at, "path: /up")?;
    // What a request line can carry (RFC 9112 section 3.2): no blanks, no fragment.
    let fits = text.starts_with('/') && text.chars().all(|c| c.is_ascii_graphic() && c != '#');
    if fits && text.len() <= 2048 {
        return Some(text.to_owned());
    }
    let help = "write it as in `path: /up`: it begins with `/` and holds no blanks; the port is the container's";
    reader.error(
        at.value_span(),
        &at.path,
        "this is no path of a request",
        help,
    );
    None
}

fn host<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<String> {
    let text = reader.text(at, "host: www.example.com")?;
    // A host and perhaps a port (RFC 9110 section 7.2).
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if !text.is_empty() && text.len() <= 255 && text.chars().all(fits) {
        return Some(text.to_owned());
    }
    reader.error(
        at.value_span(),
        &at.path,
        format!("`{}` is no host", hint::cut(text)),
        "write a host name, as in `host: www.example.com`",
    );
    None
}

fn headers<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<BTreeMap<String, String>> {
    let entries = match &at.node.kind {
        Kind::Mapping(entries) if entries.len() <= MOST => entries.as_slice(),
        _ if at.node.is_null() => &[],
        _ => {
            reader.error(
                at.value_span(),
                &at.path,
                format!("up to {MOST} fields with values are expected here"),
                "write them as in `headers: { Accept: text/html }`",
            );
            return None;
        }
    };
    let mut headers = BTreeMap::new();
    for entry in entries {
        let below = at.below(entry);
        let value = reader.text(&below, "Accept: text/html")?;
        // A token (RFC 9110 section 5.6.2), and what a field's value can be.
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let is_name = !entry.key.is_empty() && entry.key.chars().all(token);
        let is_value = value.chars().all(|c| c == ' ' || c.is_ascii_graphic());
        let name = entry.key.to_ascii_lowercase();
        if !is_name || !is_value || name.len() + value.len() > 4096 {
            reader.error(
                below.value_span(),
                &below.path,
                format!("`{}` is no field of a request", hint::cut(&entry.key)),
                "write a name and a value of plain characters, as in `Accept: text/html`",
            );
            return None;
        }
        if name == "host" {
            reader.error(
                entry.key_span,
                &below.path,
                "the host has a key of its own",
                format!("write `host: {}` beside `headers`", hint::cut(value)),
            );
            return None;
        }
        headers.insert(name, value.to_owned());
    }
    Some(headers)
}

/// Answers that are good: one, or a list of them; each a status or a range of them.
fn statuses<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<Vec<(u16, u16)>> {
    let items = match &at.node.kind {
        Kind::Sequence(items) if (1..=MOST).contains(&items.len()) => reader.items(at, "- 200"),
        _ => vec![at.clone()],
    };
    items.iter().map(|item| status(reader, item)).collect()
}

fn status<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<(u16, u16)> {
    let text = reader.text(at, "status: 200")?;
    let number = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse::<u16>().ok().filter(|_| digits)?;
        (200..=599).contains(&number).then_some(number)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    if let (Some(first), Some(last)) = (number(first), number(last))
        && first <= last
    {
        return Some((first, last));
    }
    reader.error(
        at.value_span(),
        &at.path,
        format!("`{}` is no status of an answer", hint::cut(text)),
        "write one, a range or a list of them, as in `status: 200`, `status: 200-399` or `status: [200, 401]`",
    );
    None
}

fn restart_after<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<u32> {
    let text = reader.text(at, "restart-after: 3")?;
    let number = text
        .parse::<u32>()
        .ok()
        .filter(|number| (1..=1000).contains(number) && !text.starts_with('+'));
    if number.is_none() {
        reader.error(
            at.value_span(),
            &at.path,
            format!("`{}` is no number of failures", hint::cut(text)),
            "write after how many failures in a row the container is restarted, as in `restart-after: 3`",
        );
    }
    number
}
