//! How apps were when that was last told, so that only what differs is told.

use super::Events;
use doprax_core::change::Changed;
use doprax_core::name::{AppName, ServiceName};
use doprax_core::status::{AppState, Status};
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// How an app was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known {
    state: AppState,
    containers: BTreeMap<ServiceName, String>,
    /// Number of its release.
    release: Option<u64>,
}

impl Known {
    fn of(release: Option<u64>, status: &Status) -> Self {
        let containers = status.containers.iter();
        Self {
            state: status.state,
            containers: containers
                .map(|(name, state)| (name.clone(), state.to_string()))
                .collect(),
            release,
        }
    }
}

impl Events {
    /// Takes in how an app is without telling it: it was so before anybody could watch.
    pub(crate) fn know(&self, app: &AppName, release: Option<u64>, status: &Status) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(app.clone(), Known::of(release, status));
    }

    /// Tells what is different about an app.
    pub(crate) fn app_is(&self, app: &AppName, release: Option<u64>, status: &Status) {
        let now = Known::of(release, status);
        // Held while it is told: what two observe is told in the order of their looks.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let was = known.get(app);
        if was == Some(&now) {
            return;
        }
        for what in differences(was, &now) {
            self.tell(Some(app), what);
        }
        known.insert(app.clone(), now);
    }

    /// Tells that an app is not there any more, if it ever was.
    pub(crate) fn app_is_gone(&self, app: &AppName) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.remove(app).is_some() {
            self.tell(Some(app), Changed::Removed);
        }
    }
}

fn differences(was: Option<&Known>, now: &Known) -> Vec<Changed> {
    let mut all = Vec::new();
    let nothing = BTreeMap::new();
    let before = was.map_or(&nothing, |was| &was.containers);
    if let Some(release) = now.release
        && was.and_then(|was| was.release) != Some(release)
    {
        all.push(Changed::Release { release });
    }
    let gone = before
        .keys()
        .filter(|name| !now.containers.contains_key(*name));
    for name in now.containers.keys().chain(gone) {
        let (was, state) = (before.get(name), now.containers.get(name));
        if was != state {
            all.push(Changed::Container {
                container: name.clone(),
                state: state.cloned(),
                was: was.cloned(),
            });
        }
    }
    let was = was.map(|was| was.state);
    if was != Some(now.state) {
        let state = now.state;
        all.push(Changed::App { state, was });
    }
    all
}
