//! Containers: what becomes of one, told to or not.

use crate::stage::{REDIS, Stage, command_of, container, hash, literal, ping, until};
use doprax_core::blueprint::{Content, Env, File};
use doprax_core::observed::State;
use doprax_core::plan::Act;
use doprax_core::resources::Resources;
use doprax_core::secret::SecretName;
use doprax_core::text::{Part, Text};
use doprax_engine::{ByHand, Error, LogRequest, Outcome};
use std::sync::Arc;

pub(crate) async fn a_container_goes_through_its_life(stage: Arc<Stage>) {
    let subnet = stage.network().await;
    let redis = container("redis", REDIS);
    let name = stage.name("redis");
    stage.must(stage.create(&redis)).await;
    assert_eq!(
        stage.apply(&stage.create(&redis)).await.unwrap(),
        Outcome::AlreadyDone
    );
    let created = stage.container(&name).await;
    assert_eq!(
        (created.state, created.hash.as_str()),
        (State::Created, hash(&redis).as_str())
    );
    assert_eq!(
        (created.service.as_str(), created.image.as_str()),
        ("redis", REDIS)
    );
    assert_eq!((created.address, created.started_ms), (None, None));

    let start = Act::StartContainer {
        container: stage.copy(&name),
    };
    stage.must(start.clone()).await;
    assert_eq!(stage.apply(&start).await.unwrap(), Outcome::AlreadyDone);
    let running = stage.container(&name).await;
    assert_eq!((running.state, running.restarts), (State::Running, 0));
    assert!(subnet.contains(&running.address.unwrap()), "{running:?}");
    assert!(running.started_ms.unwrap() > 0);
    assert_eq!(
        stage
            .engine
            .container(&stage.app, &stage.copy(&name))
            .await
            .unwrap(),
        Some(running.clone())
    );

    let rename = Act::RenameContainer {
        from: stage.copy(&name),
        to: stage.copy(&format!("old_{name}")),
    };
    stage.must(rename.clone()).await;
    assert_eq!(stage.apply(&rename).await.unwrap(), Outcome::AlreadyDone);
    let renamed = stage.container(&format!("old_{name}")).await;
    assert_eq!((&renamed.id, renamed.state), (&running.id, State::Running));

    let name = format!("old_{name}");
    let restart = Act::RestartContainer {
        container: stage.copy(&name),
        grace_ms: 1_000,
    };
    stage.must(restart).await;
    assert!(stage.container(&name).await.started_ms > running.started_ms);

    let stop = Act::StopContainer {
        container: stage.copy(&name),
        grace_ms: 1_000,
    };
    stage.must(stop.clone()).await;
    assert_eq!(stage.apply(&stop).await.unwrap(), Outcome::AlreadyDone);
    let stopped = stage.container(&name).await;
    assert!(
        matches!(stopped.state, State::Exited(_)) && stopped.address.is_none(),
        "{stopped:?}"
    );

    let remove = Act::RemoveContainer {
        container: stage.copy(&name),
    };
    stage.must(remove.clone()).await;
    assert_eq!(stage.apply(&remove).await.unwrap(), Outcome::AlreadyDone);
    assert_eq!(stage.apply(&stop).await.unwrap(), Outcome::AlreadyDone);
    assert!(stage.observe().await.containers.is_empty());
}

pub(crate) async fn a_missing_container_is_named(stage: Arc<Stage>) {
    let name = stage.name("ghost");
    let gone = |result: Result<Outcome, Error>| match result {
        Err(Error::NoContainer { container }) => assert_eq!(container, stage.name("ghost")),
        other => panic!("{other:?}"),
    };
    gone(
        stage
            .apply(&Act::StartContainer {
                container: stage.copy(&name),
            })
            .await,
    );
    gone(
        stage
            .apply(&Act::RestartContainer {
                container: stage.copy(&name),
                grace_ms: 1,
            })
            .await,
    );
    let rename = Act::RenameContainer {
        from: stage.copy(&name),
        to: stage.copy(&format!("new_{name}")),
    };
    gone(stage.apply(&rename).await);
    assert_eq!(
        stage
            .engine
            .container(&stage.app, &stage.copy(&name))
            .await
            .unwrap(),
        None
    );
    let exec = stage
        .engine
        .exec(&name, &command_of(&["true"]))
        .await
        .map(|_| ());
    assert!(matches!(exec, Err(Error::NoContainer { .. })), "{exec:?}");
    let logs = stage
        .engine
        .logs(&name, LogRequest::default())
        .await
        .map(|_| ());
    assert!(matches!(logs, Err(Error::NoContainer { .. })), "{logs:?}");
}

