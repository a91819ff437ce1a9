//! What a Dockerfile says about its image without building it: the ports it exposes, the
//! folders it declares to hold data, its user, the files that it names, the images it builds
//! on.

use crate::ignore_file::pattern_matches;
use std::collections::{BTreeMap, BTreeSet};

mod variable;

use variable::{Scope, assignments, expand};

/// Most ports of one range that are taken for ports at all.
const WIDEST_RANGE: u16 = 256;

/// What a Dockerfile declares about the image that it gives. What its base image
/// declares is left out, because only the built image tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// TCP ports, ascending.
    pub ports: Vec<u16>,
    /// Whether these are all of them: a variable whose value only the build knows may
    /// stand for others.
    pub all_ports: bool,
    /// Folders that hold data, ascending.
    pub volumes: Vec<String>,
    /// The user that its processes run as.
    pub user: Option<String>,
}

/// What the stage `target` of a Dockerfile declares, or its last one, with what the stages
/// declare that it builds on. `args` are build arguments.
pub fn declared(text: &str, target: Option<&str>, args: &BTreeMap<String, String>) -> Declared {
    let mut stages: BTreeMap<String, Stage> = BTreeMap::new();
    let mut number = 0usize;
    let mut global = Scope::default();
    let mut stage = Stage::default();
    let mut name: Option<String> = None;
    for (instruction, arguments) in Instructions::new(text) {
        match instruction.as_str() {
            "FROM" => {
                keep(&mut stages, number, &mut name, &stage);
                number += 1;
                let mut words = arguments
                    .split_whitespace()
                    .filter(|word| !word.starts_with("--"));
                let base = words.next().unwrap_or_default().to_lowercase();
                stage = stages.get(&base).map(Stage::next).unwrap_or_default();
                name = match (words.next(), words.next()) {
                    (Some(word), Some(name)) if word.eq_ignore_ascii_case("as") => {
                        Some(name.to_lowercase())
                    }
                    _ => None,
                };
            }
            "ARG" if number == 0 => global.declare(&arguments, args, &Scope::default()),
            "ARG" => stage.scope.declare(&arguments, args, &global),
            _ => stage.take(&instruction, &arguments),
        }
    }
    keep(&mut stages, number, &mut name, &stage);
    let wanted = target.and_then(|target| stages.remove(&target.to_lowercase()));
    wanted.unwrap_or(stage).into_declared()
}

/// Keeps the stage that ends, by its number and its name.
fn keep(
    stages: &mut BTreeMap<String, Stage>,
    number: usize,
    name: &mut Option<String>,
    stage: &Stage,
) {
    if number > 0 {
        stages.insert((number - 1).to_string(), stage.clone());
        if let Some(name) = name.take() {
            stages.insert(name, stage.clone());
        }
    }
}

/// A stage, as far as it was read.
#[derive(Debug, Clone, Default)]
struct Stage {
    ports: BTreeSet<u16>,
    unknown_ports: bool,
    volumes: BTreeSet<String>,
    user: Option<String>,
    scope: Scope,
}

impl Stage {
    /// A stage that builds on this one.
    fn next(&self) -> Self {
        Self {
            scope: self.scope.next(),
            ..self.clone()
        }
    }

    fn take(&mut self, instruction: &str, arguments: &str) {
        match instruction {
            "ENV" => {
                for (name, value) in assignments(arguments) {
                    let value = expand(&value, &self.scope);
                    self.scope.set(name, value);
                }
            }
            "EXPOSE" => {
                for word in arguments.split_whitespace() {
                    match expand(word, &self.scope) {
                        Some(words) => {
                            let words = words.split_whitespace();
                            self.ports.extend(words.flat_map(parse_ports));
                        }
                        None => self.unknown_ports = true,
                    }
                }
            }
            "VOLUME" => {
                let folders = folders(arguments);
                let folders = folders.iter().filter_map(|word| expand(word, &self.scope));
                self.volumes.extend(folders);
            }
            "USER" => self.user = expand(arguments.trim(), &self.scope),
            _ => {}
        }
    }

