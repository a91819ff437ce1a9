//! `config_file`: files of the source that are put into a container.

use super::container::{mounted_twice, part};
use super::hint::cut;
use super::process;
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
        let Some(fields) = reader.fields(&item, &["source", "mount", "mode", "owner"]) else {
            continue;
        };
        let source = required(reader, &fields, &item, "source", EXAMPLE)
            .and_then(|at| source_path(reader, at));
        let mount = required(reader, &fields, &item, "mount", EXAMPLE);
        let path = mount.and_then(|at| file_path(reader, at));
        let (writable, mode) = fields
            .get("mode")
            .map_or((false, None), |at| mode(reader, at));
        let file_owner = fields
            .get("owner")
            .and_then(|at| process::user(reader, at, "owner: postgres"));
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
        let file = ConfigFile {
            source,
            writable,
            mode,
            owner: file_owner,
        };
        files.insert(path, file);
    }
    files
}

/// Whether the container may write the file, or its permission bits.
fn mode<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> (bool, Option<u32>) {
    let Some(text) = reader.text(at, "mode: r") else {
        return (false, None);
    };
    match text {
        "r" => return (false, None),
        "rw" => return (true, None),
        _ => {}
    }
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let octal = (3..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let bits = u32::from_str_radix(digits, 8).ok();
    if let Some(bits) = bits.filter(|bits| octal && *bits <= 0o777) {
        return (bits & 0o200 != 0, Some(bits));
    }
    reader.error(
        at.value_span(),
        &at.path,
        format!("`{}` is no mode", cut(text)),
        "write `r` (the container may read the file), `rw` (it may write it too), or permission bits as in `mode: 0640`",
    );
    (false, None)
}

/// A path below the source folder, without `.` and `..`.
fn source_path<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<String> {
    let text = reader.text(at, "source: ./nginx.conf")?;
    let problem = match relative_path(text) {
        Ok(path) if !path.is_empty() && !text.ends_with('/') && !text.ends_with("/.") => {
            return Some(path);
        }
        Ok(_) => "a source is a file, not a folder",
        Err(PathError::Unfit) => {
            "this is no path: it holds a control character or is longer than 4096 bytes"
        }
        Err(PathError::Absolute) => {
            "a source is a file within the app's source, not one of the machine"
        }
        Err(PathError::Upwards) => "a source lies within the app's source: `..` is not possible",
    };
    let help = "write its path below the folder of this file, as in `source: ./nginx.conf`";
    reader.error(at.value_span(), &at.path, problem, help);
    None
}

/// Why a text is no path below a folder.
pub(super) enum PathError {
    Unfit,
    Absolute,
    Upwards,
}

/// A path below a folder, without `.` and `..`; empty for the folder itself.
pub(super) fn relative_path(text: &str) -> Result<String, PathError> {
    let steps: Vec<&str> = text
        .split('/')
        .filter(|step| !step.is_empty() && *step != ".")
        .collect();
    if text.len() > 4096 || text.chars().any(char::is_control) {
        Err(PathError::Unfit)
    } else if text.starts_with(['/', '~']) {
        Err(PathError::Absolute)
    } else if steps.contains(&"..") {
        Err(PathError::Upwards)
    } else {
        Ok(steps.join("/"))
    }
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
