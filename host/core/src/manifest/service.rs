//! One item of `services`.

use super::app::{Secrets, label_help};
use super::reader::{At, Reader};
use super::{CONTAINER_PLUGIN, Context, container, hint, image, unit};
use crate::diagnostic::Span;
use crate::name::{MAIN, PluginName, ServiceName};
use crate::spec::{ContainerSpec, ServiceSpec};
use crate::yaml::{Entry, KeyPath, Kind};
use serde_json::{Map, Value};

const KEYS: [&str; 4 + container::KEYS.len()] =
    container::with_shared(["name", "tag", "image", "settings"]);

/// A service, and where its name stands.
pub(super) struct Found {
    pub(super) name: ServiceName,
    pub(super) spec: ServiceSpec,
    pub(super) span: Span,
    pub(super) path: KeyPath,
}

/// The service that `item` describes. One with errors is given back all the same
/// where it has a name, so that what refers to it is not refused too.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    item: &At<'a>,
    context: &Context<'_>,
    secrets: &mut Secrets,
) -> Option<Found> {
    let entry = only_entry(reader, item)?;
    let at = item.below(entry);
    let plugin = plugin(reader, &at, &entry.key, context);
    let fields = reader.fields(&at, &KEYS)?;

    let named = fields.get("name");
    let (name, span, path) = match named {
        None => (entry.key.as_str(), at.key_span, at.path.clone()),
        Some(name_at) => (
            reader.text(name_at, "name: orders-db")?,
            name_at.value_span(),
            name_at.path.clone(),
        ),
    };
    let name = match ServiceName::new(name) {
        Ok(name) if name.as_str() == MAIN => {
            let help = "`main` is the container that is built from the source: give the service another `name`";
            reader.error(span, &path, "no service can be named `main`", help);
            return None;
        }
        Ok(name) => name,
        Err(error) => {
            // Without a plugin of this name it was refused already.
            if named.is_some() {
                reader.error(span, &path, error.to_string(), label_help("name", name));
            }
            return None;
        }
    };
    let plugin = plugin?;

    let mut spec = ServiceSpec {
        tag: None,
        image: None,
        settings: Map::new(),
        port: None,
        container: ContainerSpec::default(),
        plugin,
    };
    let owner = ["services", name.as_str()];
    reader.places.note(&owner, at.key_span, &at.path);
    let has_image = fields.get("image").is_some();
    for (key, at) in fields.into_all() {
        reader
            .places
            .note(&container::part(&owner, &[key]), at.key_span, &at.path);
        match key {
            "name" => {}
            "tag" => spec.tag = tag(reader, &at, &spec.plugin),
            "image" => spec.image = image_reference(reader, &at),
            "settings" => spec.settings = settings(reader, &owner, &at),
            "port" => spec.port = unit::port(reader, &at),
            _ => container::read(reader, &owner, key, &at, &mut spec.container, secrets),
        }
    }
    container::check_paths(reader, &owner, &spec.container);
    container::check_health(reader, &owner, &spec.container, spec.port);
    if spec.plugin.as_str() == CONTAINER_PLUGIN {
        check_container(reader, &at, &spec, has_image);
    }
    Some(Found {
        name,
        spec,
        span,
        path,
    })
}

/// The one key of an item, which names the plugin.
fn only_entry<'a>(reader: &mut Reader<'a>, item: &At<'a>) -> Option<&'a Entry> {
    let (message, help) = match &item.node.kind {
        Kind::Mapping(entries) => match entries.as_slice() {
            [entry] => return Some(entry),
            [first, rest @ ..]
                if first.value.is_null()
                    && rest.iter().all(|entry| KEYS.contains(&entry.key.as_str())) =>
            {
                let second = &rest[0];
                reader.error(
                    second.key_span,
                    &item.path.key(&second.key),
                    format!(
                        "`{}` stands beside `{}`, not below it",
                        second.key,
                        hint::cut(&first.key)
                    ),
                    format!("indent it further than `{}`", hint::cut(&first.key)),
                );
                return None;
            }
            [first, rest @ ..] if let Some(second) = rest.first() => {
                reader.error(
                    second.key_span,
                    &item.path.key(&second.key),
                    format!("`{}` stands beside `{}` in one item", hint::cut(&second.key), hint::cut(&first.key)),
                    format!("begin each service with `- `: write `- {}:`; what belongs to a service is indented below it", hint::cut(&second.key)),
                );
                return None;
            }
            _ => (
                "a service is expected here",
                "write it as in `- redis:`".to_owned(),
            ),
        },
        Kind::Scalar { text, .. } if !text.is_empty() => (
            "a service's name has a colon behind it",
            format!("write `- {}:`", hint::cut(text)),
        ),
        _ => (
            "a service is expected here",
            "write it as in `- redis:`".to_owned(),
        ),
    };
    reader.error(item.value_span(), &item.path, message, help);
    None
}

