//! What a person probably meant by a word that is not known.

pub(super) use crate::spelling::nearest;
pub(super) use crate::yaml::cut;

/// Words that people bring along from Compose, Kubernetes and other tools, and what
/// stands for them here.
const FOREIGN: &[(&str, &str)] = &[
    (
        "environment",
        "write `envs`, a list with one variable an item: `- NAME: value`",
    ),
    (
        "env",
        "write `envs`, a list with one variable an item: `- NAME: value`",
    ),
    (
        "env_file",
        "write `envs`; `${NAME}` takes a value from the environment of the command",
    ),
    ("version", "the version of a service is its `tag`"),
    (
        "ports",
        "write `port`, the one port the container listens on; the ingress forwards to it, nothing is published on the machine",
    ),
    ("scheme", "write `protocol: https`"),
    ("backend-protocol", "write `protocol: https`"),
    (
        "expose",
        "write `port`, the one port the container listens on",
    ),
    ("target", "write `mount`, the path in the container"),
    ("path", "write `mount`, the path in the container"),
    ("mountPath", "write `mount`, the path in the container"),
    ("healthcheck", "write `health: { path: /up }`"),
    (
        "depends_on",
        "remove it: services start before main, and what stands in front of it after it",
    ),
    (
        "links",
        "remove it: every container of the app reaches the others by their names",
    ),
    ("networks", "remove it: every app has a network of its own"),
    (
        "restart",
        "remove it: a container that ends is always restarted",
    ),
    ("container_name", "write `name`; it is also the hostname"),
    ("hostname", "write `name`; it is also the hostname"),
    (
        "privileged",
        "it is not to be had: no container gets power over the machine",
    ),
    ("entrypoint", "write `command`"),
    ("cmd", "write `command`"),
    (
        "build",
        "remove it: main is built from the `Dockerfile` at the root of the source",
    ),
    ("mem_limit", "write `resources: { memory: 512MiB }`"),
    ("deploy", "write `resources` with `memory` and `cpus`"),
    (
        "limits",
        "write `memory` and `cpus` right below `resources`",
    ),
    ("<<", "merge keys are not read: write the entries out"),
];

/// What to do about a key that is not among the known ones.
pub(super) fn unknown_key(key: &str, known: &[&str]) -> String {
    let keys = format!("the keys are {}", list(known));
    let foreign = FOREIGN
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(key));
    // An advice names in backticks what to write; it helps only where that is known.
    let fits = |advice: &str| {
        !advice.starts_with("write") || known.iter().any(|key| advice.contains(&format!("`{key}")))
    };
    match (foreign, nearest(key, known.iter().copied())) {
        (Some((_, advice)), _) if fits(advice) => format!("{advice}; {keys}"),
        (_, Some(name)) => format!("did you mean `{name}`? {keys}"),
        (_, None) => keys,
    }
}

/// Names as a person lists them.
pub(super) fn list<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .map(|name| format!("`{}`", name.as_ref()))
        .collect();
    match quoted.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
