//! How long a container may take to answer.

use super::error::Failure;
use crate::body::Progress;
use crate::gate::Deadline;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// For how long a container may leave it open whether it wants a body. Clients wait for as
/// long if nobody answers them (RFC 9110 section 10.1.1 bids them not to wait for ever).
pub(crate) const WANTED: Duration = Duration::from_secs(1);

/// How long a container may take to answer. The time that the client takes to send the
/// body does not count: `limit` runs while it is the container's turn.
#[derive(Debug)]
pub(super) struct Patience {
    pub(super) deadline: Deadline,
    limit: Duration,
    progress: Option<Arc<Progress>>,
}

impl Patience {
    pub(super) fn new(limit: Duration, progress: Option<Arc<Progress>>) -> Self {
        Self {
            deadline: Deadline::default(),
            limit,
            progress,
        }
    }

    /// Says of an answer that was polled whether it is still waited for.
    pub(super) fn wait<T>(
        &mut self,
        cx: &mut Context<'_>,
        answer: Poll<T>,
    ) -> Poll<Result<T, Failure>> {
        if let Poll::Ready(answer) = answer {
            self.deadline.clear();
            return Poll::Ready(Ok(answer));
        }
        while self.deadline.passed(cx, self.limit) {
            let now = Instant::now();
            let since = match &self.progress {
                None => return Poll::Ready(Err(Failure::ResponseTimeout)),
                Some(progress) => progress.containers_turn().unwrap_or(now),
            };
            if since + self.limit <= now {
                return Poll::Ready(Err(Failure::ResponseTimeout));
            }
            self.deadline.set(since + self.limit);
        }
        Poll::Pending
    }
}

/// Waits for an answer; see [`Patience`].
pub(crate) async fn answered<T>(
    limit: Duration,
    progress: Option<Arc<Progress>>,
    answer: impl Future<Output = T>,
) -> Result<T, Failure> {
    let mut answer = pin!(answer);
    let mut patience = Patience::new(limit, progress);
    poll_fn(|cx| {
        let answer = answer.as_mut().poll(cx);
        patience.wait(cx, answer)
    })
    .await
}
