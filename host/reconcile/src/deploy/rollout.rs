//! Rolling out: making an app what a blueprint says, and that a release; and the way back.
//!
//! Flow: plan → steps → release remembered → what no kept release needs is let go of.
//! Guarantees: until the release is remembered, the one before it is what the host keeps up;
//! a failure goes back to that, or to nothing where there is none.

use super::{Account, Goal, Rollout};
use crate::Error;
use crate::clock::now_ms;
use crate::journal::RunningOperation;
use crate::logs::{forget_failed, keep_failed};
use crate::record::brief;
use crate::report::Event;
use crate::request::{DeployRequest, Refresh};
use crate::run::{Emit, Run};
use crate::volume::refuse_gone;
use doprax_core::blueprint::Blueprint;
use doprax_core::name::{AppName, ServiceName};
use doprax_core::operation::OperationState;
use doprax_core::planner;
use doprax_core::proposal::Images;
use doprax_core::release::{FailedRelease, Origin, Reason, Report};
use doprax_core::route::Target;
use doprax_core::spec::AppSpec;
use doprax_engine::Inputs;
use doprax_store::{AppRecord, NewRelease};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a release is made of, beside its blueprint.
pub(crate) struct Making<'a> {
    pub(crate) manifest: &'a AppSpec,
    pub(crate) spec: &'a AppSpec,
    pub(crate) request: &'a DeployRequest,
    pub(crate) origin: &'a Origin,
    /// Digests of the plugins' components that described its services.
    pub(crate) plugins: &'a BTreeMap<ServiceName, String>,
}

/// Where a release of an operation comes from.
pub(crate) fn origin(
    live: &RunningOperation,
    reason: Reason,
    actor: Option<&String>,
    commit: Option<&String>,
) -> Origin {
    let operation = live.operation();
    Origin {
        reason,
        operation: Some(operation.id.clone()),
        actor: actor.cloned(),
        commit: commit.cloned(),
        started_ms: Some(operation.started_ms),
    }
}

impl Rollout {
    /// Makes the app what a blueprint says, and that a release. Returns where it can be
    /// reached.
    pub(crate) async fn roll_out(
        &self,
        live: &Arc<RunningOperation>,
        account: &Account,
        mut record: AppRecord,
        mut blueprint: Blueprint,
        images: &Images,
        making: &Making<'_>,
    ) -> Result<Option<String>, Error> {
        let app = record.name.clone();
        let emit = &account.emit;
        let observed = self.observer.of(&record).await?;
        refuse_gone(&self.config.instance, &record, &blueprint, &observed, None)?;
        let retired = self.retiring.wait(&app, &blueprint);
        let retired = live.cancelled().run_until_cancelled(retired).await;
        retired.ok_or(Error::Cancelled)?;
        if !record.stopped.is_empty() {
            self.store.set_stopped(&app, &BTreeSet::new()).await?;
        }
        let running = BTreeSet::new();
        let goal = Goal {
            images,
            stopped: &running,
            cancelled: Some(live.cancelled()),
        };
        let released = async {
            self.reach(&mut record, &mut blueprint, &goal, Arc::clone(emit))
                .await?;
            // What is made of it later, such as a change by hand, looks for nothing again.
            let request = &DeployRequest {
                refresh: Refresh::default(),
                confirmed: None,
                ..making.request.clone()
            };
            let new = NewRelease {
                manifest: making.manifest,
                spec: making.spec,
                blueprint: &blueprint,
                source: &request.source,
                created_ms: now_ms(),
                notes: &account.notes(),
                request,
                origin: making.origin,
                plugins: making.plugins,
            };
            self.store.add_release(&app, &new).await?;
            Ok::<_, Error>(())
        };
        if let Err(error) = released.await {
            emit(Event::GoingBack);
            if let Err(back) = self.go_back(record, Arc::clone(emit)).await {
                let text = format!("it could not go back yet: {}", back.chain());
                emit(Event::Note { text });
            }
            return Err(error);
        }
        if record.release.is_none() {
            forget_failed(&self.store, &app).await;
        }
        self.retention.hold_images(&app, &blueprint).await;
        self.retention
            .clean_up(&app, Some(&live.operation().id))
            .await;
        if blueprint.front.is_none() {
            self.routes.set_target(&app, Target::Nowhere);
            return Ok(None);
        }
        self.await_predecessor(live).await;
        Ok(Some(self.routes.url(&app)))
    }

