//! `envs`: variables, and the few words in their values that mean something else
//! than themselves.

use super::app::Secrets;
use super::container::part;
use super::hint::cut;
use super::reader::{At, Reader};
use crate::cause::MAX_VARIABLE;
use crate::secret::{SecretName, SecretSource};
use crate::spec::EnvValue;
use crate::text::{Fact, HOST_VARIABLE, Template, TemplatePart};
use crate::yaml::{Entry, Kind};
use indexmap::IndexMap;
use std::collections::BTreeMap;

mod credential;

/// Length of a generated secret, in characters.
const RANDOM_LENGTH: u16 = 32;

const EXAMPLE: &str = "- NAME: value";

/// The variables in the file's order.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    owner: &[&str],
    at: &At<'a>,
    secrets: &mut Secrets,
) -> IndexMap<String, EnvValue> {
    if let Kind::Mapping(entries) = &at.node.kind
        && let Some(first) = entries.first()
    {
        let help = format!(
            "begin each variable with `- `, as in `- {}: …`",
            cut(&first.key)
        );
        reader.error(first.key_span, &at.path, "variables are a list", help);
        return IndexMap::new();
    }
    let mut variables = IndexMap::new();
    let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
    for item in reader.items(at, EXAMPLE) {
        let Some((entry, secret)) = variable(reader, &item) else {
            continue;
        };
        let at = item.below(entry);
        if let Some(line) = lines.get(entry.key.as_str()) {
            let message = format!("`{}` is set twice in this container", cut(&entry.key));
            reader.error(
                at.key_span,
                &at.path,
                message,
                format!("it is on line {line} too: keep one of them"),
            );
            continue;
        }
        lines.insert(&entry.key, at.key_span.line);
        if !is_name(reader, &at, &entry.key) {
            continue;
        }
        reader.places.note(
            &part(owner, &["env", &entry.key]),
            at.value_span(),
            &at.path,
        );
        if let Some(value) = value(reader, &at, &entry.key, secret, secrets) {
            variables.insert(entry.key.clone(), value);
        }
    }
    variables
}

/// The variable of an item, and whether its `type` says that it is secret.
fn variable<'a>(reader: &mut Reader<'a>, item: &At<'a>) -> Option<(&'a Entry, bool)> {
    let entries = match &item.node.kind {
        Kind::Mapping(entries) => entries.as_slice(),
        Kind::Scalar { text, .. } if !text.is_empty() => {
            let name = text.split(['=', ' ', ':']).next().unwrap_or_default();
            let help = match text.split_once(['=', ':']) {
                Some((name, value)) if !value.contains([':', '#', '\n']) && !value.is_empty() => {
                    format!("write `- {}: {}`", cut(name.trim()), cut(value.trim()))
                }
                _ => format!("write `- {}: value`", cut(name)),
            };
            reader.error(
                item.value_span(),
                &item.path,
                "a variable has a name, a colon, a blank and a value",
                help,
            );
            return None;
        }
        _ => {
            reader.error(
                item.value_span(),
                &item.path,
                "a variable is expected here",
                format!("write it as in `{EXAMPLE}`"),
            );
            return None;
        }
    };
    match entries {
        [only] => {
            // A dash before `type` makes a variable of it.
            if only.key == "type"
                && matches!(&only.value.kind, Kind::Scalar { text, .. } if matches!(text.as_str(), "password" | "secret"))
            {
                let help =
                    "remove the `- ` before it and indent it like the variable it belongs to";
                reader.error(
                    only.key_span,
                    &item.path.key("type"),
                    "`type` stands in an item of its own",
                    help,
                );
                return None;
            }
            Some((only, false))
        }
        [first, second] if second.key == "type" => {
            Some((first, kind(reader, &item.below(second))?))
        }
        [first, second] if first.key == "type" => Some((second, kind(reader, &item.below(first))?)),
        [_, second, ..] => {
            let stray = entries
                .iter()
                .skip(1)
                .find(|entry| entry.key != "type")
                .unwrap_or(second);
            let help = format!(
                "begin each variable with `- `, as in `- {}: …`",
                cut(&stray.key)
            );
            reader.error(
                stray.key_span,
                &item.path.key(&stray.key),
                "a second variable in one item",
                help,
            );
            None
        }
        [] => {
            reader.error(
                item.value_span(),
                &item.path,
                "a variable is expected here",
                format!("write it as in `{EXAMPLE}`"),
            );
            None
        }
    }
}

