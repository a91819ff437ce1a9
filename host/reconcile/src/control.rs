//! Starting, stopping and restarting what is deployed.

use crate::execute::Emit;
use crate::journal::Live;
use crate::propose::Images;
use crate::request::Control;
use crate::{Error, Host};
use doprax_core::blueprint::{Blueprint, Stage};
use doprax_core::name::ServiceName;
use doprax_core::observed::Observed;
use doprax_core::plan::{Act, Plan, PlannedStep, Step};
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
        self.execute(&run, &plan).await?;
        if control == Control::Restart {
            let run = self.run_for(blueprint, emit).await?;
            let restarted = selected.intersection(&running).cloned().collect();
            self.execute(&run, &self.restart_plan(blueprint, &restarted))
                .await?;
        }
        self.store().set_last_error(app, None).await?;
        let front = blueprint.front.as_ref();
        let serves = front.is_some_and(|front| !stopped.contains(&front.service));
        Ok(serves.then(|| self.url(app)))
    }

    /// Restarts containers stage by stage, each stage when the one before is ready,
    /// and lets those that stand in front of a restarted one take notice.
    fn restart_plan(&self, blueprint: &Blueprint, selected: &BTreeSet<ServiceName>) -> Plan {
        let instance = &self.config().instance;
        let mut plan = Plan::default();
        let mut add = |step, after: &[usize]| {
            plan.steps.push(PlannedStep {
                step,
                after: after.to_vec(),
            });
            plan.steps.len() - 1
        };
        let mut gate = Vec::new();
        for stage in [Stage::Service, Stage::Main, Stage::Front] {
            let mut ready = Vec::new();
            for spec in blueprint
                .containers
                .values()
                .filter(|spec| spec.stage == stage)
            {
                let container = instance.container(&blueprint.app, &spec.name);
                if !selected.contains(&spec.name) {
                    if let (Some(command), false) = (&spec.reload, gate.is_empty()) {
                        let (service, command) = (spec.name.clone(), command.clone());
                        add(
                            Step::Reload {
                                service,
                                container,
                                command,
                            },
                            &gate,
                        );
                    }
                    continue;
                }
                let grace_ms = spec.stop_grace_ms;
                let restart = Act::RestartContainer {
                    container: container.clone(),
                    grace_ms,
                };
                let restarted = add(Step::Engine(restart), &gate);
                let service = spec.name.clone();
                ready.push(add(Step::AwaitReady { service, container }, &[restarted]));
            }
            gate.extend(ready);
        }
        if let (Some(front), false) = (&blueprint.front, gate.is_empty()) {
            let container = instance.container(&blueprint.app, &front.service);
            let port = front.port;
            add(Step::PublishRoute { container, port }, &gate);
        }
        plan
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
