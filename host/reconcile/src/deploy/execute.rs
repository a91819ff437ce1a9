//! Carrying out a plan.
//!
//! Flow: every step whose predecessors are done runs, as many at a time as the
//! engine takes well; each ends in an event.
//! Guarantees: after a failure nothing new begins, waits end at once, and what the
//! engine was already told is waited for, so that what is observed next is final.
//! Assumes: steps are idempotent, and nobody else works on the app meanwhile.

use super::neighbour::{neighbours_of, remember_neighbours};
use super::retention::Retention;
use super::retire::split;
use crate::apps::Apps;
use crate::container::{find, run_in};
use crate::network::guard::Guard;
use crate::ready::Prober;
use crate::ready::why::explain;
use crate::report::Event;
use crate::retiring::Retiring;
use crate::routes::RouteTable;
use crate::run::Run;
use crate::takeover::Takeover;
use crate::{Config, Error};
use doprax_core::copy::CopyName;
use doprax_core::name::{AppName, ServiceName};
use doprax_core::observed::{ObservedContainer, State};
use doprax_core::plan::{Act, Plan, Step};
use doprax_core::route::Target;
use doprax_core::unit::format_duration;
use doprax_engine::{Engine, Exec, Progress};
use doprax_ingress::{DrainLimits, Ingress};
use doprax_store::Store;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Longest run of a reload command.
const RELOAD: Duration = Duration::from_secs(30);

/// Lines of a build that tell where it hangs.
const LAST_LINES: usize = 20;

/// Carries out plans.
pub(crate) struct Executor {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) ingress: Arc<Ingress>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) prober: Arc<Prober>,
    pub(crate) takeover: Arc<Takeover>,
    pub(crate) retiring: Arc<Retiring>,
    pub(crate) retention: Arc<Retention>,
    pub(crate) apps: Arc<Apps>,
    pub(crate) ending: CancellationToken,
}

impl Executor {
    /// Carries out a plan, or as much of it as goes before the first failure, which
    /// is returned.
    pub(crate) async fn execute(self: &Arc<Self>, run: &Run, plan: &Plan) -> Result<(), Error> {
        if plan.steps.is_empty() {
            return Ok(());
        }
        let (plan, ending) = split(plan);
        let name_of = |copy: &CopyName| self.engine.name_of(&run.app, copy);
        (run.emit)(Event::Planned {
            steps: plan
                .steps
                .iter()
                .map(|planned| planned.step.text(&name_of))
                .collect(),
        });
        // Written down before anything moves: what is done already asks for no reload
        // when the rest is planned anew after a crash or a failure.
        let reloads = reloads(&plan);
        if !reloads.is_empty() {
            self.store.set_reloads(&run.app, &reloads).await?;
        }
        self.carry_out_steps(run, &plan).await?;
        if !reloads.is_empty() {
            self.store.set_reloads(&run.app, &BTreeSet::new()).await?;
        }
        self.retire(run, ending).await
    }

