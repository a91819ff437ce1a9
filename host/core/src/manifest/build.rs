//! `build`: how main's image is built.

use super::config_file::{PathError, relative_path};
use super::hint::cut;
use super::reader::{At, Reader};
use crate::spec::BuildSpec;
use crate::yaml::{Entry, Kind};
use std::collections::BTreeMap;

const EXAMPLE: &str = "build: { context: ./web, dockerfile: Dockerfile.prod, target: prod }";

/// How main's image is built.
pub(super) fn read<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<BuildSpec> {
    if let Kind::Scalar { text, .. } = &at.node.kind
        && !at.node.is_null()
    {
        let help = format!("write `build: {{ context: {} }}`", cut(text));
        let message = "keys with values are expected here";
        reader.error(at.value_span(), &at.path, message, help);
        return None;
    }
    let fields = reader.fields(at, &["context", "dockerfile", "target", "args"])?;
    for (key, at) in fields.iter() {
        let steps = ["main", "build", key];
        reader.places.note(&steps, at.value_span(), &at.path);
    }
    let context = fields.get("context").and_then(|at| {
        let path = path(reader, at, "context: ./web")?;
        (!path.is_empty()).then_some(path)
    });
    let dockerfile = fields.get("dockerfile").and_then(|at| {
        let path = path(reader, at, "dockerfile: Dockerfile.prod")?;
        if path.is_empty() {
            let help =
                "write the file's path below the context, as in `dockerfile: Dockerfile.prod`";
            reader.error(at.value_span(), &at.path, "this is a folder", help);
            return None;
        }
        Some(path)
    });
    let target = fields.get("target").and_then(|at| target(reader, at));
    let args = fields.get("args").map(|at| args(reader, at));
    Some(BuildSpec {
        context,
        dockerfile,
        target,
        args: args.unwrap_or_default(),
    })
}

/// A path below the source folder, or below the context.
fn path<'a>(reader: &mut Reader<'a>, at: &At<'a>, example: &str) -> Option<String> {
    let text = reader.text(at, example)?;
    let problem = match relative_path(text) {
        Ok(path) => return Some(path),
        Err(PathError::Unfit) => {
            "this is no path: it holds a control character or is longer than 4096 bytes"
        }
        Err(PathError::Absolute) => "what main is built from lies within the app's source",
        Err(PathError::Upwards) => {
            "what main is built from lies within the app's source: `..` is not possible"
        }
    };
    let help = format!(
        "write a path below the folder of this file, as in `{example}`; a Dockerfile's path is below the context"
    );
    reader.error(at.value_span(), &at.path, problem, help);
    None
}

fn target<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<String> {
    let text = reader.text(at, "target: prod")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if !text.is_empty() && text.len() <= 128 && text.chars().all(fits) {
        return Some(text.to_owned());
    }
    let message = format!("`{}` is no stage of a Dockerfile", cut(text));
    let help = "write the name after `AS` in its `FROM` line, as in `target: prod`";
    reader.error(at.value_span(), &at.path, message, help);
    None
}

/// The build arguments: a mapping, or a list as that of `envs`.
fn args<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> BTreeMap<String, String> {
    let mut args = BTreeMap::new();
    match &at.node.kind {
        Kind::Mapping(entries) => {
            for entry in entries {
                argument(reader, at, entry, &mut args);
            }
        }
        Kind::Sequence(_) => {
            for item in reader.items(at, "- VERSION: 1.2") {
                match &item.node.kind {
                    Kind::Mapping(entries) if entries.len() == 1 => {
                        argument(reader, &item, &entries[0], &mut args);
                    }
                    _ => no_argument(reader, &item),
                }
            }
        }
        _ if at.node.is_null() => {}
        _ => no_argument(reader, at),
    }
    args
}

fn argument<'a>(
    reader: &mut Reader<'a>,
    around: &At<'a>,
    entry: &'a Entry,
    args: &mut BTreeMap<String, String>,
) {
    let at = around.below(entry);
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        bytes
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if !is_name(&entry.key) {
        let message = format!("`{}` is no name of a build argument", cut(&entry.key));
        let help =
            "write it as in `args: { VERSION: 1.2 }`, with the name of an `ARG` of the Dockerfile";
        reader.error(at.key_span, &at.path, message, help);
        return;
    }
    let value = match at.node.is_absent() {
        true => "",
        false => match reader.text(&at, "VERSION: 1.2") {
            Some(text) => text,
            None => return,
        },
    };
    if value.contains("${") {
        let help = "a build argument is a text as written, and anybody who has the image can read it; give secrets to the running container (`envs`)";
        let message = format!("`{}` is taken as it stands", cut(value));
        reader.warn(at.value_span(), &at.path, message, help);
    }
    if args.insert(entry.key.clone(), value.to_owned()).is_some() {
        let message = format!("`{}` is set twice", cut(&entry.key));
        reader.error(at.key_span, &at.path, message, "keep one of them");
    }
}

fn no_argument(reader: &mut Reader<'_>, at: &At<'_>) {
    let help = format!("write them as in `args: {{ VERSION: 1.2 }}`, in `{EXAMPLE}`");
    let message = "build arguments have a name, a colon, a blank and a value";
    reader.error(at.value_span(), &at.path, message, help);
}
