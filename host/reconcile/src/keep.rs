//! The loop that keeps what runs as it should be.
//!
//! Flow: a hint from the engine, or the timer, names apps; each is observed, its
//! route renewed, and what differs from its blueprint put right.
//! Guarantees: an app that an operation works on is left alone, and no app waits for
//! the repair of another; a volume is never removed; what belongs to no app any more is.
//! Assumes: hints may be lost or late. The timer finds what they missed, and an
//! engine that was away is looked at whole when it is back.

use crate::execute::Emit;
use crate::host::App;
use crate::journal::now_ms;
use crate::report::{Event, FailedRepair};
use crate::{Error, Host, status};
use doprax_core::change::Changed;
use doprax_core::name::AppName;
use doprax_core::observed::{Observed, State};
use doprax_core::plan::{Act, Plan, Step};
use doprax_core::planner;
use doprax_core::proposal::Images;
use doprax_store::{AppRecord, Release};
use futures_util::StreamExt as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Apps looked after at the same time.
const APPS_AT_ONCE: usize = 8;

/// How long hints are gathered before they are acted on: a restart gives several.
const GATHER: Duration = Duration::from_millis(30);

/// Pause before the engine is tried again after it went away.
const ENGINE_AWAY: Duration = Duration::from_secs(1);

/// Pause before a repair that failed is tried again; doubled with each failure.
const FIRST_BACK_OFF: Duration = Duration::from_secs(5);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);

/// How often one look may begin anew because something else went wrong meanwhile.
const MOST_TURNS: u32 = 10;

/// What the loop holds over all apps.
pub(crate) struct Upkeep {
    /// Held while an app is looked at, not while a repair waits.
    looks: Semaphore,
    back_off: Mutex<BackOff>,
}

/// A repair under way.
#[derive(Clone)]
pub(crate) struct Repair {
    /// The containers, by the engine's names, that it makes or starts.
    revives: BTreeSet<String>,
    /// Unix time in milliseconds of its beginning.
    began_ms: i64,
    /// Ends its waits.
    given_up: CancellationToken,
}

/// Repairs that failed: how often in a row, with what, and when the next is due.
#[derive(Default)]
struct BackOff(BTreeMap<AppName, (u32, FailedRepair)>);

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            looks: Semaphore::new(APPS_AT_ONCE),
            back_off: Mutex::default(),
        }
    }
}

impl Upkeep {
    fn back_off(&self) -> MutexGuard<'_, BackOff> {
        self.back_off.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets that a repair failed: somebody else has put the app right.
    pub(crate) fn put_right(&self, app: &AppName) {
        self.back_off().succeeded(app);
    }

    /// The latest repair of an app, if it failed.
    pub(crate) fn failed_repair(&self, app: &AppName) -> Option<FailedRepair> {
        let back_off = self.back_off();
        back_off.0.get(app).map(|(_, failed)| failed.clone())
    }
}

impl App {
    fn repair(&self) -> Option<Repair> {
        self.repair
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_repair(&self, repair: Option<Repair>) {
        *self.repair.lock().unwrap_or_else(PoisonError::into_inner) = repair;
    }

    /// Waits until nobody changes the app's containers. False if somebody waits already,
    /// who will see the same.
    async fn next_turn(&self) -> bool {
        if self.turn_awaited.swap(true, Ordering::SeqCst) {
            return false;
        }
        drop(self.work.lock().await);
        self.turn_awaited.store(false, Ordering::SeqCst);
        true
    }

    /// Ends the waits of a repair under way.
    pub(crate) fn give_up_repair(&self) {
        if let Some(repair) = self.repair() {
            repair.given_up.cancel();
        }
    }
}

/// What came of a look at an app.
enum Look {
    /// It is as it should be, or somebody hears of it.
    Done,
    /// Somebody else changes its containers.
    Busy,
}

/// The containers that a plan makes or starts.
fn revived(plan: &Plan) -> BTreeSet<String> {
    let acts = plan.steps.iter().filter_map(|planned| match &planned.step {
        Step::Engine(
            Act::CreateContainer { container, .. }
            | Act::StartContainer { container }
            | Act::RestartContainer { container, .. },
        ) => Some(container.clone()),
        _ => None,
    });
    acts.collect()
}

impl Host {
    /// Runs until the host ends.
    pub(crate) async fn keep(self: Arc<Self>) {
        let ending = self.ending().clone();
        ending.run_until_cancelled(self.keep_forever()).await;
    }

