//! The stream of what changes, beside what really happens.

use crate::source::Source;
use crate::stage::{Stage, app, name};
use doprax_core::change::{Change, Changed, Position, Progress};
use doprax_engine::{ByHand, Fault};
use doprax_reconcile::report::{AppState, OperationState};
use doprax_reconcile::request::{Control, Removal, SecretsOnRemoval, WhenBusy};
use doprax_reconcile::{After, Told};
use futures_util::{FutureExt as _, StreamExt as _};

/// What was told of the app after this place.
pub(crate) fn told(stage: &Stage, after: After) -> Vec<Change> {
    let told = stage.ask(|host| async move { host.events(after, Some(app()), false) });
    let changes = told.filter_map(async |told| match told {
        Told::Change(change) => Some((*change).clone()),
        Told::Nothing(_) => None,
    });
    changes.collect::<Vec<_>>().now_or_never().unwrap()
}

/// Waits until this was told of the app. Returns all that was told until then.
#[track_caller]
fn await_told(stage: &Stage, after: After, is_it: impl Fn(&Changed) -> bool) -> Vec<Change> {
    stage.until("it is told", || {
        let changes = told(stage, after);
        match changes.iter().any(|change| is_it(&change.what)) {
            true => Ok(changes),
            false => Err(format!("{changes:#?}")),
        }
    })
}

fn last(changes: &[Change]) -> Position {
    changes.last().unwrap().id
}

fn is_state(what: &Changed, wanted: AppState) -> bool {
    matches!(what, Changed::App { state, .. } if *state == wanted)
}

/// The states of operations that were told, in order.
fn operations(changes: &[Change]) -> Vec<(String, OperationState)> {
    let operations = changes.iter().filter_map(|change| match &change.what {
        Changed::Operation { operation } => Some((operation.id.clone(), operation.state)),
        _ => None,
    });
    operations.collect()
}

#[test]
fn a_life_is_told_in_the_order_in_which_it_goes() {
    let stage = Stage::new();
    stage.deploy(&Source::new("v1"));
    let changes = await_told(&stage, After::Beginning, |what| {
        is_state(what, AppState::Running)
    });
    let place = |is_it: &dyn Fn(&Changed) -> bool| {
        let place = changes.iter().position(|change| is_it(&change.what));
        place.unwrap_or_else(|| panic!("{changes:#?}"))
    };
    let begun = place(
        &|what| matches!(what, Changed::Operation { operation } if operation.state == OperationState::Running),
    );
    let step = place(&|what| {
        let Changed::Progress { progress, .. } = what else {
            return false;
        };
        matches!(progress, Progress::StepDone { step, .. } if step.contains("main"))
    });
    let route = place(
        &|what| matches!(what, Changed::Route { to } if to.parse::<std::net::SocketAddr>().is_ok()),
    );
    let release = place(&|what| *what == Changed::Release { release: 1 });
    let done = place(
        &|what| matches!(what, Changed::Operation { operation } if operation.state == OperationState::Done),
    );
    assert!(
        begun < step && step < route && route < release,
        "{changes:#?}"
    );
    assert!(release < done, "{changes:#?}");
    let numbers: Vec<u64> = changes.iter().map(|change| change.id.number).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");

    let here = After::Position(last(&changes));
    stage.done(stage.begin_control(Control::Stop));
    await_told(&stage, here, |what| is_state(what, AppState::Stopped));
    stage.done(stage.begin_remove());
    let changes = await_told(&stage, here, |what| *what == Changed::Removed);
    let removals = changes.iter().filter(|c| c.what == Changed::Removed);
    assert_eq!(removals.count(), 1, "{changes:#?}");
}

#[test]
fn what_happens_by_itself_is_told_too() {
    let stage = Stage::new();
    let whole = stage.deploy(&Source::new("v1"));
    let before = await_told(&stage, After::Beginning, |what| {
        is_state(what, AppState::Running)
    });
    let here = After::Position(last(&before));
    stage.fake.by_hand(&name("redis"), ByHand::Remove);
    let redis = |what: &Changed, wanted: &str| {
        let Changed::Container {
            container, state, ..
        } = what
        else {
            return false;
        };
        container.as_str() == "redis" && state.as_deref() == Some(wanted)
    };
    await_told(&stage, here, |what| redis(what, "running"));
    stage.await_whole(&whole);
    let changes = told(&stage, here);
    assert!(
        changes.iter().any(|change| redis(&change.what, "missing")),
        "{changes:#?}"
    );
    assert!(operations(&changes).is_empty(), "{changes:#?}");
}

#[test]
fn what_waits_is_told_and_a_reader_is_not_fooled_by_another_host() {
    let mut stage = Stage::new();
    stage.deploy(&Source::new("v1"));
    let here = last(&told(&stage, After::Beginning));
    stage.fake.hold_act(1, Fault::Before);
    let first = stage.begin_deploy(&Source::new("v2")).unwrap();
    let second = stage.begin_control(Control::Stop).unwrap();
    let third = stage.begin_control(Control::Restart).unwrap();
    stage.await_held();
    stage.ask(|host| {
        let third = third.clone();
        async move { host.operations().cancel(&third).await.unwrap() }
    });
    let withdrawn = (third.clone(), OperationState::Cancelled);
    let changes = await_told(
        &stage,
        After::Position(here),
        |what| matches!(what, Changed::Operation { operation } if operation.state == OperationState::Cancelled),
    );
    let expected = [
        (first.clone(), OperationState::Running),
        (second.clone(), OperationState::Waiting),
        (third, OperationState::Waiting),
        withdrawn,
    ];
    assert_eq!(operations(&changes), expected);

    stage.restart();
    stage.done(Ok(second.clone()));
    let changes = told(&stage, After::Position(here));
    let gap = Changed::Gap {
        after: here,
        missed: None,
    };
    assert_eq!(changes[0].what, gap);
    let told: Vec<_> = operations(&changes);
    let expected = [
        (first.clone(), OperationState::Running),
        (second.clone(), OperationState::Waiting),
        (first, OperationState::Done),
        (second.clone(), OperationState::Running),
        (second, OperationState::Done),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_waits_for_a_removal_keeps_the_secrets_that_it_gives() {
    let mut stage = Stage::new();
    stage.deploy(&Source::new("v1"));
    stage.fake.hold_act(1, Fault::Before);
    let removal = stage.ask(|host| async move {
        let forget = Removal {
            secrets: Some(SecretsOnRemoval::Forget),
            ..Removal::default()
        };
        host.operations()
            .remove(&app(), forget, WhenBusy::Wait)
            .await
    });
    let again = stage.begin_deploy(&Source::new("v2"));
    stage.await_held();
    stage.restart();
    stage.done(removal.map_err(Box::new));
    stage.done(again);
    let key = stage.variable("main", "API_KEY").unwrap();
    assert_eq!(key.trim_end(), "of-the-first-day");
}
