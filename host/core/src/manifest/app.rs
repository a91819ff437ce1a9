//! The top of the file.

use super::reader::{At, Reader};
use super::{
    Context, MAX_SERVICES, Manifest, Refused, domain, hint, main_section, other_format, service,
};
use crate::diagnostic::Span;
use crate::name::{AppName, ServiceName};
use crate::release::{MAX_RETAIN, RETAIN};
use crate::secret::{SecretName, SecretSource};
use crate::spec::{AppSpec, MainSpec, ServiceSpec};
use crate::text_file::TextFile;
use crate::yaml::{KeyPath, Kind, Node};
use indexmap::IndexMap;
use indexmap::map::Entry;
use std::collections::BTreeMap;

const KEYS: [&str; 6] = ["app", "front", "retain", "main", "services", "domains"];

pub(super) type Secrets = BTreeMap<SecretName, SecretSource>;

/// What the tree at `root` means; nothing at all is an app without services.
pub(super) fn read(
    file: &TextFile,
    root: Option<&Node>,
    context: &Context<'_>,
) -> Result<Manifest, Refused> {
    let mut reader = Reader::new(file);
    let spec = match root {
        Some(root) => read_root(&mut reader, root, context),
        None => without_content(&mut reader, context),
    };
    let failed = reader.errors() > 0;
    let (diagnostics, places) = reader.finish();
    match spec {
        Some(spec) if !failed => Ok(Manifest {
            spec,
            warnings: diagnostics,
            places,
        }),
        _ => Err(Refused { diagnostics }),
    }
}

fn without_content(reader: &mut Reader<'_>, context: &Context<'_>) -> Option<AppSpec> {
    let app = app_name(reader, None, context)?;
    Some(AppSpec {
        app,
        front: None,
        retain: None,
        main: MainSpec::default(),
        services: IndexMap::new(),
        domains: IndexMap::new(),
        secrets: BTreeMap::new(),
    })
}

fn read_root<'a>(
    reader: &mut Reader<'a>,
    root: &'a Node,
    context: &Context<'_>,
) -> Option<AppSpec> {
    let at = At::root(root);
    if let Some((what, help)) = other_format::recognise(root) {
        let span = Span {
            length: usize::MAX,
            ..root.span
        };
        reader.error(
            span,
            &at.path,
            format!("this seems to be {what}, not a doprax.yaml"),
            help,
        );
        return None;
    }
    if root.is_null() {
        return without_content(reader, context);
    }
    let Kind::Mapping(entries) = &root.kind else {
        let help = match &root.kind {
            Kind::Scalar { text, .. } if KEYS.contains(&text.as_str()) => {
                format!("write `{text}:`, with a colon")
            }
            _ => format!(
                "write keys with values, such as `services:`; the keys are {}",
                hint::list(&KEYS)
            ),
        };
        reader.error(
            root.span,
            &at.path,
            "keys with values are expected here",
            help,
        );
        return None;
    };

    let mut app = None;
    let mut front = None;
    let mut retain = None;
    let mut main = None;
    let mut main_at_top = Vec::new();
    let mut services = None;
    let mut domains = None;
    for entry in entries {
        let below = at.below(entry);
        match entry.key.as_str() {
            "app" => app = Some(below),
            "front" => front = Some(below),
            "retain" => retain = Some(below),
            "main" => main = Some(below),
            "services" => services = Some(below),
            "domains" => domains = Some(below),
            key if main_section::KEYS.contains(&key) => main_at_top.push((key, below)),
            _ => {
                let known: Vec<&str> = KEYS.iter().chain(&main_section::KEYS).copied().collect();
                reader.unknown_key(entry, &below.path, &known);
            }
        }
    }
    if main.is_some() {
        for (key, below) in main_at_top.drain(..) {
            reader.error(
                below.key_span,
                &below.path,
                format!("`{key}` stands at the top of the file, but this file has `main`"),
                format!("move `{key}` below `main:`, indented, or remove `main:` and keep all of main's keys at the top"),
            );
        }
    }

    let mut secrets = Secrets::new();
    let app = app_name(reader, app.as_ref(), context);
    let main = main_section::read(reader, main.as_ref(), main_at_top, &mut secrets);
    let errors = reader.errors();
    let services = services
        .map(|at| read_services(reader, &at, context, &mut secrets))
        .unwrap_or_default();
    // A service that was refused is missing among those that a front can name.
    let front = match front {
        Some(at) if reader.errors() == errors => read_front(reader, &at, &services),
        _ => None,
    };
    let retain = retain.and_then(|at| read_retain(reader, &at));
    let domains = domains
        .map(|at| domain::read(reader, &at))
        .unwrap_or_default();
    Some(AppSpec {
        app: app?,
        front,
        retain,
        main: main?,
        services,
        domains,
        secrets,
    })
}

