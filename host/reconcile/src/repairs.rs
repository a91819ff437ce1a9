//! Repairs: those under way, and those that failed, which are tried again later and later.

use crate::Clock;
use crate::report::FailedRepair;
use doprax_core::copy::CopyName;
use doprax_core::name::AppName;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Pause before a repair that failed is tried again; doubled with each failure.
const FIRST_BACK_OFF: Duration = Duration::from_secs(5);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);

/// What is known of the repairs of every app.
pub(crate) struct Repairs {
    clock: Clock,
    under_way: Mutex<HashMap<AppName, Repair>>,
    failed: Mutex<BackOff>,
}

/// A repair under way.
#[derive(Clone)]
pub(crate) struct Repair {
    /// The containers that it makes or starts.
    pub(crate) revives: BTreeSet<CopyName>,
    /// Unix time in milliseconds of its beginning.
    pub(crate) began_ms: i64,
    /// Ends its waits.
    pub(crate) given_up: CancellationToken,
}

/// Repairs that failed: how often in a row, with what, and when the next is due.
#[derive(Default)]
struct BackOff(BTreeMap<AppName, (u32, FailedRepair)>);

impl Repairs {
    /// None, and none has failed.
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            under_way: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// The repair under way on an app.
    pub(crate) fn under_way(&self, app: &AppName) -> Option<Repair> {
        self.lock().get(app).cloned()
    }

    /// A repair begins.
    pub(crate) fn begin(&self, app: &AppName, repair: Repair) {
        self.lock().insert(app.clone(), repair);
    }

    /// It has ended.
    pub(crate) fn end(&self, app: &AppName) {
        self.lock().remove(app);
    }

    /// Ends the waits of a repair under way.
    pub(crate) fn give_up(&self, app: &AppName) {
        if let Some(repair) = self.under_way(app) {
            repair.given_up.cancel();
        }
    }

    /// Whether a repair may be tried.
    pub(crate) fn is_due(&self, app: &AppName) -> bool {
        self.back_off().is_due(app, self.clock.now_ms())
    }

    /// Forgets that a repair failed: the app is as it should be, or has been put right by
    /// somebody else.
    pub(crate) fn succeeded(&self, app: &AppName) {
        self.back_off().succeeded(app);
    }

    /// Has the next try wait longer.
    pub(crate) fn has_failed(&self, app: &AppName, error: String) {
        let now_ms = self.clock.now_ms();
        self.back_off().failed(app.clone(), error, now_ms);
    }

    /// The latest repair of an app, if it failed.
    pub(crate) fn failed(&self, app: &AppName) -> Option<FailedRepair> {
        let back_off = self.back_off();
        back_off.0.get(app).map(|(_, failed)| failed.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AppName, Repair>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn back_off(&self) -> MutexGuard<'_, BackOff> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BackOff {
    fn is_due(&self, app: &AppName, now_ms: i64) -> bool {
        let last = self.0.get(app);
        last.is_none_or(|(_, failed)| failed.next_try_ms <= now_ms)
    }

    fn succeeded(&mut self, app: &AppName) {
        self.0.remove(app);
    }

    fn failed(&mut self, app: AppName, error: String, now_ms: i64) {
        let failures = self.0.get(&app).map_or(0, |(failures, _)| *failures);
        let pause = FIRST_BACK_OFF
            .saturating_mul(1 << failures.min(10))
            .min(LONGEST_BACK_OFF);
        let next_try_ms = now_ms + pause.as_millis() as i64;
        let failed = FailedRepair { error, next_try_ms };
        self.0.insert(app, (failures + 1, failed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> AppName {
        AppName::new(name).unwrap()
    }

    #[test]
    fn what_fails_again_and_again_is_tried_later_and_later_up_to_a_bound() {
        let (shop, blog) = (app("shop"), app("blog"));
        let mut back_off = BackOff::default();
        let mut now = 1_000_000;
        for pause in [5, 10, 20, 40, 80, 160, 300, 300, 300, 300, 300, 300, 300] {
            assert!(back_off.is_due(&shop, now));
            back_off.failed(shop.clone(), "no".to_owned(), now);
            now += pause * 1_000;
            assert!(!back_off.is_due(&shop, now - 1), "{pause} s");
            assert_eq!(back_off.0[&shop].1.next_try_ms, now);
        }
        assert!(back_off.is_due(&blog, 0), "another app is not held up");
        back_off.succeeded(&blog);
        assert!(!back_off.is_due(&shop, now - 1));
        back_off.succeeded(&shop);
        assert!(back_off.is_due(&shop, 0));
        back_off.failed(shop.clone(), "no".to_owned(), 0);
        assert!(back_off.is_due(&shop, 5_000), "it begins anew");
    }

    #[test]
    fn what_failed_last_is_told_until_something_succeeds() {
        let repairs = Repairs::new(Clock::default());
        for error in ["first", "second"] {
            repairs.has_failed(&app("shop"), error.to_owned());
        }
        assert_eq!(repairs.failed(&app("shop")).unwrap().error, "second");
        assert!(!repairs.is_due(&app("shop")));
        assert_eq!(repairs.failed(&app("blog")), None);
        repairs.succeeded(&app("shop"));
        assert_eq!(repairs.failed(&app("shop")), None);
        assert!(repairs.is_due(&app("shop")));
    }

    #[test]
    fn a_repair_under_way_is_given_up_at_its_own_app() {
        let repairs = Repairs::new(Clock::default());
        let repair = || Repair {
            revives: BTreeSet::new(),
            began_ms: 0,
            given_up: CancellationToken::new(),
        };
        for name in ["shop", "blog"] {
            repairs.begin(&app(name), repair());
        }
        repairs.give_up(&app("shop"));
        let is_given_up = |name: &str| {
            let repair = repairs.under_way(&app(name));
            repair.map(|repair| repair.given_up.is_cancelled())
        };
        assert_eq!(is_given_up("shop"), Some(true));
        assert_eq!(is_given_up("blog"), Some(false));
        repairs.end(&app("shop"));
        assert_eq!(is_given_up("shop"), None);
        assert_eq!(is_given_up("blog"), Some(false));
    }
}