/// Whether the value of `type` makes a variable secret.
fn kind<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<bool> {
    match reader.text(at, "type: password")? {
        "password" | "secret" => Some(true),
        other => {
            let help = "write `password` or `secret` for a value that is masked wherever it is shown, or remove `type`";
            reader.error(
                at.value_span(),
                &at.path,
                format!("`{}` is no type of a variable", cut(other)),
                help,
            );
            None
        }
    }
}

fn is_name(reader: &mut Reader<'_>, at: &At<'_>, name: &str) -> bool {
    let problem = if name.is_empty() {
        "a variable without a name"
    } else if name.contains(['=', '\0']) {
        "the name of a variable holds neither `=` nor NUL"
    } else if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        "the name of a variable holds no blanks"
    } else {
        return true;
    };
    reader.error(
        at.key_span,
        &at.path,
        problem,
        format!("write it as in `{EXAMPLE}`"),
    );
    false
}

fn value<'a>(
    reader: &mut Reader<'a>,
    at: &At<'a>,
    name: &str,
    is_secret: bool,
    secrets: &mut Secrets,
) -> Option<EnvValue> {
    let text = match &at.node.kind {
        Kind::Scalar { text, .. } => text.as_str(),
        kind => {
            let mark = if matches!(kind, Kind::Sequence(_)) {
                '['
            } else {
                '{'
            };
            let help = format!("a value is one text; one that begins with `{mark}` needs quotes");
            reader.error(at.value_span(), &at.path, "a text is expected here", help);
            return None;
        }
    };
    if text.contains('\0') {
        reader.error(
            at.value_span(),
            &at.path,
            "the value holds a NUL character",
            "remove `\\0`: no variable can hold it",
        );
        return None;
    }
    let length = name.len() + 1 + text.len();
    if length > MAX_VARIABLE {
        reader.error(
            at.value_span(),
            &at.path,
            format!(
                "the variable has {} KiB, and Linux takes none of 128 KiB",
                length >> 10
            ),
            "put the value into a file and mount it (`config_file`), and name its path in the variable",
        );
        return None;
    }
    check_meaning(reader, at, name, text, is_secret);

    let parts = match generated(text, is_secret) {
        Some(source) => {
            let secret = SecretName::word(text);
            secrets.insert(secret.clone(), source);
            vec![TemplatePart::Secret(secret)]
        }
        None => {
            let parts = with_variables(text);
            for part in &parts {
                if let TemplatePart::Secret(name) = part {
                    secrets.insert(name.clone(), SecretSource::Given);
                }
            }
            parts
        }
    };
    let holds_secret = parts
        .iter()
        .any(|part| matches!(part, TemplatePart::Secret(_)));
    let masked = is_secret || holds_secret || credential::is_name(name) || credential::is_url(text);
    Some(EnvValue {
        value: Template(parts),
        masked,
    })
}

/// Warns of values that mean something else than they seem to.
fn check_meaning(reader: &mut Reader<'_>, at: &At<'_>, name: &str, text: &str, is_secret: bool) {
    if at.node.is_absent() {
        let line = reader.line(at.key_span);
        if line
            .split_once(':')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with('#'))
        {
            let help = "a `#` after a blank begins a comment: put the value in quotes, or move the comment above";
            reader.warn(at.key_span, &at.path, "the value is empty", help);
        }
    } else if credential::is_placeholder(name, text, is_secret) {
        let message = format!("`{}` looks like a placeholder", cut(text));
        let help = format!(
            "write `{name}: random_1` for a generated value; the same word is the same value everywhere in the file",
            name = cut(name)
        );
        reader.warn(at.value_span(), &at.path, message, help);
    } else if is_word(text, "uuid") && !is_secret {
        let message = format!("the value is the text `{}`", cut(text));
        reader.warn(
            at.value_span(),
            &at.path,
            message,
            "for a generated UUID write `type: secret` below it",
        );
    } else if let Some(start) = text.find("${").filter(|_| has_stray_reference(text)) {
        let message = format!("`{}` is taken as it stands", cut(&text[start..]));
        let stray = &text[start..];
        let facts = Fact::ALL.map(|fact| format!("${{{}}}", fact.name()));
        let help = if stray.starts_with("${app.") || stray.starts_with("${release.") {
            format!(
                "the host knows {}; `$${{` is a literal `${{`",
                facts.join(", ")
            )
        } else {
            "write `${NAME}`, with nothing but the name in it, for a value from outside; `$${` is a literal `${`".to_owned()
        };
        reader.warn(at.value_span(), &at.path, message, help);
    }
}

