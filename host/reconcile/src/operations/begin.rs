//! Beginning operations: what is refused, what is journaled, and who waits for whom.

use super::Operations;
use crate::Error;
use crate::apps::App;
use crate::apps::queue::{MOST_WAITING, NoPlace, Turn};
use crate::clock::now_ms;
use crate::journal::{Intent, RunningOperation};
use crate::record::{check_selection, record};
use crate::report::{Event, Operation, OperationId, OperationKind, OperationState};
use crate::request::{Control, DeployRequest, Edit, Removal, Rollback, Selection, WhenBusy};
use doprax_core::name::AppName;
use doprax_core::secret::SecretName;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an operation is begun with, and not journaled in its intent.
#[derive(Default)]
struct Given<'a> {
    /// Values that secrets get.
    values: BTreeMap<SecretName, String>,
    /// The deploy as it was asked for, with these values in it.
    asked: Option<&'a DeployRequest>,
}

impl Operations {
    /// Begins a deploy. The source archive must have been received unless the source
    /// was built before.
    pub async fn deploy(
        self: &Arc<Self>,
        mut request: DeployRequest,
        busy: WhenBusy,
    ) -> Result<OperationId, Error> {
        let (app, _) = self.proposer.app_and_source_of(&request)?;
        self.proposer.check_source(&request, "was not sent").await?;
        // Values have one home, the app's secrets: a later change must not find them in
        // what was once asked.
        let asked = request.clone();
        let given = Given {
            values: self.proposer.take_given(&mut request)?,
            asked: Some(&asked),
        };
        let intent = Intent::Deploy(Box::new(request));
        self.begin_with(&app, OperationKind::Deploy, intent, &given, busy)
            .await
    }

    /// Begins to start, stop or restart containers.
    pub async fn control(
        self: &Arc<Self>,
        app: &AppName,
        selection: Selection,
        control: Control,
        busy: WhenBusy,
    ) -> Result<OperationId, Error> {
        let record = record(&self.store, app).await?;
        check_selection(&record, selection.as_ref())?;
        let kind = match control {
            Control::Start => OperationKind::Start,
            Control::Stop => OperationKind::Stop,
            Control::Restart => OperationKind::Restart,
        };
        self.begin(app, kind, Intent::Control { selection, control }, busy)
            .await
    }

    /// Begins to change a container by hand, as a deploy of the same source.
    pub async fn edit(
        self: &Arc<Self>,
        app: &AppName,
        edit: Edit,
        busy: WhenBusy,
    ) -> Result<OperationId, Error> {
        let record = record(&self.store, app).await?;
        check_selection(&record, Some(&edit.container))?;
        self.begin(app, OperationKind::Deploy, Intent::Edit(edit), busy)
            .await
    }

    /// Begins to bring an earlier release back.
    pub async fn roll_back(
        self: &Arc<Self>,
        app: &AppName,
        rollback: Rollback,
        busy: WhenBusy,
    ) -> Result<OperationId, Error> {
        self.work.rollbacks.check(app, &rollback).await?;
        let intent = Intent::Rollback(rollback);
        self.begin(app, OperationKind::Rollback, intent, busy).await
    }

    /// Begins to remove an app; its volumes stay.
    pub async fn remove(
        self: &Arc<Self>,
        app: &AppName,
        removal: Removal,
        busy: WhenBusy,
    ) -> Result<OperationId, Error> {
        self.work.removals.check(app, &removal).await?;
        let intent = if removal == Removal::default() {
            Intent::Remove
        } else {
            Intent::RemoveWith(removal)
        };
        self.begin(app, OperationKind::Remove, intent, busy).await
    }

    async fn begin(
        self: &Arc<Self>,
        name: &AppName,
        kind: OperationKind,
        intent: Intent,
        busy: WhenBusy,
    ) -> Result<OperationId, Error> {
        self.begin_with(name, kind, intent, &Given::default(), busy)
            .await
    }

    /// Begins an operation, or has it wait for its turn.
    async fn begin_with(
        self: &Arc<Self>,
        name: &AppName,
        kind: OperationKind,
        intent: Intent,
        given: &Given<'_>,
        busy: WhenBusy,
    ) -> Result<OperationId, Error> {
        if self.ending.is_cancelled() {
            return Err(Error::ShuttingDown);
        }
        let app = self.apps.of(name);
        let _admission = app.admission.lock().await;
        let mut operation = Operation {
            id: uuid::Uuid::new_v4().to_string(),
            app: name.clone(),
            kind,
            state: OperationState::Running,
            started_ms: now_ms(),
            ended_ms: None,
        };
        let entered = app
            .queue
            .enter(&operation, intent.source(), busy == WhenBusy::Wait);
        let ahead = entered.map_err(|refused| match refused {
            NoPlace::Busy(other) => Error::Busy {
                app: name.clone(),
                operation: other.id,
            },
            NoPlace::Full => Error::QueueFull {
                app: name.clone(),
                waiting: MOST_WAITING,
            },
        })?;
        if ahead.is_some() {
            operation.state = OperationState::Waiting;
        }
        let id = operation.id.clone();
        let begun = async {
            // One that waits is looked at when its turn comes.
            if let (None, Some(asked)) = (&ahead, given.asked) {
                self.repairs.give_up(name);
                let _work = app.work.lock().await;
                self.proposer.check_confirmed(asked).await?;
            }
            let added = self.store.add_operation(&operation, &intent, &given.values);
            added.await?;
            Ok::<_, Error>(self.journal.open(&self.store, operation, false).await?)
        };
        match begun.await {
            Ok(live) => self.admit(&app, live, intent, ahead),
            Err(error) => {
                if let Some(next) = app.queue.leave(&id) {
                    self.run(Arc::clone(&app), next);
                }
                // A repair may have been given up for it.
                self.upkeep.look_after_now(name);
                return Err(error);
            }
        }
        Ok(id)
    }

    /// Begins an operation that is journaled, or has it wait for the one ahead of it.
    fn admit(
        self: &Arc<Self>,
        app: &Arc<App>,
        live: Arc<RunningOperation>,
        intent: Intent,
        ahead: Option<Operation>,
    ) {
        let waited = live.operation().state == OperationState::Waiting;
        let intent = (!waited).then_some(intent);
        if let Some(ahead) = &ahead {
            let kind = ahead.kind.as_str();
            let text = format!("it begins once the {kind} {} has ended", ahead.id);
            live.emit(Event::Note { text });
        }
        let turn = Turn { live, intent };
        let first = match ahead {
            None => Some(turn),
            Some(_) => app.queue.ready(turn),
        };
        if let Some(turn) = first {
            self.run(Arc::clone(app), turn);
        }
    }

    /// Goes on with an operation that a host before this one has left.
    pub(crate) async fn resume(
        self: &Arc<Self>,
        operation: Operation,
        intent: Intent,
    ) -> Result<(), doprax_store::Error> {
        let app = self.apps.of(&operation.app);
        // What was journaled had its place.
        let Ok(ahead) = app.queue.enter(&operation, intent.source(), true) else {
            tracing::error!(operation = operation.id, "more wait than may");
            return Ok(());
        };
        let live = self.journal.open(&self.store, operation, true).await?;
        self.admit(&app, live, intent, ahead);
        Ok(())
    }
}
