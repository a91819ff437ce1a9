//! The engine as a whole: what it is, whom it tells what.

use crate::stage::{REDIS, Stage, container, until, volume};
use doprax_core::name::AppName;
use doprax_core::plan::Act;
use futures_util::StreamExt as _;
use std::sync::Arc;

pub(crate) async fn an_engine_says_what_it_is(stage: Arc<Stage>) {
    let facts = stage.engine.facts().await.unwrap();
    assert!(facts.api_version.starts_with("1."), "{facts:?}");
    assert!(
        !facts.version.is_empty() && facts.memory_limit && facts.pids_limit,
        "{facts:?}"
    );
}

pub(crate) async fn every_app_is_seen_by_its_own_instance(stage: Arc<Stage>) {
    stage.network().await;
    stage.must(stage.create(&container("redis", REDIS))).await;
    let leftover = AppName::new("leftover").unwrap();
    let create = Act::CreateVolume {
        volume: volume("data"),
    };
    stage.apply_to(&leftover, &create).await.unwrap();
    let all = stage.engine.observe_all().await.unwrap();
    assert_eq!(
        all.keys().map(AppName::as_str).collect::<Vec<_>>(),
        ["leftover", "shop"]
    );
    assert_eq!(all[&leftover].volumes.len(), 1);
    let shop = &all[&stage.app];
    assert_eq!((shop.containers.len(), shop.network.is_some()), (1, true));
    let mut in_full = stage.observe().await.containers;
    in_full[0].limits = None;
    assert_eq!(shop.containers, in_full);
}

pub(crate) async fn changes_are_hinted_at(stage: Arc<Stage>) {
    let mut hints = stage.engine.hints().await.unwrap();
    stage.network().await;
    // Events begin some time after the request for them; so change until one comes.
    let redis = container("redis", REDIS);
    let name = stage.name("redis");
    let hint = until("a hint", async || {
        stage.apply(&stage.create(&redis)).await.unwrap();
        stage
            .apply(&Act::RemoveContainer {
                container: stage.copy(&name),
            })
            .await
            .unwrap();
        let wait = std::time::Duration::from_millis(200);
        tokio::time::timeout(wait, hints.next())
            .await
            .ok()
            .flatten()
    })
    .await;
    assert_eq!(hint, stage.app);
}
