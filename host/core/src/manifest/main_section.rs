//! What the file says about main, below `main:` or at the top.

use super::app::Secrets;
use super::reader::{At, Reader};
use super::{build, container, hint, unit};
use crate::spec::{Drain, MainSpec, Strategy};
use crate::yaml::Kind;

pub(super) const KEYS: [&str; 3 + container::KEYS.len()] =
    container::with_shared(["build", "strategy", "drain"]);

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
            "drain" => main.drain = drain(reader, &at),
            _ => container::read(reader, &["main"], key, &at, &mut main.container, secrets),
        }
    }
    container::check_paths(reader, &["main"], &main.container);
    container::check_health(reader, &["main"], &main.container, main.port);
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
