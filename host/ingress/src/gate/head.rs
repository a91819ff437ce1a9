//! Reads the head of a request as strictly as RFC 9112 is written: whatever two
//! implementations might read in two ways is refused.

use super::target;
use crate::refusal::Refusal;
use crate::token::is_token;
use memchr::memchr;
use std::ops::Range;

/// Bytes that hyper has room for in a field's name.
const LONGEST_NAME: usize = u16::MAX as usize;

/// How the body of a request is delimited (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By its length in bytes, which may be 0.
    Length(u64),
    /// By its chunks.
    Chunked,
}

/// What the gate learnt about a request from its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the head, the empty line included.
    pub(crate) bytes: usize,
    /// How its body is delimited.
    pub(crate) framing: Framing,
    /// Where its target stands, if that is to be looked at more closely.
    pub(crate) odd_target: Option<Range<usize>>,
    /// It asks for another protocol.
    pub(crate) upgrade: bool,
    /// It has fields that say on whose behalf it was sent, or names that some
    /// servers take for such fields.
    pub(crate) forwarded: bool,
}

/// What bounds a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) bytes: usize,
    pub(crate) fields: usize,
}

/// Reads one head, in as many parts as it arrives in.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    /// Start of the first line that has not been read.
    line: usize,
    /// No LF is between `line` and here.
    searched: usize,
    /// Something else than empty lines has arrived.
    begun: bool,
    request_line: bool,
    odd_target: Option<Range<usize>>,
    old_version: bool,
    fields: usize,
    length: Option<u64>,
    codings: Codings,
    hosts: usize,
    upgrade: bool,
    forwarded: bool,
}

/// The transfer codings of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Codings {
    #[default]
    None,
    /// `chunked` alone.
    Chunked,
    /// Something else, and `chunked` after it.
    BelowChunked,
    /// The last is not `chunked`: nothing says where the body ends.
    Endless,
}

impl Codings {
    /// Goes on with the list in one more field.
    fn add(&mut self, list: &[u8]) {
        for coding in list.split(|byte| *byte == b',') {
            *self = match (*self, is(trim(coding), b"chunked")) {
                (Self::None, true) => Self::Chunked,
                (_, true) => Self::BelowChunked,
                (_, false) => Self::Endless,
            };
        }
    }
}

impl Scanner {
    /// Reads on in `head`, which begins with what was given before. Returns nothing
    /// while the head is incomplete.
    pub(crate) fn read(&mut self, head: &[u8], bounds: Bounds) -> Result<Option<Head>, Refusal> {
        while let Some(at) = memchr(b'\n', &head[self.searched..]) {
            let end = self.searched + at;
            if end >= bounds.bytes {
                break;
            }
            let start = self.line;
            let line = &head[start..end];
            self.line = end + 1;
            self.searched = self.line;
            let Some(line) = line.strip_suffix(b"\r") else {
                return Err(Refusal::ControlByte);
            };
            if has_control(line) {
                return Err(Refusal::ControlByte);
            }
            match (self.request_line, line.is_empty()) {
                // Section 2.2: empty lines before the request line are ignored.
                (false, true) => {}
                (false, false) => self.request_line(line, start)?,
                (true, false) => self.field(line, bounds)?,
                (true, true) => return self.end().map(Some),
            }
        }
        self.searched = head.len();
        // A CR may be the beginning of one more empty line.
        self.begun = self.request_line || !matches!(head[self.line..], [] | [b'\r']);
        if head.len() < bounds.bytes {
            return Ok(None);
        }
        Err(if self.request_line {
            Refusal::HeadTooLarge
        } else {
            Refusal::TargetTooLong
        })
    }

