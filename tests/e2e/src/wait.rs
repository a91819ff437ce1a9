//! Waiting for a condition, within a bounded time.

use std::time::{Duration, Instant};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Looks until `look` sees something, and returns it. Panics after `seconds`.
#[track_caller]
pub fn wait_for<T>(what: &str, seconds: u64, look: impl FnMut() -> Option<T>) -> T {
    match look_for(seconds, look) {
        Some(seen) => seen,
        None => panic!("waited {seconds} s in vain for {what}"),
    }
}

/// Looks until `look` sees something, for at most `seconds`.
pub(crate) fn look_for<T>(seconds: u64, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        let seen = look();
        if seen.is_some() || Instant::now() > end {
            return seen;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Looks again and again for `seconds` and panics as soon as the condition does not hold:
/// for what must not happen.
#[track_caller]
pub fn stays(what: &str, seconds: u64, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        assert!(holds(), "no longer: {what}");
        std::thread::sleep(PAUSE);
    }
}
