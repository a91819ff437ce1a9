//! What a Dockerfile says about its image without building it: the ports it exposes.

use std::collections::{BTreeMap, BTreeSet};

/// Most ports of one range that are taken for ports at all.
const WIDEST_RANGE: u16 = 256;

/// The TCP ports that the last stage of a Dockerfile exposes, ascending, with those of
/// the stages it builds on. Ports in variables are not known before the build and left
/// out, as are those of the base image.
pub fn exposed_ports(text: &str) -> Vec<u16> {
    let mut stages: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    let mut number = 0usize;
    let mut ports = BTreeSet::new();
    let mut name: Option<String> = None;
    for (instruction, arguments) in Instructions::new(text) {
        match instruction.as_str() {
            "FROM" => {
                if number > 0 {
                    stages.insert((number - 1).to_string(), ports.clone());
                    if let Some(name) = name.take() {
                        stages.insert(name, ports.clone());
                    }
                }
                number += 1;
                let mut words = arguments
                    .split_whitespace()
                    .filter(|word| !word.starts_with("--"));
                let base = words.next().unwrap_or_default().to_lowercase();
                ports = stages.get(&base).cloned().unwrap_or_default();
                name = match (words.next(), words.next()) {
                    (Some(word), Some(name)) if word.eq_ignore_ascii_case("as") => {
                        Some(name.to_lowercase())
                    }
                    _ => None,
                };
            }
            "EXPOSE" => ports.extend(arguments.split_whitespace().flat_map(parse_ports)),
            _ => {}
        }
    }
    ports.into_iter().collect()
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

/// The instructions of a Dockerfile, in capitals, with their arguments: lines that
/// continue are joined, comments and here-documents left out.
struct Instructions<'a> {
    lines: std::str::Lines<'a>,
    escape: char,
}

impl<'a> Instructions<'a> {
    fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let directive = text
            .lines()
            .map_while(|line| line.trim_start().strip_prefix('#'))
            .filter_map(|comment| comment.split_once('='))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case("escape"));
        let escape = match directive {
            Some((_, value)) if value.trim() == "`" => '`',
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
