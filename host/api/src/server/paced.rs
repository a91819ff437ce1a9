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

/// The pace at which a body has to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How long it may take at all.
    pub(super) patience: Duration,
    /// Bytes a second that earn it more time, at least one.
    pub(super) slowest: u64,
}

impl Pace {
    /// That of the API.
    pub(super) const USUAL: Self = Self {
        patience: Duration::from_secs(30),
        slowest: 4 << 10,
    };

    /// How long a body may take of which so many bytes have come.
    fn time(self, bytes: u64) -> Duration {
        let earned = bytes.saturating_mul(1000) / self.slowest;
        self.patience.saturating_add(Duration::from_millis(earned))
    }
}

/// A body did not come at the pace.
#[derive(Debug, thiserror::Error)]
#[error("the body came more slowly than {0} bytes a second")]
struct TooSlow(u64);

/// A body of a client that is known to owe it.
pub(super) struct Paced {
    body: Body,
    client: Arc<Client>,
    pace: Pace,
    start: Instant,
    bytes: u64,
    sleep: Pin<Box<Sleep>>,
}

impl Paced {
    pub(super) fn new(body: Body, client: Arc<Client>, pace: Pace) -> Self {
        let start = Instant::now();
        Self {
            body,
            client,
            pace,
            start,
            bytes: 0,
            sleep: Box::pin(tokio::time::sleep_until(start + pace.time(0))),
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
            let end = self.start + self.pace.time(self.bytes);
            if Instant::now() >= end {
                return Poll::Ready(Some(Err(TooSlow(self.pace.slowest).into())));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::place::Places;
    use futures_util::StreamExt as _;
    use futures_util::stream;
    use http_body_util::BodyExt as _;
    use std::convert::Infallible;

    #[test]
    fn what_comes_earns_time() {
        let pace = Pace::USUAL;
        assert_eq!(pace.time(0), Duration::from_secs(30));
        assert_eq!(pace.time(2), Duration::from_secs(30));
        assert_eq!(pace.time(4 << 10), Duration::from_secs(31));
        assert_eq!(pace.time(64 << 20), Duration::from_secs(30 + (16 << 10)));
        assert!(pace.time(u64::MAX) > pace.time(1 << 50));
    }

    /// A body of these parts, and then nothing for ever.
    async fn stalling(parts: &'static [&'static [u8]], pace: Pace) -> Paced {
        let parts = parts.iter().map(|part| Ok::<_, Infallible>(*part));
        let body = Body::from_stream(stream::iter(parts).chain(stream::pending()));
        let place = Places::new(1).take().await;
        Paced::new(body, Arc::clone(place.client()), pace)
    }

    #[tokio::test]
    async fn a_body_that_stops_is_given_up_after_the_time_that_it_has_earned() {
        const PARTS: [&[u8]; 2] = [b"0123456789", b"0123456789"];
        let pace = Pace {
            patience: Duration::from_millis(20),
            slowest: 100,
        };
        for (parts, earned) in [
            (&[][..], Duration::ZERO),
            (&PARTS[..], Duration::from_millis(200)),
        ] {
            let start = Instant::now();
            let mut body = stalling(parts, pace).await;
            for part in parts {
                let frame = body.frame().await.unwrap().unwrap();
                assert_eq!(frame.into_data().unwrap(), *part);
            }
            let error = body.frame().await.unwrap().unwrap_err();
            assert_eq!(error.to_string(), TooSlow(100).to_string());
            assert!(start.elapsed() >= pace.patience + earned);
        }
    }

    /// Time that has passed does not count while something is there to read.
    #[tokio::test]
    async fn a_body_that_is_there_is_read_at_any_pace_of_the_reader() {
        let pace = Pace {
            patience: Duration::ZERO,
            slowest: u64::MAX,
        };
        let mut body = stalling(&[b"one", b"two"], pace).await;
        for part in ["one", "two"] {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), part);
        }
        assert!(body.frame().await.unwrap().is_err());
    }
}
