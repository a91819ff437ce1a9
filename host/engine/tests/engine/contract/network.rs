//! Networks: made once, joined by containers, reached on them.

use crate::stage::{REDIS, Stage, container, ping, until};
use doprax_core::name::AppName;
use doprax_core::plan::Act;
use doprax_engine::{Error, Outcome};
use std::sync::Arc;

pub(crate) async fn a_network_is_made_once(stage: Arc<Stage>) {
    assert!(stage.observe().await.network.is_none());
    let subnet = stage.network().await;
    assert_eq!(
        stage.apply(&Act::CreateNetwork { subnet }).await.unwrap(),
        Outcome::AlreadyDone
    );
    assert_eq!(stage.observe().await.network.unwrap().subnet, subnet);
    assert!(stage.engine.subnets().await.unwrap().contains(&subnet));
    let other = Act::CreateNetwork {
        subnet: "10.220.1.0/24".parse().unwrap(),
    };
    assert!(matches!(
        stage.apply(&other).await,
        Err(Error::Failed { .. })
    ));
    let foreign = AppName::new("foreign").unwrap();
    let taken = stage
        .apply_to(&foreign, &Act::CreateNetwork { subnet })
        .await;
    assert!(
        matches!(taken, Err(Error::SubnetTaken { subnet: found }) if found == subnet),
        "{taken:?}"
    );
    stage.must(Act::RemoveNetwork).await;
    assert_eq!(
        stage.apply(&Act::RemoveNetwork).await.unwrap(),
        Outcome::AlreadyDone
    );
    assert!(stage.observe().await.network.is_none());
}

pub(crate) async fn a_container_may_be_made_before_its_network(stage: Arc<Stage>) {
    let redis = container("redis", REDIS);
    let name = stage.name("redis");
    stage.must(stage.create(&redis)).await;
    let start = Act::StartContainer {
        container: stage.copy(&name),
    };
    let refused = stage.apply(&start).await;
    assert!(matches!(refused, Err(Error::Failed { .. })), "{refused:?}");
    let subnet = stage.network().await;
    stage.must(start).await;
    let running = stage.container(&name).await;
    assert!(subnet.contains(&running.address.unwrap()), "{running:?}");
}

pub(crate) async fn a_port_is_dialled_while_its_container_runs(stage: Arc<Stage>) {
    stage.network().await;
    let name = stage.start(&container("redis", REDIS)).await;
    let answers = async || {
        let address = stage.container(&name).await.address?;
        let answer = ping(address).await?;
        assert_eq!(answer, "+PONG\r\n");
        Some(address)
    };
    until("an answer", answers).await;
    let restart = Act::RestartContainer {
        container: stage.copy(&name),
        grace_ms: 5_000,
    };
    stage.must(restart).await;
    let address = until("an answer after a restart", answers).await;
    let stop = Act::StopContainer {
        container: stage.copy(&name),
        grace_ms: 5_000,
    };
    stage.must(stop).await;
    assert_eq!(ping(address).await, None);
    let start = Act::StartContainer {
        container: stage.copy(&name),
    };
    stage.must(start).await;
    let address = until("an answer after a start", answers).await;
    stage
        .must(Act::RemoveContainer {
            container: stage.copy(&name),
        })
        .await;
    assert_eq!(ping(address).await, None);
}
