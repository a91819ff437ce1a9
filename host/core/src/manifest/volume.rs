//! `volumes`, and paths in a container.

use super::container::{mounted_twice, part};
use super::hint::cut;
use super::reader::{At, Reader};
use crate::name::VolumeName;
use crate::yaml::{KeyPath, Kind};
use std::collections::BTreeMap;

const EXAMPLE: &str = "- { name: data, mount: /data }";

/// The volumes by mount path.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    owner: &[&str],
    at: &At<'a>,
) -> BTreeMap<String, VolumeName> {
    let mut volumes = BTreeMap::new();
    let mut seen: BTreeMap<String, KeyPath> = BTreeMap::new();
    for item in reader.items(at, EXAMPLE) {
        let Some((name, mount, path)) = volume(reader, &item) else {
            continue;
        };
        if let Some(first) = seen.get(&path) {
            mounted_twice(reader, &mount, &path, first);
            continue;
        }
        reader.places.note(
            &part(owner, &["volumes", &path]),
            mount.value_span(),
            &mount.path,
        );
        seen.insert(path.clone(), item.path.clone());
        volumes.insert(path, name);
    }
    volumes
}

fn volume<'a>(reader: &mut Reader<'a>, item: &At<'a>) -> Option<(VolumeName, At<'a>, String)> {
    if let Kind::Scalar { text, .. } = &item.node.kind {
        let help = match text.split_once(':') {
            Some((name, path)) if !name.starts_with(['.', '/', '~']) => {
                let path = path.split(':').next().unwrap_or(path);
                format!("write `- {{ name: {}, mount: {} }}`", cut(name), cut(path))
            }
            Some(_) => format!(
                "folders of the machine cannot be mounted; name a volume, as in `{EXAMPLE}`, or use `config_file` for a file of the source"
            ),
            None => format!("write `{EXAMPLE}`"),
        };
        reader.error(
            item.value_span(),
            &item.path,
            "a volume has the keys `name` and `mount`",
            help,
        );
        return None;
    }
    let fields = reader.fields(item, &["name", "mount"])?;
    let name = required(reader, &fields, item, "name", EXAMPLE).and_then(|at| {
        let text = reader.text(at, "name: data")?;
        VolumeName::new(text)
            .map_err(|error| {
                let help = "choose another name; capitals are fine, and so are blanks, but not at its ends";
                reader.error(at.value_span(), &at.path, error.to_string(), help);
            })
            .ok()
    });
    let mount = required(reader, &fields, item, "mount", EXAMPLE)?;
    let path = mount_path(reader, mount)?;
    Some((name?, mount.clone(), path))
}

/// The value of a key that must be there.
pub(super) fn required<'f, 'a>(
    reader: &mut Reader<'a>,
    fields: &'f super::reader::Fields<'a>,
    item: &At<'a>,
    key: &str,
    example: &str,
) -> Option<&'f At<'a>> {
    let found = fields.get(key);
    if found.is_none() {
        reader.error(
            item.key_span,
            &item.path,
            format!("`{key}` is missing"),
            format!("write it as in `{example}`"),
        );
    }
    found
}

/// An absolute path in a container, without a slash at its end.
pub(super) fn mount_path<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<String> {
    let text = reader.text(at, "mount: /data")?;
    let (message, help) = match normal_path(text) {
        Ok(path) => match reserved(&path) {
            None => return Some(path),
            Some(why) => (
                format!("{} cannot be mounted over: {why}", cut(&path)),
                "mount it on another path".to_owned(),
            ),
        },
        Err(PathError::Relative) => {
            let help = format!(
                "write the whole path in the container, as in `mount: /{}`",
                cut(text.trim_start_matches("./"))
            );
            (
                "a mount is an absolute path in the container".to_owned(),
                help,
            )
        }
        Err(PathError::Root) => (
            "nothing can be mounted on `/`".to_owned(),
            "mount on a folder below it, as in `mount: /data`".to_owned(),
        ),
        Err(PathError::Upwards) => (
            "`..` is not possible in a mount".to_owned(),
            "write the path without it".to_owned(),
        ),
        Err(PathError::Unfit) => (
            "this is no path: it holds a control character or is longer than 4096 bytes".to_owned(),
            "write it as in `mount: /data`".to_owned(),
        ),
    };
    reader.error(at.value_span(), &at.path, message, help);
    None
}

enum PathError {
    Relative,
    Root,
    Upwards,
    Unfit,
}

fn normal_path(text: &str) -> Result<String, PathError> {
    if text.len() > 4096 || text.chars().any(char::is_control) {
        return Err(PathError::Unfit);
    }
    if !text.starts_with('/') {
        return Err(PathError::Relative);
    }
    let steps: Vec<&str> = text
        .split('/')
        .filter(|step| !step.is_empty() && *step != ".")
        .collect();
    if steps.contains(&"..") {
        return Err(PathError::Upwards);
    }
    if steps.is_empty() {
        return Err(PathError::Root);
    }
    Ok(format!("/{}", steps.join("/")))
}

/// Why the engine keeps a path for itself.
fn reserved(path: &str) -> Option<&'static str> {
    let below = |root: &str| {
        path == root
            || path
                .strip_prefix(root)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    match path {
        "/etc/hosts" | "/etc/resolv.conf" | "/etc/hostname" => {
            Some("the engine writes it, so that names resolve")
        }
        "/dev" => Some("the container's devices are there"),
        _ if below("/proc") || below("/sys") => Some("the kernel's own files are there"),
        _ => None,
    }
}