    fn request_line(&mut self, line: &[u8], start: usize) -> Result<(), Refusal> {
        let mut parts = line.split(|b| *b == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::RequestLine);
        };
        if !is_token(method) || target.is_empty() || memchr(b'\t', target).is_some() {
            return Err(Refusal::RequestLine);
        }
        if target.len() > target::MOST_BYTES {
            return Err(Refusal::TargetTooLong);
        }
        if target::is_odd(target) {
            let at = start + method.len() + 1;
            self.odd_target = Some(at..at + target.len());
        }
        match version {
            b"HTTP/1.1" => {}
            b"HTTP/1.0" => self.old_version = true,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                return Err(Refusal::Version);
            }
            _ => return Err(Refusal::RequestLine),
        }
        self.request_line = true;
        Ok(())
    }

    fn field(&mut self, line: &[u8], bounds: Bounds) -> Result<(), Refusal> {
        if matches!(line[0], b' ' | b'\t') {
            return Err(Refusal::FoldedField);
        }
        self.fields += 1;
        if self.fields > bounds.fields {
            return Err(Refusal::HeadTooLarge);
        }
        let Some(colon) = memchr(b':', line) else {
            return Err(Refusal::FieldName);
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if !is_token(name) || name.len() > LONGEST_NAME {
            return Err(Refusal::FieldName);
        }
        // A look at the first letter spares most fields the comparisons.
        match name[0] | 0x20 {
            b'h' if is(name, b"host") => self.hosts += 1,
            b'c' if is(name, b"content-length") => {
                let length = decimal(trim(value)).ok_or(Refusal::ContentLength)?;
                if self.length.replace(length).is_some() {
                    return Err(Refusal::ContentLength);
                }
            }
            b't' if is(name, b"transfer-encoding") => {
                if self.old_version {
                    return Err(Refusal::TwoLengths);
                }
                self.codings.add(value);
            }
            b'u' if is(name, b"upgrade") => self.upgrade = true,
            b'f' if is(name, b"forwarded") => self.forwarded = true,
            b'x' if is_forwarded(name) => self.forwarded = true,
            _ => {}
        }
        // CGI and its heirs take `X_Forwarded_For` for `X-Forwarded-For`.
        if !self.forwarded && memchr(b'_', name).is_some() {
            self.forwarded = true;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<Head, Refusal> {
        if self.hosts > 1 {
            return Err(Refusal::SeveralHosts);
        }
        if self.hosts == 0 {
            return Err(Refusal::NoHost);
        }
        let framing = match (self.length, self.codings) {
            (length, Codings::None) => Framing::Length(length.unwrap_or(0)),
            (Some(_), _) => return Err(Refusal::TwoLengths),
            (None, Codings::Chunked) => Framing::Chunked,
            (None, Codings::BelowChunked) => return Err(Refusal::TransferEncoding),
            (None, Codings::Endless) => return Err(Refusal::NoEnd),
        };
        Ok(Head {
            bytes: self.line,
            framing,
            odd_target: self.odd_target.take(),
            upgrade: self.upgrade && !self.old_version,
            forwarded: self.forwarded,
        })
    }

    /// Whether anything but empty lines has arrived.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }
}

/// Whether a control character stands in a line, other than a tab.
fn has_control(line: &[u8]) -> bool {
    // Without a way out, so that many bytes are looked at at once.
    let control = |byte: u8| (byte < b' ' && byte != b'\t') | (byte == 0x7f);
    line.iter().fold(false, |any, byte| any | control(*byte))
}

fn is(text: &[u8], lower: &[u8]) -> bool {
    text.eq_ignore_ascii_case(lower)
}

fn is_forwarded(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"x-forwarded-";
    name.get(..PREFIX.len())
        .is_some_and(|start| is(start, PREFIX))
        || is(name, b"x-real-ip")
}

fn trim(value: &[u8]) -> &[u8] {
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let start = value.iter().position(|b| !blank(b)).unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|b| !blank(b))
        .map_or(start, |at| at + 1);
    &value[start..end]
}

/// The number that `digits`, one or more of them and nothing else, say.
fn decimal(digits: &[u8]) -> Option<u64> {
    // hyper keeps two lengths for itself at the top of the range.
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests;
