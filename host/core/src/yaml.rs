//! YAML as a tree in which every scalar keeps its exact text and every node and key
//! its place. Knows nothing of what the keys mean.
//!
//! Bounded: the size of the input, the depth of the tree and the number of nodes,
//! the copies that aliases make included. Time is linear in the input.

use crate::diagnostic::{Diagnostic, Span};
use crate::text_file::TextFile;

mod builder;
mod key_path;
mod refusal;

pub use key_path::KeyPath;
pub(crate) use key_path::cut;

/// Longest input, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting of lists and mappings.
pub const MAX_DEPTH: usize = 64;
/// Most nodes, the copies that aliases make included.
pub const MAX_NODES: usize = 100_000;

/// Most errors told at once.
pub(crate) const MOST_ERRORS: usize = 20;

/// A node of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Where it begins; its length is that of its first line.
    pub span: Span,
    weight: Weight,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Scalar {
        /// Its exact characters.
        text: String,
        /// Whether it stands there without quotes and not as a block.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys with values, in the order of the file, no key twice.
    Mapping(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key's exact characters.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// Whether nothing stands where the value would be, as in `redis:`.
    pub fn is_absent(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if text.is_empty())
    }

    /// Whether it is absent or one of YAML's words for nothing.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The value of a key of this mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Mapping(entries) => entries
                .iter()
                .find(|entry| entry.key == key)
                .map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The node as JSON. A plain scalar becomes a boolean, number or null only where
    /// that gives back the same characters (`5`, `0.5`, `true`, but not `5.10`,
    /// `007`, `yes`), so that nothing of what was written is lost.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.kind {
            Kind::Scalar { text, plain: true } => plain_json(text),
            Kind::Scalar { text, .. } => text.as_str().into(),
            Kind::Sequence(items) => items.iter().map(Node::to_json).collect(),
            Kind::Mapping(entries) => {
                let pairs = entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()));
                serde_json::Value::Object(pairs.collect())
            }
        }
    }
}

fn plain_json(text: &str) -> serde_json::Value {
    match text {
        "" | "~" | "null" => return serde_json::Value::Null,
        "true" => return true.into(),
        "false" => return false.into(),
        _ => {}
    }
    // Only what looks like a number at once, so that a long text is not parsed twice.
    if text.len() <= 24 && text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        if let Ok(number) = text.parse::<i64>()
            && number.to_string() == text
        {
            return number.into();
        }
        if let Ok(number) = text.parse::<f64>()
            && number.is_finite()
            && text.contains('.')
            && number.to_string() == text
        {
            return number.into();
        }
    }
    text.into()
}

/// How much a subtree adds to a tree that takes it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Weight {
    nodes: usize,
    bytes: usize,
    height: usize,
}

/// The tree of the only document in `file`; nothing where the file holds only
/// blanks and comments. The errors come in the order of the file; all but duplicate
/// keys end the reading.
pub fn parse(file: &TextFile) -> Result<Option<Node>, Vec<Diagnostic>> {
    if file.text().len() > MAX_BYTES {
        return Err(vec![refusal::too_large(file)]);
    }
    if let Some(refused) = refusal::control_character(file) {
        return Err(vec![refused]);
    }
    builder::build(file)
}
