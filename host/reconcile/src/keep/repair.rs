//! Putting one app right.

use crate::Error;
use crate::apps::{App, Apps};
use crate::clock::now_ms;
use crate::deploy::neighbour::outdated_proxies;
use crate::deploy::{Executor, Rollout, context};
use crate::health::Health;
use crate::network::subnet::Subnets;
use crate::observe::Observer;
use crate::repairs::{Repair, Repairs};
use crate::report::Event;
use crate::retiring::Retiring;
use crate::routes::RouteTable;
use crate::run::{Emit, Run};
use crate::status::Statuses;
use doprax_core::blueprint::Blueprint;
use doprax_core::copy::CopyName;
use doprax_core::name::AppName;
use doprax_core::observed::{Observed, State};
use doprax_core::plan::{Act, Plan, Step};
use doprax_core::planner;
use doprax_core::proposal::Images;
use doprax_core::status::is_looping;
use doprax_engine::{Engine, Inputs};
use doprax_store::{AppRecord, Release, Store};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Apps looked after at the same time.
pub(crate) const APPS_AT_ONCE: usize = 8;

/// Looks at one app, and puts right what differs from its blueprint.
pub(crate) struct Repairer {
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) subnets: Arc<Subnets>,
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) statuses: Arc<Statuses>,
    pub(crate) health: Arc<Health>,
    pub(crate) apps: Arc<Apps>,
    pub(crate) repairs: Arc<Repairs>,
    pub(crate) retiring: Arc<Retiring>,
    pub(crate) executor: Arc<Executor>,
    pub(crate) rollout: Arc<Rollout>,
    /// Held while an app is looked at, not while a repair waits.
    pub(crate) looks: Semaphore,
}

/// What came of a look at an app.
pub(super) enum Look {
    /// It is as it should be, or somebody hears of it.
    Done,
    /// Somebody else changes its containers.
    Busy,
}

impl Repairer {
    /// Has a repair that waits in vain give up: what it waits for may need a container
    /// that has gone since it began.
    async fn interrupt(&self, name: &AppName, busy: bool) -> Result<(), Error> {
        if self.repairs.under_way(name).is_none() {
            return Ok(());
        }
        let Some(record) = self.store.app_in_brief(name).await? else {
            return Ok(());
        };
        let observed = self.observer.of(&record).await?;
        self.statuses.tell(&record, &observed, busy);
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
        if let Some(repair) = self.repairs.under_way(name)
            && (!revived(&plan).is_subset(&repair.revives) || last_ms >= Some(repair.began_ms))
        {
            repair.given_up.cancel();
        }
        Ok(())
    }

    /// Looks after an app, unless somebody else changes it, who is told where that is in vain.
    pub(super) async fn repair(&self, name: &AppName) -> Result<Look, Error> {
        let app = self.apps.of(name);
        let Ok(_work) = app.work.try_lock() else {
            self.interrupt(name, app.queue.running().is_some()).await?;
            return Ok(Look::Busy);
        };
        self.put_right(name, &app).await?;
        Ok(Look::Done)
    }

    /// Observes one app, renews its route, and puts right what differs from its
    /// blueprint.
    async fn put_right(&self, name: &AppName, app: &App) -> Result<(), Error> {
        let look = self.looks.acquire().await;
        if app.queue.running().is_some() {
            return Ok(());
        }
        app.last_look.forget();
        let Some(mut record) = self.store.app_in_brief(name).await? else {
            let observed = self.engine.observe(name).await?;
            return self.remove_orphan(name, &observed).await;
        };
        let observed = self.observer.of(&record).await?;
        // First: what is told is told of these checks.
        self.health.watch(&record, &observed);
        self.statuses.tell(&record, &observed, false);
        // An app with a network stays where it is for as long as that works.
        if record.release.is_some() && observed.network.is_none() {
            self.subnets.find_room(&mut record, &observed).await?;
        }
        let Some(release) = record.release.take() else {
            app.last_look.was_good(&observed);
            return Ok(());
        };
        let outdated = outdated_proxies(&self.store, &release.blueprint, &observed).await?;
        record.reloads.extend(outdated);
        let images = Images::all_present(&release.blueprint);
        // Asked before it is planned without these.
        let is_ending = self.retiring.is_under_way(name);
        let mut plan = self.plan_for(&record, &release, observed.clone(), &images);
        if plan.steps.is_empty() {
            // A volume that is gone may come back, a copy that is being ended may stay, and one
            // that crashed again and again counts as crashing for some seconds more.
            let gone = planner::gone_volumes(&release.blueprint, &observed, &record.made_volumes);
            let mut copies = observed.containers.iter();
            let is_looping = copies.any(|copy| is_looping(copy, now_ms()));
            if gone.is_empty() && !is_looping && !is_ending {
                app.last_look.was_good(&observed);
            }
            return Ok(());
        }
        // Something is missing; only now is it worth asking for every image.
        let images = self.images_of(&release.blueprint).await?;
        let observed = self.observer.of(&record).await?;
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
        let run = self.rollout.run_for(&release.blueprint, log).await?;
        drop(look);
        let repair = Repair {
            revives: revived(&plan),
            began_ms: now_ms(),
            given_up: run.failed.clone(),
        };
        self.repairs.begin(name, repair);
        let repaired = self.executor.execute(&run, &plan).await;
        self.repairs.end(name);
        record.release = Some(release);
        let observed = self.observer.of(&record).await?;
        // First: what is told is told of these checks.
        self.health.watch(&record, &observed);
        self.statuses.tell(&record, &observed, false);
        if let Err(Error::Engine(doprax_engine::Error::SubnetTaken { subnet })) = repaired {
            self.subnets.move_app(&mut record, &[subnet]).await?;
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
        let context = context(record, &record.stopped);
        let observed = self.retiring.ground(&release.blueprint, observed, images);
        planner::plan(&release.blueprint, &observed, &context)
    }

    /// The images of a blueprint that the engine has.
    async fn images_of(&self, blueprint: &Blueprint) -> Result<Images, Error> {
        let mut images = Images::default();
        for container in blueprint.containers.values() {
            let reference = container.image.reference();
            let id = container.identity.as_ref().map(|known| known.id.as_str());
            for name in id.into_iter().chain([reference]) {
                if !images.present.contains(reference) && self.engine.image(name).await?.is_some() {
                    images.present.insert(reference.to_owned());
                }
            }
        }
        Ok(images)
    }

    async fn remove_orphan(&self, app: &AppName, observed: &Observed) -> Result<(), Error> {
        self.routes.remove(app);
        self.health.unwatch(app);
        let plan = planner::removal(observed, None);
        if plan.steps.is_empty() {
            return Ok(());
        }
        tracing::info!(%app, "removing what is left of an app that is not known");
        let run = Run::for_images(app, Inputs::default(), Arc::new(|_| {}));
        self.executor.execute(&run, &plan).await
    }
}

/// The containers that a plan makes or starts.
fn revived(plan: &Plan) -> BTreeSet<CopyName> {
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
