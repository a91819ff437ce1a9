//! The loop that keeps what runs as it should be.
//!
//! Flow: a hint from the engine, or the timer, names apps; each is observed, its
//! route renewed, and what differs from its blueprint put right.
//! Guarantees: an app that an operation works on is left alone; a volume is never
//! removed; what belongs to no app any more is.
//! Assumes: hints may be lost or late. The timer finds what they missed, and an
//! engine that was away is looked at whole when it is back.

use crate::execute::Emit;
use crate::journal::now_ms;
use crate::propose::Images;
use crate::report::What;
use crate::{Error, Host, routes};
use doprax_core::name::AppName;
use doprax_core::observed::Observed;
use doprax_core::planner;
use doprax_core::route::Target;
use doprax_store::AppRecord;
use futures_util::StreamExt as _;
use futures_util::stream;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Apps looked after at the same time.
const APPS_AT_ONCE: usize = 8;

/// How long hints are gathered before they are acted on: a restart gives several.
const GATHER: Duration = Duration::from_millis(30);

/// Pause before the engine is tried again after it went away.
const ENGINE_AWAY: Duration = Duration::from_secs(1);

/// Pause before a repair that failed is tried again; doubled with each failure.
const FIRST_BACK_OFF: Duration = Duration::from_secs(5);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);

/// Repairs that failed.
#[derive(Default)]
struct BackOff(BTreeMap<AppName, (u32, i64)>);

impl Host {
    /// Runs until the host ends.
    pub(crate) async fn keep(self: Arc<Self>) {
        let ending = self.ending().clone();
        ending.run_until_cancelled(self.keep_forever()).await;
    }

