//! Operations at the same time: on one app one after the other, on several beside each other.

use crate::source::Source;
use crate::stage::{Stage, app, volume};
use doprax_core::name::AppName;
use doprax_engine::Fault;
use doprax_reconcile::Error;
use doprax_reconcile::report::{AppState, OperationState};
use doprax_reconcile::request::{Control, WhenBusy};
use std::collections::BTreeSet;

#[test]
fn a_second_operation_on_an_app_begins_when_the_first_has_ended() {
    let stage = Stage::new();
    let whole = stage.deploy(&Source::new("v1"));
    let first = stage.begin_deploy(&Source::new("v2"));
    let second = stage.begin_deploy(&Source::new("v3"));
    let third = stage.begin_control(Control::Stop);
    let fourth = stage.begin_control(Control::Start);
    let refused = stage.ask(|host| async move {
        host.operations()
            .control(&app(), None, Control::Stop, WhenBusy::Refuse)
            .await
    });
    match refused {
        Err(Error::Busy { operation, .. }) => assert_eq!(&operation, first.as_ref().unwrap()),
        other => panic!("{other:?}"),
    }
    let removed =
        stage.ask(|host| async move { host.volumes().remove(&app(), &volume("static")).await });
    assert!(matches!(removed, Err(Error::Busy { .. })), "{removed:?}");
    for id in [first, second, third, fourth] {
        stage.done(id);
    }
    stage.await_whole(&whole.answering("v3"));
}

#[test]
fn operations_that_wait_begin_in_their_order_after_a_kill() {
    let mut stage = Stage::new();
    let whole = stage.deploy(&Source::new("v1"));
    stage.fake.hold_act(2, Fault::After);
    let ids = [
        stage.begin_deploy(&Source::new("v2")),
        stage.begin_remove(),
        stage.begin_deploy(&Source::new("v3")),
    ];
    stage.await_held();
    stage.restart();
    for id in ids {
        stage.done(id);
    }
    stage.await_whole(&whole.answering("v3"));
}

#[test]
fn a_host_that_is_killed_during_operations_on_many_apps_ends_them_all() {
    let mut stage = Stage::new();
    let names: Vec<AppName> = (1..=5)
        .map(|number| AppName::new(format!("app-{number}")).unwrap())
        .collect();
    stage.fake.hold_act(12, Fault::After);
    let source = Source::new("v1");
    let ids: Vec<String> = names
        .iter()
        .map(|name| stage.begin_deploy_as(name, &source).unwrap())
        .collect();
    stage.await_held();
    stage.restart();
    for id in ids {
        stage.events(&id);
        assert_eq!(stage.operation(&id).state, OperationState::Done);
    }
    let apps = stage.ask(|host| async move { host.apps().list().await.unwrap() });
    assert_eq!(apps.len(), names.len());
    let mut subnets = BTreeSet::new();
    for name in &names {
        let status = stage.ask(|host| async move { host.apps().of(name).await.unwrap() });
        assert_eq!(status.summary.state, AppState::Running, "{status:#?}");
        assert!(subnets.insert(status.subnet.clone()), "{status:#?}");
    }
}
