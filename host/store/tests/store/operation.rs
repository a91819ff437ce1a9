//! Operations: journaled, waiting, ended, overtaken.

use crate::stage::{LITERAL, VALUE, add_operation, event, files_hold, operation, shop};
use doprax_core::name::AppName;
use doprax_core::operation::{Operation, OperationState};
use doprax_core::secret::SecretName;
use doprax_store::{Ending, Store};
use std::collections::BTreeMap;

#[tokio::test]
async fn operations_are_journaled_until_they_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let mut one = operation("op-1");
    add_operation(&store, &one).await;
    store
        .add_events("op-1", &[event(1), event(2)])
        .await
        .unwrap();
    store.add_events("op-1", &[event(3)]).await.unwrap();
    store.close().await;
    assert!(!files_hold(folder.path(), LITERAL));
    // What an app prints may be a secret.
    assert!(!files_hold(folder.path(), VALUE));

    let store = Store::open(folder.path()).await.unwrap();
    let unfinished: Vec<(Operation, String)> = store.unfinished().await.unwrap();
    assert_eq!(unfinished, [(one.clone(), LITERAL.to_owned())]);
    assert_eq!(store.events("op-1", 1).await.unwrap(), [event(2), event(3)]);

    let ending = Ending {
        operation: &one,
        state: OperationState::Done,
        ended_ms: 5,
        events: &[event(4)],
        error: None,
    };
    store.end_operation(&ending).await.unwrap();
    assert_eq!(store.events("op-1", 3).await.unwrap(), [event(4)]);
    one.state = OperationState::Done;
    one.ended_ms = Some(5);
    assert_eq!(store.operation("op-1").await.unwrap().as_ref(), Some(&one));
    assert!(store.unfinished::<String>().await.unwrap().is_empty());
    assert_eq!(store.operation("op-2").await.unwrap(), None);

    let two = operation("op-2");
    add_operation(&store, &two).await;
    assert_eq!(store.operations(None).await.unwrap(), [two, one]);
    let other = AppName::new("other").unwrap();
    assert!(store.operations(Some(&other)).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_something_newer_has_followed_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let (old, new) = (operation("old"), operation("new"));
    let other = Operation {
        app: AppName::new("other").unwrap(),
        ..operation("other")
    };
    for operation in [&old, &other, &new] {
        add_operation(&store, operation).await;
    }
    let unfinished = async || -> Vec<Operation> {
        let unfinished = store.unfinished::<String>().await.unwrap();
        unfinished
            .into_iter()
            .map(|(operation, _)| operation)
            .collect()
    };
    assert_eq!(unfinished().await, [other.clone(), new.clone()]);
    let ending = Ending {
        operation: &new,
        state: OperationState::Done,
        ended_ms: 5,
        events: &[],
        error: None,
    };
    store.end_operation(&ending).await.unwrap();
    assert_eq!(unfinished().await, [other]);
    assert_eq!(store.overtaken().await.unwrap(), [old]);
}

#[tokio::test]
async fn what_waits_gives_its_secrets_when_it_begins_and_overtakes_nothing_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let waits = |id: &str| Operation {
        state: OperationState::Waiting,
        ..operation(id)
    };
    let first = operation("first");
    add_operation(&store, &first).await;
    let key = SecretName::variable("KEY");
    let given = BTreeMap::from([(key.clone(), VALUE.to_owned())]);
    for waiting in [waits("given-up"), waits("second")] {
        let added = store.add_operation(&waiting, &LITERAL, &given);
        added.await.unwrap();
    }
    let ended = Ending {
        operation: &waits("given-up"),
        state: OperationState::Cancelled,
        ended_ms: 2,
        events: &[],
        error: None,
    };
    store.end_operation(&ended).await.unwrap();
    // None of those that never began has followed the first.
    store.close().await;
    assert!(!files_hold(folder.path(), VALUE));
    let store = Store::open(folder.path()).await.unwrap();
    let unfinished = async || -> Vec<Operation> {
        let unfinished = store.unfinished::<String>().await.unwrap();
        unfinished.into_iter().map(|(found, _)| found).collect()
    };
    assert_eq!(unfinished().await, [first.clone(), waits("second")]);
    assert!(store.overtaken().await.unwrap().is_empty());
    assert!(store.secrets(&shop()).await.unwrap().is_empty());

    let request = async |id: &str| store.request_of::<String>(id).await.unwrap();
    assert_eq!(request("second").await.as_deref(), Some(LITERAL));
    assert_eq!(request("given-up").await, None);
    store.begin_operation(&waits("second"), 7).await.unwrap();
    assert_eq!(request("second").await.as_deref(), Some(LITERAL));
    let secrets = store.secrets(&shop()).await.unwrap();
    assert_eq!(secrets[&key].value, VALUE);
    let begun = Operation {
        started_ms: 7,
        ..operation("second")
    };
    assert_eq!(unfinished().await, [begun]);
    assert_eq!(store.overtaken().await.unwrap(), [first]);
}

#[tokio::test]
async fn what_waits_is_remembered_however_many_have_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let waiting = Operation {
        state: OperationState::Waiting,
        ..operation("waits")
    };
    add_operation(&store, &waiting).await;
    for number in 0..60 {
        let other = operation(&number.to_string());
        add_operation(&store, &other).await;
        let ending = Ending {
            operation: &other,
            state: OperationState::Done,
            ended_ms: 5,
            events: &[],
            error: None,
        };
        store.end_operation(&ending).await.unwrap();
    }
    let unfinished = store.unfinished::<String>().await.unwrap();
    assert_eq!(unfinished[0].0, waiting);
}

#[tokio::test]
async fn the_latest_100_operations_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let ids: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    for id in &ids {
        add_operation(&store, &operation(id)).await;
    }
    let listed = store.operations(None).await.unwrap();
    let listed = listed.iter().map(|operation| &operation.id);
    assert!(listed.eq(ids[1..].iter().rev()));
}
