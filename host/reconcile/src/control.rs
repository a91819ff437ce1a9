//! Starting, stopping and restarting what is deployed.

use crate::execute::Emit;
use crate::journal::Live;
use crate::propose::Images;
use crate::request::Control;
use crate::{Error, Host};
use doprax_core::name::ServiceName;
use doprax_core::observed::Observed;
use doprax_core::planner;
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
        live: &Arc<Live>,
        selection: Option<&ServiceName>,
        control: Control,
    ) -> Result<Option<String>, Error> {
        let app = &live.operation().app;
        let record = self.record(app).await?;
        self.check_selection(&record, selection)?;
        let Some(release) = &record.release else {
            return Err(Error::NotDeployed { app: app.clone() });
        };
        let blueprint = &release.blueprint;
        let selected: BTreeSet<ServiceName> = match selection {
            Some(container) => BTreeSet::from([container.clone()]),
            None => blueprint.containers.keys().cloned().collect(),
        };
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
        let observed = self.engine().observe(app).await?;
        let running = running(&observed);
        let plan = self.plan_to(
            blueprint,
            observed,
            &Images::all_present(blueprint),
            &stopped,
            &record.reloads,
        );
        let emit: Emit = {
            let live = Arc::clone(live);
            Arc::new(move |what| live.emit(what))
        };
        let run = self.run_for(blueprint, Arc::clone(&emit)).await?;
        let run = run.until(live.cancelled());
        self.execute(&run, &plan).await?;
        if control == Control::Restart {
            let run = self.run_for(blueprint, emit).await?;
            let run = run.until(live.cancelled());
            let restarted = selected.intersection(&running).cloned().collect();
            let instance = &self.config().instance;
            let plan = planner::restart(blueprint, instance, &restarted, &stopped);
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