    /// Whether the app's current release was made by this operation: a host that was killed
    /// after that has nothing left to do but to say so.
    pub(crate) async fn is_released(&self, live: &RunningOperation) -> Result<bool, Error> {
        let operation = live.operation();
        let releases = self.store.releases(&operation.app).await?;
        let latest = releases.first();
        Ok(latest.is_some_and(|latest| latest.origin.operation.as_ref() == Some(&operation.id)))
    }

    /// Where the app's current release can be reached.
    pub(crate) async fn where_it_is(&self, app: &AppName) -> Result<Option<String>, Error> {
        let release = brief(&self.store, app).await?.release;
        let serves = release.is_some_and(|release| release.blueprint.front.is_some());
        Ok(serves.then(|| self.routes.url(app)))
    }

    /// Remembers that an operation came to no release.
    pub(crate) async fn remember_failure(
        &self,
        app: &AppName,
        origin: &Origin,
        source: Option<&str>,
        error: &Error,
        account: &Account,
    ) {
        let Event::Failed {
            error: text,
            help,
            log,
        } = error.report(self.config.remedies)
        else {
            return;
        };
        let failed = FailedRelease {
            origin: origin.clone(),
            state: match error {
                Error::Cancelled => OperationState::Cancelled,
                _ => OperationState::Failed,
            },
            source: source.map(str::to_owned),
            ended_ms: now_ms(),
            report: Report {
                error: text,
                help,
                log,
                build: account.build(),
            },
        };
        if let Err(error) = self.store.add_failed_release(app, &failed).await {
            tracing::warn!(%app, %error, "a deploy that failed is not in the list of releases");
        }
    }

    /// Makes the app what it was before a deploy that failed.
    pub(crate) async fn go_back(&self, mut record: AppRecord, emit: Emit) -> Result<(), Error> {
        if let Some(release) = &record.release {
            self.retiring.wait(&record.name, &release.blueprint).await;
        }
        let Some(release) = &record.release else {
            let observed = self.engine.observe(&record.name).await?;
            // They go, and with them what they had to say.
            keep_failed(
                &self.store,
                self.engine.as_ref(),
                &record.name,
                &observed.containers,
            )
            .await;
            let run = Run::for_images(&record.name, Inputs::default(), emit);
            return self
                .executor
                .execute(&run, &planner::removal(&observed, None))
                .await;
        };
        let mut blueprint = release.blueprint.clone();
        let images = Images::all_present(&blueprint);
        let stopped = record.stopped.clone();
        self.store.set_stopped(&record.name, &stopped).await?;
        let goal = Goal {
            images: &images,
            stopped: &stopped,
            cancelled: None,
        };
        self.reach(&mut record, &mut blueprint, &goal, emit).await
    }

    /// Waits until no visitor can be led to what was replaced: a process that served before
    /// this one leads those who were there to the containers that it knew.
    pub(crate) async fn await_predecessor(&self, live: &RunningOperation) {
        let alone = self.takeover.ended();
        tokio::pin!(alone);
        if futures_util::poll!(alone.as_mut()).is_ready() {
            return;
        }
        let text = "released; waiting for those whom the host before the upgrade still serves";
        live.emit(Event::Note {
            text: text.to_owned(),
        });
        // Whoever gives up gives up waiting: it is released already.
        let _ = live.cancelled().run_until_cancelled(alone).await;
    }
}
