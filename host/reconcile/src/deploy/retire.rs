//! Ending old copies beside what comes next.
//!
//! Flow: what a plan does once the new copies have proved themselves is done in a task of
//! its own, and whoever waits for the plan does not wait for that: a copy may take long to
//! end its requests and itself. Which these are is known by [`Retiring`](crate::retiring::Retiring).
//! Guarantees: what is left undone, as by a crash of the host, the loop finds as copies that
//! are left over.

use super::Executor;
use crate::Error;
use crate::retiring::Copies;
use crate::run::Run;
use doprax_core::copy::CopyName;
use doprax_core::name::AppName;
use doprax_core::plan::{Act, Plan, PlannedStep, Step};
use std::sync::Arc;

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

impl Executor {
    /// Begins to end old copies.
    pub(super) async fn retire(self: &Arc<Self>, run: &Run, plan: Plan) -> Result<(), Error> {
        if plan.steps.is_empty() {
            return Ok(());
        }
        let observed = self.engine.observe(&run.app).await?;
        let ends = |name: &CopyName| {
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

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_core::copy::CopyName;
    use doprax_core::spec::Drain;

    fn remove(container: &str) -> Step {
        Step::Engine(Act::RemoveContainer {
            container: CopyName::Foreign(container.to_owned()),
        })
    }

    fn steps(steps: Vec<(Step, &[usize])>) -> Plan {
        let steps = steps.into_iter().map(|(step, after)| PlannedStep {
            step,
            after: after.to_vec(),
        });
        Plan {
            steps: steps.collect(),
        }
    }

    #[test]
    fn what_comes_from_the_drain_on_is_done_beside_what_comes_next() {
        let drain = || Step::Drain(Drain::default());
        let whole = steps(vec![
            (remove("a"), &[]),
            (Step::RetireConnections, &[0]),
            (drain(), &[0, 1]),
            (remove("b"), &[1, 2]),
        ]);
        let (first, last) = split(&whole);
        let expected = steps(vec![(remove("a"), &[]), (Step::RetireConnections, &[0])]);
        assert_eq!(first, expected);
        assert_eq!(last, steps(vec![(drain(), &[]), (remove("b"), &[0])]));
        let none = steps(vec![(remove("a"), &[])]);
        assert_eq!(split(&none), (none.clone(), Plan::default()));
    }
}
