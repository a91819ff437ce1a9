//! When something is due. Pure: the time and chance are passed in.

use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A certificate is renewed no sooner than this after it was issued, whatever the clock,
/// the lifetime or the CA says: no mistake of theirs may become a flood of orders.
const REST: Duration = Duration::from_secs(60 * 60);

/// Below this lifetime a certificate is renewed at its half.
const SHORT_LIVED: Duration = DAY.saturating_mul(10);

/// When names are tried again or renewed, and why not before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Schedule {
    /// When the certificate is to be renewed.
    pub(crate) renew_at: Option<SystemTime>,
    /// The window that the CA suggested and `renew_at` was drawn from.
    pub(crate) window: Option<(SystemTime, SystemTime)>,
    /// When the CA is to be asked for its window.
    pub(crate) poll_at: Option<SystemTime>,
    /// Attempts that have failed since the last success.
    pub(crate) failures: u32,
    /// Nothing is tried before.
    pub(crate) retry_at: Option<SystemTime>,
    /// What went wrong in the last attempt.
    pub(crate) last_error: Option<String>,
}

impl Schedule {
    /// For a certificate that was just issued. Its CA is asked for a window at once.
    pub(crate) fn issued(
        not_before: SystemTime,
        not_after: SystemTime,
        now: SystemTime,
        chance: f64,
    ) -> Self {
        Self {
            renew_at: Some(renew_at(not_before, not_after, chance)),
            poll_at: Some(now),
            retry_at: Some(now + REST),
            ..Self::default()
        }
    }

    /// After an attempt that failed. `not_before` is what a CA or a limit asked for.
    pub(crate) fn failed(
        &self,
        error: String,
        not_before: Option<SystemTime>,
        now: SystemTime,
        chance: f64,
    ) -> Self {
        let failures = self.failures.saturating_add(1);
        let retry_at = now + back_off(failures, chance);
        Self {
            failures,
            retry_at: Some(not_before.map_or(retry_at, |time| time.max(retry_at))),
            last_error: Some(error),
            ..self.clone()
        }
    }

    /// After an attempt that was put off before anything was asked of a CA.
    pub(crate) fn put_off(&self, error: String, until: SystemTime) -> Self {
        Self {
            retry_at: Some(until),
            last_error: Some(error),
            ..self.clone()
        }
    }

    /// After a CA has suggested a window (RFC 9773 section 4.2). The moment within it
    /// is drawn once per window.
    pub(crate) fn suggested(
        &self,
        window: (SystemTime, SystemTime),
        ask_again: Duration,
        now: SystemTime,
        chance: f64,
    ) -> Self {
        let renew_at = if self.window == Some(window) {
            self.renew_at
        } else {
            Some(within(window, chance))
        };
        Self {
            renew_at,
            window: Some(window),
            poll_at: Some(now + ask_again.clamp(MINUTE, DAY)),
            ..self.clone()
        }
    }

    /// When an attempt to obtain or renew a certificate is due.
    pub(crate) fn attempt_at(&self, has_certificate: bool) -> SystemTime {
        let wanted = match self.renew_at {
            Some(time) if has_certificate => time,
            _ => SystemTime::UNIX_EPOCH,
        };
        self.retry_at.map_or(wanted, |time| time.max(wanted))
    }
}

/// When a certificate is renewed if its CA suggests nothing: with a third of its
/// lifetime left, or half if it lives less than ten days, and up to a tenth of that
/// earlier, so that certificates of one hour do not come back in one hour.
fn renew_at(not_before: SystemTime, not_after: SystemTime, chance: f64) -> SystemTime {
    let lifetime = not_after.duration_since(not_before).unwrap_or_default();
    let left = lifetime / if lifetime < SHORT_LIVED { 2 } else { 3 };
    not_after - left - left.mul_f64(0.1 * chance)
}

/// How long to wait after so many failures in a row: a minute, ten, a hundred, then a
/// day, and up to a fifth more.
fn back_off(failures: u32, chance: f64) -> Duration {
    let wait = match failures {
        0 => return Duration::ZERO,
        1 => MINUTE,
        2 => 10 * MINUTE,
        3 => 100 * MINUTE,
        _ => DAY,
    };
    wait + wait.mul_f64(0.2 * chance)
}

