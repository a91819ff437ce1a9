//! The loop that keeps what runs as it should be.
//!
//! Flow: a hint from the engine names apps; each is observed, its route renewed, and what
//! differs from its blueprint put right. So is, with each tick of the timer, what looks
//! otherwise in one look at all apps than when nothing was to be done; an app that does not
//! is looked at itself at a slower pace, see [`LastLook`](crate::apps::LastLook).
//! Guarantees: an app that an operation works on is left alone, and no app waits for
//! the repair of another; a volume is never removed; what belongs to no app any more is.
//! Assumes: hints may be lost or late. The timer finds what they missed, and when an engine
//! that was away is back, every app is looked at.

mod checkup;
mod repair;

use crate::Error;
use crate::apps::Apps;
use crate::events::Events;
use crate::network::guard::Guard;
use crate::observe::Observer;
use crate::repairs::Repairs;
use crate::status::Statuses;
pub(crate) use checkup::Checkup;
use doprax_core::change::Changed;
use doprax_core::name::AppName;
use doprax_core::observed::Observed;
use doprax_engine::Engine;
use doprax_store::Store;
use futures_util::StreamExt as _;
use repair::Look;
pub(crate) use repair::{APPS_AT_ONCE, Repairer};
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long hints are gathered before they are acted on: a restart gives several.
const GATHER: Duration = Duration::from_millis(30);

/// Pause before the engine is tried again after it went away.
const ENGINE_AWAY: Duration = Duration::from_secs(1);

/// How often one look may begin anew because something else went wrong meanwhile.
const MOST_TURNS: u32 = 10;

/// Keeps what runs as it should be.
pub(crate) struct Upkeep {
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) statuses: Arc<Statuses>,
    pub(crate) apps: Arc<Apps>,
    pub(crate) repairs: Arc<Repairs>,
    pub(crate) repairer: Repairer,
    pub(crate) events: Arc<Events>,
    /// How often desired and observed are compared where no hint calls for it.
    pub(crate) interval: Duration,
    pub(crate) ending: CancellationToken,
    /// Apps at which somebody waits for a look.
    pub(crate) awaited: Mutex<HashSet<AppName>>,
}

impl Upkeep {
    /// Looks after apps, again and again.
    pub(crate) async fn keep(self: &Arc<Self>) {
        self.guard.begin().await;
        let mut is_away = false;
        loop {
            let hints = self.engine.hints().await;
            if hints.is_err() != is_away {
                is_away = hints.is_err();
                self.events.tell(None, Changed::Engine { away: is_away });
            }
            let mut hints = match hints {
                Ok(hints) => hints,
                Err(error) => {
                    self.observer.missed(&error);
                    tracing::warn!(error = %Error::from(error).chain(), "the engine is away");
                    tokio::time::sleep(ENGINE_AWAY).await;
                    continue;
                }
            };
            // Hints are listened to first, so that nothing happens unseen in between.
            let mut is_back = self.look_after_all(true).await;
            let mut timer = tokio::time::interval(self.interval);
            timer.reset();
            loop {
                tokio::select! {
                    hint = hints.next() => {
                        let Some(first) = hint else { break };
                        let mut apps = BTreeSet::from([first]);
                        let gather = tokio::time::sleep(GATHER);
                        tokio::pin!(gather);
                        loop {
                            tokio::select! {
                                () = &mut gather => break,
                                hint = hints.next() => match hint {
                                    Some(app) => { apps.insert(app); }
                                    None => break,
                                },
                            }
                        }
                        self.look_after_some(apps);
                    }
                    _ = timer.tick() => is_back |= self.look_after_all(!is_back).await,
                }
            }
            tracing::info!("the engine ended its events");
            tokio::time::sleep(ENGINE_AWAY).await;
        }
    }

    /// Looks after every app: closely where `closely`, else only where one look at all of
    /// them shows what was not there when nothing was to be done. False if they could not be
    /// looked at.
    async fn look_after_all(self: &Arc<Self>, closely: bool) -> bool {
        let (names, observed) =
            match tokio::join!(self.store.app_names(), self.observer.look_at_all()) {
                (Ok(names), Ok(observed)) => (names, observed),
                (Err(error), _) => {
                    tracing::error!(%error, "apps were not read");
                    return false;
                }
                (_, Err(error)) => {
                    tracing::warn!(error = %error.chain(), "the engine was not observed");
                    return false;
                }
            };
        self.guard.hold(&observed).await;
        let mut apps = BTreeSet::from_iter(names);
        let orphans = observed
            .iter()
            .filter(|(_, observed)| observed.network.is_some() || !observed.containers.is_empty())
            .map(|(app, _)| app.clone());
        apps.extend(orphans);
        if !closely {
            let nothing = Observed::default();
            apps.retain(|app| {
                let shown = observed.get(app).unwrap_or(&nothing);
                self.apps.of(app).last_look.is_outdated(shown)
            });
        }
        self.look_after_some(apps);
        true
    }

    /// Looks after each of these apps in a task of its own, so that none waits for
    /// another.
    fn look_after_some(self: &Arc<Self>, apps: BTreeSet<AppName>) {
        for app in apps {
            let upkeep = Arc::clone(self);
            tokio::spawn(async move {
                let ending = upkeep.ending.clone();
                ending
                    .run_until_cancelled(upkeep.look_after_one(&app))
                    .await;
            });
        }
    }

    async fn look_after_one(&self, app: &AppName) {
        while let Look::Busy = self.look_after_if_due(app).await {
            // What went wrong may have done so after whoever has the app looked last.
            if !self.next_turn(app).await {
                return;
            }
        }
    }

    async fn look_after_if_due(&self, app: &AppName) -> Look {
        let is_due = self.repairs.is_due(app);
        if !is_due {
            // Visitors hear meanwhile what there is to hear.
            if self.apps.operation(app).is_none()
                && let Err(error) = self.statuses.refresh(app).await
            {
                tracing::warn!(%app, error = %error.chain(), "routes were not renewed");
            }
            return Look::Done;
        }
        for _ in 0..MOST_TURNS {
            let result = self.repairer.repair(app).await;
            match result {
                Ok(Look::Busy) => return Look::Busy,
                Ok(Look::Done) => {
                    self.repairs.succeeded(app);
                    return Look::Done;
                }
                // Something else went wrong meanwhile: that goes first.
                Err(Error::GivenUp) => {}
                Err(error) => {
                    tracing::warn!(%app, error = %error.chain(), "the app could not be put right");
                    self.repair_failed(app, error.chain()).await;
                    return Look::Done;
                }
            }
        }
        let error = "something else went wrong each time it was tried".to_owned();
        self.repair_failed(app, error).await;
        Look::Done
    }

    /// Waits until nobody changes the app's containers. False if somebody waits already,
    /// who will see the same.
    async fn next_turn(&self, app: &AppName) -> bool {
        if !self.awaited().insert(app.clone()) {
            return false;
        }
        drop(self.apps.of(app).work.lock().await);
        self.awaited().remove(app);
        true
    }

    fn awaited(&self) -> MutexGuard<'_, HashSet<AppName>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits longer before the next try, and tells visitors.
    async fn repair_failed(&self, app: &AppName, error: String) {
        self.repairs.has_failed(app, error);
        if let Err(error) = self.statuses.refresh(app).await {
            tracing::warn!(%app, error = %error.chain(), "routes were not renewed");
        }
    }

    /// Looks after an app soon, whatever failed before.
    pub(crate) fn look_after_now(self: &Arc<Self>, name: &AppName) {
        self.repairs.succeeded(name);
        self.look_after_some(BTreeSet::from([name.clone()]));
    }
}
