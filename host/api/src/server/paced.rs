//! A request's body that has to come at a pace.

use super::place::Client;
use axum::body::Body;
use bytes::{Buf as _, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// How long a body may take at all, and longer by as much as these bytes a second earn it.
const PATIENCE: Duration = Duration::from_secs(30);
const SLOWEST: u64 = 4 << 10;

/// A body did not come at the pace.
#[derive(Debug, thiserror::Error)]
#[error("the body came more slowly than {} KiB a second", SLOWEST >> 10)]
struct TooSlow;

/// A body of a client that is known to owe it.
pub(super) struct Paced {
    body: Body,
    client: Arc<Client>,
    start: Instant,
    bytes: u64,
    sleep: Pin<Box<Sleep>>,
}

impl Paced {
    pub(super) fn new(body: Body, client: Arc<Client>) -> Self {
        let start = Instant::now();
        Self {
            body,
            client,
            start,
            bytes: 0,
            sleep: Box::pin(tokio::time::sleep_until(start + PATIENCE)),
        }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.client.owes_nothing();
            if let Some(Ok(frame)) = &frame
                && let Some(data) = frame.data_ref()
            {
                self.bytes += data.remaining() as u64;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        self.client.owes();
        loop {
            ready!(self.sleep.as_mut().poll(context));
            let earned = Duration::from_millis(self.bytes * 1000 / SLOWEST);
            let end = self.start + PATIENCE + earned;
            if Instant::now() >= end {
                return Poll::Ready(Some(Err(TooSlow.into())));
            }
            self.sleep.as_mut().reset(end);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
