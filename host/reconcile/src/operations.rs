//! Operations: begun, carried out one after another on each app, cancelled, and resumed.
//!
//! Flow: an operation enters its app's queue, is journaled, and is carried out in a task of
//! its own when its turn comes; its end is written down before the next one's begins.
//! Guarantees: nothing of an app is changed by two at a time; what was journaled is done to
//! its end, by the next host if need be.

mod begin;
mod work;

use crate::apps::queue::Turn;
use crate::apps::{App, Apps};
use crate::clock::now_ms;
use crate::deploy::Retention;
use crate::journal::{Intent, Journal, RunningOperation};
use crate::keep::Upkeep;
use crate::propose::Proposer;
use crate::repairs::Repairs;
use crate::report::{Event, Operation, OperationEvent, OperationState};
use crate::request::Removal;
use crate::status::Statuses;
use crate::{Error, Remedies};
use doprax_core::name::AppName;
use doprax_store::Store;
use futures_util::stream::BoxStream;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
pub(crate) use work::Work;

/// The operations of every app.
pub struct Operations {
    pub(crate) store: Store,
    pub(crate) journal: Arc<Journal>,
    pub(crate) apps: Arc<Apps>,
    pub(crate) repairs: Arc<Repairs>,
    pub(crate) proposer: Arc<Proposer>,
    pub(crate) statuses: Arc<Statuses>,
    pub(crate) retention: Arc<Retention>,
    pub(crate) upkeep: Arc<Upkeep>,
    pub(crate) work: Work,
    pub(crate) remedies: Remedies,
    pub(crate) ending: CancellationToken,
}

impl Operations {
    /// The operations of one app, or of all, that are under way or remembered, the latest
    /// first.
    pub async fn list(&self, app: Option<&AppName>) -> Result<Vec<Operation>, Error> {
        Ok(self.store.operations(app).await?)
    }

    /// Asks an operation under way to end early: it begins nothing new, ends what it waits
    /// for, and goes back to what was there before as if it had failed. One that waits for
    /// its turn does not begin.
    pub async fn cancel(self: &Arc<Self>, id: &str) -> Result<(), Error> {
        let operation = self.one(id).await?;
        let app = self.apps.of(&operation.app);
        let _admission = app.admission.lock().await;
        if let Some((live, source)) = app.queue.withdraw(id) {
            let operations = Arc::clone(self);
            tokio::spawn(async move { operations.end_withdrawn(&live, source.as_deref()).await });
            return Ok(());
        }
        if operation.state.is_open() && self.journal.cancel(id) {
            return Ok(());
        }
        Err(Error::Ended {
            operation: operation.id,
        })
    }

    /// One operation.
    pub async fn one(&self, id: &str) -> Result<Operation, Error> {
        self.store
            .operation(id)
            .await?
            .ok_or_else(|| Error::NoOperation {
                operation: id.chars().take(64).collect(),
            })
    }

