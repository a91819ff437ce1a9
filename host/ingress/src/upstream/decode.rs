//! Cuts the body of a response out of what arrives.

use super::error::Broken;
use crate::fields::may_trail;
use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::Status;
use hyper::body::{Frame, SizeHint};

/// Bytes of a chunk's first line, and of all trailer fields, at most.
const CHUNK_LINE_BYTES: usize = 4 * 1024;
const TRAILER_BYTES: usize = 16 * 1024;
const TRAILER_FIELDS: usize = 64;

/// Bytes that a response is read by, at most.
const LENGTH_READ: usize = 32 * 1024;
const CHUNKED_READ: usize = 16 * 1024;

/// What comes next (RFC 9112 sections 6.3 and 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// So many bytes.
    Length(u64),
    /// Bytes until the connection ends.
    Rest,
    ChunkLine,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    Nothing,
}

/// Cuts the body of a response out of what arrives.
#[derive(Debug)]
pub(super) struct Decoder(Next);

impl Decoder {
    pub(super) fn empty() -> Self {
        Self(Next::Nothing)
    }

    pub(super) fn length(length: u64) -> Self {
        Self(match length {
            0 => Next::Nothing,
            length => Next::Length(length),
        })
    }

    pub(super) fn chunked() -> Self {
        Self(Next::ChunkLine)
    }

    pub(super) fn until_the_end() -> Self {
        Self(Next::Rest)
    }

    /// Whether all of the body was cut out.
    pub(super) fn is_done(&self) -> bool {
        self.0 == Next::Nothing
    }

    /// The connection has ended.
    pub(super) fn end(&mut self) -> Result<(), Broken> {
        match self.0 {
            Next::Nothing => Ok(()),
            Next::Rest => {
                self.0 = Next::Nothing;
                Ok(())
            }
            _ => Err(Broken::Ended),
        }
    }