/// How the value of a word such as `random_1` comes about.
fn generated(text: &str, is_secret: bool) -> Option<SecretSource> {
    if is_word(text, "random") {
        Some(SecretSource::Random {
            length: RANDOM_LENGTH,
        })
    } else if is_secret && is_word(text, "uuid") {
        Some(SecretSource::Uuid)
    } else {
        None
    }
}

/// Whether `text` is `word`, or `word_` and a suffix.
fn is_word(text: &str, word: &str) -> bool {
    let suffix = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match text.strip_prefix(word) {
        Some("") => true,
        Some(rest) => {
            rest.len() <= 64
                && rest
                    .strip_prefix('_')
                    .is_some_and(|rest| !rest.is_empty() && rest.chars().all(suffix))
        }
        None => false,
    }
}

/// The length of the variable's name that `text` begins with (POSIX, section 8.1).
fn name_length(text: &str) -> usize {
    match text.bytes().next() {
        Some(b) if b.is_ascii_alphabetic() || b == b'_' => text
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
            .count(),
        _ => 0,
    }
}

/// What a name in `${…}` stands for.
fn outside(name: &str) -> TemplatePart {
    let fact = match name {
        HOST_VARIABLE => Some(Fact::AppHost),
        name => Fact::named(name),
    };
    fact.map_or_else(
        || TemplatePart::Secret(SecretName::variable(name)),
        TemplatePart::Fact,
    )
}

/// The name in a reference `${NAME}` that `text` begins with.
fn reference(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("${")?;
    let facts = Fact::ALL.into_iter().map(Fact::name);
    let is_whole = |name: &&str| {
        let rest = inner.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with('}'))
    };
    if let Some(name) = { facts }.find(is_whole) {
        return Some(name);
    }
    let length = name_length(inner);
    (length > 0 && inner[length..].starts_with('}')).then_some(&inner[..length])
}

/// Whether a `${` in `text` is neither a reference nor written as `$${`.
fn has_stray_reference(text: &str) -> bool {
    let literals = with_variables(text);
    let remaining = literals.iter().map(|part| match part {
        TemplatePart::Literal(literal) => literal.matches("${").count(),
        _ => 0,
    });
    remaining.sum::<usize>() > text.matches("$${").count()
}

/// A value's parts: `$NAME` as the whole value and `${NAME}` anywhere come from
/// outside, `${app.url}` and its like from the host, `$${` is a literal `${`, every other `$` is a character like any other.
fn with_variables(text: &str) -> Vec<TemplatePart> {
    if let Some(name) = text.strip_prefix('$')
        && !name.is_empty()
        && name_length(name) == name.len()
    {
        return vec![outside(name)];
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        literal.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if let Some(after) = rest.strip_prefix("$${") {
            literal.push_str("${");
            rest = after;
        } else if let Some(name) = reference(rest) {
            if !literal.is_empty() {
                parts.push(TemplatePart::Literal(std::mem::take(&mut literal)));
            }
            parts.push(outside(name));
            rest = &rest[name.len() + "${}".len()..];
        } else if rest[1..].starts_with(HOST_VARIABLE)
            && name_length(&rest[1..]) == HOST_VARIABLE.len()
        {
            // Written for the platform that manifests of this kind come from.
            if !literal.is_empty() {
                parts.push(TemplatePart::Literal(std::mem::take(&mut literal)));
            }
            parts.push(outside(HOST_VARIABLE));
            rest = &rest[1 + HOST_VARIABLE.len()..];
        } else {
            literal.push('$');
            rest = &rest[1..];
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() || parts.is_empty() {
        parts.push(TemplatePart::Literal(literal));
    }
    parts
}

/// Whether a variable of this name and value holds a credential.
pub(super) fn is_credential(name: &str, text: &str) -> bool {
    credential::is_name(name) || credential::is_url(text)
}
