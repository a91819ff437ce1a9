//! What every engine does, written once.

use crate::stage::{
    DEBIAN, REDIS, Stage, command_of, container, hash, literal, ping, until, volume,
};
use doprax_core::blueprint::{Content, Env, File};
use doprax_core::name::AppName;
use doprax_core::observed::State;
use doprax_core::plan::{Act, Rebuild};
use doprax_core::release::Kept;
use doprax_core::resources::Resources;
use doprax_core::secret::SecretName;
use doprax_core::source::Recipe;
use doprax_core::spec::VolumeMount;
use doprax_core::text::{Part, Text};
use doprax_engine::{ByHand, Error, Event, Exec, LogRequest, Outcome};
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
        .must(Act::RemoveContainer { container: running })
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
        container: name.clone(),
    };
    stage.must(start.clone()).await;
    assert_eq!(stage.apply(&start).await.unwrap(), Outcome::AlreadyDone);
    let running = stage.container(&name).await;
    assert_eq!((running.state, running.restarts), (State::Running, 0));
    assert!(subnet.contains(&running.address.unwrap()), "{running:?}");
    assert!(running.started_ms.unwrap() > 0);
    assert_eq!(
        stage.engine.container(&name).await.unwrap(),
        Some(running.clone())
    );

    let rename = Act::RenameContainer {
        from: name.clone(),
        to: format!("old_{name}"),
    };
    stage.must(rename.clone()).await;
    assert_eq!(stage.apply(&rename).await.unwrap(), Outcome::AlreadyDone);
    let renamed = stage.container(&format!("old_{name}")).await;
    assert_eq!((&renamed.id, renamed.state), (&running.id, State::Running));

    let name = renamed.name;
    let restart = Act::RestartContainer {
        container: name.clone(),
        grace_ms: 1_000,
    };
    stage.must(restart).await;
    assert!(stage.container(&name).await.started_ms > running.started_ms);

    let stop = Act::StopContainer {
        container: name.clone(),
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
        container: name.clone(),
    };
    stage.must(remove.clone()).await;
    assert_eq!(stage.apply(&remove).await.unwrap(), Outcome::AlreadyDone);
    assert_eq!(stage.apply(&stop).await.unwrap(), Outcome::AlreadyDone);
    assert!(stage.observe().await.containers.is_empty());
}

pub(crate) async fn a_container_may_be_made_before_its_network(stage: Arc<Stage>) {
    let redis = container("redis", REDIS);
    let name = stage.name("redis");
    stage.must(stage.create(&redis)).await;
    let start = Act::StartContainer {
        container: name.clone(),
    };
    let refused = stage.apply(&start).await;
    assert!(matches!(refused, Err(Error::Failed { .. })), "{refused:?}");
    let subnet = stage.network().await;
    stage.must(start).await;
    let running = stage.container(&name).await;
    assert!(subnet.contains(&running.address.unwrap()), "{running:?}");
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
                container: name.clone(),
            })
            .await,
    );
    gone(
        stage
            .apply(&Act::RestartContainer {
                container: name.clone(),
                grace_ms: 1,
            })
            .await,
    );
    let rename = Act::RenameContainer {
        from: name.clone(),
        to: format!("new_{name}"),
    };
    gone(stage.apply(&rename).await);
    assert_eq!(stage.engine.container(&name).await.unwrap(), None);
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

