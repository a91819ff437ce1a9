//! Ending old copies beside what comes next.
//!
//! Flow: what a plan does once the new copies have proved themselves is done in a task of
//! its own, and whoever waits for the plan does not wait for that: a copy may take long to
//! end its requests and itself.
//! Guarantees: copies that are being ended are no part of what is planned with, unless the
//! network itself moves; a copy that is wanted again is waited for. What is left undone, as
//! by a crash of the host, the loop finds as copies that are left over.

use super::Executor;
use crate::Error;
use crate::run::Run;
use doprax_core::blueprint::Blueprint;
use doprax_core::name::AppName;
use doprax_core::observed::Observed;
use doprax_core::plan::{Act, Plan, PlannedStep, Step};
use doprax_core::proposal::Images;
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How long what needs a volume waits for old copies that may have it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Copies that are being ended: the digest that each was made from, by the engine's id.
pub(crate) type Copies = BTreeMap<String, String>;

/// The copies of every app that are being ended.
#[derive(Default)]
pub(crate) struct Retiring(Mutex<HashMap<AppName, watch::Sender<Copies>>>);

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

impl Retiring {
    fn change(&self, app: &AppName, change: impl FnOnce(&mut Copies)) {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.entry(app.clone()).or_default().send_modify(change);
    }

    /// These copies are being ended.
    fn add(&self, app: &AppName, copies: Copies) {
        self.change(app, |all| all.extend(copies));
    }

    /// They have ended.
    fn remove(&self, app: &AppName, copies: &Copies) {
        self.change(app, |all| all.retain(|id, _| !copies.contains_key(id)));
    }

    fn subscribe(&self, app: &AppName) -> watch::Receiver<Copies> {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.entry(app.clone()).or_default().subscribe()
    }

    /// What is observed, as the planner takes it: with the images that there are, without
    /// the copies that are being ended.
    pub(crate) fn ground(
        &self,
        blueprint: &Blueprint,
        mut observed: Observed,
        images: &Images,
    ) -> Observed {
        observed.images.clone_from(&images.present);
        self.without(&blueprint.app, blueprint.subnet, &mut observed);
        observed
    }

    /// What is observed without the copies that are being ended.
    pub(crate) fn without(&self, name: &AppName, subnet: Ipv4Net, observed: &mut Observed) {
        let stays = observed
            .network
            .as_ref()
            .is_some_and(|network| network.subnet == subnet);
        if stays {
            let retiring = self.subscribe(name);
            let retiring = retiring.borrow();
            observed
                .containers
                .retain(|copy| !retiring.contains_key(&copy.id));
        }
    }

    /// Waits until no copy that a blueprint wants is being ended.
    pub(crate) async fn wait(&self, app: &AppName, blueprint: &Blueprint) {
        let mut retiring = self.subscribe(app);
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
    pub(crate) async fn wait_for_all(&self, app: &AppName) {
        let mut retiring = self.subscribe(app);
        let ended = retiring.wait_for(Copies::is_empty);
        // What still runs then is named by the engine.
        let _ = tokio::time::timeout(PATIENCE, ended).await;
    }
}

impl Executor {
    /// Begins to end old copies.
    pub(super) async fn retire(self: &Arc<Self>, run: &Run, plan: Plan) -> Result<(), Error> {
        if plan.steps.is_empty() {
            return Ok(());
        }
        let observed = self.engine.observe(&run.app).await?;
        let ends = |name: &str| {
            plan.steps.iter().any(|planned| {
                matches!(&planned.step, Step::Engine(Act::RemoveContainer { container })
                    if container == name)
            })
        };
        let copies: Copies = observed
            .containers
            .iter()
            .filter(|copy| ends(&copy.name))
            .map(|copy| (copy.id.clone(), copy.hash.clone()))
            .collect();
        self.retiring.add(&run.app, copies.clone());
        let executor = Arc::clone(self);
        let run = Run::beside(run);
        tokio::spawn(async move {
            let ending = executor.ending.clone();
            let ended = executor.carry_out_steps(&run, &plan);
            if let Some(Err(error)) = ending.run_until_cancelled(ended).await {
                tracing::warn!(app = %run.app, error = %error.chain(), "old copies were not ended");
            }
            executor.retiring.remove(&run.app, &copies);
            let cleaned = executor.clean_up_after(&run.app);
            ending.run_until_cancelled(cleaned).await;
        });
        Ok(())
    }

    /// Removes the images of copies that have ended, which were in use until now, once
    /// nobody changes the app: what an operation builds is needed by it alone at first.
    async fn clean_up_after(&self, name: &AppName) {
        let app = self.apps.of(name);
        let _work = app.work.lock().await;
        if let Ok(Some(record)) = self.store.app_in_brief(name).await
            && record.release.is_some()
        {
            self.retention.clean_up(name, None).await;
        }
    }
}