    fn into_declared(self) -> Declared {
        Declared {
            ports: self.ports.into_iter().collect(),
            all_ports: !self.unknown_ports,
            volumes: self.volumes.into_iter().collect(),
            user: self.user,
        }
    }
}

/// The folders of a `VOLUME`: an array, or words.
fn folders(arguments: &str) -> Vec<String> {
    serde_json::from_str(arguments.trim())
        .unwrap_or_else(|_| arguments.split_whitespace().map(str::to_owned).collect())
}

/// The images that a Dockerfile builds on or copies from, ascending. Where a name has a
/// variable in it, what `args` says of it counts, else its default; one that is not known
/// before the build is left out.
pub fn bases(text: &str, args: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut stages = BTreeSet::new();
    let mut global = Scope::default();
    let mut bases = BTreeSet::new();
    for (instruction, arguments) in Instructions::new(text) {
        let mut words = arguments.split_whitespace();
        let image = match instruction.as_str() {
            // Those before the first stage alone count in names of images.
            "ARG" if stages.is_empty() => {
                global.declare(&arguments, args, &Scope::default());
                continue;
            }
            "FROM" => {
                let mut words = words.filter(|word| !word.starts_with("--"));
                let image = words.next().map(str::to_owned);
                let number = stages.len().to_string();
                let name = match (words.next(), words.next()) {
                    (Some(word), Some(name)) if word.eq_ignore_ascii_case("as") => {
                        name.to_lowercase()
                    }
                    _ => number,
                };
                let image = image.filter(|image| is_image(image, &stages));
                stages.insert(name);
                image
            }
            "COPY" => words
                .find_map(|word| word.strip_prefix("--from="))
                .map(str::to_owned)
                .filter(|image| is_image(image, &stages)),
            _ => continue,
        };
        let image = image.and_then(|image| expand(&image, &global));
        let is_image = |image: &String| !image.is_empty() && !image.eq_ignore_ascii_case("scratch");
        bases.extend(image.filter(is_image));
    }
    bases
}

/// Whether a name is that of an image, and none of the stages before, which have numbers,
/// too.
fn is_image(name: &str, stages: &BTreeSet<String>) -> bool {
    !stages.contains(&name.to_lowercase()) && name.parse::<u16>().is_err()
}

fn parse_ports(word: &str) -> Vec<u16> {
    let (ports, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last))
            if protocol.eq_ignore_ascii_case("tcp")
                && first > 0
                && last >= first
                && last - first < WIDEST_RANGE =>
        {
            (first..=last).collect()
        }
        _ => Vec::new(),
    }
}

/// The builder that the directive `syntax` asks for, an image.
pub fn syntax(text: &str) -> Option<String> {
    directive(text, "syntax").map(str::to_owned)
}

/// Whether an instruction has a here-document.
pub fn has_here_document(text: &str) -> bool {
    Instructions::new(text).any(|(instruction, arguments)| {
        matches!(instruction.as_str(), "RUN" | "COPY" | "ADD")
            && !here_documents(&arguments).is_empty()
    })
}

/// The value of a directive: a comment of the form `key=value` before anything else.
fn directive<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines()
        .map_while(|line| line.trim_start().strip_prefix('#'))
        .filter_map(|comment| comment.split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case(wanted))
        .map(|(_, value)| value.trim())
}

/// Whether an instruction takes the file at `path` (below the root of the source) for
/// itself, or a folder that it is in, and not only as part of the whole source. One that
/// says by a variable what it takes may mean any file.
pub fn names_file(text: &str, path: &str) -> bool {
    Instructions::new(text).any(|(instruction, arguments)| {
        let (instruction, arguments) = match instruction.as_str() {
            "ONBUILD" => match arguments.trim_start().split_once(char::is_whitespace) {
                Some((inner, rest)) => (inner.to_ascii_uppercase(), rest.to_owned()),
                None => return false,
            },
            _ => (instruction, arguments),
        };
        let sources = match instruction.as_str() {
            "COPY" | "ADD" => copied(&arguments),
            "RUN" => mounted(&arguments),
            _ => return false,
        };
        sources.iter().any(|source| is_or_holds(source, path))
    })
}

