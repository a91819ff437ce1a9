//! Looking at what serves, whether it goes on doing so.
//!
//! Flow: each container is tried when it is due, and what came of it is written into
//! [`Health`]; one that is to be restarted is, and visitors hear of what has changed.
//! Guarantees: tries at the same time are bounded, whatever the number of apps; an app that
//! an operation works on is left alone.

use crate::Error;
use crate::apps::{App, Apps};
use crate::health::{Health, Watch};
use crate::ready::Prober;
use crate::status::Statuses;
use doprax_core::blueprint::Container;
use doprax_core::copy::CopyName;
use doprax_core::name::AppName;
use doprax_core::plan::Act;
use doprax_engine::{Engine, Inputs};
use doprax_store::Store;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Tries at the same time.
const TRIES_AT_ONCE: usize = 32;

/// How often it is looked which tries are due.
const TICK: Duration = Duration::from_millis(500);

/// How long a restart may take beside the container's own time to end.
const LONGEST_TRY: Duration = Duration::from_secs(60);

/// Tries the probes of what serves.
pub(crate) struct Checkup {
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) prober: Arc<Prober>,
    pub(crate) apps: Arc<Apps>,
    pub(crate) health: Arc<Health>,
    pub(crate) statuses: Arc<Statuses>,
}

impl Checkup {
    /// Looks at what serves, again and again.
    pub(crate) async fn keep_looking(self: &Arc<Self>) {
        let tries = Arc::new(Semaphore::new(TRIES_AT_ONCE));
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for (app, subject) in self.health.take_due() {
                let Ok(turn) = Arc::clone(&tries).acquire_owned().await else {
                    return;
                };
                let checkup = Arc::clone(self);
                tokio::spawn(async move {
                    let tried = checkup.try_health(&app, &subject);
                    if !matches!(tokio::time::timeout(LONGEST_TRY, tried).await, Ok(Ok(()))) {
                        checkup.health.put_off(&app, &subject.spec.name);
                    }
                    drop(turn);
                });
            }
        }
    }

    async fn try_health(&self, name: &AppName, subject: &Watch) -> Result<(), Error> {
        let app = self.apps.of(name);
        let Watch {
            spec, host, found, ..
        } = subject;
        if app.queue.running().is_some() {
            self.health.put_off(name, &spec.name);
            return Ok(());
        }
        let inputs = self.probe_inputs(name, spec).await?;
        let tried = self.prober.subject_of(name, found, host.clone(), false);
        let verdict = self
            .prober
            .judge(&inputs, spec, found, tried.as_ref(), true)
            .await;
        let was = self.health.of(name, &spec.name).is_some();
        if self.health.take_down(name, subject, verdict) {
            self.restart_unhealthy(name, &app, spec).await?;
        }
        // Whoever watches hears of it at once.
        if self.health.of(name, &spec.name).is_some() != was && app.queue.running().is_none() {
            self.statuses.refresh(name).await?;
        }
        Ok(())
    }

    /// The secrets that a container's probes name.
    async fn probe_inputs(&self, app: &AppName, spec: &Container) -> Result<Inputs, Error> {
        let mut inputs = Inputs::default();
        if spec.probes.iter().any(|probe| probe.check.needs_secrets())
            && let Some(record) = self.store.app_in_brief(app).await?
            && let Some(release) = record.release
        {
            let revisions = &release.blueprint.revisions;
            inputs.secrets = self.store.secrets_at(app, revisions).await?;
        }
        Ok(inputs)
    }

    /// Restarts a container that does not serve, unless something else works on its app:
    /// then with the next failure.
    async fn restart_unhealthy(
        &self,
        name: &AppName,
        app: &App,
        spec: &Container,
    ) -> Result<(), Error> {
        let Ok(_work) = app.work.try_lock() else {
            return Ok(());
        };
        if app.queue.running().is_some() {
            return Ok(());
        }
        let reason = self.health.of(name, &spec.name).map(|found| found.reason);
        tracing::warn!(app = %name, container = %spec.name, reason, "restarting what is unhealthy");
        let act = Act::RestartContainer {
            container: CopyName::serving(&spec.name),
            grace_ms: spec.stop_grace_ms,
        };
        self.engine
            .apply(name, &act, &Inputs::default(), &(Arc::new(|_| {}) as _))
            .await?;
        Ok(())
    }
}
