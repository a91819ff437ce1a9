//! What a container is made of, as texts for people.

use super::FieldDiff;
use crate::blueprint::{Container, Content, Env, File, Image, ImageIdentity, Owner, sha256_hex};
use crate::probe::{Check, Probe};
use crate::resources::Resources;
use crate::secret::SecretName;
use crate::spec::{Strategy, VolumeMount};
use crate::text::{Part, Text};

/// What stands for a value that is not shown.
const MASK: &str = "••••";

/// One thing that a container is made of.
struct Field {
    name: &'static str,
    key: Option<String>,
    /// What people see.
    shown: String,
    /// What decides whether it changed. May hold what is masked; never leaves this file.
    exact: String,
    /// Whether it is left out where the whole container is new.
    detail: bool,
}

/// Everything that a new container is made of and that people ask about.
pub(super) fn all(container: &Container) -> Vec<FieldDiff> {
    let told = fields(container).into_iter().filter(|field| !field.detail);
    told.map(|field| diff(&field, None, Some(field.shown.clone())))
        .collect()
}

/// What differs between two containers.
pub(super) fn changes(before: &Container, after: &Container) -> Vec<FieldDiff> {
    if before == after {
        return Vec::new();
    }
    let old = fields(before);
    let new = fields(after);
    let identities = (&before.identity, &after.identity);
    let replaced = match identities {
        // The reference is the same, and means another image.
        (Some(old), Some(new)) if before.image.reference() == after.image.reference() => {
            (old.id != new.id).then(|| {
                let both_known = old.digest.is_some() && new.digest.is_some();
                let short = |identity: &ImageIdentity| match both_known {
                    true => identity.short(),
                    false => ImageIdentity {
                        digest: None,
                        ..identity.clone()
                    }
                    .short(),
                };
                (short(old), short(new))
            })
        }
        _ => None,
    };
    let find = |fields: &[Field], wanted: &Field| {
        let same = |field: &&Field| field.name == wanted.name && field.key == wanted.key;
        fields
            .iter()
            .find(same)
            .map(|field| (field.shown.clone(), field.exact.clone()))
    };
    let mut changes = Vec::new();
    for field in &new {
        match find(&old, field) {
            None => changes.push(diff(field, None, Some(field.shown.clone()))),
            Some((shown, exact)) if exact == field.exact => {
                if let (Some((old, new)), "image") = (&replaced, field.name) {
                    let with = |shown: &str, identity| Some(format!("{shown} ({identity})"));
                    changes.push(diff(field, with(&shown, old), with(&field.shown, new)));
                }
            }
            Some((shown, _)) => {
                let mut after = field.shown.clone();
                if shown == after {
                    after.push_str(" (another)");
                }
                changes.push(diff(field, Some(shown), Some(after)));
            }
        }
    }
    let gone = old.iter().filter(|field| find(&new, field).is_none());
    changes.extend(gone.map(|field| diff(field, Some(field.shown.clone()), None)));
    changes
}

/// A secret that has another value than before.
pub(super) fn new_secret(name: &SecretName) -> FieldDiff {
    FieldDiff {
        field: "secret".to_owned(),
        key: Some(name.to_string()),
        before: Some(MASK.to_owned()),
        after: Some(format!("{MASK} (new value)")),
    }
}

/// Where a container's image comes from.
pub(super) fn image(container: &Container) -> String {
    match &container.image {
        Image::Build { source, recipe, .. } => {
            format!("built from {recipe} ({})", short(source))
        }
        Image::Pull { reference } => reference.clone(),
    }
}

fn diff(field: &Field, before: Option<String>, after: Option<String>) -> FieldDiff {
    FieldDiff {
        field: field.name.to_owned(),
        key: field.key.clone(),
        before,
        after,
    }
}