fn app_name(
    reader: &mut Reader<'_>,
    at: Option<&At<'_>>,
    context: &Context<'_>,
) -> Option<AppName> {
    let Some(at) = at else {
        if context.default_app.is_none() {
            let top = Span {
                line: 1,
                column: 1,
                length: 1,
            };
            reader.error(
                top,
                &KeyPath::root(),
                "the app has no name",
                "give it one: `app: guestbook`",
            );
        }
        return context.default_app.cloned();
    };
    reader.places.note(&["app"], at.key_span, &at.path);
    let text = match &at.node.kind {
        Kind::Scalar { text, .. } if !at.node.is_absent() => text,
        _ => {
            reader.error(
                at.value_span(),
                &at.path,
                "the app's name is expected here",
                "write it as in `app: guestbook`",
            );
            return None;
        }
    };
    match AppName::new(text) {
        Ok(name) => Some(name),
        Err(error) => {
            reader.error(
                at.value_span(),
                &at.path,
                error.to_string(),
                label_help("app", text),
            );
            None
        }
    }
}

fn read_services<'a>(
    reader: &mut Reader<'a>,
    at: &At<'a>,
    context: &Context<'_>,
    secrets: &mut Secrets,
) -> IndexMap<ServiceName, ServiceSpec> {
    reader.places.note(&["services"], at.key_span, &at.path);
    let mut services = IndexMap::new();
    if let Kind::Mapping(entries) = &at.node.kind
        && let Some(first) = entries.first()
    {
        let help = format!(
            "begin each service with `- `, as in `- {}:`",
            hint::cut(&first.key)
        );
        reader.error(first.key_span, &at.path, "services are a list", help);
        return services;
    }
    let mut lines: BTreeMap<ServiceName, usize> = BTreeMap::new();
    for (index, item) in reader.items(at, "- redis:").into_iter().enumerate() {
        if index == MAX_SERVICES {
            let message = format!("more than {MAX_SERVICES} services");
            reader.error(
                item.key_span,
                &item.path,
                message,
                "an app has room for 255 services beside main: split it into several apps",
            );
            break;
        }
        let Some(found) = service::read(reader, &item, context, secrets) else {
            continue;
        };
        match services.entry(found.name) {
            Entry::Vacant(vacant) => {
                lines.insert(vacant.key().clone(), found.span.line);
                vacant.insert(found.spec);
            }
            Entry::Occupied(occupied) => {
                let message = format!("two services are named `{}`", occupied.key());
                let help = format!(
                    "the first is on line {}; give this one a name of its own, as in `name: {}-2`",
                    lines.get(occupied.key()).copied().unwrap_or_default(),
                    occupied.key()
                );
                reader.error(found.span, &found.path, message, help);
            }
        }
    }
    services
}

fn read_front(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    services: &IndexMap<ServiceName, ServiceSpec>,
) -> Option<ServiceName> {
    reader.places.note(&["front"], at.key_span, &at.path);
    let mut known = vec![crate::name::MAIN];
    known.extend(services.keys().map(ServiceName::as_str));
    let text = match &at.node.kind {
        Kind::Scalar { text, .. } => text.as_str(),
        _ => "",
    };
    if let Ok(name) = ServiceName::new(text)
        && known.contains(&text)
    {
        return Some(name);
    }
    let message = format!("no container of this app is named `{}`", hint::cut(text));
    let known: Vec<&str> = known.into_iter().take(12).collect();
    reader.error(
        at.value_span(),
        &at.path,
        message,
        format!("write one of {}", hint::list(&known)),
    );
    None
}

fn read_retain(reader: &mut Reader<'_>, at: &At<'_>) -> Option<u16> {
    reader.places.note(&["retain"], at.key_span, &at.path);
    let text = match &at.node.kind {
        Kind::Scalar { text, .. } => text.as_str(),
        _ => "",
    };
    match text.parse() {
        Ok(number @ 1..=MAX_RETAIN) => return Some(number),
        _ => reader.error(
            at.value_span(),
            &at.path,
            format!("a number of releases is expected here, from 1 to {MAX_RETAIN}"),
            format!("write it as in `retain: {RETAIN}`, or leave it out"),
        ),
    }
    None
}

/// How a text becomes the name that it nearly is.
pub(super) fn label_help(key: &str, text: &str) -> String {
    super::app_name_from_folder(text).map_or_else(
        || format!("write it as in `{key}: orders-db`"),
        |name| format!("write `{key}: {name}`"),
    )
}
