//! Images: missing, known, built, kept.

use crate::stage::{DEBIAN, REDIS, Stage, build_of, container};
use doprax_core::plan::{Act, Rebuild};
use doprax_core::release::Kept;
use doprax_core::source::Recipe;
use doprax_engine::{Error, Event, Outcome};
use std::sync::Arc;

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
