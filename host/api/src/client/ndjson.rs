//! Reads a stream of JSON values, one a line.

use super::{Address, ClientError};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

/// Longest line in bytes.
const MAX_LINE: usize = 16 << 20;

/// The lines of a body.
pub(super) struct Lines {
    body: Incoming,
    buffer: BytesMut,
    address: Address,
}

impl Lines {
    pub(super) fn of(body: Incoming, address: Address) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            address,
        }
    }

    /// The next line without its end; nothing after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        // Where a line's end is looked for, so that no byte is looked at twice.
        let mut seen = 0;
        loop {
            if let Some(end) = self.buffer[seen..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(seen + end + 1).freeze();
                return Ok(Some(line.slice(..line.len() - 1)));
            }
            seen = self.buffer.len();
            if seen > MAX_LINE {
                return Err(self.not_understood("a line is too long"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    return Err(ClientError::Broken {
                        address: self.address.clone(),
                        source: Box::new(error),
                    });
                }
                None => return Ok(None),
            }
        }
    }

    fn not_understood(
        &self,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> ClientError {
        ClientError::Answer {
            address: self.address.clone(),
            source: error.into(),
        }
    }
}

/// The values of a body. The stream ends after the first error.
pub(super) fn values<T: DeserializeOwned + Send + 'static>(
    body: Incoming,
    address: Address,
) -> BoxStream<'static, Result<T, ClientError>> {
    let lines = Lines::of(body, address);
    stream::unfold(Some(lines), |lines| async {
        let mut lines = lines?;
        match lines.next().await {
            Ok(None) => None,
            Ok(Some(line)) => match serde_json::from_slice(&line) {
                Ok(value) => Some((Ok(value), Some(lines))),
                Err(error) => Some((Err(lines.not_understood(error)), None)),
            },
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}
