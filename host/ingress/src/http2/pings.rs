//! Whether a client is still there.

use crate::gate::Deadline;
use crate::limits::Limits;
use h2::{Ping, PingPong};
use std::task::{Context, Poll};
use std::time::Duration;

/// Asks a client from time to time whether it is still there (RFC 9113 section 6.7).
#[derive(Debug)]
pub(super) struct Pings {
    pings: PingPong,
    interval: Duration,
    timeout: Duration,
    asked: bool,
    deadline: Deadline,
}

impl Pings {
    pub(super) fn new(pings: PingPong, limits: &Limits) -> Self {
        Self {
            pings,
            interval: limits.http2_ping_interval,
            timeout: limits.http2_ping_timeout,
            asked: false,
            deadline: Deadline::default(),
        }
    }

    /// Whether it has left a ping without an answer. If not, the task is woken when
    /// there is more to ask.
    pub(super) fn is_lost(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            if self.asked {
                match self.pings.poll_pong(cx) {
                    Poll::Ready(Ok(_)) => {
                        self.asked = false;
                        self.deadline.clear();
                    }
                    // The connection is over, and says so itself.
                    Poll::Ready(Err(_)) => return false,
                    Poll::Pending => return self.deadline.passed(cx, self.timeout),
                }
            } else if self.deadline.passed(cx, self.interval) {
                if self.pings.send_ping(Ping::opaque()).is_err() {
                    return false;
                }
                self.asked = true;
                self.deadline.clear();
            } else {
                return false;
            }
        }
    }
}
