//! Variables in a Dockerfile: `ARG`, `ENV`, and what they stand for.

use std::collections::BTreeMap;

/// The variables that a stage knows. One that is not there may be the base image's.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// From `ENV`; none where only the build knows the value.
    env: BTreeMap<String, Option<String>>,
    /// From `ARG`, over which `ENV` goes.
    args: BTreeMap<String, Option<String>>,
}

impl Scope {
    /// What a stage knows that builds on one with this scope.
    pub(super) fn next(&self) -> Self {
        Self {
            env: self.env.clone(),
            args: BTreeMap::new(),
        }
    }

    pub(super) fn set(&mut self, name: String, value: Option<String>) {
        self.env.insert(name, value);
    }

    /// Takes an `ARG`: what `given` says, else its default, else what was declared under
    /// the name before the first stage.
    pub(super) fn declare(
        &mut self,
        arguments: &str,
        given: &BTreeMap<String, String>,
        global: &Self,
    ) {
        for word in words(arguments) {
            let (name, default) = match word.split_once('=') {
                Some((name, default)) => (name, Some(default)),
                None => (word.as_str(), None),
            };
            let value = match (given.get(name), default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => expand(default, self),
                (None, None) => global.args.get(name).cloned().flatten(),
            };
            self.args.insert(name.to_owned(), value);
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let value = self.env.get(name).or_else(|| self.args.get(name));
        value.and_then(Option::as_deref)
    }
}

/// The variables that an `ENV` sets: `NAME=value …`, or `NAME value`.
pub(super) fn assignments(arguments: &str) -> Vec<(String, String)> {
    let words = words(arguments);
    if words.first().is_some_and(|word| word.contains('=')) {
        let pairs = words.iter().filter_map(|word| word.split_once('='));
        return pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
    }
    match arguments.trim().split_once(char::is_whitespace) {
        Some((name, value)) => vec![(name.to_owned(), value.trim().to_owned())],
        None => Vec::new(),
    }
}

/// Words as a shell would divide them, without their quotes.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in text.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// A text with the values of its variables; nothing where one is not known before the
/// build.
pub(super) fn expand(text: &str, scope: &Scope) -> Option<String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, after) = (&rest[..dollar], &rest[dollar + 1..]);
        if let Some(before) = before.strip_suffix('\\') {
            expanded.push_str(before);
            expanded.push('$');
            rest = after;
            continue;
        }
        expanded.push_str(before);
        if let Some(inner) = after.strip_prefix('{') {
            let end = inner.find('}')?;
            expanded.push_str(&braced(&inner[..end], scope)?);
            rest = &inner[end + 1..];
            continue;
        }
        let length = name_length(after);
        if length == 0 {
            expanded.push('$');
        } else {
            expanded.push_str(scope.get(&after[..length])?);
        }
        rest = &after[length..];
    }
    expanded.push_str(rest);
    Some(expanded)
}

/// The value of `NAME`, `NAME:-default`, `NAME-default`, `NAME:+other` or `NAME+other`.
fn braced(inner: &str, scope: &Scope) -> Option<String> {
    let (name, modifier) = inner.split_at(name_length(inner));
    let value = scope.get(name);
    let given = |modifier: &str| {
        let colon = modifier.starts_with(':');
        value.filter(|value| !(colon && value.is_empty()))
    };
    let modifier_is = |sign: char| {
        modifier
            .strip_prefix(':')
            .unwrap_or(modifier)
            .strip_prefix(sign)
    };
    if modifier.is_empty() {
        return value.map(str::to_owned);
    }
    // A default counts where the base image does not set the variable, which nobody knows.
    if let Some(default) = modifier_is('-') {
        let default = || expand(default, scope);
        return given(modifier).map(str::to_owned).or_else(default);
    }
    let other = modifier_is('+')?;
    match given(modifier) {
        Some(_) => expand(other, scope),
        None => None,
    }
}

fn name_length(text: &str) -> usize {
    let is_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    text.chars().take_while(is_name).count()
}
