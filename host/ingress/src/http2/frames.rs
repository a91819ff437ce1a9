//! The frames of a connection as they pass by (RFC 9113 section 4.1).

/// The kinds that somebody here looks at (RFC 9113 section 6).
pub(super) const HEADERS: u8 = 0x1;
pub(super) const RST_STREAM: u8 = 0x3;
pub(super) const CONTINUATION: u8 = 0x9;

const HEAD_BYTES: usize = 9;
/// Bytes of a frame's payload, at most: nobody here allows more (RFC 9113 section 4.2).
const PAYLOAD_BYTES: usize = 16 * 1024;

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: &'a [u8],
}

/// Cuts what passes in one direction into frames.
#[derive(Debug)]
pub(super) struct Frames {
    wanted: &'static [u8],
    /// Bytes that nobody wants to see and that are still to come.
    skipped: usize,
    head: [u8; HEAD_BYTES],
    head_length: usize,
    /// What has arrived of a payload that comes in parts.
    payload: Vec<u8>,
}

impl Frames {
    /// Frames of the `wanted` kinds, after so many bytes that are none.
    pub(super) fn new(wanted: &'static [u8], before: usize) -> Self {
        Self {
            wanted,
            skipped: before,
            head: [0; HEAD_BYTES],
            head_length: 0,
            payload: Vec::new(),
        }
    }

    /// Hands on each frame that ends in `bytes`, which come after those that came before.
    pub(super) fn pass(&mut self, mut bytes: &[u8], mut seen: impl FnMut(Frame<'_>)) {
        while !bytes.is_empty() {
            if self.skipped > 0 {
                let skipped = self.skipped.min(bytes.len());
                self.skipped -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            if self.head_length < HEAD_BYTES {
                let (part, rest) = bytes.split_at(bytes.len().min(HEAD_BYTES - self.head_length));
                self.head[self.head_length..self.head_length + part.len()].copy_from_slice(part);
                self.head_length += part.len();
                bytes = rest;
                if self.head_length < HEAD_BYTES {
                    return;
                }
                let length = self.payload_length();
                if !self.wanted.contains(&self.head[3]) || length > PAYLOAD_BYTES {
                    self.skipped = length;
                    self.head_length = 0;
                    continue;
                }
            }
            let missing = self.payload_length() - self.payload.len();
            let (part, rest) = bytes.split_at(bytes.len().min(missing));
            bytes = rest;
            if part.len() < missing {
                self.payload.extend_from_slice(part);
            } else if self.payload.is_empty() {
                seen(self.frame(part));
                self.head_length = 0;
            } else {
                let mut payload = std::mem::take(&mut self.payload);
                payload.extend_from_slice(part);
                seen(self.frame(&payload));
                self.head_length = 0;
            }
        }
        // One without a payload has ended with its head.
        if self.head_length == HEAD_BYTES && self.payload_length() == 0 {
            seen(self.frame(&[]));
            self.head_length = 0;
        }
    }

    fn payload_length(&self) -> usize {
        let [a, b, c, ..] = self.head.map(usize::from);
        a << 16 | b << 8 | c
    }

    fn frame<'a>(&self, payload: &'a [u8]) -> Frame<'a> {
        let [_, _, _, kind, flags, a, b, c, d] = self.head;
        Frame {
            kind,
            flags,
            // The first bit means nothing.
            stream: u32::from_be_bytes([a & 0x7f, b, c, d]),
            payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(frames: &mut Frames, parts: &[&[u8]]) -> Vec<(u8, u8, u32, Vec<u8>)> {
        let mut seen = Vec::new();
        for part in parts {
            frames.pass(part, |frame| {
                let payload = frame.payload.to_vec();
                seen.push((frame.kind, frame.flags, frame.stream, payload));
            });
        }
        seen
    }

    #[test]
    fn frames_are_found_in_whatever_parts_they_come() {
        let bytes = [
            &b"hello"[..],
            b"\0\0\x04\x00\x00\0\0\0\x01data",
            b"\0\0\x03\x01\x05\x80\0\0\x03abc",
            b"\0\0\x00\x09\x04\0\0\0\x05",
            b"\0\x40\x01\x01\x00\0\0\0\x07",
            &[1; PAYLOAD_BYTES + 1],
            b"\0\0\x04\x03\x00\x01\0\0\x07\0\0\0\x01",
        ]
        .concat();
        let expected = [
            (HEADERS, 5, 3, b"abc".to_vec()),
            (CONTINUATION, 4, 5, Vec::new()),
            (RST_STREAM, 0, 0x0100_0007, vec![0, 0, 0, 1]),
        ];
        for step in [1, 2, 7, 8, 9, 10, bytes.len()] {
            let mut frames = Frames::new(&[HEADERS, RST_STREAM, CONTINUATION], 5);
            let parts: Vec<&[u8]> = bytes.chunks(step).collect();
            assert_eq!(seen(&mut frames, &parts), expected, "in parts of {step}");
        }
    }

    #[test]
    fn a_frame_without_a_payload_is_not_kept_waiting() {
        let mut frames = Frames::new(&[CONTINUATION], 0);
        let bytes = b"\0\0\x00\x09\x04\0\0\0\x05";
        assert_eq!(seen(&mut frames, &[bytes]).len(), 1);
        assert_eq!(seen(&mut frames, &[]).len(), 0);
    }
}