fn is_or_holds(source: &str, path: &str) -> bool {
    let is_all = |part: &str| matches!(part, "" | "." | "*" | "**");
    source.contains('$')
        || (!source.split('/').all(is_all) && pattern_matches(source, path).unwrap_or(true))
}

/// What a `COPY` or `ADD` takes of the source.
fn copied(arguments: &str) -> Vec<String> {
    let mut rest = arguments.trim();
    while let Some((option, after)) = rest
        .strip_prefix("--")
        .and_then(|rest| rest.split_once(char::is_whitespace))
    {
        if option.starts_with("from=") {
            return Vec::new();
        }
        rest = after.trim_start();
    }
    let mut words: Vec<String> = serde_json::from_str(rest)
        .unwrap_or_else(|_| rest.split_whitespace().map(str::to_owned).collect());
    words.pop();
    words.retain(|word| !word.starts_with("<<"));
    words
}

/// What the mounts of a `RUN` take of the source.
fn mounted(arguments: &str) -> Vec<String> {
    let mounts = arguments
        .split_whitespace()
        .take_while(|word| word.starts_with("--"))
        .filter_map(|word| word.strip_prefix("--mount="));
    let sources = mounts.filter_map(|mount| {
        let fields: BTreeMap<&str, &str> = mount
            .split(',')
            .filter_map(|field| field.split_once('='))
            .collect();
        let is_bind = fields.get("type").is_none_or(|kind| *kind == "bind");
        let source = fields.get("source").or(fields.get("src")).copied();
        source.filter(|_| is_bind && !fields.contains_key("from"))
    });
    sources.map(str::to_owned).collect()
}

/// The instructions of a Dockerfile, in capitals, with their arguments: lines that
/// continue are joined, comments and here-documents left out.
struct Instructions<'a> {
    lines: std::str::Lines<'a>,
    escape: char,
}

impl<'a> Instructions<'a> {
    fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let escape = match directive(text, "escape") {
            Some("`") => '`',
            _ => '\\',
        };
        Self {
            lines: text.lines(),
            escape,
        }
    }

    /// The rest of an instruction that begins with `line`.
    fn joined(&mut self, line: &str) -> String {
        let mut joined = String::new();
        let mut line = line;
        loop {
            match line.trim_end().strip_suffix(self.escape) {
                None => {
                    joined.push_str(line);
                    return joined;
                }
                Some(start) => joined.push_str(start),
            }
            line = loop {
                match self.lines.next() {
                    None => return joined,
                    // Comments and empty lines do not end an instruction.
                    Some(next) if next.trim().is_empty() || next.trim_start().starts_with('#') => {}
                    Some(next) => break next,
                }
            };
        }
    }

    fn skip_here_documents(&mut self, arguments: &str) {
        for delimiter in here_documents(arguments) {
            self.lines
                .find(|line| line.trim_start_matches('\t') == delimiter);
        }
    }
}

impl Iterator for Instructions<'_> {
    type Item = (String, String);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = self.lines.next()?.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let joined = self.joined(line);
            let (instruction, arguments) = joined
                .split_once(char::is_whitespace)
                .unwrap_or((&joined, ""));
            let instruction = instruction.to_ascii_uppercase();
            if matches!(instruction.as_str(), "RUN" | "COPY" | "ADD") {
                self.skip_here_documents(arguments);
            }
            return Some((instruction, arguments.to_owned()));
        }
    }
}

/// The words that end the here-documents of an instruction (`<<EOF`, `<<-"EOF"`).
fn here_documents(arguments: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in arguments.split_whitespace() {
        // A file descriptor may stand before it; `<<<` is something else.
        let part = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let Some(word) = part
            .strip_prefix("<<")
            .filter(|word| !word.starts_with('<'))
        else {
            continue;
        };
        let word = word
            .strip_prefix('-')
            .unwrap_or(word)
            .trim_matches(['"', '\'']);
        let end = word
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(word.len());
        if end > 0 {
            words.push(word[..end].to_owned());
        }
    }
    words
}
