//! What the file says about main, below `main:` or at the top.

use super::app::Secrets;
use super::reader::{At, Reader};
use super::{build, container, hint, unit};
use crate::spec::{Drain, Health, MainSpec, Strategy};
use crate::yaml::Kind;

pub(super) const KEYS: [&str; 4 + container::KEYS.len()] =
    container::with_shared(["build", "strategy", "health", "drain"]);

/// Pause between two tries where the file names none, in milliseconds.
const INTERVAL_MS: u32 = 100;
/// How long main may take to become ready where the file says nothing, in milliseconds.
const TIMEOUT_MS: u32 = 60_000;
/// How long a deploy may wait for what an old copy has begun, in milliseconds.
const LONGEST_DRAIN_MS: u32 = 86_400_000;

/// Main from the keys below `section`, or from those that stand `at_top`; not both.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    section: Option<&At<'a>>,
    at_top: Vec<(&'a str, At<'a>)>,
    secrets: &mut Secrets,
) -> Option<MainSpec> {
    let mut main = MainSpec::default();
    let keys = match section {
        None => at_top,
        Some(at) => {
            reader.places.note(&["main"], at.key_span, &at.path);
            match &at.node.kind {
                Kind::Sequence(_) => {
                    let help = format!(
                        "remove the `- ` before the keys; the keys are {}",
                        hint::list(&KEYS)
                    );
                    reader.error(at.key_span, &at.path, "`main` is no list", help);
                    return None;
                }
                _ => reader.fields(at, &KEYS)?.into_all(),
            }
        }
    };
    for (key, at) in keys {
        reader.places.note(&["main", key], at.key_span, &at.path);
        match key {
            "port" => main.port = unit::port(reader, &at),
            "build" => main.build = build::read(reader, &at),
            "strategy" => main.strategy = strategy(reader, &at),
            "health" => main.health = health(reader, &at),
            "drain" => main.drain = drain(reader, &at),
            _ => container::read(reader, &["main"], key, &at, &mut main.container, secrets),
        }
    }
    container::check_paths(reader, &["main"], &main.container);
    Some(main)
}

fn strategy(reader: &mut Reader<'_>, at: &At<'_>) -> Strategy {
    match &at.node.kind {
        Kind::Scalar { text, .. } if text == "rolling" => return Strategy::Rolling,
        Kind::Scalar { text, .. } if text == "recreate" => return Strategy::Recreate,
        _ => {}
    }
    let help = "write `rolling` (the new copy runs beside the old one until it is ready) or `recreate` (the old one ends first)";
    reader.error(at.value_span(), &at.path, "this is no strategy", help);
    Strategy::default()
}

fn drain<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<Drain> {
    let mut drain = Drain::default();
    if let Kind::Scalar { .. } = at.node.kind {
        drain.requests_ms = unit::duration(reader, at, 0, LONGEST_DRAIN_MS)?;
        return Some(drain);
    }
    let fields = reader.fields(at, &["requests", "upgraded"])?;
    for (key, limit_ms) in [
        ("requests", &mut drain.requests_ms),
        ("upgraded", &mut drain.upgraded_ms),
    ] {
        if let Some(at) = fields.get(key)
            && let Some(read) = unit::duration(reader, at, 0, LONGEST_DRAIN_MS)
        {
            *limit_ms = read;
        }
    }
    Some(drain)
}

fn health<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<Health> {
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
    let fields = reader.fields(at, &["path", "interval", "timeout"])?;
    let path = match fields.get("path") {
        None => None,
        Some(at) => Some(health_path(reader, at)?),
    };
    let mut duration = |key, default, least: u32, most: u32| match fields.get(key) {
        None => Some(default),
        Some(at) => unit::duration(reader, at, least, most),
    };
    let interval_ms = duration("interval", INTERVAL_MS, 50, 3_600_000)?;
    let timeout_ms = duration("timeout", TIMEOUT_MS, 1_000, 86_400_000)?;
    if let Some(at) = fields.get("interval")
        && interval_ms > timeout_ms
    {
        reader.error(
            at.value_span(),
            &at.path,
            "the interval is longer than the timeout",
            "choose a shorter `interval` or a longer `timeout`",
        );
    }
    Some(Health {
        path,
        interval_ms,
        timeout_ms,
    })
}

fn health_path<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<String> {
    let text = reader.text(at, "path: /up")?;
    // What a request line can carry (RFC 9112 section 3.2): no blanks, no fragment.
    let fits = text.starts_with('/') && text.chars().all(|c| c.is_ascii_graphic() && c != '#');
    if fits && text.len() <= 2048 {
        return Some(text.to_owned());
    }
    let help =
        "write it as in `path: /up`: it begins with `/` and holds no blanks; the port is main's";
    reader.error(
        at.value_span(),
        &at.path,
        "this is no path of a request",
        help,
    );
    None
}