    async fn keep_forever(&self) {
        let mut back_off = BackOff::default();
        loop {
            let mut hints = match self.engine().hints().await {
                Ok(hints) => hints,
                Err(error) => {
                    tracing::warn!(error = %Error::from(error).chain(), "the engine is away");
                    tokio::time::sleep(ENGINE_AWAY).await;
                    continue;
                }
            };
            // Hints are listened to first, so that nothing happens unseen in between.
            self.look_after_all(&mut back_off).await;
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
                        self.look_after_some(apps, &mut back_off).await;
                    }
                    _ = timer.tick() => self.look_after_all(&mut back_off).await,
                }
            }
            tracing::info!("the engine ended its events");
            tokio::time::sleep(ENGINE_AWAY).await;
        }
    }

    async fn look_after_all(&self, back_off: &mut BackOff) {
        let (records, observed) = match tokio::join!(
            self.store().apps(),
            self.engine().observe_all()
        ) {
            (Ok(records), Ok(observed)) => (records, observed),
            (Err(error), _) => return tracing::error!(%error, "apps were not read"),
            (_, Err(error)) => {
                return tracing::warn!(error = %Error::from(error).chain(), "the engine was not observed");
            }
        };
        let known: BTreeSet<&AppName> = records.iter().map(|record| &record.name).collect();
        let orphans: Vec<AppName> = observed
            .iter()
            .filter(|(app, observed)| {
                !known.contains(app)
                    && (observed.network.is_some() || !observed.containers.is_empty())
            })
            .map(|(app, _)| app.clone())
            .collect();
        let apps = records
            .into_iter()
            .map(|record| record.name)
            .chain(orphans)
            .collect();
        self.look_after_some(apps, back_off).await;
    }

    async fn look_after_some(&self, apps: BTreeSet<AppName>, back_off: &mut BackOff) {
        let due: Vec<AppName> = apps
            .into_iter()
            .filter(|app| back_off.is_due(app))
            .collect();
        let results: Vec<(AppName, Result<(), Error>)> = stream::iter(due)
            .map(|app| async move {
                let result = self.repair(&app).await;
                (app, result)
            })
            .buffer_unordered(APPS_AT_ONCE)
            .collect()
            .await;
        for (app, result) in results {
            match result {
                Ok(()) => back_off.succeeded(&app),
                Err(error) => {
                    tracing::warn!(%app, error = %error.chain(), "the app could not be put right");
                    back_off.failed(app);
                }
            }
        }
    }

    /// Observes one app, renews its route, and puts right what differs from its
    /// blueprint.
    async fn repair(&self, name: &AppName) -> Result<(), Error> {
        let app = self.app(name);
        // Whoever holds the app looks at it again when done.
        let Ok(_work) = app.work.try_lock() else {
            return Ok(());
        };
        if app.operation().is_some() {
            return Ok(());
        }
        let observed = self.engine().observe(name).await?;
        let Some(record) = self.store().app(name).await? else {
            return self.remove_orphan(name, &observed).await;
        };
        self.renew_route(&record, &observed);
        let Some(release) = &record.release else {
            return Ok(());
        };
        let images = Images::all_present(&release.blueprint);
        let mut plan = self.plan_to(&release.blueprint, observed, &images, &record.stopped);
        if plan.steps.is_empty() {
            return Ok(());
        }
        // Something is missing; only now is it worth asking for every image.
        let images = self.images_of(&release.blueprint).await?;
        let observed = self.engine().observe(name).await?;
        plan = self.plan_to(&release.blueprint, observed, &images, &record.stopped);
        tracing::info!(app = %name, steps = plan.steps.len(), "putting right");
        let log: Emit = {
            let name = name.clone();
            Arc::new(move |what| match what {
                What::Planned { steps } => tracing::info!(app = %name, ?steps),
                What::StepFailed { error, .. } => tracing::warn!(app = %name, error),
                What::Note { text } => tracing::info!(app = %name, note = text),
                _ => {}
            })
        };
        let run = self.run_for(&release.blueprint, log).await?;
        let repaired = self.execute(&run, &plan).await;
        let observed = self.engine().observe(name).await?;
        self.renew_route(&record, &observed);
        repaired
    }

    /// The images of a blueprint that the engine has.
    async fn images_of(
        &self,
        blueprint: &doprax_core::blueprint::Blueprint,
    ) -> Result<Images, Error> {
        let mut images = Images::default();
        let references: BTreeSet<&str> = blueprint
            .containers
            .values()
            .map(|container| container.image.reference())
            .collect();
        for reference in references {
            if self.engine().image(reference).await?.is_some() {
                images.present.insert(reference.to_owned());
            }
        }
        Ok(images)
    }

    async fn remove_orphan(&self, app: &AppName, observed: &Observed) -> Result<(), Error> {
        self.remove_route(app);
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
        let Some(record) = self.store().app(name).await? else {
            self.remove_route(name);
            return Ok(());
        };
        let observed = self.engine().observe(name).await?;
        self.renew_route(&record, &observed);
        Ok(())
    }

    fn renew_route(&self, record: &AppRecord, observed: &Observed) {
        let Some(release) = &record.release else {
            let reason = record.last_error.clone();
            let target = reason.map_or(Target::Starting, |reason| {
                Target::Failed(reason.lines().next().unwrap_or_default().to_owned())
            });
            return self.set_target(&record.name, &BTreeSet::new(), target);
        };
        let blueprint = &release.blueprint;
        let stopped = record.stopped.contains(&blueprint.front.service);
        let target = routes::target(&self.config().instance, blueprint, observed, stopped);
        self.set_target(&record.name, &blueprint.domains, target);
    }
}

impl BackOff {
    fn is_due(&self, app: &AppName) -> bool {
        self.0.get(app).is_none_or(|(_, due)| *due <= now_ms())
    }

    fn succeeded(&mut self, app: &AppName) {
        self.0.remove(app);
    }

    fn failed(&mut self, app: AppName) {
        let (failures, due) = self.0.entry(app).or_default();
        let pause = FIRST_BACK_OFF
            .saturating_mul(1 << (*failures).min(10))
            .min(LONGEST_BACK_OFF);
        *failures += 1;
        *due = now_ms() + pause.as_millis() as i64;
    }
}