    /// How many bytes there should be room for before more is read.
    pub(super) fn wants(&self) -> usize {
        match self.0 {
            Next::Length(left) => usize::try_from(left).map_or(LENGTH_READ, |l| l.min(LENGTH_READ)),
            _ => CHUNKED_READ,
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self.0 {
            Next::Nothing => SizeHint::with_exact(0),
            Next::Length(left) => SizeHint::with_exact(left),
            _ => SizeHint::default(),
        }
    }

    /// Takes the next part of the body from the start of `arrived`; nothing while more
    /// has to arrive, or when it is done.
    pub(super) fn take(&mut self, arrived: &mut BytesMut) -> Result<Option<Frame<Bytes>>, Broken> {
        loop {
            if arrived.is_empty() {
                return Ok(None);
            }
            match self.0 {
                Next::Nothing => return Ok(None),
                Next::Rest => return Ok(Some(Frame::data(arrived.split().freeze()))),
                Next::Length(left) => {
                    let (data, left) = cut(arrived, left);
                    *self = Self::length(left);
                    return Ok(Some(data));
                }
                Next::Chunk(left) => {
                    let (data, left) = cut(arrived, left);
                    self.0 = match left {
                        0 => Next::ChunkEnd,
                        left => Next::Chunk(left),
                    };
                    return Ok(Some(data));
                }
                Next::ChunkLine => match httparse::parse_chunk_size(arrived) {
                    Ok(Status::Complete((line, size))) => {
                        arrived.advance(line);
                        self.0 = match size {
                            0 => Next::Trailers,
                            size => Next::Chunk(size),
                        };
                    }
                    Ok(Status::Partial) if arrived.len() < CHUNK_LINE_BYTES => return Ok(None),
                    _ => return Err(Broken::nonsense("the response has a malformed chunk")),
                },
                Next::ChunkEnd => match &arrived[..] {
                    [b'\r', b'\n', ..] => {
                        arrived.advance(2);
                        self.0 = Next::ChunkLine;
                    }
                    [b'\r'] => return Ok(None),
                    _ => return Err(Broken::nonsense("the response has a malformed chunk")),
                },
                Next::Trailers => {
                    let Some(trailers) = trailers(arrived)? else {
                        return Ok(None);
                    };
                    self.0 = Next::Nothing;
                    return Ok((!trailers.is_empty()).then(|| Frame::trailers(trailers)));
                }
            }
        }
    }
}

/// Up to `left` bytes, and how many are left then.
fn cut(arrived: &mut BytesMut, left: u64) -> (Frame<Bytes>, u64) {
    let length = usize::try_from(left).map_or(arrived.len(), |left| left.min(arrived.len()));
    let data = arrived.split_to(length).freeze();
    (Frame::data(data), left - length as u64)
}

fn trailers(arrived: &mut BytesMut) -> Result<Option<HeaderMap>, Broken> {
    let nonsense = || Broken::nonsense("the response has malformed trailers");
    let mut fields = [httparse::EMPTY_HEADER; TRAILER_FIELDS];
    let (length, fields) = match httparse::parse_headers(arrived, &mut fields) {
        Ok(Status::Complete(read)) => read,
        Ok(Status::Partial) if arrived.len() < TRAILER_BYTES => return Ok(None),
        _ => return Err(nonsense()),
    };
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| nonsense())?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| nonsense())?;
        if may_trail(&name) {
            trailers.append(name, value);
        }
    }
    arrived.advance(length);
    Ok(Some(trailers))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is cut out of `text` when it arrives in parts of `step` bytes.
    fn decoded(mut decoder: Decoder, text: &[u8], step: usize) -> Result<(String, usize), Broken> {
        let mut arrived = BytesMut::new();
        let mut body = String::new();
        for part in text.chunks(step) {
            arrived.extend_from_slice(part);
            while let Some(frame) = decoder.take(&mut arrived)? {
                match frame.into_data() {
                    Ok(data) => body.push_str(std::str::from_utf8(&data).unwrap()),
                    Err(frame) => body.push_str(&format!("{:?}", frame.trailers_ref().unwrap())),
                }
            }
        }
        decoder.end()?;
        Ok((body, arrived.len()))
    }

    #[test]
    fn parts_make_no_difference() {
        let chunks = b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nx-sum: 11\r\n\r\n";
        for step in 1..chunks.len() {
            let (body, left) = decoded(Decoder::chunked(), chunks, step).unwrap();
            assert_eq!(body, r#"hello world{"x-sum": "11"}"#);
            assert_eq!(left, 0);
            let (body, left) = decoded(Decoder::length(5), b"hello next", step).unwrap();
            assert_eq!((body.as_str(), left), ("hello", 5));
            let (body, _) = decoded(Decoder::until_the_end(), b"hello", step).unwrap();
            assert_eq!(body, "hello");
        }
    }

    #[test]
    fn what_is_no_body_is_refused() {
        let endless = [b"1;".as_slice(), &[b'a'; CHUNK_LINE_BYTES]].concat();
        let trailing = [b"0\r\na: ".as_slice(), &[b'a'; TRAILER_BYTES]].concat();
        let many = format!("0\r\n{}\r\n", "a: b\r\n".repeat(TRAILER_FIELDS + 1));
        for text in [
            b"x\r\n".as_slice(),
            b"-1\r\n",
            b"ffffffffffffffffff\r\n",
            b"1\r\nab\r\n",
            b"0\r\nno colon\r\n\r\n",
            &endless,
            &trailing,
            many.as_bytes(),
        ] {
            let decoded = decoded(Decoder::chunked(), text, 7);
            assert!(matches!(decoded, Err(Broken::Nonsense(_))), "{decoded:?}");
        }
        for (decoder, text) in [
            (Decoder::chunked(), b"5\r\nhello\r\n".as_slice()),
            (Decoder::chunked(), b"5\r\nhel"),
            (Decoder::length(5), b"hell"),
        ] {
            let decoded = decoded(decoder, text, 7);
            assert!(matches!(decoded, Err(Broken::Ended)), "{decoded:?}");
        }
    }

    #[test]
    fn what_comes_beside_the_data_is_bounded() {
        let line = |bytes: usize| format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(bytes - 4));
        let trailers = |bytes: usize| format!("0\r\na: {}\r\n\r\n", "x".repeat(bytes - 7));
        let fields = |fields: usize| format!("0\r\n{}\r\n", "a: b\r\n".repeat(fields));
        for (text, most) in [
            (&line as &dyn Fn(usize) -> String, 4_096),
            (&trailers, 16_384),
            (&fields, 64),
        ] {
            // What has arrived is looked at with each of its bytes.
            let decoded = |bytes| decoded(Decoder::chunked(), text(bytes).as_bytes(), 1);
            assert!(decoded(most).is_ok(), "{most}");
            assert!(decoded(most + 1).is_err(), "{most}");
        }
    }

    #[test]
    fn no_more_is_read_at_once_than_there_is() {
        for (decoder, wanted) in [
            (Decoder::length(5), 5),
            (Decoder::length(32_767), 32_767),
            (Decoder::length(u64::MAX), 32_768),
            (Decoder::chunked(), 16_384),
            (Decoder::until_the_end(), 16_384),
        ] {
            assert_eq!(decoder.wants(), wanted);
        }
        assert!(Decoder::length(0).is_done() && Decoder::empty().is_done());
        assert_eq!(Decoder::length(5).size_hint().exact(), Some(5));
        assert_eq!(Decoder::empty().size_hint().exact(), Some(0));
        assert_eq!(Decoder::chunked().size_hint().exact(), None);
    }
}
