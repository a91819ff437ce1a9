//! The keys that main and services share.

use super::app::Secrets;
use super::reader::{At, Reader};
use super::{command, config_file, env, health, process, resources, unit, volume};
use crate::spec::{ContainerSpec, PortSpec};
use crate::yaml::KeyPath;

/// The keys themselves.
pub(super) const KEYS: [&str; 14] = [
    "port",
    "protocol",
    "health",
    "command",
    "entrypoint",
    "user",
    "init",
    "stop-signal",
    "stop-grace",
    "shm-size",
    "resources",
    "volumes",
    "envs",
    "config_file",
];

/// A container's own keys, and then the shared ones.
pub(super) const fn with_shared<const OWN: usize, const ALL: usize>(
    own: [&'static str; OWN],
) -> [&'static str; ALL] {
    let mut all = [""; ALL];
    let mut index = 0;
    while index < ALL {
        all[index] = if index < OWN {
            own[index]
        } else {
            KEYS[index - OWN]
        };
        index += 1;
    }
    all
}

/// Reads the value of one of the shared keys into `container`. `owner` and `name`
/// are the container's place in the spec: `main`, or `services` and its name.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    owner: &[&str],
    key: &str,
    at: &At<'a>,
    container: &mut ContainerSpec,
    secrets: &mut Secrets,
) {
    match key {
        "envs" => container.env = env::read(reader, owner, at, secrets),
        "volumes" => container.volumes = volume::read(reader, owner, at),
        "config_file" => container.files = config_file::read(reader, owner, at),
        "protocol" => container.protocol = unit::protocol(reader, at),
        "health" => container.health = health::read(reader, at),
        "command" => container.command = command::read(reader, at, key),
        "entrypoint" => container.entrypoint = command::read(reader, at, key),
        "user" => container.user = process::user(reader, at, "user: app"),
        "init" => container.init = reader.boolean(at, "init: false"),
        "stop-signal" => container.stop_signal = process::signal(reader, at),
        "stop-grace" => container.stop_grace_ms = unit::duration(reader, at, 1_000, 3_600_000),
        "shm-size" => container.shm_size = unit::shm_size(reader, at),
        "resources" => container.resources = resources::read(reader, at).unwrap_or_default(),
        _ => {}
    }
}

/// Refuses a file on the path of a volume.
pub(super) fn check_paths(reader: &mut Reader<'_>, owner: &[&str], container: &ContainerSpec) {
    for path in container
        .files
        .keys()
        .filter(|path| container.volumes.contains_key(*path))
    {
        let steps = part(owner, &["files", path]);
        let (span, key_path) = reader.places.find(&steps);
        reader.error(
            span,
            &key_path,
            format!("a volume and a file are both mounted on {path}"),
            "give one of them another path",
        );
    }
}

/// Refuses a request that asks for health where nothing listens.
pub(super) fn check_health(
    reader: &mut Reader<'_>,
    owner: &[&str],
    container: &ContainerSpec,
    port: Option<PortSpec>,
) {
    let asks = container.health.as_ref();
    if port != Some(PortSpec::NONE) || asks.is_none_or(|health| health.path.is_none()) {
        return;
    }
    let (span, key_path) = reader.places.find(&part(owner, &["health"]));
    reader.error(
        span,
        &key_path,
        "`health` has a `path`, and `port: none` says that nothing listens",
        "remove `path`, or write the port that it is asked for on, as in `port: 8080`",
    );
}

/// The path of a part of the container that `owner` names.
pub(super) fn part<'p>(owner: &[&'p str], rest: &[&'p str]) -> Vec<&'p str> {
    owner.iter().chain(rest).copied().collect()
}

/// A path that was mounted before, and where.
pub(super) fn mounted_twice(reader: &mut Reader<'_>, at: &At<'_>, path: &str, first: &KeyPath) {
    let message = format!("{path} is mounted twice in this container");
    reader.error(
        at.value_span(),
        &at.path,
        message,
        format!("it is at {first} too: remove one, or give it another path"),
    );
}
