//! Starting, stopping and restarting what is deployed.

use crate::execute::Emit;
use crate::journal::RunningOperation;
use crate::request::Control;
use crate::subnet::Goal;
use crate::{Error, Host};
use doprax_core::name::ServiceName;
use doprax_core::observed::Observed;
use doprax_core::planner;
use doprax_core::proposal::Images;
use doprax_store::AppRecord;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Host {
    /// Refuses a container that the app does not have, and an app that has none.
    pub(crate) fn check_selection(
        &self,
        record: &AppRecord,
        selection: Option<&ServiceName>,
    ) -> Result<(), Error> {
        let Some(release) = &record.release else {
            return Err(Error::NotDeployed {
                app: record.name.clone(),
            });
        };
        let containers = &release.blueprint.containers;
        match selection {
            Some(container) if !containers.contains_key(container) => Err(Error::NoContainer {
                app: record.name.clone(),
                container: container.clone(),
                known: containers.keys().cloned().collect(),
            }),
            _ => Ok(()),
        }
    }

    /// Carries out a start, stop or restart. Returns where the app can be reached.
    pub(crate) async fn run_control(
        &self,
        live: &Arc<RunningOperation>,
        selection: Option<&ServiceName>,
        control: Control,
    ) -> Result<Option<String>, Error> {
        let app = &live.operation().app;
        let mut record = self.record(app).await?;
        self.check_selection(&record, selection)?;
        let observed = self.observe(&record).await?;
        if control != Control::Stop {
            self.find_room(&mut record, &observed).await?;
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
            self.refuse_gone(&record, &blueprint, &observed, Some(&selected))?;
        }
        let mut stopped = record.stopped.clone();
        match control {
            Control::Stop => stopped.extend(selected.iter().cloned()),
            Control::Start | Control::Restart => stopped.retain(|name| !selected.contains(name)),
        }
        // Written down first: whatever happens now, the loop knows what is wanted.
        self.store().set_stopped(app, &stopped).await?;
        if control == Control::Stop {
            // Visitors are told before what they would be sent to goes away.
            self.look_after(app).await?;
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
        self.reach(&mut record, &mut blueprint, &goal, Arc::clone(&emit))
            .await?;
        if control == Control::Restart {
            let run = self.run_for(&blueprint, emit).await?;
            let run = run.until(live.cancelled());
            let restarted = selected.intersection(&running).cloned().collect();
            let instance = &self.config().instance;
            let names = blueprint.containers.keys();
            let idle = names.filter(|name| !running.contains(*name)).cloned();
            let plan = planner::restart(&blueprint, instance, &restarted, &idle.collect());
            self.execute(&run, &plan).await?;
        }
        self.store().clear_last_error(app).await?;
        let front = blueprint.front.as_ref();
        let serves = front.is_some_and(|front| !stopped.contains(&front.service));
        Ok(serves.then(|| self.url(app)))
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
