//! `config_file`: files of the source that are put into a container.

use super::container::{mounted_twice, part};
use super::hint::cut;
use super::reader::{At, Reader};
use super::volume::{mount_path, required};
use crate::spec::ConfigFile;
use crate::yaml::{KeyPath, Kind};
use std::collections::BTreeMap;

const EXAMPLE: &str = "- { source: ./nginx.conf, mount: /etc/nginx/nginx.conf }";

/// The files by path in the container.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    owner: &[&str],
    at: &At<'a>,
) -> BTreeMap<String, ConfigFile> {
    let mut files = BTreeMap::new();
    let mut seen: BTreeMap<String, KeyPath> = BTreeMap::new();
    for item in reader.items(at, EXAMPLE) {
        let Some(fields) = reader.fields(&item, &["source", "mount", "mode"]) else {
            continue;
        };
        let source = required(reader, &fields, &item, "source", EXAMPLE)
            .and_then(|at| source_path(reader, at));
        let mount = required(reader, &fields, &item, "mount", EXAMPLE);
        let path = mount.and_then(|at| file_path(reader, at));
        let writable = fields.get("mode").is_some_and(|at| writable(reader, at));
        let (Some(source), Some(mount), Some(path)) = (source, mount, path) else {
            continue;
        };
        if let Some(first) = seen.get(&path) {
            mounted_twice(reader, mount, &path, first);
            continue;
        }
        let place = fields.get("source").unwrap_or(mount);
        reader.places.note(
            &part(owner, &["files", &path]),
            place.value_span(),
            &place.path,
        );
        seen.insert(path.clone(), item.path.clone());
        files.insert(path, ConfigFile { source, writable });
    }
    files
}

fn writable<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> bool {
    match reader.text(at, "mode: r") {
        Some("rw") => return true,
        Some("r") | None => {}
        Some(other) => {
            let message = format!("`{}` is no mode", cut(other));
            reader.error(
                at.value_span(),
                &at.path,
                message,
                "write `r` (the container may read the file) or `rw` (it may write it too)",
            );
        }
    }
    false
}

/// A path below the source folder, without `.` and `..`.
fn source_path<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<String> {
    let text = reader.text(at, "source: ./nginx.conf")?;
    let steps: Vec<&str> = text
        .split('/')
        .filter(|step| !step.is_empty() && *step != ".")
        .collect();
    let problem = if text.len() > 4096 || text.chars().any(char::is_control) {
        Some("this is no path: it holds a control character or is longer than 4096 bytes")
    } else if text.starts_with(['/', '~']) {
        Some("a source is a file within the app's source, not one of the machine")
    } else if steps.contains(&"..") {
        Some("a source lies within the app's source: `..` is not possible")
    } else if steps.is_empty() || text.ends_with('/') || text.ends_with("/.") {
        Some("a source is a file, not a folder")
    } else {
        None
    };
    if let Some(problem) = problem {
        let help = "write its path below the folder of this file, as in `source: ./nginx.conf`";
        reader.error(at.value_span(), &at.path, problem, help);
        return None;
    }
    Some(steps.join("/"))
}

/// The path of a file in the container.
fn file_path<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<String> {
    let path = mount_path(reader, at)?;
    if let Kind::Scalar { text, .. } = &at.node.kind
        && text.ends_with('/')
    {
        let help = format!(
            "add the file's name, as in `mount: {}/nginx.conf`",
            cut(&path)
        );
        reader.error(
            at.value_span(),
            &at.path,
            "the mount of a file is the path of a file, not of a folder",
            help,
        );
        return None;
    }
    Some(path)
}