fn fields(container: &Container) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut add = |name, shown: Option<String>, detail| {
        if let Some(shown) = shown {
            fields.push(Field {
                name,
                key: None,
                exact: shown.clone(),
                shown,
                detail,
            });
        }
    };
    // The image of a new container stands beside its name.
    add("image", Some(image(container)), true);
    add("plugin", container.plugin.clone(), true);
    add(
        "entrypoint",
        container.entrypoint.as_deref().map(command),
        false,
    );
    add("command", container.command.as_deref().map(command), false);
    add("user", container.user.clone(), false);
    add("limits", limits(&container.resources), false);
    add("ready", Some(readiness(container)), false);
    add("unhealthy", restart_after(container), false);
    add("shared memory", container.shm_size.map(bytes), true);
    add("capabilities", words(&container.capabilities), false);
    add("ulimits", words(&ulimits(container)), true);
    let needs: Vec<String> = container.needs.iter().map(ToString::to_string).collect();
    add("starts after", words(&needs), false);
    add("reload", container.reload.as_deref().map(command), true);
    add("stop", Some(stop(container)), true);
    add("init", container.init.map(init), false);
    let runtime = &container.runtime;
    add("working folder", runtime.working_directory.clone(), false);
    add("groups", words(&runtime.groups), false);
    let read_only = runtime.read_only_root.then(|| "is only read".to_owned());
    add("root", read_only, false);
    let tmpfs = runtime.tmpfs.iter();
    let tmpfs = tmpfs.map(|(path, it)| format!("{path} {} {:04o}", bytes(it.size), it.mode));
    add("in memory", words(&tmpfs.collect::<Vec<_>>()), false);
    let sysctls = runtime.sysctls.iter();
    let sysctls = sysctls.map(|(name, value)| format!("{name}={value}"));
    add("kernel", words(&sysctls.collect::<Vec<_>>()), false);
    add(
        "takeover",
        Some(takeover(container.strategy).to_owned()),
        true,
    );
    add("also called", words(&second_names(container)), false);
    // The same image under the same reference is no change, whatever source it has.
    for field in fields.iter_mut().filter(|field| field.name == "image") {
        field.exact = container.image.reference().to_owned();
    }

    let port = container
        .port_reason
        .strip_prefix("port ")
        .unwrap_or(&container.port_reason);
    if container.port.is_some() {
        fields.insert(
            0,
            Field {
                name: "port",
                key: None,
                shown: port.to_owned(),
                exact: format!("{:?}", container.port),
                detail: false,
            },
        );
    }
    let mounted = |mount: &VolumeMount| {
        let owner = container.runtime.owners.get(&mount.path);
        match (container.runtime.read_only.contains(&mount.path), owner) {
            (true, _) => format!("{} (only read)", mount.name),
            (false, Some(owner)) => format!("{} (of {owner})", mount.name),
            (false, None) => mount.name.to_string(),
        }
    };
    let mounts = container.mounts.iter().map(|mount| Field {
        name: "volume",
        key: Some(mount.path.clone()),
        shown: mounted(mount),
        exact: mounted(mount),
        detail: false,
    });
    let outputs = container.outputs.iter().map(|(name, text)| Field {
        name: "output",
        key: Some(name.clone()),
        shown: MASK.to_owned(),
        exact: format!("{text:?}"),
        detail: true,
    });
    let env = container.env.iter().map(|(name, env)| Field {
        name: "env",
        key: Some(name.clone()),
        shown: value(env),
        exact: format!("{env:?}"),
        detail: false,
    });
    let env: Vec<Field> = env.collect();
    fields.extend(env);
    fields.extend(mounts);
    fields.extend(container.files.iter().map(file));
    fields.extend(outputs);
    fields
}

fn value(env: &Env) -> String {
    if env.masked {
        MASK.to_owned()
    } else {
        text(&env.value)
    }
}

fn text(text: &Text) -> String {
    let parts = text.0.iter().map(|part| match part {
        Part::Literal(literal) => literal.as_str(),
        Part::Secret(_) | Part::Encoded(_) | Part::Masked(_) => MASK,
    });
    parts.collect()
}

fn file(file: &File) -> Field {
    let (origin, digest) = match &file.content {
        Content::Blob { digest, source } => (format!("{source} "), digest.clone()),
        Content::Text(text) => (
            "written by the plugin ".to_owned(),
            sha256_hex(format!("{text:?}").as_bytes()),
        ),
    };
    let mode = file.mode;
    let owner = match &file.owner {
        None => String::new(),
        Some(Owner::Process) => format!(", mode {mode:04o}, its own user's"),
        Some(Owner::Named(name)) => format!(", mode {mode:04o}, of {name}"),
    };
    Field {
        name: "file",
        key: Some(file.path.clone()),
        shown: format!("{origin}({}){owner}", short(&digest)),
        exact: format!("{origin}{digest}{mode:o}{owner}"),
        detail: false,
    }
}