/// The plugin of the name `key`, if one that is installed answers to it.
fn plugin(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    key: &str,
    context: &Context<'_>,
) -> Option<PluginName> {
    let name = PluginName::new(key).ok();
    let installed = || {
        context
            .plugins
            .iter()
            .flat_map(|plugin| std::iter::once(&plugin.name).chain(&plugin.aliases))
    };
    if let Some(name) = &name
        && installed().any(|known| known == name)
    {
        return Some(name.clone());
    }
    let names: Vec<&str> = context
        .plugins
        .iter()
        .map(|plugin| plugin.name.as_str())
        .collect();
    let mut help = match hint::nearest(key, installed().map(PluginName::as_str)) {
        Some(name) => format!("did you mean `{name}`? "),
        None => String::new(),
    };
    help.push_str(&format!("installed are {}", hint::list(&names)));
    let scalar = |key| match at.node.get(key).map(|node| &node.kind) {
        Some(Kind::Scalar { text, .. }) => Some(text.as_str()),
        _ => None,
    };
    let image = match (scalar("image"), scalar("tag")) {
        (Some(image), _) => image.to_owned(),
        (None, Some(tag)) if tag.contains(':') => tag.to_owned(),
        (None, Some(tag)) => format!("{}:{tag}", key.to_lowercase()),
        (None, None) => key.to_lowercase(),
    };
    let hostname = super::app_name_from_folder(image::split_tag(key).0)
        .map_or("worker".to_owned(), |name| name.to_string());
    help.push_str(&format!(
        "\nto run an image without a plugin:\n- container:\n    name: {}\n    image: {}",
        hint::cut(&hostname),
        hint::cut(&image)
    ));
    reader.error(
        at.key_span,
        &at.path,
        format!(
            "no plugin that is installed answers to `{}`",
            hint::cut(key)
        ),
        help,
    );
    name
}

fn tag<'a>(reader: &mut Reader<'a>, at: &At<'a>, plugin: &PluginName) -> Option<String> {
    let text = reader.text(at, "tag: 5.7")?;
    if image::is_tag(text) {
        return Some(text.to_owned());
    }
    let (name, after) = image::split_tag(text);
    let (message, help) = match after.filter(|tag| image::is_tag(tag)) {
        Some(tag) if name == plugin.as_str() => (
            format!("`{}` is an image, not a tag", hint::cut(text)),
            format!(
                "write only what follows the colon: `tag: {}`",
                hint::cut(tag)
            ),
        ),
        _ if text.contains([':', '/', '@']) && image::objection(text).is_none() => (
            format!("`{}` is an image, not a tag", hint::cut(text)),
            format!("write `image: {}` in its place", hint::cut(text)),
        ),
        _ => (
            format!("`{}` is no tag", hint::cut(text)),
            "a tag is up to 128 letters, digits, `_`, `.` and `-`, as in `tag: 5.7`".to_owned(),
        ),
    };
    reader.error(at.value_span(), &at.path, message, help);
    None
}

fn image_reference<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<String> {
    let text = reader.text(at, "image: ghcr.io/acme/worker:1.4")?;
    match image::objection(text) {
        None => Some(text.to_owned()),
        Some((message, help)) => {
            reader.error(at.value_span(), &at.path, message, help);
            None
        }
    }
}

/// The settings as JSON, and where each stands.
fn settings<'a>(reader: &mut Reader<'a>, owner: &[&str], at: &At<'a>) -> Map<String, Value> {
    if at.node.is_null() {
        return Map::new();
    }
    note_places(reader, at, &container::part(owner, &["settings"]));
    match at.node.to_json() {
        Value::Object(settings) => settings,
        _ => {
            let help = "write one setting a line below it, as in `database: orders`; the plugin says which there are";
            reader.error(
                at.value_span(),
                &at.path,
                "keys with values are expected here",
                help,
            );
            Map::new()
        }
    }
}

/// Notes where each setting stands. Stops at depths and lengths that no plugin asks
/// for, so that the notes stay small beside the file.
fn note_places<'a>(reader: &mut Reader<'a>, at: &At<'a>, steps: &[&str]) {
    reader.places.note(steps, at.value_span(), &at.path);
    if steps.len() >= 8 {
        return;
    }
    match &at.node.kind {
        Kind::Scalar { .. } => {}
        Kind::Sequence(items) => {
            for (index, node) in items.iter().enumerate() {
                let step = index.to_string();
                let child = At {
                    node,
                    path: at.path.index(index),
                    key_span: node.span,
                };
                note_places(reader, &child, &container::part(steps, &[&step]));
            }
        }
        Kind::Mapping(entries) => {
            for entry in entries.iter().filter(|entry| entry.key.len() <= 128) {
                note_places(
                    reader,
                    &at.below(entry),
                    &container::part(steps, &[&entry.key]),
                );
            }
        }
    }
}

/// What only a service without a plugin of its own can lack.
fn check_container(reader: &mut Reader<'_>, at: &At<'_>, spec: &ServiceSpec, has_image: bool) {
    match (&spec.image, &spec.tag) {
        // An image that was refused already.
        (None, _) if has_image => {}
        (None, Some(tag)) => {
            let help = format!("write the whole reference: `image: NAME:{tag}`");
            reader.error(
                at.key_span,
                &at.path,
                "a `container` needs an `image`",
                help,
            );
        }
        (None, None) => {
            let help = "say what it runs, as in `image: ghcr.io/acme/worker:1.4`";
            reader.error(
                at.key_span,
                &at.path,
                "a `container` needs an `image`",
                help,
            );
        }
        (Some(image), Some(tag)) => {
            let help = format!(
                "write it in the image: `image: {}:{tag}`",
                image::split_tag(image).0
            );
            reader.error(
                at.key_span,
                &at.path,
                "a `container` has no `tag` beside its `image`",
                help,
            );
        }
        (Some(_), None) => {}
    }
}