    async fn keep_forever(self: &Arc<Self>) {
        if self.config().allow_metadata
            && let Err(error) = self.guard.clear().await
        {
            tracing::warn!(%error, "rules of an earlier run were not removed");
        }
        let mut is_away = false;
        loop {
            let hints = self.engine().hints().await;
            if hints.is_err() != is_away {
                is_away = hints.is_err();
                self.events.tell(None, Changed::Engine { away: is_away });
            }
            let mut hints = match hints {
                Ok(hints) => hints,
                Err(error) => {
                    self.seen.missed(&error);
                    tracing::warn!(error = %Error::from(error).chain(), "the engine is away");
                    tokio::time::sleep(ENGINE_AWAY).await;
                    continue;
                }
            };
            // Hints are listened to first, so that nothing happens unseen in between.
            self.look_after_all().await;
            let mut timer = tokio::time::interval(self.config().interval);
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
                    _ = timer.tick() => self.look_after_all().await,
                }
            }
            tracing::info!("the engine ended its events");
            tokio::time::sleep(ENGINE_AWAY).await;
        }
    }

    async fn look_after_all(self: &Arc<Self>) {
        let (names, observed) = match tokio::join!(self.store().app_names(), self.look_at_all()) {
            (Ok(names), Ok(observed)) => (names, observed),
            (Err(error), _) => return tracing::error!(%error, "apps were not read"),
            (_, Err(error)) => {
                return tracing::warn!(error = %error.chain(), "the engine was not observed");
            }
        };
        self.guard_networks(&observed).await;
        let mut apps = BTreeSet::from_iter(names);
        let orphans = observed
            .iter()
            .filter(|(_, observed)| observed.network.is_some() || !observed.containers.is_empty())
            .map(|(app, _)| app.clone());
        apps.extend(orphans);
        self.look_after_some(apps);
    }

    /// Keeps what runs on these apps' networks from the machine.
    pub(crate) async fn guard_networks(&self, observed: &BTreeMap<AppName, Observed>) {
        if self.config().allow_metadata {
            return;
        }
        let networks = observed.values().filter_map(|found| found.network.as_ref());
        let subnets = networks.map(|network| network.subnet).collect();
        self.guard.hold(&self.config().engine, subnets).await;
    }

    /// Looks after each of these apps in a task of its own, so that none waits for
    /// another.
    fn look_after_some(self: &Arc<Self>, apps: BTreeSet<AppName>) {
        for app in apps {
            let host = Arc::clone(self);
            let ending = self.ending().clone();
            tokio::spawn(async move {
                ending.run_until_cancelled(host.look_after_one(&app)).await;
            });
        }
    }

    async fn look_after_one(&self, app: &AppName) {
        while let Look::Busy = self.look_after_if_due(app).await {
            // What went wrong may have done so after whoever has the app looked last.
            if !self.app(app).next_turn().await {
                return;
            }
        }
    }

    async fn look_after_if_due(&self, app: &AppName) -> Look {
        let is_due = self.upkeep.back_off().is_due(app);
        if !is_due {
            // Visitors hear meanwhile what there is to hear.
            if self.app(app).operation().is_none()
                && let Err(error) = self.look_after(app).await
            {
                tracing::warn!(%app, error = %error.chain(), "routes were not renewed");
            }
            return Look::Done;
        }
        for _ in 0..MOST_TURNS {
            let result = self.repair(app).await;
            match result {
                Ok(Look::Busy) => return Look::Busy,
                Ok(Look::Done) => {
                    self.upkeep.back_off().succeeded(app);
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

    /// Waits longer before the next try, and tells visitors.
    async fn repair_failed(&self, app: &AppName, error: String) {
        self.upkeep.back_off().failed(app.clone(), error);
        if let Err(error) = self.look_after(app).await {
            tracing::warn!(%app, error = %error.chain(), "routes were not renewed");
        }
    }

    /// Has a repair that waits in vain give up: what it waits for may need a container
    /// that has gone since it began.
    async fn interrupt(&self, name: &AppName, app: &App) -> Result<(), Error> {
        if app.repair().is_none() {
            return Ok(());
        }
        let Some(record) = self.store().app_in_brief(name).await? else {
            return Ok(());
        };
        let observed = self.observe(&record).await?;
        self.renew_route(&record, &observed, app.operation().is_some());
        let Some(release) = &record.release else {
            return Ok(());
        };
        let images = Images::all_present(&release.blueprint);
        // What it has started and somebody ended since, it does not start again.
        let ended_ms = observed.containers.iter().filter_map(|copy| {
            matches!(copy.state, State::Exited(_)).then_some(copy.started_ms)?
        });
        let last_ms = ended_ms.max();
        let plan = self.plan_for(&record, release, observed, &images);
        if let Some(repair) = app.repair()
            && (!revived(&plan).is_subset(&repair.revives) || last_ms >= Some(repair.began_ms))
        {
            repair.given_up.cancel();
        }
        Ok(())
    }

    /// Looks after an app, unless somebody else changes it, who is told where that is in vain.
    async fn repair(&self, name: &AppName) -> Result<Look, Error> {
        let app = self.app(name);
        let Ok(_work) = app.work.try_lock() else {
            self.interrupt(name, &app).await?;
            return Ok(Look::Busy);
        };
        self.put_right(name, &app).await?;
        Ok(Look::Done)
    }

    /// Observes one app, renews its route, and puts right what differs from its
    /// blueprint.
    async fn put_right(&self, name: &AppName, app: &App) -> Result<(), Error> {
        let look = self.upkeep.looks.acquire().await;
        if app.operation().is_some() {
            return Ok(());
        }
        let Some(mut record) = self.store().app_in_brief(name).await? else {
            let observed = self.engine().observe(name).await?;
            return self.remove_orphan(name, &observed).await;
        };
        let observed = self.observe(&record).await?;
        self.renew_route(&record, &observed, false);
        self.watch(&record, &observed);
        // An app with a network stays where it is for as long as that works.
        if record.release.is_some() && observed.network.is_none() {
            self.find_room(&mut record, &observed).await?;
        }
        let Some(release) = record.release.take() else {
            return Ok(());
        };
        let outdated = self.outdated_proxies(&release.blueprint, &observed).await?;
        record.reloads.extend(outdated);
        let images = Images::all_present(&release.blueprint);
        let mut plan = self.plan_for(&record, &release, observed, &images);
        if plan.steps.is_empty() {
            return Ok(());
        }
        // Something is missing; only now is it worth asking for every image.
        let images = self.images_of(&release.blueprint).await?;
        let observed = self.observe(&record).await?;
        plan = self.plan_for(&record, &release, observed, &images);
        tracing::info!(app = %name, steps = plan.steps.len(), "putting right");
        let log: Emit = {
            let name = name.clone();
            Arc::new(move |what| match what {
                Event::Planned { steps } => tracing::info!(app = %name, ?steps),
                Event::StepFailed { error, .. } => tracing::warn!(app = %name, error),
                Event::Note { text } => tracing::info!(app = %name, note = text),
                _ => {}
            })
        };
        let run = self.run_for(&release.blueprint, log).await?;
        drop(look);
        app.set_repair(Some(Repair {
            revives: revived(&plan),
            began_ms: now_ms(),
            given_up: run.failed.clone(),
        }));
        let repaired = self.execute(&run, &plan).await;
        app.set_repair(None);
        record.release = Some(release);
        let observed = self.observe(&record).await?;
        self.renew_route(&record, &observed, false);
        self.watch(&record, &observed);
        if let Err(Error::Engine(doprax_engine::Error::SubnetTaken { subnet })) = repaired {
            self.move_app(&mut record, &[subnet]).await?;
            return Err(Error::GivenUp);
        }
        repaired
    }

    /// The steps to an app's current release.
    fn plan_for(
        &self,
        record: &AppRecord,
        release: &Release,
        observed: Observed,
        images: &Images,
    ) -> Plan {
        let context = self.context(&record.stopped, &record.reloads, &record.made_volumes);
        let observed = self.ground(&release.blueprint, observed, images);
        planner::plan(&release.blueprint, &observed, &context)
    }

    /// The images of a blueprint that the engine has.
    async fn images_of(
        &self,
        blueprint: &doprax_core::blueprint::Blueprint,
    ) -> Result<Images, Error> {
        let mut images = Images::default();
        for container in blueprint.containers.values() {
            let reference = container.image.reference();
            let id = container.identity.as_ref().map(|known| known.id.as_str());
            for name in id.into_iter().chain([reference]) {
                if !images.present.contains(reference) && self.engine().image(name).await?.is_some()
                {
                    images.present.insert(reference.to_owned());
                }
            }
        }
        Ok(images)
    }

    async fn remove_orphan(&self, app: &AppName, observed: &Observed) -> Result<(), Error> {
        self.remove_route(app);
        self.unwatch(app);
        let plan = planner::removal(observed, None);
        if plan.steps.is_empty() {
            return Ok(());
        }
        tracing::info!(%app, "removing what is left of an app that is not known");
        let run = crate::execute::Run::for_images(
            app,
            doprax_engine::Material::default(),
            Arc::new(|_| {}),
        );
        self.execute(&run, &plan).await
    }

    /// Renews an app's route after an operation.
    pub(crate) async fn look_after(&self, name: &AppName) -> Result<(), Error> {
        let Some(record) = self.store().app_in_brief(name).await? else {
            self.remove_route(name);
            self.events.app_is_gone(name);
            return Ok(());
        };
        let observed = self.observe(&record).await?;
        self.renew_route(&record, &observed, false);
        Ok(())
    }

    /// Looks after an app soon, whatever failed before.
    pub(crate) fn look_after_now(self: &Arc<Self>, name: &AppName) {
        self.upkeep.back_off().succeeded(name);
        self.look_after_some(BTreeSet::from([name.clone()]));
    }

    /// `busy` says whether an operation is under way that is not at its end.
    fn renew_route(&self, record: &AppRecord, observed: &Observed, busy: bool) {
        let circumstances = self.circumstances(&record.name, busy);
        let status = status::of(self.config(), record, Some(observed), &circumstances);
        let release = record.release.as_ref().map(|release| release.number);
        self.events.app_is(&record.name, release, &status);
        self.set_target(&record.name, status.target);
    }
}

impl BackOff {
    fn is_due(&self, app: &AppName) -> bool {
        let last = self.0.get(app);
        last.is_none_or(|(_, failed)| failed.next_try_ms <= now_ms())
    }

    fn succeeded(&mut self, app: &AppName) {
        self.0.remove(app);
    }

    fn failed(&mut self, app: AppName, error: String) {
        let failures = self.0.get(&app).map_or(0, |(failures, _)| *failures);
        let pause = FIRST_BACK_OFF
            .saturating_mul(1 << failures.min(10))
            .min(LONGEST_BACK_OFF);
        let next_try_ms = now_ms() + pause.as_millis() as i64;
        let failed = FailedRepair { error, next_try_ms };
        self.0.insert(app, (failures + 1, failed));
    }
}