    pub(super) async fn carry_out_steps(&self, run: &Run, plan: &Plan) -> Result<(), Error> {
        let mut missing: Vec<usize> = plan
            .steps
            .iter()
            .map(|planned| planned.after.len())
            .collect();
        let mut next: Vec<Vec<usize>> = vec![Vec::new(); plan.steps.len()];
        for (index, planned) in plan.steps.iter().enumerate() {
            for before in &planned.after {
                next[*before].push(index);
            }
        }
        let mut ready: Vec<usize> = (0..missing.len())
            .filter(|index| missing[*index] == 0)
            .collect();
        let mut running = FuturesUnordered::new();
        let mut failure = None;
        loop {
            if failure.is_none() {
                for index in ready.drain(..) {
                    running.push(self.step(run, index, &plan.steps[index].step));
                }
            }
            match running.next().await {
                None => break,
                Some((index, Ok(()))) => {
                    for after in &next[index] {
                        missing[*after] -= 1;
                        if missing[*after] == 0 {
                            ready.push(*after);
                        }
                    }
                }
                Some((_, Err(error))) => {
                    run.failed.cancel();
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            None => Ok(()),
            Some(Error::GivenUp) if run.cancelled.is_cancelled() => Err(Error::Cancelled),
            Some(error) => Err(error),
        }
    }

    async fn step(&self, run: &Run, index: usize, step: &Step) -> (usize, Result<(), Error>) {
        let permit = match step {
            Step::Engine(_) => Some(run.acts.acquire().await),
            _ => None,
        };
        if run.failed.is_cancelled() {
            return (index, Err(Error::GivenUp));
        }
        (run.emit)(Event::StepStarted { step: index });
        let begin = Instant::now();
        let result = self.carry_out_step(run, step).await;
        drop(permit);
        match &result {
            Ok(()) => (run.emit)(Event::StepDone {
                step: index,
                ms: begin.elapsed().as_millis() as u64,
            }),
            Err(error) => (run.emit)(Event::StepFailed {
                step: index,
                error: error.chain(),
            }),
        }
        (index, result)
    }

    async fn carry_out_step(&self, run: &Run, step: &Step) -> Result<(), Error> {
        match step {
            Step::Engine(act) => {
                if let Act::CreateNetwork { subnet } = act {
                    // Before anything can run there.
                    self.guard.admit(*subnet).await;
                }
                let output = Arc::<Mutex<VecDeque<String>>>::default();
                let progress = progress_of(run, Arc::clone(&output));
                let applied = self.engine.apply(&run.app, act, &run.inputs, &progress);
                match act {
                    // These end when they are dropped; what else was told the engine is
                    // waited for.
                    Act::BuildImage { .. } => {
                        let limit = self.config.build_timeout;
                        let built = tokio::time::timeout(limit, applied);
                        let built = run.failed.run_until_cancelled(built).await;
                        built
                            .ok_or(Error::GivenUp)?
                            .map_err(|_| build_timeout(limit, &output))??;
                    }
                    Act::PullImage { .. } => {
                        let pulled = run.failed.run_until_cancelled(applied).await;
                        pulled.ok_or(Error::GivenUp)??;
                    }
                    _ => {
                        if let Err(error) = applied.await {
                            return Err(explain(self.engine.as_ref(), run, act, error).await);
                        }
                    }
                }
                Ok(())
            }
            Step::AwaitReady { service, container } => {
                self.prober.await_ready(run, service, container).await
            }
            Step::Settle { .. } if run.goes_back => Ok(()),
            Step::Settle {
                service,
                container,
                ms,
            } => {
                let time = Duration::from_millis((*ms).into());
                self.prober.settle(run, service, container, time).await
            }
            Step::PublishRoute { container, port } => {
                // One that crashes has none: visitors are told so, and find it once it runs.
                let target = match find(self.engine.as_ref(), &run.app, container)
                    .await?
                    .address
                {
                    Some(address) => {
                        let front = run.blueprint.as_ref().and_then(|b| b.front.as_ref());
                        match front.filter(|front| front.port == *port) {
                            Some(front) => front.target(address),
                            None => Target::Address(SocketAddr::new(address.into(), *port)),
                        }
                    }
                    None => Target::Starting,
                };
                self.routes.set_target(&run.app, target);
                Ok(())
            }
            Step::RetireConnections => {
                self.ingress.retire_connections(&run.app, RELOAD);
                Ok(())
            }
            Step::Reload {
                service,
                container,
                command,
            } => {
                let Some(blueprint) = &run.blueprint else {
                    return Ok(());
                };
                let found = neighbours_of(self.engine.as_ref(), service, blueprint).await?;
                self.reload(&run.app, container, service, command).await?;
                if let Some(found) = found {
                    remember_neighbours(&self.store, service, blueprint, found).await?;
                }
                if blueprint.is_front(service) {
                    // Those opened meanwhile may have been to what goes; those opened
                    // from now on stay.
                    self.ingress.retire_connections(&run.app, Duration::ZERO);
                }
                Ok(())
            }
            Step::Drain(drain) => {
                // A process that served before this one still sends those who were there
                // to the containers that it knew.
                let limits = DrainLimits {
                    requests: Duration::from_millis(drain.requests_ms.into()),
                    upgraded: Duration::from_millis(drain.upgraded_ms.into()),
                };
                let drained = self.ingress.drain(&run.app, limits);
                let (left, alone) = tokio::join!(drained, self.takeover.ended());
                if !alone {
                    let text = "the process that served before goes on serving".to_owned();
                    (run.emit)(Event::Note { text });
                }
                if left.requests > 0 {
                    let limit = format_duration(drain.requests_ms.into());
                    let text = format!("{} requests had not ended after {limit}", left.requests);
                    (run.emit)(Event::Note { text });
                }
                if left.upgraded > 0 {
                    let text = format!(
                        "{} upgraded connections (WebSockets) go on until the old copy has ended",
                        left.upgraded
                    );
                    (run.emit)(Event::Note { text });
                }
                Ok(())
            }
        }
    }

    async fn reload(
        &self,
        app: &AppName,
        container: &CopyName,
        service: &ServiceName,
        command: &[String],
    ) -> Result<(), Error> {
        let runs = |found: &ObservedContainer| found.state == State::Running;
        if !self
            .engine
            .container(app, container)
            .await?
            .is_some_and(|found| runs(&found))
        {
            // It takes notice when it starts.
            return Ok(());
        }
        let exec = Exec {
            command: command.to_vec(),
            ..Exec::default()
        };
        let name = self.engine.name_of(app, container);
        let ran = tokio::time::timeout(RELOAD, run_in(self.engine.as_ref(), &name, &exec)).await;
        let reason = match ran {
            Ok(Ok(ran)) if ran.exit_code == 0 => return Ok(()),
            Ok(Ok(ran)) => format!("exit code {}: {}", ran.exit_code, ran.output.trim()),
            Ok(Err(error)) => {
                // It may have crashed at this moment.
                let found = self.engine.container(app, container).await?;
                return match found {
                    Some(found) if runs(&found) => Err(error.into()),
                    _ => Ok(()),
                };
            }
            Err(_) => format!("it did not end within {} s", RELOAD.as_secs()),
        };
        Err(Error::Reload {
            container: service.clone(),
            // A script is named by what runs it.
            command: command.first().cloned().unwrap_or_default(),
            reason,
        })
    }
}

/// Tells of what an act on the engine makes known, and keeps the last lines of a build.
fn progress_of(run: &Run, output: Arc<Mutex<VecDeque<String>>>) -> Progress {
    let emit = Arc::clone(&run.emit);
    Arc::new(move |event| {
        emit(match event {
            doprax_engine::Event::Build(line) => {
                let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
                output.truncate(LAST_LINES - 1);
                output.push_front(line.clone());
                Event::Build { line }
            }
            doprax_engine::Event::Pull { image, done, total } => Event::Pull { image, done, total },
            doprax_engine::Event::Note(text) => Event::Note { text },
        });
    })
}

fn build_timeout(limit: Duration, output: &Mutex<VecDeque<String>>) -> Error {
    let output = output.lock().unwrap_or_else(PoisonError::into_inner);
    Error::BuildTimeout {
        limit,
        output: output.iter().rev().cloned().collect(),
    }
}

/// The containers that a plan has reload.
fn reloads(plan: &Plan) -> BTreeSet<ServiceName> {
    let reloads = plan.steps.iter().filter_map(|planned| match &planned.step {
        Step::Reload { service, .. } => Some(service.clone()),
        _ => None,
    });
    reloads.collect()
}
