//! Follows the chunks of a request's body (RFC 9112 section 7.1) to find its end.

use crate::refusal::Refusal;

/// Bytes of chunk extensions in one chunk, and of a whole trailer section.
const EXTENSION_BYTES: usize = 1024;
const TRAILER_BYTES: usize = 16 * 1024;

/// Follows one chunked body.
#[derive(Debug)]
pub(crate) struct Scanner {
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// In a chunk's size: its value and number of digits so far.
    Size(u64, u8),
    /// In a chunk's extensions: the size, and bytes so far.
    Extension(u64, usize),
    /// LF must follow, then so many bytes of data.
    SizeEnd(u64),
    Data(u64),
    DataEnd,
    DataEndLf,
    /// At the start of a trailer line: bytes of trailers so far.
    TrailerStart(usize),
    Trailer(usize),
    TrailerLf(usize),
    LastLf,
    Done,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Size(0, 0),
        }
    }

    /// Follows `bytes` and returns how many of them belong to the body.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut at = 0;
        while at < bytes.len() {
            if let State::Data(left) = self.state {
                let taken = left.min((bytes.len() - at) as u64);
                at += taken as usize;
                self.state = if taken == left {
                    State::DataEnd
                } else {
                    State::Data(left - taken)
                };
                continue;
            }
            if matches!(self.state, State::Done) {
                break;
            }
            self.state = next(self.state, bytes[at]).ok_or(Refusal::Chunk)?;
            at += 1;
        }
        Ok(at)
    }

    /// Whether the body has ended.
    pub(crate) fn done(&self) -> bool {
        matches!(self.state, State::Done)
    }
}

fn next(state: State, byte: u8) -> Option<State> {
    Some(match (state, byte) {
        (State::Size(size, digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < 15 => {
            let digit = char::from(byte).to_digit(16)?;
            State::Size(size << 4 | u64::from(digit), digits + 1)
        }
        (State::Size(size, 1..), b'\r') => State::SizeEnd(size),
        (State::Size(size, 1..), b';') => State::Extension(size, 0),
        (State::Extension(size, _), b'\r') => State::SizeEnd(size),
        (State::Extension(size, bytes), b'\t' | b' '..=b'~' | 0x80..)
            if bytes < EXTENSION_BYTES =>
        {
            State::Extension(size, bytes + 1)
        }
        (State::SizeEnd(0), b'\n') => State::TrailerStart(0),
        (State::SizeEnd(size), b'\n') => State::Data(size),
        (State::DataEnd, b'\r') => State::DataEndLf,
        (State::DataEndLf, b'\n') => State::Size(0, 0),
        (State::TrailerStart(_), b'\r') => State::LastLf,
        (State::TrailerStart(_), b' ' | b'\t') => return None,
        (State::Trailer(bytes), b'\r') => State::TrailerLf(bytes),
        (State::TrailerStart(bytes) | State::Trailer(bytes), b'\t' | b' '..=b'~' | 0x80..)
            if bytes < TRAILER_BYTES =>
        {
            State::Trailer(bytes + 1)
        }
        (State::TrailerLf(bytes), b'\n') => State::TrailerStart(bytes),
        (State::LastLf, b'\n') => State::Done,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_ends_where_its_last_chunk_says_whatever_the_parts() {
        let bodies: [&[u8]; 4] = [
            b"0\r\n\r\n",
            b"5\r\nhello\r\n0\r\n\r\n",
            b"5;name=\"value\"\r\nhello\r\n0;x\r\nDigest: abc\r\n\r\n",
            b"00A\r\n0123456789\r\n1\r\n\n\r\n0\r\n\r\n",
        ];
        for body in bodies {
            let stream = [body, b"GET / HTTP/1.1\r\n"].concat();
            for step in 1..stream.len() {
                let mut scanner = Scanner::new();
                let taken: usize = stream
                    .chunks(step)
                    .map(|part| scanner.follow(part).unwrap())
                    .sum();
                assert!(scanner.done());
                assert_eq!(taken, body.len(), "in steps of {step}");
            }
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let bodies: [&[u8]; 13] = [
            b"\r\n",
            b"5 \r\nhello\r\n",
            b"5\nhello\r\n",
            b"5\rhello",
            b"0x5\r\nhello",
            b"+5\r\nhello",
            b"-1\r\n",
            b"5\r\nhelloX",
            b"5\r\nhello\n0\r\n",
            b"10000000000000000\r\n",
            b"5;\n\r\nhello",
            b"0\r\na: b\n\r\n",
            b"0\r\n a: b\r\n\r\n",
        ];
        for body in bodies {
            let mut scanner = Scanner::new();
            let text = String::from_utf8_lossy(body);
            assert_eq!(scanner.follow(body), Err(Refusal::Chunk), "{text:?}");
        }
    }

    #[test]
    fn what_comes_beside_the_data_is_bounded() {
        let extension = |bytes| format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(bytes));
        // Those of all lines together.
        let trailers = |bytes| {
            let line = "a".repeat(bytes / 2);
            format!("0\r\n{line}\r\n{line}\r\n\r\n")
        };
        for (body, most) in [
            (&extension as &dyn Fn(usize) -> String, 1_024),
            (&trailers, 16_384),
        ] {
            let follow = |bytes| Scanner::new().follow(body(bytes).as_bytes());
            assert_eq!(follow(most), Ok(body(most).len()));
            assert_eq!(follow(most + 2), Err(Refusal::Chunk));
        }
    }
}