pub(crate) async fn a_missing_image_is_told_apart(stage: Arc<Stage>) {
    stage.network().await;
    let missing = "doprax-test/no-such-image:1";
    assert_eq!(stage.engine.image(missing).await.unwrap(), None);
    let created = stage
        .apply(&stage.create(&container("ghost", missing)))
        .await;
    match created {
        Err(Error::ImageMissing { reference, .. }) => assert_eq!(reference, missing),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn an_image_has_its_ports(stage: Arc<Stage>) {
    let facts = stage.engine.image(REDIS).await.unwrap().unwrap();
    assert_eq!(facts.ports, [6379]);
    assert!(!facts.id.is_empty());
    let pull = Act::PullImage {
        reference: REDIS.to_owned(),
        digest: None,
    };
    assert_eq!(stage.apply(&pull).await.unwrap(), Outcome::AlreadyDone);
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
            container: name.clone(),
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

pub(crate) async fn a_command_has_input_output_and_an_exit_code(stage: Arc<Stage>) {
    stage.network().await;
    let name = stage.start(&container("redis", REDIS)).await;
    let cat = Exec {
        stdin: true,
        ..command_of(&["cat"])
    };
    let (code, out, err) = stage.run_in(&name, cat, "one\ntwo").await;
    assert_eq!((code, out.as_str(), err.as_str()), (0, "one\ntwo", ""));
    assert_eq!(stage.run_in(&name, command_of(&["false"]), "").await.0, 1);
    let env = Exec {
        env: vec![("GREETING".to_owned(), "hello".to_owned())],
        ..command_of(&["printenv", "GREETING"])
    };
    assert_eq!(stage.run_in(&name, env, "").await.1, "hello\n");
    let (code, _, err) = stage
        .run_in(&name, command_of(&["cat", "/no/such/file"]), "")
        .await;
    assert_eq!(code, 1);
    assert!(err.contains("No such file"), "{err}");
    let terminal = Exec {
        terminal: Some((80, 24)),
        ..command_of(&["echo", "hello"])
    };
    assert_eq!(stage.run_in(&name, terminal, "").await.1, "hello\r\n");
    let usage = stage.engine.usage(&name).await.unwrap();
    assert!(
        usage.memory > 0 && usage.memory < usage.memory_limit,
        "{usage:?}"
    );

    stage
        .must(Act::StopContainer {
            container: name.clone(),
            grace_ms: 1_000,
        })
        .await;
    let stopped = stage
        .engine
        .exec(&name, &command_of(&["true"]))
        .await
        .map(|_| ());
    assert!(matches!(stopped, Err(Error::Failed { .. })), "{stopped:?}");
}

pub(crate) async fn a_log_is_read_from_its_end(stage: Arc<Stage>) {
    stage.network().await;
    let name = stage.start(&container("redis", REDIS)).await;
    let text = async |request| {
        let mut log = stage.engine.logs(&name, request).await.unwrap();
        let mut text = Vec::new();
        while let Some(piece) = log.next().await {
            text.extend_from_slice(&piece.unwrap().bytes);
        }
        String::from_utf8(text).unwrap()
    };
    until("Redis is ready", async || {
        text(LogRequest::default())
            .await
            .contains("Ready to accept connections")
            .then_some(())
    })
    .await;
    let last = text(LogRequest {
        tail: Some(1),
        timestamps: true,
        ..LogRequest::default()
    })
    .await;
    assert_eq!(last.lines().count(), 1, "{last}");
    assert!(
        last.starts_with("20") && last.contains("Ready to accept connections"),
        "{last}"
    );
    let future = LogRequest {
        since: Some(4_000_000_000),
        ..LogRequest::default()
    };
    assert_eq!(text(future).await, "");

    let follow = LogRequest {
        follow: true,
        ..LogRequest::default()
    };
    let mut followed = stage.engine.logs(&name, follow).await.unwrap();
    let first = followed.next().await.unwrap().unwrap();
    assert!(!first.bytes.is_empty());
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
        let found = copies.find(|copy| copy.name == name)?;
        let has_ended = found.ended_ms >= found.started_ms && found.started_ms.is_some();
        let waits = found.state == State::Restarting && found.exit_code == Some(1);
        (waits && has_ended && found.restarts > 1).then_some(())
    })
    .await;
    stage
        .must(Act::StopContainer {
            container: name.clone(),
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
                from: name.clone(),
                to: to.clone(),
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
            container: name.clone(),
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
        container: stage.name("nobody"),
        resources: Resources::default(),
    };
    assert!(matches!(
        stage.apply(&nobody).await,
        Err(Error::NoContainer { .. })
    ));
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
        container: name.clone(),
        grace_ms: 5_000,
    };
    stage.must(restart).await;
    let address = until("an answer after a restart", answers).await;
    let stop = Act::StopContainer {
        container: name.clone(),
        grace_ms: 5_000,
    };
    stage.must(stop).await;
    assert_eq!(ping(address).await, None);
    let start = Act::StartContainer {
        container: name.clone(),
    };
    stage.must(start).await;
    let address = until("an answer after a start", answers).await;
    stage.must(Act::RemoveContainer { container: name }).await;
    assert_eq!(ping(address).await, None);
}

pub(crate) async fn what_a_person_does_by_hand_is_seen(stage: Arc<Stage>) {
    stage.network().await;
    let mut redis = container("redis", REDIS);
    redis.resources.memory = Some(64 << 20);
    let name = stage.start(&redis).await;
    let start = Act::StartContainer {
        container: name.clone(),
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
        container: name.clone(),
        aliases: redis.aliases.clone(),
    };
    stage.must(connect.clone()).await;
    until("an answer on the network again", address).await;
    assert_eq!(stage.apply(&connect).await.unwrap(), Outcome::AlreadyDone);

    stage.by_hand(&name, ByHand::Update(Some(128 << 20))).await;
    let limits = stage.container(&name).await.limits.unwrap();
    assert_eq!((limits.memory, limits.usual), (Some(128 << 20), false));
    let update = Act::UpdateContainer {
        container: name.clone(),
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
    assert_eq!(stage.engine.container(&name).await.unwrap(), None);
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
                container: name.clone(),
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

pub(crate) async fn an_image_is_built_from_source(stage: Arc<Stage>) {
    let dockerfile =
        format!("FROM {DEBIAN}\nRUN echo building-it\nEXPOSE 9000 8000\nVOLUME /srv/data\n");
    let (built, inputs, folder) = build_of(&stage, &dockerfile);
    let apply = || {
        stage
            .engine
            .apply(&stage.app, &built, &inputs, &stage.progress)
    };
    assert_eq!(apply().await.unwrap(), Outcome::Done);
    let events = stage.events.lock().unwrap().clone();
    let has = |text: &str| {
        events
            .iter()
            .any(|event| matches!(event, Event::Build(line) if line.contains(text)))
    };
    assert!(has("RUN echo building-it"), "{events:?}");
    let Act::BuildImage { reference, .. } = &built else {
        unreachable!()
    };
    let facts = stage.engine.image(reference).await.unwrap().unwrap();
    assert_eq!(facts.ports, [8000, 9000]);
    assert_eq!(facts.volumes, ["/srv/data"]);

    // Known already: the source is not even looked at.
    drop(folder);
    assert_eq!(apply().await.unwrap(), Outcome::AlreadyDone);
    stage
        .engine
        .prune_images(&stage.app, &kept([reference], []))
        .await
        .unwrap();
    assert!(stage.engine.image(reference).await.unwrap().is_some());
    stage
        .engine
        .prune_images(&stage.app, &Kept::default())
        .await
        .unwrap();
    assert!(stage.engine.image(reference).await.unwrap().is_none());
    assert!(stage.engine.image(DEBIAN).await.unwrap().is_some());
}

/// What is kept for a release.
fn kept<'a>(
    references: impl IntoIterator<Item = &'a String>,
    ids: impl IntoIterator<Item = &'a String>,
) -> Kept {
    Kept {
        references: references.into_iter().cloned().collect(),
        image_ids: ids.into_iter().cloned().collect(),
        ..Kept::default()
    }
}

pub(crate) async fn an_image_is_kept_for_a_release(stage: Arc<Stage>) {
    let dockerfile = |port: u16| format!("FROM {DEBIAN}\nEXPOSE {port}\n");
    let (first, mut inputs, _folder) = build_of(&stage, &dockerfile(8000));
    let Act::BuildImage {
        reference, source, ..
    } = &first
    else {
        unreachable!()
    };
    let build = async |inputs: &doprax_engine::Inputs| {
        let again = Act::BuildImage {
            reference: reference.clone(),
            source: source.clone(),
            recipe: Recipe::default(),
            rebuild: Rebuild::Cached,
        };
        stage
            .engine
            .apply(&stage.app, &again, inputs, &stage.progress)
            .await
            .unwrap();
        stage.engine.image(reference).await.unwrap().unwrap().id
    };
    let old = build(&inputs).await;
    stage.engine.keep_image(&stage.app, &old).await.unwrap();
    // Keeping it once more, and one that nobody has, changes nothing.
    stage.engine.keep_image(&stage.app, &old).await.unwrap();
    let none = format!("sha256:{}", "0".repeat(64));
    stage.engine.keep_image(&stage.app, &none).await.unwrap();
    let (_, other, _other_folder) = build_of(&stage, &dockerfile(9000));
    let path = other.sources.into_values().next().unwrap();
    inputs.sources.insert(source.clone(), path);
    let new = build(&inputs).await;
    assert_ne!(old, new);

    let prune = async |kept: &Kept| {
        stage.engine.prune_images(&stage.app, kept).await.unwrap();
        let mut there = Vec::new();
        for id in [&old, &new] {
            there.push(stage.engine.image(id).await.unwrap().is_some());
        }
        there
    };
    assert_eq!(prune(&kept([reference], [&old, &new])).await, [true, true]);
    let facts = stage.engine.image(&old).await.unwrap().unwrap();
    assert_eq!(facts.ports, [8000]);
    assert_eq!(prune(&kept([reference], [&new])).await, [false, true]);
    assert_eq!(prune(&Kept::default()).await, [false, false]);
}

pub(crate) async fn a_failed_build_shows_the_step_and_its_last_lines(stage: Arc<Stage>) {
    let dockerfile = format!(
        "FROM {DEBIAN}\nRUN echo line-1 && echo line-2 && echo line-3 && exit 7\nEXPOSE 80\n"
    );
    let (built, inputs, _folder) = build_of(&stage, &dockerfile);
    let failed = stage
        .engine
        .apply(&stage.app, &built, &inputs, &stage.progress)
        .await;
    match failed {
        Err(Error::BuildFailed {
            step,
            output,
            reason,
        }) => {
            assert!(step.contains("RUN echo line-1"), "{step}");
            assert!(
                output.iter().any(|line| line.contains("line-3")),
                "{output:?}"
            );
            assert!(reason.contains('7'), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    let Act::BuildImage { reference, .. } = &built else {
        unreachable!()
    };
    assert!(stage.engine.image(reference).await.unwrap().is_none());
}

/// A build of a source that is only this Dockerfile.
pub(crate) fn build_of(
    stage: &Stage,
    dockerfile: &str,
) -> (Act, doprax_engine::Inputs, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source.tar");
    let mut archive = tar::Builder::new(std::fs::File::create(&path).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(dockerfile.len() as u64);
    header.set_mode(0o644);
    archive
        .append_data(&mut header, "Dockerfile", dockerfile.as_bytes())
        .unwrap();
    archive.into_inner().unwrap();
    let source = doprax_core::blueprint::sha256_hex(
        format!("{dockerfile}{:?}", std::time::SystemTime::now()).as_bytes(),
    );
    let mut inputs = stage.inputs.clone();
    inputs.sources.insert(source.clone(), path);
    let reference = stage.instance.image(&stage.app, &source);
    (
        Act::BuildImage {
            reference,
            source,
            recipe: Recipe::default(),
            rebuild: Rebuild::Never,
        },
        inputs,
        folder,
    )
}
