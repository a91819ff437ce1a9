//! What the engine sends of a process without a terminal: pieces of standard output
//! and error in turn, each behind a header of eight bytes (Docker's API reference,
//! "Attach to a container: stream format").

use crate::Output;
use bytes::{Buf as _, BytesMut};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use std::io;
use tokio::io::AsyncRead;
use tokio_util::codec::{Decoder, FramedRead};
use tokio_util::io::StreamReader;

const HEADER: usize = 8;

/// Takes the stream apart. A long piece is passed on as it arrives.
#[derive(Debug, Default)]
pub(super) struct Demux {
    stderr: bool,
    remaining: usize,
}

impl Decoder for Demux {
    type Item = Output;
    type Error = io::Error;

    fn decode(&mut self, source: &mut BytesMut) -> io::Result<Option<Output>> {
        while self.remaining == 0 {
            if source.len() < HEADER {
                return Ok(None);
            }
            // 2 is standard error, 3 an error of the engine itself.
            self.stderr = source[0] >= 2;
            source.advance(4);
            self.remaining = source.get_u32() as usize;
        }
        let length = self.remaining.min(source.len());
        if length == 0 {
            return Ok(None);
        }
        self.remaining -= length;
        Ok(Some(Output {
            stderr: self.stderr,
            bytes: source.split_to(length).freeze(),
        }))
    }
}

/// The body of an answer, taken apart.
pub(super) fn demux_body(body: Incoming) -> FramedRead<impl AsyncRead + Send, Demux> {
    use futures_util::TryStreamExt as _;
    let bytes = BodyDataStream::new(body).map_err(io::Error::other);
    FramedRead::new(StreamReader::new(bytes), Demux::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_apart_wherever_they_are_cut() {
        let whole = b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x03err\x01\0\0\0\0\0\0\0";
        for cut in 0..whole.len() {
            let mut demux = Demux::default();
            let mut source = BytesMut::new();
            let (mut out, mut err) = (Vec::new(), Vec::new());
            for part in [&whole[..cut], &whole[cut..]] {
                source.extend_from_slice(part);
                while let Some(piece) = demux.decode(&mut source).expect("never fails") {
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