    /// The events of an operation whose number is above `after`; ends after the
    /// operation has ended.
    pub async fn events(
        &self,
        id: &str,
        after: u64,
    ) -> Result<BoxStream<'static, OperationEvent>, Error> {
        self.one(id).await?;
        Ok(self.journal.follow(&self.store, id, after).await?)
    }

    /// Runs an operation whose turn it is in a task of its own, and those that wait for it
    /// after it.
    fn run(self: &Arc<Self>, app: Arc<App>, turn: Turn) {
        let operations = Arc::clone(self);
        tokio::spawn(async move {
            let ending = operations.ending.clone();
            let work = async {
                let mut turn = Some(turn);
                while let Some(next) = turn {
                    turn = operations.carry_out(&app, next).await;
                }
            };
            // What is dropped here was journaled, and is done again by the next start.
            if ending.run_until_cancelled(work).await.is_none() {
                tracing::info!("operations wait for the next start");
            }
        });
    }

    /// Writes down that an operation has waited and will not begin.
    async fn end_withdrawn(&self, live: &RunningOperation, source: Option<&str>) {
        let (state, outcome) = (
            OperationState::Cancelled,
            Error::Withdrawn.report(self.remedies),
        );
        let end = self
            .journal
            .write_end(&self.store, live, state, outcome, None);
        let end = end.await;
        if let Some(source) = source {
            self.retention.clean_up_after_withdrawal(source).await;
        }
        self.journal.close(live, end, state);
    }

    /// Carries out an operation to its written end. Returns the one that has waited for it.
    async fn carry_out(&self, app: &App, turn: Turn) -> Option<Turn> {
        let Turn { live, intent } = turn;
        let live = &live;
        let name = &live.operation().app;
        // A person does not wait for what a repair waits for.
        self.repairs.give_up(name);
        let _work = app.work.lock().await;
        app.last_look.forget();
        let source = app.queue.source();
        let result = async {
            let intent = match intent {
                Some(intent) => intent,
                None => self.begin_waiting(live).await?,
            };
            self.work.carry_out(live, intent).await
        };
        let result = result.await;
        let (state, outcome) = match result {
            Ok(url) => {
                self.repairs.succeeded(name);
                (OperationState::Done, Event::Done { url })
            }
            Err(error) => {
                tracing::warn!(app = %name, error = error.chain(), "an operation failed");
                let state = match error {
                    Error::Cancelled => OperationState::Cancelled,
                    _ => OperationState::Failed,
                };
                (state, error.report(self.remedies))
            }
        };
        // Whoever hears of the end finds the app as it is from then on.
        if let Err(error) = self.statuses.refresh(name).await {
            tracing::warn!(app = %name, %error, "routes were not renewed");
        }
        let failure = match &outcome {
            Event::Failed { error, .. } => Some(error.clone()),
            _ => None,
        };
        let end = self
            .journal
            .write_end(&self.store, live, state, outcome, failure.as_deref());
        let end = end.await;
        if let (Some(source), true) = (source, state != OperationState::Done) {
            self.retention
                .clean_up_after_failure(live.operation(), &source)
                .await;
        }
        // Only now it is known to visitors that it failed.
        if state != OperationState::Done
            && let Err(error) = self.statuses.refresh(name).await
        {
            tracing::warn!(app = %name, %error, "routes were not renewed");
        }
        let next = app.queue.leave(&live.operation().id);
        self.journal.close(live, end, state);
        next
    }

    /// Begins what has waited, unless what it was asked for is not possible any more.
    /// Returns what that is.
    async fn begin_waiting(&self, live: &RunningOperation) -> Result<Intent, Error> {
        let operation = live.operation();
        let running = self.apps.operation(&operation.app);
        let started_ms = running.map_or_else(now_ms, |running| running.started_ms);
        let begun = self.store.begin_operation(operation, started_ms);
        begun.await?;
        self.journal.begin(live, started_ms);
        let intent = self.store.request_of(&operation.id).await?;
        let intent = intent.ok_or_else(|| Error::NoOperation {
            operation: operation.id.clone(),
        })?;
        match &intent {
            Intent::Deploy(request) => {
                let reason = "went with what was deployed meanwhile";
                self.proposer.check_source(request, reason).await?;
                self.proposer.check_confirmed(request).await?;
            }
            Intent::Remove => {
                let removal = Removal::default();
                self.work.removals.check(&operation.app, &removal).await?;
            }
            Intent::RemoveWith(removal) => {
                self.work.removals.check(&operation.app, removal).await?;
            }
            Intent::Rollback(rollback) => {
                self.work.rollbacks.check(&operation.app, rollback).await?
            }
            // These look for themselves.
            Intent::Control { .. } | Intent::Edit(_) => {}
        }
        Ok(intent)
    }

    /// Ends operations that a host before this one left and that something newer on their
    /// app has followed.
    pub(crate) async fn end_overtaken(&self) {
        let ended = async {
            for operation in self.store.overtaken().await? {
                tracing::warn!(app = %operation.app, operation = operation.id, "not resumed: a newer operation has followed");
                self.journal.end_overtaken(&self.store, &operation).await?;
            }
            Ok::<(), doprax_store::Error>(())
        };
        if let Err(error) = ended.await {
            tracing::error!(%error, "the end of overtaken operations was not written down");
        }
    }
}