pub(crate) async fn another_container_of_the_name_is_no_success(stage: Arc<Stage>) {
    stage.network().await;
    let mut redis = container("redis", REDIS);
    stage.must(stage.create(&redis)).await;
    redis.env.insert("CHANGED".to_owned(), literal("yes"));
    let changed = stage.apply(&stage.create(&redis)).await;
    assert!(matches!(changed, Err(Error::Failed { .. })), "{changed:?}");
}

pub(crate) async fn secrets_and_files_are_filled_in(stage: Arc<Stage>) {
    stage.network().await;
    let secret = SecretName::word("random_1");
    let text = Text(vec![
        Part::Literal("pass=".to_owned()),
        Part::Secret(secret.clone()),
    ]);
    let mut redis = container("redis", REDIS);
    redis.env.insert(
        "PASS".to_owned(),
        Env {
            value: text.clone(),
            masked: true,
        },
    );
    redis.files = vec![File {
        path: "/opt/new/folder/pass.conf".to_owned(),
        mode: 0o640,
        content: Content::Text(text),
        owner: None,
    }];
    match stage.apply(&stage.create(&redis)).await {
        Err(Error::NoMaterial { name }) => assert_eq!(name, secret.as_str()),
        other => panic!("{other:?}"),
    }
    assert!(stage.observe().await.containers.is_empty());

    let mut inputs = stage.inputs.clone();
    inputs.secrets.insert(secret, "s3cret".to_owned());
    let create = stage.create(&redis);
    let apply = || {
        stage
            .engine
            .apply(&stage.app, &create, &inputs, &stage.progress)
    };
    assert_eq!(apply().await.unwrap(), Outcome::Done);
    assert_eq!(apply().await.unwrap(), Outcome::AlreadyDone);
    let name = stage.name("redis");
    stage
        .must(Act::StartContainer {
            container: stage.copy(&name),
        })
        .await;
    assert_eq!(
        stage.output_of(&name, &["printenv", "PASS"]).await,
        "pass=s3cret\n"
    );
    let file = stage
        .output_of(&name, &["cat", "/opt/new/folder/pass.conf"])
        .await;
    assert_eq!(file, "pass=s3cret");
}

pub(crate) async fn a_crash_is_seen_and_restarted(stage: Arc<Stage>) {
    stage.network().await;
    let mut broken = container("broken", REDIS);
    broken.entrypoint = Some(vec!["false".to_owned()]);
    let name = stage.start(&broken).await;
    let crashed = until("a restart", async || {
        let found = stage.container(&name).await;
        (found.restarts > 1).then_some(found)
    })
    .await;
    let is_down = |state| matches!(state, State::Restarting | State::Running | State::Exited(1));
    assert!(is_down(crashed.state), "{crashed:?}");
    // Lists tell of what crashes as the look at one app does, once a pause is long enough
    // for the two questions that it takes.
    until("a pause between restarts in the lists", async || {
        let all = stage.engine.observe_all().await.unwrap();
        let mut copies = all[&stage.app].containers.iter();
        let found = copies.find(|copy| copy.name == stage.copy(&name))?;
        let has_ended = found.ended_ms >= found.started_ms && found.started_ms.is_some();
        let waits = found.state == State::Restarting && found.exit_code == Some(1);
        (waits && has_ended && found.restarts > 1).then_some(())
    })
    .await;
    stage
        .must(Act::StopContainer {
            container: stage.copy(&name),
            grace_ms: 0,
        })
        .await;
    assert!(matches!(
        stage.container(&name).await.state,
        State::Exited(_)
    ));
}

