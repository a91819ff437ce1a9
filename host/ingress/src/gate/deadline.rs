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
