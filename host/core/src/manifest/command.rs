//! `command` and `entrypoint`: always a list of arguments, never a line for a shell.

use super::hint::cut;
use super::reader::{At, Reader};
use crate::yaml::Kind;

/// The arguments, each as written; `key` is what they are the value of.
pub(super) fn read<'a>(reader: &mut Reader<'a>, at: &At<'a>, key: &str) -> Option<Vec<String>> {
    let example = format!("{key}: [gunicorn, app]");
    if let Kind::Scalar { text, .. } = &at.node.kind
        && !at.node.is_absent()
    {
        reader.error(
            at.value_span(),
            &at.path,
            format!("{} is a list of arguments", with_article(key)),
            as_list(text, key),
        );
        return None;
    }
    let items = reader.items(at, "- gunicorn");
    if items.is_empty() {
        if matches!(&at.node.kind, Kind::Sequence(_)) || at.node.is_null() {
            let help =
                format!("write one, as in `{example}`, or remove the key for the image's own");
            reader.error(
                at.value_span(),
                &at.path,
                format!("the {key} is empty"),
                help,
            );
        }
        return None;
    }
    let mut arguments = Vec::new();
    for item in &items {
        let text = reader.text(item, &example)?;
        if text.contains('\0') {
            reader.error(
                item.value_span(),
                &item.path,
                "an argument holds a NUL character",
                "remove `\\0`",
            );
            return None;
        }
        arguments.push(text.to_owned());
    }
    Some(arguments)
}

/// How a command that was written as one text is written as a list.
fn as_list(text: &str, key: &str) -> String {
    let needs_shell = text.chars().any(|c| "|&;<>$`*?~()'\"\\".contains(c));
    if text.chars().count() > 80
        || text.contains(['\n', '{', '}', '[', ']', ',', '#', ':'])
        || needs_shell
    {
        let start = cut(text.lines().next().unwrap_or_default().trim());
        return format!(
            "write it as in `{key}: [gunicorn, app]`; where it needs a shell, as a list of three: `sh`, `-c` and the line (`{start}`)"
        );
    }
    let arguments: Vec<&str> = text.split_whitespace().collect();
    format!("write `{key}: [{}]`", arguments.join(", "))
}

fn with_article(key: &str) -> String {
    let article = if key.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {key}")
}
