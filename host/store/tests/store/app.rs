//! Apps: what is remembered of one, and of one that is gone.

use crate::stage::{
    LITERAL, VALUE, add_operation, blueprint, files_hold, operation, release, release_of, shop,
    spec,
};
use doprax_core::blueprint::Note;
use doprax_core::name::{AppName, ServiceName, VolumeName};
use doprax_core::neighbour::Known;
use doprax_core::operation::OperationState;
use doprax_store::{Ending, Store};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};

#[tokio::test]
async fn an_app_and_its_release_are_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    store
        .add_app(&shop(), "10.200.0.0/23".parse().unwrap())
        .await
        .unwrap();
    store
        .add_app(&shop(), "10.200.2.0/23".parse().unwrap())
        .await
        .unwrap();
    let fresh = store.app(&shop()).await.unwrap().unwrap();
    assert_eq!(fresh.subnet, "10.200.0.0/23".parse().unwrap());
    assert_eq!((fresh.spec, fresh.release), (None, None));

    let mut failed = operation("op-0");
    add_operation(&store, &failed).await;
    failed.state = OperationState::Failed;
    let failure = |error| Ending {
        operation: &failed,
        state: OperationState::Failed,
        ended_ms: 5,
        events: &[],
        error,
    };
    store.end_operation(&failure(Some(VALUE))).await.unwrap();
    // One that says nothing of a failure takes back none.
    store.end_operation(&failure(None)).await.unwrap();
    let fresh = store.app_in_brief(&shop()).await.unwrap().unwrap();
    assert_eq!(fresh.last_error.as_deref(), Some(VALUE));
    assert!(!files_hold(folder.path(), VALUE));
    assert_eq!(release(&store).await, 1);
    assert_eq!(release(&store).await, 2);
    let stopped = BTreeSet::from([ServiceName::main()]);
    store.set_stopped(&shop(), &stopped).await.unwrap();
    store.set_reloads(&shop(), &stopped).await.unwrap();
    store.close().await;

    let store = Store::open(folder.path()).await.unwrap();
    let app = store.app(&shop()).await.unwrap().unwrap();
    assert_eq!(app.spec, Some(spec()));
    assert_eq!(app.manifest, Some(spec()));
    assert_eq!(app.stopped, stopped);
    let request: Option<String> = store.request(&shop()).await.unwrap();
    assert_eq!(request.as_deref(), Some(LITERAL));
    assert_eq!(app.last_error, None);
    assert_eq!(app.notes, ["memlock is left out"]);
    let brief = store.app_in_brief(&shop()).await.unwrap().unwrap();
    assert_eq!((&brief.manifest, &brief.spec), (&None, &None));
    assert_eq!(brief.release, app.release);
    assert_eq!(store.apps().await.unwrap(), [brief]);
    let release = app.release.unwrap();
    assert_eq!((release.number, release.blueprint), (2, blueprint()));
    assert!(!files_hold(folder.path(), LITERAL));

    store.remove_app(&shop(), None).await.unwrap();
    assert_eq!(store.app(&shop()).await.unwrap(), None);
    assert!(store.subnets().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_subnets_of_all_apps_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let subnets = ["10.200.0.0/23", "10.200.2.0/23"].map(|subnet| subnet.parse().unwrap());
    let other = AppName::new("other").unwrap();
    for (app, subnet) in [&shop(), &other].into_iter().zip(subnets) {
        store.add_app(app, subnet).await.unwrap();
    }
    let known =
        async || -> BTreeSet<Ipv4Net> { store.subnets().await.unwrap().into_iter().collect() };
    assert_eq!(known().await, BTreeSet::from(subnets));
    assert_eq!(store.app_names().await.unwrap(), [other.clone(), shop()]);
    let moved = "10.200.4.0/23".parse().unwrap();
    store.set_subnet(&other, moved).await.unwrap();
    assert_eq!(known().await, BTreeSet::from([subnets[0], moved]));
    // What runs is where its app is now.
    release(&store).await;
    store.set_subnet(&shop(), subnets[1]).await.unwrap();
    let app = store.app(&shop()).await.unwrap().unwrap();
    assert_eq!(app.subnet, subnets[1]);
    assert_eq!(app.release.unwrap().blueprint.subnet, subnets[1]);
}

