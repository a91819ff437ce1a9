//! Ending old copies beside what comes next.
//!
//! Flow: what a plan does once the new copies have proved themselves is done in a task of
//! its own, and whoever waits for the plan does not wait for that: a copy may take long to
//! end its requests and itself.
//! Guarantees: copies that are being ended are no part of what is planned with, unless the
//! network itself moves; a copy that is wanted again is waited for. What is left undone, as
//! by a crash of the host, the loop finds as copies that are left over.

use crate::execute::Run;
use crate::host::App;
use crate::{Error, Host};
use doprax_core::blueprint::Blueprint;
use doprax_core::name::AppName;
use doprax_core::observed::Observed;
use doprax_core::plan::{Act, Plan, PlannedStep, Step};
use ipnet::Ipv4Net;
use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How long what needs a volume waits for old copies that may have it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Copies that are being ended: the digest that each was made from, by the engine's id.
pub(crate) type Retiring = BTreeMap<String, String>;

impl App {
    fn retiring(&self) -> MutexGuard<'_, watch::Sender<Retiring>> {
        self.retiring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The steps up to those that end old copies, and those.
pub(crate) fn split(plan: &Plan) -> (Plan, Plan) {
    let drains = |planned: &PlannedStep| matches!(planned.step, Step::Drain(_));
    let at = plan.steps.iter().position(drains);
    let (first, last) = plan.steps.split_at(at.unwrap_or(plan.steps.len()));
    let last = last.iter().map(|planned| PlannedStep {
        step: planned.step.clone(),
        after: planned
            .after
            .iter()
            .filter_map(|before| before.checked_sub(first.len()))
            .collect(),
    });
    let steps = last.collect();
    (
        Plan {
            steps: first.to_vec(),
        },
        Plan { steps },
    )
}

impl Host {
    /// Begins to end old copies.
    pub(crate) async fn retire(&self, run: &Run, plan: Plan) -> Result<(), Error> {
        if plan.steps.is_empty() {
            return Ok(());
        }
        let observed = self.engine().observe(&run.app).await?;
        let ends = |name: &str| {
            plan.steps.iter().any(|planned| {
                matches!(&planned.step, Step::Engine(Act::RemoveContainer { container })
                    if container == name)
            })
        };
        let copies: Retiring = observed
            .containers
            .iter()
            .filter(|copy| ends(&copy.name))
            .map(|copy| (copy.id.clone(), copy.hash.clone()))
            .collect();
        let app = self.app(&run.app);
        app.retiring()
            .send_modify(|retiring| retiring.extend(copies.clone()));
        let Some(host) = self.this() else {
            return Ok(());
        };
        let run = Run::beside(run);
        let ending = self.ending().clone();
        tokio::spawn(async move {
            let ended = host.carry_out_steps(&run, &plan);
            if let Some(Err(error)) = ending.run_until_cancelled(ended).await {
                tracing::warn!(app = %run.app, error = %error.chain(), "old copies were not ended");
            }
            app.retiring()
                .send_modify(|retiring| retiring.retain(|id, _| !copies.contains_key(id)));
            ending
                .run_until_cancelled(host.clean_up_after(&run.app, &app))
                .await;
        });
        Ok(())
    }

    /// Removes the images of copies that have ended, which were in use until now, once
    /// nobody changes the app: what an operation builds is needed by it alone at first.
    async fn clean_up_after(&self, name: &AppName, app: &App) {
        let _work = app.work.lock().await;
        if let Ok(Some(record)) = self.store().app_in_brief(name).await
            && record.release.is_some()
        {
            self.clean_up(name, None).await;
        }
    }

    /// What is observed without the copies that are being ended.
    pub(crate) fn without_retiring(
        &self,
        name: &AppName,
        subnet: Ipv4Net,
        observed: &mut Observed,
    ) {
        let stays = observed
            .network
            .as_ref()
            .is_some_and(|network| network.subnet == subnet);
        if stays {
            let app = self.app(name);
            let retiring = app.retiring();
            let retiring = retiring.borrow();
            observed
                .containers
                .retain(|copy| !retiring.contains_key(&copy.id));
        }
    }

    /// Waits until no copy that a blueprint wants is being ended.
    pub(crate) async fn await_retired(&self, app: &AppName, blueprint: &Blueprint) {
        let mut retiring = self.app(app).retiring().subscribe();
        let wanted: Vec<String> = blueprint
            .containers
            .values()
            .flat_map(|spec| {
                // Containers of earlier hosts bear the second.
                [
                    spec.made_from(&blueprint.revisions),
                    spec.hash(&blueprint.revisions),
                ]
            })
            .collect();
        // The sender lives as long as the app's entry.
        let _ = retiring
            .wait_for(|retiring| !retiring.values().any(|hash| wanted.contains(hash)))
            .await;
    }

    /// Waits until every old copy of an app has ended, for a minute at most.
    pub(crate) async fn await_all_retired(&self, app: &AppName) {
        let mut retiring = self.app(app).retiring().subscribe();
        let ended = retiring.wait_for(Retiring::is_empty);
        // What still runs then is named by the engine.
        let _ = tokio::time::timeout(PATIENCE, ended).await;
    }
}
