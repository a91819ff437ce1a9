//! Volumes: they have any name and outlive containers.

use crate::stage::{REDIS, Stage, container, volume};
use doprax_core::blueprint::{Content, File};
use doprax_core::plan::Act;
use doprax_core::spec::VolumeMount;
use doprax_core::text::Text;
use doprax_engine::{Error, Outcome};
use std::sync::Arc;

pub(crate) async fn a_volume_has_any_name_and_outlives_containers(stage: Arc<Stage>) {
    let name = volume("new volume 01");
    let create = Act::CreateVolume {
        volume: name.clone(),
    };
    stage.must(create.clone()).await;
    assert_eq!(stage.apply(&create).await.unwrap(), Outcome::AlreadyDone);
    stage.network().await;
    let mut redis = container("redis", REDIS);
    redis.mounts = vec![VolumeMount {
        name: name.clone(),
        path: "/data/kept".to_owned(),
    }];
    let running = stage.start(&redis).await;
    assert!(stage.engine.has_volume(&stage.app, &name).await.unwrap());
    let used = stage.engine.remove_volume(&stage.app, &name).await;
    assert!(matches!(used, Err(Error::Failed { .. })), "{used:?}");
    stage
        .must(Act::RemoveContainer {
            container: stage.copy(&running),
        })
        .await;
    assert!(stage.observe().await.volumes.contains(&name));
    let removed = stage.engine.remove_volume(&stage.app, &name).await.unwrap();
    assert_eq!(removed, Outcome::Done);
    let again = stage.engine.remove_volume(&stage.app, &name).await.unwrap();
    assert_eq!(again, Outcome::AlreadyDone);
    assert!(stage.observe().await.volumes.is_empty());

    // Nothing is made in its place, whatever files the container has.
    redis.files = vec![File {
        path: "/etc/some.conf".to_owned(),
        mode: 0o644,
        owner: None,
        content: Content::Text(Text::literal("x")),
    }];
    for files in [true, false] {
        if !files {
            redis.files.clear();
        }
        let refused = stage.apply(&stage.create(&redis)).await;
        assert!(matches!(refused, Err(Error::Failed { .. })), "{refused:?}");
    }
    assert!(!stage.engine.has_volume(&stage.app, &name).await.unwrap());
    let observed = stage.observe().await;
    assert!(observed.volumes.is_empty() && observed.containers.is_empty());
}
