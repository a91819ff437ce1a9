//! Networks: names on them, and what they keep apart.

use crate::docker_only::idle;
use crate::stage::{REDIS, Stage, command_of, container, file, hash, until};
use doprax_core::copy::CopyName;
use doprax_core::name::AppName;
use doprax_core::plan::Act;
use doprax_engine::names;
use std::sync::Arc;

pub(crate) async fn a_hostname_moves_with_the_name(stage: Arc<Stage>) {
    stage.network().await;
    let client = stage.start(&idle("client")).await;
    let old = stage.start(&container("redis", REDIS)).await;
    let looked_up = async || {
        let found = stage
            .output_of(&client, &["getent", "ahostsv4", "redis"])
            .await;
        found.split_whitespace().next().unwrap().to_owned()
    };
    let address = async |name: &str| stage.container(name).await.address.unwrap().to_string();
    assert_eq!(looked_up().await, address(&old).await);

    // The new copy has a file: so it was renamed once before it started.
    let mut changed = container("redis", REDIS);
    changed.files = vec![file("/etc/changed", 0o644, "yes")];
    let spare = CopyName::spare(&changed.name, &hash(&changed));
    let spare = names::container(&stage.instance, &stage.app, &spare);
    let create = Act::CreateContainer {
        container: stage.copy(&spare),
        hash: hash(&changed),
        spec: Box::new(changed.clone()),
    };
    stage.must(create).await;
    stage
        .must(Act::StartContainer {
            container: stage.copy(&spare),
        })
        .await;
    assert_eq!(looked_up().await, address(&old).await);
    let new = address(&spare).await;
    let away = format!("old_{old}");
    stage
        .must(Act::RenameContainer {
            from: stage.copy(&old),
            to: stage.copy(&away),
        })
        .await;
    stage
        .must(Act::RenameContainer {
            from: stage.copy(&spare),
            to: stage.copy(&old),
        })
        .await;
    assert_eq!(looked_up().await, new);
    let hostname = stage.output_of(&old, &["cat", "/etc/hostname"]).await;
    assert_eq!(hostname.trim(), "redis");
}

pub(crate) async fn two_apps_do_not_reach_each_other(stage: Arc<Stage>) {
    stage.network().await;
    let near = stage.start(&container("redis", REDIS)).await;
    let blog = AppName::new("blog").unwrap();
    let subnet = "10.220.77.0/24".parse().unwrap();
    stage
        .apply_to(&blog, &Act::CreateNetwork { subnet })
        .await
        .unwrap();
    let redis = container("redis", REDIS);
    let copy = CopyName::serving(&redis.name);
    let far = names::container(&stage.instance, &blog, &copy);
    let create = Act::CreateContainer {
        container: copy.clone(),
        hash: hash(&redis),
        spec: Box::new(redis),
    };
    stage.apply_to(&blog, &create).await.unwrap();
    let start = Act::StartContainer {
        container: copy.clone(),
    };
    stage.apply_to(&blog, &start).await.unwrap();
    let ping = async |from: &str, host: &str| {
        let command = command_of(&["timeout", "3", "redis-cli", "-h", host, "ping"]);
        stage.run_in(from, command, "").await.1.trim() == "PONG"
    };
    until("both answer themselves", async || {
        (ping(&near, "redis").await && ping(&far, "redis").await).then_some(())
    })
    .await;
    let far_address = stage
        .engine
        .container(&blog, &copy)
        .await
        .unwrap()
        .unwrap()
        .address
        .unwrap();
    assert!(ping(&far, &far_address.to_string()).await);
    assert!(!ping(&near, &far_address.to_string()).await);
    assert!(!ping(&near, &far).await);
}
