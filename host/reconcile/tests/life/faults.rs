//! Writes that fail at any point of any kind of operation: nothing is lost, the app is held
//! until the end is written down, and what comes afterwards works, also for the next host.

use crate::kind::{KINDS, Kind};
use crate::source::Source;
use crate::stage::{Stage, app, serving, try_each};
use doprax_reconcile::Error;
use doprax_reconcile::report::Event;
use doprax_reconcile::request::{DeployRequest, WhenBusy};
use doprax_store::{Faults, Refusal};
use futures_util::StreamExt as _;
use std::sync::Mutex;
use tokio::runtime::{Builder, Runtime};

/// The hand on the database of a stage's host, whatever becomes of the host.
struct Hand {
    runtime: Runtime,
    faults: Faults,
}

impl Hand {
    fn on(stage: &Stage) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let faults = runtime.block_on(Faults::of(stage.folder.path())).unwrap();
        Self { runtime, faults }
    }

    fn leave(&mut self, rows: u32, refusal: Refusal) {
        let left = self.faults.leave(rows, refusal);
        self.runtime.block_on(left).unwrap();
    }

    fn make_room(&mut self) -> u32 {
        self.runtime.block_on(self.faults.make_room()).unwrap()
    }

    fn lock(&mut self) {
        self.runtime.block_on(self.faults.lock()).unwrap();
    }

    fn unlock(&mut self) {
        self.runtime.block_on(self.faults.unlock()).unwrap();
    }
}

/// Waits until an operation has ended, or waits for room to write that down.
fn await_stuck(stage: &Stage, id: &str) {
    stage.ask(|host| async move {
        let mut events = host.operations().events(id, 0).await.unwrap();
        while let Some(event) = events.next().await {
            if matches!(&event.what, Event::Note { text } if text.contains("is held until")) {
                return;
            }
        }
    });
}

/// Every row that these kinds of operation write, by its number from 0.
fn rows_of(kinds: &[Kind]) -> Vec<(&Kind, u32)> {
    let counts = Mutex::new(Vec::new());
    let numbers: Vec<usize> = (0..kinds.len()).collect();
    try_each(&numbers, |number| {
        let kind = &kinds[*number];
        let stage = Stage::new();
        let before = (kind.prepare)(&stage);
        let mut hand = Hand::on(&stage);
        let id = (kind.begin)(&stage);
        kind.await_end(&stage, id.as_deref());
        (kind.reached)(&stage, before.as_ref());
        counts.lock().unwrap().push((*number, hand.make_room()));
    });
    let counts = counts.into_inner().unwrap().into_iter();
    let rows = counts.flat_map(|(number, rows)| (0..rows).map(move |row| (number, row)));
    rows.map(|(number, row)| (&kinds[number], row)).collect()
}

/// Kinds of operation that are journaled.
fn journaled() -> &'static [Kind] {
    &KINDS[..KINDS.len() - 1]
}

#[test]
fn a_write_that_fails_in_an_operation_loses_nothing() {
    let cases = rows_of(journaled());
    assert!(cases.len() > 80, "{cases:?}");
    try_each(&cases, |(kind, row)| {
        let stage = Stage::new();
        let before = (kind.prepare)(&stage);
        let mut hand = Hand::on(&stage);
        hand.leave(*row, Refusal::Statement);
        let id = (kind.begin)(&stage);
        if let Some(id) = &id {
            await_stuck(&stage, id);
        }
        hand.make_room();
        let state = id.map(|id| {
            stage.events(&id);
            stage.operation(&id).state
        });
        if state != Some(kind.ends) {
            if let (Some(before), true) = (&before, kind.goes_back) {
                stage.await_whole(before);
            }
            let again = (kind.begin)(&stage).unwrap();
            kind.await_end(&stage, Some(&again));
        }
        (kind.reached)(&stage, before.as_ref());
        (kind.later)(&stage, before.as_ref());
    });
}

#[test]
fn a_host_that_is_killed_while_commits_fail_loses_nothing() {
    let cases = rows_of(journaled());
    try_each(&cases, |(kind, row)| {
        let mut stage = Stage::new();
        let before = (kind.prepare)(&stage);
        let mut hand = Hand::on(&stage);
        hand.leave(*row, Refusal::Commit);
        let id = (kind.begin)(&stage);
        if let Some(id) = &id {
            await_stuck(&stage, id);
        }
        stage.kill();
        hand.make_room();
        stage.start();
        let state = id.map(|id| {
            stage.events(&id);
            stage.operation(&id).state
        });
        if state != Some(kind.ends) {
            let again = (kind.begin)(&stage).unwrap();
            kind.await_end(&stage, Some(&again));
        }
        (kind.reached)(&stage, before.as_ref());
        (kind.later)(&stage, before.as_ref());
    });
}

#[test]
fn an_operation_is_refused_while_the_database_is_locked() {
    let stage = Stage::new();
    let whole = stage.deploy(&Source::new("v1"));
    let mut hand = Hand::on(&stage);
    hand.lock();
    let refused = stage.begin_deploy(&Source::new("v2"));
    let error = *refused.unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error:?}");
    stage.await_whole(&whole);
    hand.unlock();
    stage.done(stage.begin_deploy(&Source::new("v2")));
    stage.await_whole(&whole.answering("v2"));
}

#[test]
fn an_end_that_cannot_be_written_holds_the_app_and_is_not_done_again_over_newer_work() {
    let mut stage = Stage::new();
    let whole = stage.deploy(&Source::new("v1"));
    let mut hand = Hand::on(&stage);
    let removal = stage.begin_remove().unwrap();
    hand.lock();
    await_stuck(&stage, &removal);
    // A removal would be refused for another reason where only its end is missing.
    let held = stage.ask(|host| async move {
        let next = Source::new("v2");
        let request = DeployRequest {
            default_app: Some(app()),
            ..next.request()
        };
        let archive = next.archive();
        host.receive_source(&request.source, &*archive).await?;
        let operations = host.operations();
        operations.deploy(request, WhenBusy::Refuse).await
    });
    assert!(matches!(held, Err(Error::Busy { .. })), "{held:?}");
    hand.unlock();
    let ended = stage.events(&removal);
    if matches!(ended.last().unwrap().what, Event::Failed { .. }) {
        stage.done(stage.begin_remove());
    }
    let again = stage.deploy(&Source::new("v2"));
    assert_eq!(again.secrets, whole.secrets);
    stage.restart();
    stage.await_whole(&again);
    let main = stage
        .observe()
        .containers
        .into_iter()
        .find(|copy| copy.name == serving("main"));
    assert!(main.is_some(), "{} is gone", app());
}
