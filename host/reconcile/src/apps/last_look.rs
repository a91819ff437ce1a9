//! What the loop saw of an app when it last found nothing to do, as far as a look at all apps
//! shows it: an app that still looks so is not looked at more closely.
//!
//! What such a look does not show: limits, starts that are long ago, volumes that somebody
//! brought back by hand, what an image's check of its health printed. A start is seen while it
//! is new; an app that lacks a volume, and one whose check fails, are always looked at closely;
//! limits that somebody changed unseen by the engine's hints are found at the slower pace at
//! which every app is.

use doprax_core::observed::{Observed, ObservedContainer, State};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Looks at all apps between two close ones at an app that goes on looking the same: so many
/// at least, and up to twice that, so that apps that started together part.
const LEAST_ROUNDS: u32 = 60;

/// What was seen; nothing where the app has to be looked at closely.
#[derive(Default)]
pub(crate) struct LastLook(Mutex<Option<Seen>>);

struct Seen {
    digest: u64,
    /// Looks at all apps until the next close one.
    rounds: u32,
}

impl LastLook {
    /// Has the app looked at closely the next time: it is about to be changed, or what it
    /// should be is.
    pub(crate) fn forget(&self) {
        *self.lock() = None;
    }

    /// It was looked at closely, and nothing was to be done.
    pub(crate) fn was_good(&self, observed: &Observed) {
        let digest = digest(observed);
        let rounds = LEAST_ROUNDS + (digest % u64::from(LEAST_ROUNDS)) as u32;
        *self.lock() = Some(Seen { digest, rounds });
    }

    /// Whether the app has to be looked at closely, now that a look at all apps shows this
    /// of it.
    pub(crate) fn is_outdated(&self, shown: &Observed) -> bool {
        let mut last = self.lock();
        let Some(seen) = last.as_mut() else {
            return true;
        };
        seen.rounds = seen.rounds.saturating_sub(1);
        seen.rounds == 0 || shown.containers.iter().any(is_unsteady) || seen.digest != digest(shown)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a container has just started, crashes, or does not pass its image's check.
fn is_unsteady(shown: &ObservedContainer) -> bool {
    shown.started_ms.is_some() || passes(shown) == Some(false)
}

/// Of one that does not run, the two kinds of looks say different things.
fn passes(copy: &ObservedContainer) -> Option<bool> {
    let check = copy.healthcheck.as_ref();
    check.filter(|_| copy.state == State::Running)?.passes
}

/// A digest of what both kinds of looks show.
fn digest(observed: &Observed) -> u64 {
    let mut hasher = DefaultHasher::new();
    let network = observed.network.as_ref();
    (network.map(|network| network.subnet), &observed.volumes).hash(&mut hasher);
    for copy in &observed.containers {
        let place = (copy.attached, copy.address);
        (&copy.id, &copy.name, copy.state, place, passes(copy)).hash(&mut hasher);
    }
    hasher.finish()
}
