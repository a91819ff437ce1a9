//! The body of a request on its way to a container.

use super::arriving::Arriving;
use super::{BoxError, Incoming};
use crate::account::{Account, Meter};
use crate::fields;
use crate::gate::Deadline;
use crate::refusal::Refusal;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// The body of a request on its way to a container.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// None; such a request can be sent a second time.
    Empty,
    /// The client's, as it arrives.
    Streamed {
        arriving: Arriving,
        quiet: Deadline,
        limit: Option<Duration>,
        progress: Arc<Progress>,
        meter: Meter,
    },
}

/// How far a request's body has come, for whoever waits for the response.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Since when it is the container's turn.
    turn: Mutex<Option<Instant>>,
    ended: AtomicBool,
    failure: OnceLock<Refusal>,
}

impl Progress {
    fn new() -> Self {
        Self {
            turn: Mutex::new(Some(Instant::now())),
            ended: AtomicBool::new(false),
            failure: OnceLock::new(),
        }
    }

    /// Since when the container could have read, or answered; nothing if it is the
    /// client who has to send.
    pub(crate) fn containers_turn(&self) -> Option<Instant> {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all of it has arrived.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// What the client did wrong, if the body ended by that.
    pub(crate) fn failure(&self) -> Option<Refusal> {
        self.failure.get().copied()
    }

    fn turn(&self, containers: bool) {
        let since = containers.then(Instant::now);
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn fail(&self, failure: Refusal) {
        // The first is the reason for what comes after it.
        let _ = self.failure.set(failure);
    }
}

impl RequestBody {
    /// A client's body, which breaks off if nothing comes for `limit`. Without one the
    /// gate measures it.
    pub(crate) fn new(incoming: Incoming, limit: Option<Duration>, account: &Account) -> Self {
        if incoming.is_end_stream() {
            return Self::Empty;
        }
        Self::Streamed {
            arriving: Arriving::new(incoming, limit.is_some()),
            quiet: Deadline::default(),
            limit,
            progress: Arc::new(Progress::new()),
            meter: account.meter(),
        }
    }

    /// How far it will have come, if there is a body.
    pub(crate) fn progress(&self) -> Option<Arc<Progress>> {
        match self {
            Self::Empty => None,
            Self::Streamed { progress, .. } => Some(Arc::clone(progress)),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self::Streamed {
            arriving,
            quiet,
            limit,
            progress,
            meter,
        } = self.get_mut()
        else {
            return Poll::Ready(None);
        };
        let frame = arriving.poll_frame(cx);
        progress.turn(frame.is_ready());
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            meter.received(data.len());
        }
        let by_http2 = limit.is_some();
        match (frame, limit) {
            (Poll::Ready(frame), _) => {
                quiet.clear();
                // The gate has read those of HTTP/1.
                if let (true, Some(Ok(frame))) = (by_http2, &frame)
                    && let Some(trailers) = frame.trailers_ref()
                    && let Some(refusal) = fields::malformed(trailers).or_else(|| {
                        arriving
                            .has_pseudo_trailers()
                            .then_some(Refusal::PseudoTrailer)
                    })
                {
                    progress.fail(refusal);
                    return Poll::Ready(Some(Err("the trailers are malformed".into())));
                }
                let ended = frame.is_none() || arriving.is_end_stream();
                progress.ended.store(ended, Ordering::Relaxed);
                if let Some(Err(_)) = &frame {
                    progress.fail(Refusal::BodyBroken);
                }
                Poll::Ready(frame)
            }
            (Poll::Pending, Some(limit)) if quiet.passed(cx, *limit) => {
                progress.fail(Refusal::BodyTimeout);
                Poll::Ready(Some(Err("the client stopped sending".into())))
            }
            (Poll::Pending, _) => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed { arriving, .. } => arriving.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed { arriving, .. } => arriving.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::tests::{Sent, trailer};
    use std::future::poll_fn;

    const LONG: Duration = Duration::from_secs(3600);

    type Part = Option<Result<Frame<Bytes>, BoxError>>;

    async fn part(body: &mut RequestBody) -> Part {
        poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
    }

    /// Whether more has to come first.
    async fn waits(body: &mut RequestBody) -> bool {
        let part = poll_fn(|cx| Poll::Ready(Pin::new(&mut *body).poll_frame(cx)));
        part.await.is_pending()
    }

    #[tokio::test]
    async fn it_is_the_clients_turn_while_something_is_waited_for() {
        let mut sent = Sent::new(None, LONG).await;
        let progress = sent.body.progress().unwrap();
        let begin = progress.containers_turn();
        assert!(begin.is_some(), "nobody has asked for it yet");
        assert!(waits(&mut sent.body).await);
        assert_eq!(progress.containers_turn(), None);
        sent.send(5);
        let data = part(&mut sent.body).await.unwrap().unwrap();
        assert_eq!(data.into_data().unwrap().len(), 5);
        assert!(progress.containers_turn() > begin);
        assert!(!progress.has_ended());
        sent.end(true);
        let trailers = part(&mut sent.body).await.unwrap().unwrap();
        assert_eq!(trailers.into_trailers().unwrap(), trailer());
        assert!(part(&mut sent.body).await.is_none());
        assert!(progress.has_ended() && progress.failure().is_none());
        assert_eq!(sent.counters.read().received_bytes, 5);
    }

    #[tokio::test]
    async fn a_body_has_ended_with_its_last_part() {
        let mut sent = Sent::new(Some(5), LONG).await;
        let progress = sent.body.progress().unwrap();
        assert_eq!(sent.body.size_hint().exact(), Some(5));
        sent.send(3);
        assert!(part(&mut sent.body).await.unwrap().is_ok());
        assert_eq!(sent.body.size_hint().exact(), Some(2));
        assert!(!sent.body.is_end_stream() && !progress.has_ended());
        let last = Bytes::from_static(b"xx");
        sent.client.send_data(last, true).unwrap();
        assert!(part(&mut sent.body).await.unwrap().is_ok());
        assert!(sent.body.is_end_stream() && progress.has_ended());
        assert_eq!(sent.body.size_hint().exact(), Some(0));
    }

    #[tokio::test]
    async fn what_a_client_does_wrong_is_remembered() {
        let mut slow = Sent::new(None, Duration::from_millis(20)).await;
        assert!(part(&mut slow.body).await.unwrap().is_err());
        let mut gone = Sent::new(None, LONG).await;
        gone.client.send_reset(h2::Reason::CANCEL);
        assert!(part(&mut gone.body).await.unwrap().is_err());
        for (sent, failure) in [(slow, Refusal::BodyTimeout), (gone, Refusal::BodyBroken)] {
            let progress = sent.body.progress().unwrap();
            assert_eq!(progress.failure(), Some(failure));
        }
    }

    #[tokio::test]
    async fn a_request_without_a_body_has_none() {
        let mut body = RequestBody::Empty;
        assert!(body.is_end_stream() && body.progress().is_none());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(part(&mut body).await.is_none());
    }
}
