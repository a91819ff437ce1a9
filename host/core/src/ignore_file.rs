//! `.dockerignore`: which files of the source the engine never sees.
//!
//! The rules are those of Docker's documentation ("Build context", section
//! ".dockerignore files"): patterns are anchored at the root of the source, `*` and `?`
//! stop at `/`, `**` does not, a pattern that matches a folder matches all below it, and
//! of all patterns that match a path the last decides, `!` before it taking the path in
//! again.
//!
//! Before the first pattern, what no build needs is left out already: [`LEFT_OUT`] and
//! what the caller names. A pattern with `!` brings it back.

use std::collections::BTreeSet;

/// Most patterns, and most characters of one; beyond them a file is no list of patterns.
const MOST_PATTERNS: usize = 10_000;
const LONGEST_PATTERN: usize = 4096;

/// Names of what no build needs, in whatever folder: what tools keep beside the files for
/// themselves. It changes without a change of the source, and may hold credentials.
pub const LEFT_OUT: [&str; 4] = [".git", ".hg", ".svn", ".DS_Store"];

/// The rules of a `.dockerignore`.
#[derive(Debug, Clone, Default)]
pub struct IgnoreFile {
    rules: Vec<Rule>,
    /// Paths that are left out unless a rule takes them in.
    left_out: BTreeSet<String>,
    /// The Dockerfile, which is sent whatever the rules say.
    dockerfile: String,
}

#[derive(Debug, Clone)]
struct Rule {
    /// Whether it takes paths in again.
    takes_in: bool,
    pattern: Vec<Token>,
}

/// One step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// This character.
    Literal(char),
    /// Any character but `/`.
    One,
    /// Any characters but `/`, also none.
    Some,
    /// Whole folders, also none: `(.*/)?`.
    Folders,
    /// Everything.
    All,
    /// A character of these ranges, or none of them.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// Why a text is no `.dockerignore`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreFileError {
    /// A `!` with nothing behind it.
    #[error(
        ".dockerignore:{line}: `!` with nothing behind it: write the path that is taken in again, or remove the line"
    )]
    EmptyException {
        /// The line, from 1.
        line: usize,
    },
    /// A bracket that is never closed, or has nothing in it.
    #[error(
        ".dockerignore:{line}: `[` without what it may match and its `]`: write `\\[` for the character itself"
    )]
    OpenClass {
        /// The line, from 1.
        line: usize,
    },
    /// More patterns or longer ones than any source needs.
    #[error(
        ".dockerignore:{line}: more than 10,000 patterns, or one of more than 4096 characters: remove what is not needed"
    )]
    TooLarge {
        /// The line, from 1.
        line: usize,
    },
}

impl IgnoreFile {
    /// The rules in `text`. The engine needs the Dockerfile, whose path below the root
    /// is `dockerfile`, so it is always sent. `left_out` are paths of files.
    pub fn parse(
        text: &str,
        dockerfile: &str,
        left_out: BTreeSet<String>,
    ) -> Result<Self, IgnoreFileError> {
        let mut rules = Vec::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            // Only a `#` in the first column begins a comment.
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let line = line.trim();
            let (takes_in, pattern) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            if pattern.is_empty() {
                return Err(IgnoreFileError::EmptyException { line: number });
            }
            if rules.len() == MOST_PATTERNS || pattern.len() > LONGEST_PATTERN {
                return Err(IgnoreFileError::TooLarge { line: number });
            }
            let pattern = clean(pattern);
            if pattern.is_empty() {
                // Docker ignores the pattern `.`.
                continue;
            }
            let pattern = compile(&pattern).ok_or(IgnoreFileError::OpenClass { line: number })?;
            rules.push(Rule { takes_in, pattern });
        }
        Ok(Self {
            rules,
            left_out: left_out.iter().map(|path| clean(path)).collect(),
            dockerfile: clean(dockerfile),
        })
    }

    /// The same with what stands at `path` taken in before any rule holds.
    #[must_use]
    pub fn taking_in(mut self, path: &str) -> Self {
        let rule = Rule {
            takes_in: true,
            pattern: path.chars().map(Token::Literal).collect(),
        };
        self.rules.insert(0, rule);
        self
    }

    /// Whether the file or folder at `path` (below the root, `/`-separated) stays behind.
    pub fn excludes(&self, path: &str) -> bool {
        self.dockerfile != path && self.matches(path)
    }

    /// Whether nothing below the folder at `path` is ever sent, so that it need not be
    /// looked into.
    pub fn excludes_all_below(&self, path: &str) -> bool {
        let below = format!("{path}/");
        self.matches(path)
            && !self.dockerfile.starts_with(&below)
            && !self
                .rules
                .iter()
                .any(|rule| rule.takes_in && can_match_below(&rule.pattern, &below))
    }

    fn matches(&self, path: &str) -> bool {
        let mut excluded =
            self.left_out.contains(path) || path.split('/').any(|part| LEFT_OUT.contains(&part));
        for rule in &self.rules {
            // A rule that would change nothing need not be tried.
            if rule.takes_in == excluded && matches_path_or_parent(&rule.pattern, path) {
                excluded = !rule.takes_in;
            }
        }
        excluded
    }
}