fn within((start, end): (SystemTime, SystemTime), chance: f64) -> SystemTime {
    let length = end.duration_since(start).unwrap_or_default();
    start + length.mul_f64(chance)
}

/// A number from 0 up to 1. Without a random source everything is early.
pub(crate) fn chance() -> f64 {
    let random = getrandom::u32().unwrap_or(0);
    f64::from(random) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(days: f64) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY.mul_f64(1000.0 + days)
    }

    #[test]
    fn renewed_at_a_third_or_half_of_what_is_left() {
        // Lifetime in days, chance, renewal in days after issuance.
        for (lifetime, chance, expected) in [
            (90.0, 0.0, 60.0),
            (90.0, 1.0, 57.0),
            (45.0, 0.0, 30.0),
            (45.0, 1.0, 28.5),
            (10.0, 0.0, 10.0 * 2.0 / 3.0),
            (6.0, 0.0, 3.0),
            (6.0, 1.0, 2.7),
            (0.0, 0.5, 0.0),
        ] {
            let found = renew_at(day(0.0), day(lifetime), chance);
            let off = found
                .duration_since(day(expected))
                .unwrap_or_else(|error| error.duration());
            assert!(
                off < Duration::from_secs(1),
                "{lifetime} {chance}: off by {off:?}"
            );
        }
    }

    #[test]
    fn waits_longer_after_each_failure() {
        let minutes: Vec<_> = (0..7)
            .map(|failures| back_off(failures, 0.0).as_secs() / 60)
            .collect();
        assert_eq!(minutes, [0, 1, 10, 100, 1440, 1440, 1440]);
        assert_eq!(back_off(1, 1.0), Duration::from_secs(72));
    }

    #[test]
    fn a_window_is_drawn_from_once() {
        let window = (day(10.0), day(12.0));
        let first =
            Schedule::default().suggested(window, Duration::from_secs(6 * 3600), day(0.0), 0.5);
        assert_eq!(first.renew_at, Some(day(11.0)));
        assert_eq!(first.poll_at, Some(day(0.25)));
        let again = first.suggested(window, Duration::ZERO, day(0.25), 0.9);
        assert_eq!(again.renew_at, Some(day(11.0)));
        assert_eq!(again.poll_at, Some(day(0.25) + MINUTE));
        let moved = again.suggested((day(1.0), day(1.0)), DAY * 9, day(0.5), 0.9);
        assert_eq!(moved.renew_at, Some(day(1.0)));
        assert_eq!(moved.poll_at, Some(day(1.5)));
    }

    #[test]
    fn a_clock_that_is_ahead_makes_no_flood() {
        let schedule = Schedule::issued(day(0.0), day(90.0), day(300.0), 0.0);
        assert_eq!(schedule.attempt_at(true), day(300.0) + REST);
        let always_past = schedule.suggested((day(0.0), day(0.0)), DAY, day(300.0), 0.0);
        assert_eq!(always_past.attempt_at(true), day(300.0) + REST);
    }

    #[test]
    fn a_failure_waits_for_whichever_is_later() {
        let schedule = Schedule::issued(day(0.0), day(90.0), day(0.0), 0.0);
        assert_eq!(schedule.attempt_at(true), day(60.0));
        assert_eq!(
            Schedule::default().attempt_at(false),
            SystemTime::UNIX_EPOCH
        );
        let failed = schedule.failed("down".into(), None, day(60.0), 0.0);
        assert_eq!(failed.attempt_at(true), day(60.0) + MINUTE);
        let told = failed.failed("busy".into(), Some(day(62.0)), day(60.1), 0.0);
        assert_eq!(told.attempt_at(true), day(62.0));
        assert_eq!(told.failures, 2);
        let put_off = told.put_off("limit".into(), day(63.0));
        assert_eq!((put_off.failures, put_off.attempt_at(true)), (2, day(63.0)));
    }
}
