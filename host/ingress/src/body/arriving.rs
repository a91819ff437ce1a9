//! The body of a request as it comes from a client.

use super::{BoxError, Incoming};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How much more is read of a body that nobody wants, and for how long.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 512 * 1024;

/// The body of a request as it comes from a client.
///
/// Where nobody wants the rest of it, it is heard out for a while. In HTTP/2 its stream
/// would be reset else (RFC 9113 section 8.1), and there are clients that take a reset
/// beside a response, which is often the reason for it, for a failure. In HTTP/1 the gate
/// sees to that.
#[derive(Debug)]
pub(crate) struct Arriving {
    incoming: Option<Incoming>,
    heard_out: bool,
}

/// Hears out a body of HTTP/2 that nobody wants.
pub(crate) fn decline(incoming: Incoming) {
    drop(Arriving::new(incoming, true));
}

impl Arriving {
    pub(super) fn new(incoming: Incoming, heard_out: bool) -> Self {
        Self {
            incoming: Some(incoming),
            heard_out,
        }
    }

    /// Waits for the next part.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.incoming {
            Some(incoming) => incoming.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    /// See [`Incoming::has_pseudo_trailers`].
    pub(super) fn has_pseudo_trailers(&self) -> bool {
        let incoming = self.incoming.as_ref();
        incoming.is_some_and(Incoming::has_pseudo_trailers)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let hint = self.incoming.as_ref().map(Incoming::size_hint);
        hint.unwrap_or_else(|| SizeHint::with_exact(0))
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if !self.heard_out || self.is_end_stream() {
            return;
        }
        // A runtime that ends takes the connection with it.
        if let (Some(incoming), Ok(runtime)) = (self.incoming.take(), Handle::try_current()) {
            runtime.spawn(timeout(LINGER, hear_out(incoming)));
        }
    }
}

async fn hear_out(mut incoming: Incoming) {
    let mut heard = 0;
    while heard < LINGER_BYTES
        && let Some(Ok(frame)) = poll_fn(|cx| incoming.poll_frame(cx)).await
    {
        heard += frame.data_ref().map_or(0, Bytes::len);
    }
}
