//! Builds the tree from the parser's events, within bounds.

use super::{
    Entry, KeyPath, Kind, MAX_BYTES, MAX_DEPTH, MAX_NODES, MOST_ERRORS, Node, Weight, cut, refusal,
};
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::text_file::TextFile;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};
use std::collections::HashMap;

/// Tags that say what a node is anyway (YAML 1.2 section 10.3.2).
const CORE_TAGS: [&str; 7] = ["str", "int", "float", "bool", "null", "seq", "map"];

/// A list or mapping whose end has not come yet.
struct Frame {
    content: Content,
    span: Span,
    anchor: usize,
    weight: Weight,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        pending: Option<(String, Span)>,
        seen: HashMap<String, Span>,
    },
}

struct Builder<'a> {
    file: &'a TextFile,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    /// Nodes and bytes of the tree so far, with what is kept for aliases.
    nodes: usize,
    bytes: usize,
    errors: Vec<Diagnostic>,
}

type Step<T = ()> = Result<T, Box<Diagnostic>>;

/// The tree of `file`, which has neither control characters nor too many bytes.
pub(super) fn build(file: &TextFile) -> Result<Option<Node>, Vec<Diagnostic>> {
    let mut builder = Builder::new(file);
    let outcome = builder.run();
    let mut errors = builder.errors;
    match outcome {
        Ok(root) if errors.is_empty() => Ok(root),
        Ok(_) => Err(errors),
        Err(fatal) => {
            errors.push(*fatal);
            Err(errors)
        }
    }
}

impl<'a> Builder<'a> {
    fn new(file: &'a TextFile) -> Self {
        Self {
            file,
            stack: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            nodes: 0,
            bytes: 0,
            errors: Vec::new(),
        }
    }