pub(crate) async fn one_that_crashes_again_and_again_can_be_renamed(stage: Arc<Stage>) {
    stage.network().await;
    let mut broken = container("broken", REDIS);
    broken.entrypoint = Some(vec!["false".to_owned()]);
    let mut name = stage.start(&broken).await;
    // Between two restarts for longer each time.
    until("a pause between restarts", async || {
        let found = stage.container(&name).await;
        (found.restarts > 2 && found.state == State::Restarting).then_some(())
    })
    .await;
    for other in ["old", "older"] {
        let to = stage.name(other);
        stage
            .must(Act::RenameContainer {
                from: stage.copy(&name),
                to: stage.copy(&to),
            })
            .await;
        // It goes on as it did.
        until("a restart", async || {
            (stage.container(&to).await.restarts > 1).then_some(())
        })
        .await;
        name = to;
    }
}

pub(crate) async fn limits_change_while_a_container_runs(stage: Arc<Stage>) {
    stage.network().await;
    let mut redis = container("redis", REDIS);
    redis.resources.memory = Some(64 << 20);
    let name = stage.start(&redis).await;
    let before = stage.container(&name).await;
    assert!(before.limits.unwrap().hold(&redis.resources));
    let wanted = [
        (Some(128 << 20), Some(500)),
        (Some(32 << 20), Some(1000)),
        (None, None),
        (Some(64 << 20), Some(500)),
    ];
    for (memory, millicpus) in wanted {
        let resources = Resources {
            memory,
            millicpus,
            ..Resources::default()
        };
        let update = Act::UpdateContainer {
            container: stage.copy(&name),
            resources,
        };
        stage.must(update.clone()).await;
        let now = stage.container(&name).await;
        let limits = now.limits.unwrap();
        assert!(limits.hold(&resources), "{limits:?}");
        assert_eq!(now.started_ms, before.started_ms);
        assert_eq!(stage.apply(&update).await.unwrap(), Outcome::AlreadyDone);
    }
    let nobody = Act::UpdateContainer {
        container: stage.copy(&stage.name("nobody")),
        resources: Resources::default(),
    };
    assert!(matches!(
        stage.apply(&nobody).await,
        Err(Error::NoContainer { .. })
    ));
}

pub(crate) async fn what_a_person_does_by_hand_is_seen(stage: Arc<Stage>) {
    stage.network().await;
    let mut redis = container("redis", REDIS);
    redis.resources.memory = Some(64 << 20);
    let name = stage.start(&redis).await;
    let start = Act::StartContainer {
        container: stage.copy(&name),
    };
    let address = async || {
        let found = stage.container(&name).await;
        let address = found.address.filter(|_| found.state == State::Running)?;
        ping(address).await.map(|_| address)
    };
    for (change, code) in [(ByHand::Stop, 0), (ByHand::Kill, 137)] {
        let before = until("an answer", address).await;
        stage.by_hand(&name, change).await;
        let found = stage.container(&name).await;
        assert_eq!(
            (found.state, found.address, found.attached),
            (State::Exited(code), None, true),
            "{change:?}"
        );
        assert_eq!(ping(before).await, None);
        stage.must(start.clone()).await;
    }

    let before = until("an answer", address).await;
    stage.by_hand(&name, ByHand::Disconnect).await;
    let found = stage.container(&name).await;
    let place = (found.state, found.address, found.attached);
    assert_eq!(place, (State::Running, None, false));
    assert_eq!(ping(before).await, None);
    let connect = Act::ConnectContainer {
        container: stage.copy(&name),
        aliases: redis.aliases.clone(),
    };
    stage.must(connect.clone()).await;
    until("an answer on the network again", address).await;
    assert_eq!(stage.apply(&connect).await.unwrap(), Outcome::AlreadyDone);

    stage.by_hand(&name, ByHand::Update(Some(128 << 20))).await;
    let limits = stage.container(&name).await.limits.unwrap();
    assert_eq!((limits.memory, limits.usual), (Some(128 << 20), false));
    let update = Act::UpdateContainer {
        container: stage.copy(&name),
        resources: redis.resources,
    };
    stage.must(update).await;
    let limits = stage.container(&name).await.limits.unwrap();
    assert!(limits.hold(&redis.resources), "{limits:?}");

    let before = until("an answer", address).await;
    stage.by_hand(&name, ByHand::Pause).await;
    let found = stage.container(&name).await;
    assert_eq!((found.state, found.attached), (State::Paused, true));
    assert_eq!(ping(before).await, None);
    stage.by_hand(&name, ByHand::Remove).await;
    assert_eq!(
        stage
            .engine
            .container(&stage.app, &stage.copy(&name))
            .await
            .unwrap(),
        None
    );
}
