//! What passes between a client and h2, as far as h2 keeps it to itself.
//!
//! It refuses a malformed request, and one whose head is too large, without a word to whoever
//! uses it; that is seen in what it writes. Pseudo-fields in trailers and an empty scheme it
//! drops; that is seen in what it reads, before it reads it.

use super::frames::{CONTINUATION, Frame, Frames, HEADERS, RST_STREAM};
use super::hpack::Table;
use std::borrow::Cow;
use std::collections::VecDeque;

/// Bytes that a client begins with (RFC 9113 section 3.4).
const PREFACE_BYTES: usize = 24;

/// Flags of a header section's frames (RFC 9113 section 6.2).
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// Bytes of a header section, at most; h2 takes less.
const SECTION_BYTES: usize = 1024 * 1024;

/// Requests that are remembered because they did not come to be accepted, or because of what
/// is wrong with them, at most: there are few of them at a time.
const REMEMBERED: usize = 512;

const PROTOCOL_ERROR: [u8; 4] = [0, 0, 0, 1];

/// What is wrong with a request that h2 takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its scheme is empty.
    Scheme,
    /// A pseudo-field stands in its trailers.
    Trailers,
}

/// How a request ended that h2 has not handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is malformed.
    Reset,
    /// h2 has answered it: its head is too large.
    TooLarge,
}

/// What passes on one connection.
#[derive(Debug)]
pub(super) struct Watch {
    reading: Frames,
    writing: Frames,
    /// None once it cannot be told any more what stands in header sections. h2 ends such a
    /// connection.
    table: Option<Table>,
    /// A header section that has not come to its end, and whose it is.
    section: Option<(u32, Vec<u8>)>,
    /// The last request that a client has begun.
    begun: u32,
    /// The last one that h2 has handed on, and those before it that it has not.
    accepted: u32,
    passed_over: VecDeque<u32>,
    /// How requests ended that may be such.
    refused: Vec<(u32, Refused)>,
    told: VecDeque<u32>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            reading: Frames::new(&[HEADERS, CONTINUATION], PREFACE_BYTES),
            writing: Frames::new(&[HEADERS, RST_STREAM], 0),
            table: Some(Table::default()),
            section: None,
            begun: 0,
            accepted: 0,
            passed_over: VecDeque::new(),
            refused: Vec::new(),
            told: VecDeque::new(),
        }
    }

    /// This comes from the client. Hands on what is wrong with which request.
    pub(super) fn read(&mut self, bytes: &[u8], mut wrong: impl FnMut(u32, Fault)) {
        let Self {
            reading,
            table,
            section,
            begun,
            ..
        } = self;
        reading.pass(bytes, |frame| {
            let Some(known) = table.as_mut() else {
                return;
            };
            let Some(whole) = joined(section.take(), &frame) else {
                *table = None;
                return;
            };
            if frame.flags & END_HEADERS == 0 {
                *section = Some((frame.stream, whole.into_owned()));
                return;
            }
            let Ok(seen) = known.read(&whole) else {
                *table = None;
                return;
            };
            if frame.stream > *begun {
                *begun = frame.stream;
                if seen.empty_scheme {
                    wrong(frame.stream, Fault::Scheme);
                }
            } else if seen.pseudo {
                wrong(frame.stream, Fault::Trailers);
            }
        });
    }

    /// This goes to the client.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let Self {
            writing,
            accepted,
            passed_over,
            refused,
            ..
        } = self;
        writing.pass(bytes, |frame| {
            let how = match frame.kind {
                HEADERS => Refused::TooLarge,
                _ if frame.payload == PROTOCOL_ERROR => Refused::Reset,
                _ => return,
            };
            let unknown = frame.stream > *accepted || passed_over.contains(&frame.stream);
            if unknown && refused.len() < REMEMBERED {
                refused.push((frame.stream, how));
            }
        });
    }

    /// h2 has handed this request on.
    pub(super) fn accept(&mut self, stream: u32) {
        let passed_over = (self.accepted + 1..stream).filter(|stream| stream % 2 == 1);
        for stream in passed_over.take(REMEMBERED) {
            remember(&mut self.passed_over, stream);
        }
        self.accepted = self.accepted.max(stream);
    }

    /// How requests ended that h2 has not handed on; to be asked once it has handed on what
    /// it has.
    pub(super) fn refused(&mut self) -> Vec<Refused> {
        if self.refused.is_empty() {
            return Vec::new();
        }
        let mut refused = std::mem::take(&mut self.refused);
        refused.retain(|(stream, _)| {
            let unknown = *stream > self.accepted || self.passed_over.contains(stream);
            let new = unknown && !self.told.contains(stream);
            if new {
                remember(&mut self.told, *stream);
            }
            new
        });
        refused.into_iter().map(|(_, how)| how).collect()
    }
}

fn remember(streams: &mut VecDeque<u32>, stream: u32) {
    if streams.len() >= REMEMBERED {
        streams.pop_front();
    }
    streams.push_back(stream);
}

