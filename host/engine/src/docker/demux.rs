//! What the engine sends of a process without a terminal: pieces of standard output
//! and error in turn, each behind a header of eight bytes (Docker's API reference,
//! "Attach to a container: stream format").

use crate::Output;
use bytes::{Buf as _, BytesMut};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use std::io;
use std::pin::Pin;
use tokio::io::AsyncRead;
use tokio_util::codec::{Decoder, FramedRead};
use tokio_util::io::StreamReader;

const HEADER: usize = 8;

/// The pieces of an answer.
pub(super) type Frames = FramedRead<Pin<Box<dyn AsyncRead + Send>>, Demux>;

/// Takes the stream apart. A piece of a log is one line of it, or 16 KiB of a long one.
#[derive(Debug, Default)]
pub(super) struct Demux;

impl Decoder for Demux {
    type Item = Output;
    type Error = io::Error;

    fn decode(&mut self, source: &mut BytesMut) -> io::Result<Option<Output>> {
        while source.len() >= HEADER {
            let length = u32::from_be_bytes([source[4], source[5], source[6], source[7]]) as usize;
            if source.len() < HEADER + length {
                source.reserve(HEADER + length - source.len());
                return Ok(None);
            }
            // 2 is standard error, 3 an error of the engine itself.
            let stderr = source[0] >= 2;
            source.advance(HEADER);
            if length > 0 {
                return Ok(Some(Output {
                    stderr,
                    bytes: source.split_to(length).freeze(),
                }));
            }
        }
        Ok(None)
    }
}

/// The body of an answer, taken apart.
pub(super) fn demux_body(body: Incoming) -> Frames {
    use futures_util::TryStreamExt as _;
    let bytes = BodyDataStream::new(body).map_err(io::Error::other);
    FramedRead::new(Box::pin(StreamReader::new(bytes)), Demux)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_apart_wherever_they_are_cut() {
        let whole = b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x03err\x01\0\0\0\0\0\0\0";
        for cut in 0..whole.len() {
            let mut source = BytesMut::new();
            let (mut out, mut err) = (Vec::new(), Vec::new());
            for part in [&whole[..cut], &whole[cut..]] {
                source.extend_from_slice(part);
                while let Some(piece) = Demux.decode(&mut source).expect("never fails") {
                    if piece.stderr { &mut err } else { &mut out }.extend_from_slice(&piece.bytes);
                }
            }
            assert_eq!(
                (out.as_slice(), err.as_slice()),
                (&b"out"[..], &b"err"[..]),
                "{cut}"
            );
            assert!(source.is_empty(), "{cut}");
        }
    }
}
