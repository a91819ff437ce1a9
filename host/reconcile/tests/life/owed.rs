//! Reloads that proxies are owed: whoever ends before they are over leaves word of them.

use crate::source::Source;
use crate::stage::{Stage, app};
use doprax_core::name::ServiceName;
use doprax_engine::Fault;
use doprax_store::Store;
use std::collections::BTreeSet;
use tokio::runtime::Builder;

fn proxy() -> BTreeSet<ServiceName> {
    BTreeSet::from([ServiceName::new("proxy").unwrap()])
}

/// Reads and writes what is stored of the app's reloads.
fn in_store<T>(stage: &Stage, act: impl AsyncFnOnce(&Store) -> T) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(stage.folder.path()).await.unwrap();
        let found = act(&store).await;
        store.close().await;
        found
    })
}

fn owed(stage: &Stage) -> BTreeSet<ServiceName> {
    in_store(stage, async |store| {
        let record = store.app_in_brief(&app()).await.unwrap();
        record.unwrap().reloads
    })
}

#[test]
fn what_a_killed_host_owes_its_proxies_is_written_down_until_it_is_done() {
    let mut stage = Stage::new();
    let whole = stage.deploy(&Source::with_proxy("v1"));
    // A copy is made, starts, and gets the name: the proxy still knows the one before it.
    stage.fake.hold_act(5, Fault::Before);
    let id = stage.begin_deploy(&Source::with_proxy("v2")).unwrap();
    stage.await_held();
    stage.kill();
    assert_eq!(owed(&stage), proxy());
    stage.start();
    stage.done(Ok(id));
    stage.await_whole(&whole.answering("v2"));
    stage.kill();
    assert_eq!(owed(&stage), BTreeSet::new());
}

#[test]
fn what_proxies_are_owed_is_made_good_by_the_next_host() {
    let mut stage = Stage::new();
    let whole = stage.deploy(&Source::with_proxy("v1"));
    stage.kill();
    in_store(&stage, async |store| {
        store.set_reloads(&app(), &proxy()).await.unwrap();
    });
    stage.start();
    stage.until("nothing is owed", || match owed(&stage) {
        owed if owed.is_empty() => Ok(()),
        owed => Err(format!("{owed:?}")),
    });
    stage.await_whole(&whole);
}