/// A header section as far as it has come with this frame.
fn joined<'a>(before: Option<(u32, Vec<u8>)>, frame: &Frame<'a>) -> Option<Cow<'a, [u8]>> {
    match before {
        None if frame.kind == HEADERS => fragment(frame.flags, frame.payload).map(Cow::Borrowed),
        Some((stream, mut section)) if frame.kind == CONTINUATION && stream == frame.stream => {
            section.extend_from_slice(frame.payload);
            (section.len() <= SECTION_BYTES).then_some(Cow::Owned(section))
        }
        _ => None,
    }
}

/// The part of a header section in a frame of the kind HEADERS.
fn fragment(flags: u8, payload: &[u8]) -> Option<&[u8]> {
    let mut payload = payload;
    if flags & PADDED != 0 {
        let (padding, rest) = payload.split_first()?;
        let length = rest.len().checked_sub(usize::from(*padding))?;
        payload = &rest[..length];
    }
    if flags & PRIORITY != 0 {
        payload = payload.get(5..)?;
    }
    Some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    /// What is wrong with the requests of a connection on which this comes.
    fn wrong(frames: &[Vec<u8>]) -> Vec<(u32, Fault)> {
        let mut watch = Watch::new();
        let mut wrong = Vec::new();
        watch.read(&[0; PREFACE_BYTES], |_, _| unreachable!());
        watch.read(&frames.concat(), |stream, fault| {
            wrong.push((stream, fault))
        });
        wrong
    }

    #[test]
    fn faults_are_found_in_padded_and_divided_sections() {
        let request = frame(HEADERS, END_HEADERS, 1, b"\x82\x87\x84");
        let trailers = [(1, Fault::Trailers)];
        for frames in [
            vec![frame(HEADERS, END_HEADERS, 1, b"\x84")],
            vec![frame(HEADERS, END_HEADERS | PADDED, 1, b"\x02\x84\0\0")],
            vec![frame(
                HEADERS,
                END_HEADERS | PRIORITY,
                1,
                b"\0\0\0\0\x01\x84",
            )],
            vec![
                frame(HEADERS, 0, 1, b"\x00\x01"),
                frame(CONTINUATION, 0, 1, b"a\x01b"),
                frame(CONTINUATION, END_HEADERS, 1, b"\x84"),
            ],
        ] {
            assert_eq!(wrong(&[request.clone(), frames.concat()]), trailers);
        }
        let fine = frame(HEADERS, END_HEADERS, 1, b"\x00\x01a\x01b");
        assert_eq!(wrong(&[request.clone(), fine]), []);
        let next = frame(HEADERS, END_HEADERS, 3, b"\x82\x06\x00\x84");
        assert_eq!(wrong(&[request, next]), [(3, Fault::Scheme)]);
    }

    #[test]
    fn nothing_is_said_of_what_cannot_be_read() {
        for garbled in [
            frame(HEADERS, END_HEADERS | PADDED, 1, b"\x02\x84"),
            frame(HEADERS, END_HEADERS | PRIORITY, 1, b"\x84"),
            frame(HEADERS, END_HEADERS, 1, b"\x80"),
            frame(CONTINUATION, END_HEADERS, 1, b"\x84"),
            [
                frame(HEADERS, 0, 1, b"\x82"),
                frame(CONTINUATION, END_HEADERS, 3, b"\x84"),
            ]
            .concat(),
        ] {
            let after = frame(HEADERS, END_HEADERS, 5, b"\x06\x00");
            assert_eq!(wrong(&[garbled, after]), []);
        }
    }

    #[test]
    fn a_request_is_refused_once_and_only_if_nobody_has_heard_of_it() {
        let mut watch = Watch::new();
        let reset = |stream| frame(RST_STREAM, 0, stream, &PROTOCOL_ERROR);
        watch.accept(1);
        watch.write(&reset(1));
        assert_eq!(watch.refused(), [], "it was accepted");
        // Accepted after it was reset, and after another that was not.
        watch.write(&[reset(3), reset(5)].concat());
        watch.accept(5);
        assert_eq!(watch.refused(), [Refused::Reset]);
        watch.write(&reset(3));
        assert_eq!(watch.refused(), [], "it was told");
        watch.accept(9);
        // Written late; and with another reason than the client's.
        watch.write(&[reset(7), frame(RST_STREAM, 0, 11, &[0, 0, 0, 7])].concat());
        assert_eq!(watch.refused(), [Refused::Reset]);
        watch.write(&[frame(HEADERS, END_HEADERS, 11, b"\x88"), reset(11)].concat());
        assert_eq!(watch.refused(), [Refused::TooLarge]);
        watch.accept(13);
        watch.write(&frame(HEADERS, END_HEADERS, 13, b"\x88"));
        assert_eq!(watch.refused(), [], "an answer");
    }
}