#[tokio::test]
async fn a_volume_of_a_release_is_known_until_it_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let subnet = "10.200.0.0/23".parse().unwrap();
    store.add_app(&shop(), subnet).await.unwrap();
    let [data, uploads] = ["data", "uploads"].map(|name| VolumeName::new(name).unwrap());
    let made = async || store.app(&shop()).await.unwrap().unwrap().made_volumes;
    assert!(made().await.is_empty());
    release_of(&store, BTreeSet::from([data.clone(), uploads.clone()])).await;
    release_of(&store, BTreeSet::new()).await;
    assert_eq!(
        made().await,
        BTreeSet::from([data.clone(), uploads.clone()])
    );
    store.forget_volume(&shop(), &data).await.unwrap();
    assert_eq!(made().await, BTreeSet::from([uploads]));
}

#[tokio::test]
async fn a_failure_is_known_until_something_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let subnet = "10.200.0.0/23".parse().unwrap();
    store.add_app(&shop(), subnet).await.unwrap();
    let fail = async || {
        let ending = Ending {
            operation: &operation("op-1"),
            state: OperationState::Failed,
            ended_ms: 5,
            events: &[],
            error: Some(VALUE),
        };
        store.end_operation(&ending).await.unwrap();
    };
    let last_error = async || store.app(&shop()).await.unwrap().unwrap().last_error;
    fail().await;
    assert_eq!(last_error().await.as_deref(), Some(VALUE));
    store.clear_last_error(&shop()).await.unwrap();
    assert_eq!(last_error().await, None);
    fail().await;
    release(&store).await;
    assert_eq!(last_error().await, None);
}

#[tokio::test]
async fn what_proxies_believe_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let subnet = "10.200.0.0/23".parse().unwrap();
    store.add_app(&shop(), subnet).await.unwrap();
    assert_eq!(store.neighbours(&shop()).await.unwrap(), BTreeMap::new());
    let known = BTreeMap::from([(ServiceName::main(), Known::default())]);
    store.set_neighbours(&shop(), &known).await.unwrap();
    let stopped = BTreeSet::from([ServiceName::main()]);
    store.set_reloads(&shop(), &stopped).await.unwrap();
    store.close().await;
    let store = Store::open(folder.path()).await.unwrap();
    assert_eq!(store.neighbours(&shop()).await.unwrap(), known);
    let app = store.app_in_brief(&shop()).await.unwrap().unwrap();
    assert_eq!((app.reloads, app.stopped), (stopped, BTreeSet::new()));
}

#[tokio::test]
async fn what_a_removed_app_ran_is_known_until_it_is_deployed_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let add = async || {
        let subnet = "10.200.0.0/23".parse().unwrap();
        store.add_app(&shop(), subnet).await.unwrap();
    };
    let mut left = blueprint();
    left.notes.push(Note {
        service: None,
        text: LITERAL.to_owned(),
    });
    add().await;
    assert_eq!(store.remains(&shop()).await.unwrap(), None);
    store.remove_app(&shop(), Some(&left)).await.unwrap();
    assert_eq!(store.remains(&shop()).await.unwrap(), Some(left.clone()));
    let other = AppName::new("other").unwrap();
    assert_eq!(store.remains(&other).await.unwrap(), None);
    assert!(!files_hold(folder.path(), LITERAL));

    // A deploy that has not succeeded made no data.
    add().await;
    assert_eq!(store.remains(&shop()).await.unwrap(), Some(left.clone()));
    release(&store).await;
    assert_eq!(store.remains(&shop()).await.unwrap(), None);

    for forgotten in [false, true] {
        store.remove_app(&shop(), Some(&left)).await.unwrap();
        match forgotten {
            true => store.forget_remains(&shop()).await.unwrap(),
            false => store.remove_app(&shop(), None).await.unwrap(),
        }
        assert_eq!(store.remains(&shop()).await.unwrap(), None);
    }
}
