//! Images: pulled, and built by the real builder.

use crate::docker_only::{address, idle};
use crate::proxy::Proxy;
use crate::stage::{DEBIAN, Stage, build_of, until};
use doprax_core::blueprint::Image;
use doprax_core::plan::Act;
use doprax_engine::{Docker, Engine, Error, Outcome};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) async fn a_pull_without_a_registry_ends_with_a_reason(stage: Arc<Stage>) {
    let reference = "registry.invalid/doprax-test/nothing:1".to_owned();
    let began = Instant::now();
    match stage
        .apply(&Act::PullImage {
            reference: reference.clone(),
            digest: None,
        })
        .await
    {
        Err(Error::ImageMissing {
            reference: missing,
            reason,
        }) => {
            assert_eq!(missing, reference);
            assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() < Duration::from_secs(130));
}

pub(crate) async fn a_stage_is_built_with_arguments(stage: Arc<Stage>) {
    stage.network().await;
    let dockerfile = format!(
        "FROM {DEBIAN} AS small\nARG WHO=nobody\nRUN echo \"$WHO\" >/who\nEXPOSE 1\nFROM small\nRUN exit 9\n"
    );
    let (mut built, inputs, _folder) = build_of(&stage, &dockerfile);
    let Act::BuildImage {
        reference, recipe, ..
    } = &mut built
    else {
        unreachable!()
    };
    let reference = reference.clone();
    recipe.target = Some("small".to_owned());
    recipe.args = [("WHO".to_owned(), "me & you".to_owned())].into();
    let done = stage
        .engine
        .apply(&stage.app, &built, &inputs, &stage.progress);
    assert_eq!(done.await.unwrap(), Outcome::Done);
    let mut small = idle("small");
    small.image = Image::Pull { reference };
    let name = stage.start(&small).await;
    let who = stage.output_of(&name, &["cat", "/who"]).await;
    assert_eq!(who.trim(), "me & you");
}

pub(crate) async fn a_build_leaves_no_connection(stage: Arc<Stage>) {
    let mut proxy = Proxy::new(&address());
    proxy.listen();
    let docker = Docker::connect(&proxy.address(), stage.instance.clone());
    let (build, inputs, _folder) = build_of(&stage, &format!("FROM {DEBIAN}\nRUN true\n"));
    let built = docker
        .apply(&stage.app, &build, &inputs, &stage.progress)
        .await;
    assert_eq!(built.unwrap(), Outcome::Done);
    until("the connections' end", async || {
        (proxy.open() == 0).then_some(())
    })
    .await;
}

pub(crate) async fn a_dropped_build_ends(stage: Arc<Stage>) {
    // A number that no other process on this machine waits for.
    let seconds = format!("31{}", std::process::id());
    let (build, inputs, _folder) =
        build_of(&stage, &format!("FROM {DEBIAN}\nRUN sleep {seconds}\n"));
    let is_running = || {
        let wanted = format!("sleep\0{seconds}\0");
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let mut lines = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
        lines.any(|line| line == wanted.as_bytes())
    };
    {
        let building = stage
            .engine
            .apply(&stage.app, &build, &inputs, &stage.progress);
        let started = until("the build's command", async || is_running().then_some(()));
        tokio::select! {
            built = building => panic!("{built:?}"),
            () = started => {}
        }
    }
    until("the end of the command", async || {
        (!is_running()).then_some(())
    })
    .await;
}

pub(crate) async fn buildkits_own_syntax_works(stage: Arc<Stage>) {
    let dockerfile = format!(
        "FROM {DEBIAN} AS first\nRUN --mount=type=cache,target=/cache echo one >/file\n\
         FROM {DEBIAN}\nCOPY --from=first /file /file\n"
    );
    let (build, inputs, _folder) = build_of(&stage, &dockerfile);
    let built = stage
        .engine
        .apply(&stage.app, &build, &inputs, &stage.progress)
        .await;
    assert_eq!(built.unwrap(), Outcome::Done);
}

pub(crate) async fn a_wrong_dockerfile_is_a_failed_build(stage: Arc<Stage>) {
    for (dockerfile, reason) in [
        (format!("FROM {DEBIAN}\nRNU true\n"), "RNU"),
        (
            "FROM doprax-test/nowhere:1\n".to_owned(),
            "doprax-test/nowhere",
        ),
    ] {
        let (build, inputs, _folder) = build_of(&stage, &dockerfile);
        match stage
            .engine
            .apply(&stage.app, &build, &inputs, &stage.progress)
            .await
        {
            Err(Error::BuildFailed { reason: found, .. }) => {
                assert!(found.contains(reason), "{found}");
            }
            other => panic!("{other:?}"),
        }
    }
}
