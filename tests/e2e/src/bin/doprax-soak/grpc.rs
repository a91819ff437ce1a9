//! The messages and the status of gRPC over HTTP/2, as its protocol description has them
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use std::io;

/// Bytes before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Makes a request a call.
pub(crate) fn address(fields: &mut HeaderMap) {
    let kind = HeaderValue::from_static("application/grpc");
    fields.insert(header::CONTENT_TYPE, kind);
    fields.insert(header::TE, HeaderValue::from_static("trailers"));
}

/// A message as it is sent.
pub(crate) fn wrap(message: &[u8]) -> Bytes {
    let mut wrapped = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    wrapped.put_u8(0);
    wrapped.put_u32(message.len() as u32);
    wrapped.extend_from_slice(message);
    wrapped.freeze()
}

/// What has arrived of a stream of messages.
#[derive(Default)]
pub(crate) struct Messages(BytesMut);

impl Messages {
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.0.extend_from_slice(piece);
    }

    /// The next message, if all of it is there.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        let length = self.0.get(1..PREFIX_BYTES)?;
        let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
        if self.0.len() < PREFIX_BYTES + length {
            return None;
        }
        self.0.advance(PREFIX_BYTES);
        Some(self.0.split_to(length).freeze())
    }

    /// Whether nothing is there, not even a part of a message.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether a call was a success, by its trailers, or its head where it has no others.
pub(crate) fn succeeded(trailers: Option<&HeaderMap>, head: &HeaderMap) -> io::Result<()> {
    let fields = trailers.unwrap_or(head);
    let field = |name| fields.get(name).and_then(|value| value.to_str().ok());
    match field("grpc-status") {
        Some("0") => Ok(()),
        None => Err(io::Error::other("the call ended without a status")),
        Some(status) => {
            let message = field("grpc-message").unwrap_or_default();
            let text = format!("the call ended with status {status}: {message}");
            Err(io::Error::other(text))
        }
    }
}