fn short(digest: &str) -> String {
    digest.chars().take(8).collect()
}

/// A command as a shell would take it.
fn command(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    let quoted = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn words(words: &[String]) -> Option<String> {
    (!words.is_empty()).then(|| words.join(", "))
}

/// The names that people may use for it beside its own.
fn second_names(container: &Container) -> Vec<String> {
    let own = container.name.as_str();
    let aliases = container.aliases.iter();
    aliases
        .filter(|alias| *alias != own && !alias.contains('.'))
        .cloned()
        .collect()
}

fn ulimits(container: &Container) -> Vec<String> {
    let limit = |value: i64| {
        if value < 0 {
            "unlimited".to_owned()
        } else {
            value.to_string()
        }
    };
    let ulimits = container.ulimits.iter();
    ulimits
        .map(|u| format!("{} {}:{}", u.name, limit(u.soft), limit(u.hard)))
        .collect()
}

fn limits(resources: &Resources) -> Option<String> {
    let memory = resources
        .memory
        .map(|memory| format!("memory {}", bytes(memory)));
    let cpus = resources.millicpus.map(|millis| {
        let cpus = f64::from(millis) / 1000.0;
        format!("cpus {cpus}")
    });
    let disk = resources.disk.map(|disk| format!("disk {}", bytes(disk)));
    words(
        &[memory, cpus, disk]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>(),
    )
}

/// A size in the largest unit that gives a whole number.
fn bytes(size: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let fits = |(shift, _): &&(u32, &str)| size != 0 && size.is_multiple_of(1 << shift);
    match units.iter().find(fits) {
        Some((shift, unit)) => format!("{} {unit}", size >> shift),
        None => format!("{size} B"),
    }
}

fn readiness(container: &Container) -> String {
    let within = format!(
        "within {} s",
        f64::from(container.ready_timeout_ms) / 1000.0
    );
    let probes: Vec<String> = container.probes.iter().map(probe).collect();
    match (probes.as_slice(), container.judged) {
        ([], _) => "as soon as it runs".to_owned(),
        (probes, false) => format!("{}, {within}", probes.join(", then ")),
        (probes, true) => format!("{}, judged by its plugin, {within}", probes.join(", then ")),
    }
}

fn restart_after(container: &Container) -> Option<String> {
    let failures = container.restart_after?;
    Some(format!("restarted after {failures} failures in a row"))
}

fn probe(probe: &Probe) -> String {
    match &probe.check {
        Check::Tcp { port, send: None } => format!("port {port} accepts"),
        Check::Tcp {
            port,
            send: Some(_),
        } => format!("port {port} answers"),
        Check::Serves { port, tls, .. } => format!("port {port} answers{}", by_tls(*tls)),
        Check::Http {
            port,
            path,
            tls,
            host,
            status,
            ..
        } => {
            let host = host.as_ref().map(|host| format!(" of {host}"));
            let wanted: Vec<String> = status.iter().map(range).collect();
            let answers = match wanted.as_slice() {
                [] => String::new(),
                wanted => format!(" answers {}", wanted.join(" or ")),
            };
            let host = host.unwrap_or_default();
            format!("GET :{port}{path}{host}{}{answers}", by_tls(*tls))
        }
        Check::Exec {
            command: words,
            user,
            ..
        } => match user {
            Some(user) => format!("{} as {user}", command(words)),
            None => command(words),
        },
        Check::Log { contains } => format!("its log says {contains:?}"),
    }
}

fn by_tls(tls: bool) -> &'static str {
    if tls { " by TLS" } else { "" }
}

fn range((from, to): &(u16, u16)) -> String {
    if from == to {
        from.to_string()
    } else {
        format!("{from}-{to}")
    }
}

fn stop(container: &Container) -> String {
    let signal = container
        .stop_signal
        .as_deref()
        .unwrap_or("the image's signal");
    format!(
        "{signal}, within {} s",
        f64::from(container.stop_grace_ms) / 1000.0
    )
}

fn init(init: bool) -> String {
    let text = match init {
        true => "its first process is an init",
        false => "its first process is its own",
    };
    text.to_owned()
}

fn takeover(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Rolling => "the new copy runs beside the old one until it is ready",
        Strategy::Recreate => "the old copy ends before the new one starts",
    }
}