    fn run(&mut self) -> Step<Option<Node>> {
        let mut parser = Parser::new_from_str(self.file.text());
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| self.unreadable(&error))?;
            let span = place(span);
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(self.refuse(
                            span,
                            "a second document begins here".to_owned(),
                            "one file describes one app: remove `---` and what follows, or move it to a file of its own",
                        ));
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.check_tag(tag.as_deref(), span)?;
                    let plain = style == ScalarStyle::Plain;
                    if plain && text.is_empty() && anchor > 0 {
                        return Err(self.needs_quotes(span, '&'));
                    }
                    self.scalar(text.into_owned(), plain, span, anchor)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.check_tag(tag.as_deref(), span)?;
                    self.open(Content::Sequence(Vec::new()), span, anchor)?;
                }
                Event::MappingStart(anchor, tag) => {
                    self.check_tag(tag.as_deref(), span)?;
                    let seen = HashMap::new();
                    self.open(
                        Content::Mapping {
                            entries: Vec::new(),
                            pending: None,
                            seen,
                        },
                        span,
                        anchor,
                    )?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close()?,
                Event::Alias(id) => self.alias(id, span)?,
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(self.root.take())
    }

    fn scalar(&mut self, text: String, plain: bool, span: Span, anchor: usize) -> Step {
        let weight = Weight {
            nodes: 1,
            bytes: text.len(),
            height: 0,
        };
        self.spend(weight, span)?;
        self.add(
            Node {
                kind: Kind::Scalar { text, plain },
                span,
                weight,
            },
            anchor,
        )
    }

    fn open(&mut self, content: Content, span: Span, anchor: usize) -> Step {
        let weight = Weight {
            nodes: 1,
            bytes: 0,
            height: 1,
        };
        self.spend(weight, span)?;
        self.check_depth(1, span)?;
        self.check_key(span)?;
        self.stack.push(Frame {
            content,
            span,
            anchor,
            weight,
        });
        Ok(())
    }

    fn close(&mut self) -> Step {
        let Some(Frame {
            content,
            span,
            anchor,
            weight,
        }) = self.stack.pop()
        else {
            return Ok(());
        };
        let kind = match content {
            Content::Sequence(items) => Kind::Sequence(items),
            Content::Mapping { entries, .. } => Kind::Mapping(entries),
        };
        self.add(Node { kind, span, weight }, anchor)
    }

    fn alias(&mut self, id: usize, span: Span) -> Step {
        let Some(weight) = self.anchors.get(&id).map(|node| node.weight) else {
            return Err(self.refuse(
                span,
                "an alias stands inside what it repeats".to_owned(),
                "write the entries out instead of repeating them with `*`",
            ));
        };
        self.spend(weight, span)?;
        self.check_depth(weight.height, span)?;
        let node = self.anchors[&id].clone();
        self.add(Node { span, ..node }, 0)
    }

    /// Puts a finished node where it belongs: into the open list or mapping, or at
    /// the root.
    fn add(&mut self, node: Node, anchor: usize) -> Step {
        if anchor > 0 {
            self.spend(node.weight, node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.weight.nodes += node.weight.nodes;
        frame.weight.bytes += node.weight.bytes;
        frame.weight.height = frame.weight.height.max(node.weight.height + 1);
        match &mut frame.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping {
                entries,
                pending,
                seen,
            } => match (pending.take(), node.kind) {
                (Some((key, key_span)), kind) => {
                    if let Some(first) = seen.get(&key).copied() {
                        return self.duplicate(&key, key_span, first);
                    }
                    seen.insert(key.clone(), key_span);
                    entries.push(Entry {
                        key,
                        key_span,
                        value: Node { kind, ..node },
                    });
                }
                (None, Kind::Scalar { text, .. }) => *pending = Some((text, node.span)),
                (None, _) => return Err(self.key_is_no_text(node.span)),
            },
        }
        Ok(())
    }

    /// Notes that `key` stands twice; the first one counts.
    fn duplicate(&mut self, key: &str, span: Span, first: Span) -> Step {
        let path = self.path().key(key).to_string();
        let message = format!("`{}` stands here a second time", cut(key));
        let help = format!("the first is on line {}: keep one of them", first.line);
        self.errors.push(
            self.file
                .diagnostic(Severity::Error, span, path, message, Some(help)),
        );
        if self.errors.len() < MOST_ERRORS {
            Ok(())
        } else {
            Err(self.refuse(
                span,
                "too many errors, the rest is not shown".to_owned(),
                "correct these first",
            ))
        }
    }

    /// Refuses a list or mapping that begins where a key is expected.
    fn check_key(&self, span: Span) -> Step {
        match self.stack.last() {
            Some(Frame {
                content: Content::Mapping { pending: None, .. },
                ..
            }) => Err(self.key_is_no_text(span)),
            _ => Ok(()),
        }
    }

    fn check_depth(&self, height: usize, span: Span) -> Step {
        if self.stack.len() + height <= MAX_DEPTH {
            return Ok(());
        }
        Err(Box::new(refusal::too_deep(self.file, span, &self.path())))
    }

    fn check_tag(&self, tag: Option<&Tag>, span: Span) -> Step {
        match tag {
            Some(tag) if tag.is_yaml_core_schema() && CORE_TAGS.contains(&tag.suffix.as_str()) => {
                Ok(())
            }
            Some(_) => Err(self.needs_quotes(span, '!')),
            None => Ok(()),
        }
    }

    fn spend(&mut self, weight: Weight, span: Span) -> Step {
        self.nodes += weight.nodes;
        self.bytes += weight.bytes;
        if self.nodes > MAX_NODES {
            return Err(self.refuse(
                span,
                format!("more than {MAX_NODES} entries, those that aliases (`*`) repeat included"),
                "an app of 256 containers needs a tenth of that: check what wrote this file",
            ));
        }
        if self.bytes > 2 * MAX_BYTES {
            return Err(self.refuse(
                span,
                format!(
                    "more than {} MiB of text, what aliases (`*`) repeat included",
                    (2 * MAX_BYTES) >> 20
                ),
                "write the entries out, or move long texts to files (`config_file`)",
            ));
        }
        Ok(())
    }

    /// Where the reading is now.
    fn path(&self) -> KeyPath {
        self.path_of(Span {
            line: 0,
            column: 0,
            length: 0,
        })
    }

    /// Where the reading is now, or that of the item read last if it begins at `span`.
    fn path_of(&self, span: Span) -> KeyPath {
        let begins_at =
            |node: &Node| (node.span.line, node.span.column) == (span.line, span.column);
        let mut path = KeyPath::root();
        for frame in &self.stack {
            path = match &frame.content {
                Content::Sequence(items) if items.last().is_some_and(begins_at) => {
                    path.index(items.len() - 1)
                }
                Content::Sequence(items) => path.index(items.len()),
                Content::Mapping {
                    pending: Some((key, _)),
                    ..
                } => path.key(key),
                Content::Mapping { pending: None, .. } => path,
            };
        }
        path
    }

    fn key_is_no_text(&self, span: Span) -> Box<Diagnostic> {
        let path = self.path().to_string();
        Box::new(refusal::key_is_no_text(self.file, span, path))
    }

    fn needs_quotes(&self, span: Span, mark: char) -> Box<Diagnostic> {
        Box::new(refusal::needs_quotes(
            self.file,
            span,
            self.path().to_string(),
            mark,
        ))
    }

    fn refuse(&self, span: Span, message: String, help: &str) -> Box<Diagnostic> {
        let path = self.path().to_string();
        Box::new(
            self.file
                .diagnostic(Severity::Error, span, path, message, Some(help.to_owned())),
        )
    }

    fn unreadable(&self, error: &ScanError) -> Box<Diagnostic> {
        Box::new(refusal::unreadable(
            self.file,
            |span| self.path_of(span),
            error,
        ))
    }
}

fn place(span: saphyr_parser::Span) -> Span {
    let length = if span.start.line() == span.end.line() {
        span.end.col().saturating_sub(span.start.col()).max(1)
    } else {
        // To the end of the line; cut where it is shown.
        usize::MAX
    };
    Span {
        line: span.start.line(),
        column: span.start.col() + 1,
        length,
    }
}