/// Whether a pattern, as in a `.dockerignore`, matches the path or a folder above it;
/// nothing where it is no pattern.
pub(crate) fn pattern_matches(pattern: &str, path: &str) -> Option<bool> {
    Some(matches_path_or_parent(&compile(&clean(pattern))?, path))
}

/// A path without `.`, doubled slashes and slashes at its ends. A `..` takes the step
/// before it away; one that leads above the root stays and so matches nothing, except
/// where a slash before it says that the root is meant.
fn clean(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." if steps.last().is_some_and(|last| *last != "..") => {
                steps.pop();
            }
            ".." if path.starts_with('/') => {}
            step => steps.push(step),
        }
    }
    steps.join("/")
}

fn compile(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        tokens.push(match c {
            '*' if characters.next_if_eq(&'*').is_some() => {
                let slash = characters.next_if_eq(&'/').is_some();
                let rest = characters.clone().collect::<String>();
                // Docker takes `**` and plain characters for the end of any path.
                let suffix = tokens.is_empty() && !slash && !rest.contains(['*', '?', '[', '\\']);
                if rest.is_empty() || suffix {
                    Token::All
                } else {
                    Token::Folders
                }
            }
            '*' => Token::Some,
            '?' => Token::One,
            '[' => class(&mut characters)?,
            '\\' => Token::Literal(characters.next().unwrap_or('\\')),
            c => Token::Literal(c),
        });
    }
    Some(tokens)
}

fn class(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let negated = characters.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let low = match characters.next()? {
            ']' if !ranges.is_empty() => return Some(Token::Class { negated, ranges }),
            ']' => return None,
            '\\' => characters.next()?,
            c => c,
        };
        let high = match characters.next_if_eq(&'-') {
            None => low,
            Some(_) => match characters.next()? {
                ']' => return None,
                '\\' => characters.next()?,
                c => c,
            },
        };
        ranges.push((low, high));
    }
}

/// Whether the pattern matches the path or one of the folders above it.
fn matches_path_or_parent(pattern: &[Token], path: &str) -> bool {
    let mut states = States::start(pattern);
    for c in path.chars() {
        if c == '/' && states.accept() {
            return true;
        }
        states.advance(c);
        if states.is_dead() {
            return false;
        }
    }
    states.accept()
}

/// Whether the pattern can match some path that begins with `prefix`.
fn can_match_below(pattern: &[Token], prefix: &str) -> bool {
    let mut states = States::start(pattern);
    for c in prefix.chars() {
        states.advance(c);
    }
    !states.is_dead()
}

/// The positions in a pattern that a text can have led to. Every character costs at
/// most one look at each token, so no pattern takes longer than its length times the
/// path's.
struct States<'p> {
    pattern: &'p [Token],
    /// One for each token and one for the end.
    at: Vec<bool>,
    /// Inside the folders of a [`Token::Folders`], before its slash.
    inside: Vec<bool>,
}

impl<'p> States<'p> {
    fn start(pattern: &'p [Token]) -> Self {
        let mut states = Self {
            pattern,
            at: vec![false; pattern.len() + 1],
            inside: vec![false; pattern.len()],
        };
        states.at[0] = true;
        states.skip_optional();
        states
    }

    /// Steps over what may match nothing.
    fn skip_optional(&mut self) {
        for index in 0..self.pattern.len() {
            if self.at[index]
                && matches!(
                    self.pattern[index],
                    Token::Some | Token::Folders | Token::All
                )
            {
                self.at[index + 1] = true;
            }
        }
    }

    fn advance(&mut self, c: char) {
        let mut at = vec![false; self.at.len()];
        let mut inside = vec![false; self.inside.len()];
        for (index, token) in self.pattern.iter().enumerate() {
            if self.inside[index] || (self.at[index] && *token == Token::Folders) {
                inside[index] = true;
                if c == '/' {
                    at[index + 1] = true;
                }
            }
            if !self.at[index] {
                continue;
            }
            match token {
                Token::Folders => {}
                Token::All => at[index] = true,
                Token::Some => at[index] |= c != '/',
                Token::One => at[index + 1] |= c != '/',
                Token::Literal(literal) => at[index + 1] |= c == *literal,
                Token::Class { negated, ranges } => {
                    let within = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                    at[index + 1] |= within != *negated && c != '/';
                }
            }
        }
        self.at = at;
        self.inside = inside;
        self.skip_optional();
    }

    fn accept(&self) -> bool {
        self.at[self.pattern.len()]
    }

    fn is_dead(&self) -> bool {
        !self.at.contains(&true) && !self.inside.contains(&true)
    }
}
