//! Starting, stopping and restarting what is deployed.

use super::{Executor, Goal, Rollout};
use crate::journal::RunningOperation;
use crate::network::subnet::Subnets;
use crate::observe::Observer;
use crate::record::{check_selection, record};
use crate::request::Control;
use crate::routes::RouteTable;
use crate::run::Emit;
use crate::status::Statuses;
use crate::volume::refuse_gone;
use crate::{Config, Error};
use doprax_core::name::ServiceName;
use doprax_core::observed::Observed;
use doprax_core::planner;
use doprax_core::proposal::Images;
use doprax_store::Store;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Starts, stops and restarts.
pub(crate) struct Controls {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) observer: Arc<Observer>,
    pub(crate) subnets: Arc<Subnets>,
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) statuses: Arc<Statuses>,
    pub(crate) executor: Arc<Executor>,
    pub(crate) rollout: Arc<Rollout>,
}

impl Controls {
    /// Carries out a start, stop or restart. Returns where the app can be reached.
    pub(crate) async fn run(
        &self,
        live: &Arc<RunningOperation>,
        selection: Option<&ServiceName>,
        control: Control,
    ) -> Result<Option<String>, Error> {
        let app = &live.operation().app;
        let mut record = record(&self.store, app).await?;
        check_selection(&record, selection)?;
        let observed = self.observer.of(&record).await?;
        if control != Control::Stop {
            self.subnets.find_room(&mut record, &observed).await?;
        }
        let Some(release) = &record.release else {
            return Err(Error::NotDeployed { app: app.clone() });
        };
        let mut blueprint = release.blueprint.clone();
        let selected: BTreeSet<ServiceName> = match selection {
            Some(container) => BTreeSet::from([container.clone()]),
            None => blueprint.containers.keys().cloned().collect(),
        };
        if control != Control::Stop {
            refuse_gone(
                &self.config.instance,
                &record,
                &blueprint,
                &observed,
                Some(&selected),
            )?;
        }
        let mut stopped = record.stopped.clone();
        match control {
            Control::Stop => stopped.extend(selected.iter().cloned()),
            Control::Start | Control::Restart => stopped.retain(|name| !selected.contains(name)),
        }
        // Written down first: whatever happens now, the loop knows what is wanted.
        self.store.set_stopped(app, &stopped).await?;
        if control == Control::Stop {
            // Visitors are told before what they would be sent to goes away.
            self.statuses.refresh(app).await?;
        }
        let running = running(&observed);
        let images = Images::all_present(&blueprint);
        let emit: Emit = {
            let live = Arc::clone(live);
            Arc::new(move |what| live.emit(what))
        };
        let goal = Goal {
            images: &images,
            stopped: &stopped,
            cancelled: Some(live.cancelled()),
        };
        self.rollout
            .reach(&mut record, &mut blueprint, &goal, Arc::clone(&emit))
            .await?;
        if control == Control::Restart {
            let run = self.rollout.run_for(&blueprint, emit).await?;
            let run = run.until(live.cancelled());
            let restarted = selected.intersection(&running).cloned().collect();
            let names = blueprint.containers.keys();
            let idle = names.filter(|name| !running.contains(*name)).cloned();
            let plan = planner::restart(&blueprint, &restarted, &idle.collect());
            self.executor.execute(&run, &plan).await?;
        }
        self.store.clear_last_error(app).await?;
        let front = blueprint.front.as_ref();
        let serves = front.is_some_and(|front| !stopped.contains(&front.service));
        Ok(serves.then(|| self.routes.url(app)))
    }
}

/// The containers that run.
fn running(observed: &Observed) -> BTreeSet<ServiceName> {
    use doprax_core::observed::State;
    observed
        .containers
        .iter()
        .filter(|found| matches!(found.state, State::Running | State::Restarting))
        .map(|found| found.service.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_core::observed::State;
    use serde_json::json;

    #[test]
    fn what_crashes_runs_and_what_has_ended_or_waits_does_not() {
        let states = [
            ("running", State::Running),
            ("crashing", State::Restarting),
            ("created", State::Created),
            ("ended", State::Exited(0)),
            ("paused", State::Paused),
        ];
        let copies = states.map(|(name, state)| {
            let copy = json!({
                "id": name, "name": {"foreign": name}, "service": name, "hash": "", "state": state,
            });
            serde_json::from_value(copy).unwrap()
        });
        let observed = Observed {
            containers: copies.into(),
            ..Observed::default()
        };
        let names = ["running", "crashing"].map(|name| ServiceName::new(name).unwrap());
        assert_eq!(running(&observed), BTreeSet::from(names));
    }
}
