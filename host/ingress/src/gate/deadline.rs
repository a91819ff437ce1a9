//! A deadline that is often set and seldom met.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline for something that is polled. Clearing and setting it anew costs no
/// timer: the one that runs is asked again when it fires early.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    until: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// What was waited for has happened.
    pub(crate) fn clear(&mut self) {
        self.until = None;
    }

    /// Until when it is waited for what is being waited for.
    pub(crate) fn set(&mut self, until: Instant) {
        self.until = Some(until);
    }

    /// Whether `limit` has passed since the first call after [`Self::clear`]. If not,
    /// the task is woken when it has.
    pub(crate) fn passed(&mut self, cx: &mut Context<'_>, limit: Duration) -> bool {
        let until = *self.until.get_or_insert_with(|| Instant::now() + limit);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() > until {
            timer.as_mut().reset(until);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= until {
                return true;
            }
            timer.as_mut().reset(until);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Poll;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(3600);
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Whether it has passed already.
    async fn has_passed(deadline: &mut Deadline, limit: Duration) -> bool {
        poll_fn(|cx| Poll::Ready(deadline.passed(cx, limit))).await
    }

    /// Waits until it has passed; returns when that was.
    async fn passed(deadline: &mut Deadline, limit: Duration) -> Instant {
        let passed = poll_fn(|cx| match deadline.passed(cx, limit) {
            true => Poll::Ready(Instant::now()),
            false => Poll::Pending,
        });
        tokio::time::timeout(PATIENCE, passed).await.unwrap()
    }

    #[tokio::test]
    async fn a_deadline_holds_until_it_is_cleared() {
        let mut deadline = Deadline::default();
        assert!(!has_passed(&mut deadline, LONG).await);
        for limit in [Duration::ZERO, SHORT] {
            deadline.clear();
            let begin = Instant::now();
            assert!(passed(&mut deadline, limit).await >= begin + limit);
            assert!(has_passed(&mut deadline, LONG).await, "it stays passed");
        }
        deadline.clear();
        assert!(!has_passed(&mut deadline, LONG).await);
    }

    #[tokio::test]
    async fn a_deadline_may_be_moved_both_ways() {
        for before in [LONG, SHORT] {
            let mut deadline = Deadline::default();
            let begin = Instant::now();
            assert!(!has_passed(&mut deadline, before).await);
            deadline.set(begin + 2 * SHORT);
            assert!(passed(&mut deadline, before).await >= begin + 2 * SHORT);
            deadline.set(Instant::now() + LONG);
            assert!(!has_passed(&mut deadline, before).await);
        }
    }
}
