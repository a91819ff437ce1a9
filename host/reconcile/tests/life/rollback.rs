//! Going back to earlier releases, and what is kept for that.

use crate::source::Source;
use crate::stage::{Stage, app};
use doprax_core::release::Reason;
use doprax_engine::FakeImage;

const FIRST_DAY: &str = "of-the-first-day";

/// A version with a value of its key and an image of a service.
fn source(answer: &str, key: &str, redis: &str) -> Source {
    let image = format!("image: test/redis:{redis}");
    let source = Source::new(answer).with_key(key);
    source.replace("image: test/redis:7", &image)
}

#[test]
fn a_release_comes_back_without_registry_and_source() {
    let stage = Stage::new();
    stage
        .fake
        .publish_image("test/redis:7.2", FakeImage::new([6379, 7200]));
    let first = stage.deploy(&source("v1", FIRST_DAY, "7"));
    let second = stage.deploy(&source("v2", "of-today", "7.2"));
    assert_eq!(second.secrets, first.with_key("of-today").secrets);
    let sources = stage.folder.path().join("sources");
    for entry in std::fs::read_dir(&sources).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    stage.fake.lose_registry();
    stage.fake.lose_image("test/redis:7");
    // 7.2 is a part of 7, as far as the tags tell.
    stage.done(stage.begin_rollback(1));
    stage.await_whole(&first);
    stage.done(stage.begin_rollback(2));
    stage.await_whole(&second);
    let releases = stage.releases();
    let reasons = releases.releases.iter().map(|entry| entry.origin.reason);
    let to = |to| Reason::Rollback { to };
    assert!(reasons.eq([to(2), to(1), Reason::Deploy, Reason::Deploy]));
}

#[test]
fn a_change_by_hand_after_a_rollback_keeps_its_secrets() {
    let stage = Stage::new();
    let first = stage.deploy(&source("v1", FIRST_DAY, "7"));
    stage.deploy(&source("v2", "of-today", "7"));
    stage.done(stage.begin_rollback(1));
    stage.await_whole(&first);
    stage.done(stage.begin_edit("ANSWER", "by-hand"));
    stage.await_whole(&first.answering("by-hand"));
    // It is a part of its release, and goes with it.
    stage.done(stage.begin_rollback(2));
    stage.await_whole(&first.answering("v2").with_key("of-today"));
}

#[test]
fn what_is_kept_ends_with_the_releases_that_need_it() {
    let mut stage = Stage::without_host();
    stage.config.retain = 2;
    stage.start();
    stage.deploy(&source("v1", FIRST_DAY, "7"));
    let image = |stage: &Stage| {
        let main = stage.observe().containers;
        let main = main.into_iter().find(|copy| copy.service.is_main());
        main.unwrap().image_id
    };
    let images: Vec<String> = ["v1", "v2", "v3"]
        .into_iter()
        .map(|version| {
            stage.deploy(&source(version, version, "7"));
            image(&stage)
        })
        .collect();
    let is_there = |id: &String| stage.fake.has_image(id);
    stage.until("the first image to be removed", || {
        let found: Vec<bool> = images.iter().map(is_there).collect();
        match found.as_slice() {
            [false, true, true] => Ok(()),
            _ => Err(format!("{found:?}")),
        }
    });
    let numbers = |stage: &Stage| -> Vec<u64> {
        let releases = stage.releases().releases;
        releases.iter().map(|entry| entry.number).collect()
    };
    assert_eq!(numbers(&stage), [4, 3]);
    let error = stage.begin_rollback(1).unwrap_err();
    assert_eq!(error.to_string(), "app shop has no release 1");
    // The manifest goes before the host.
    let keeps_three = source("v4", "v4", "7").replace("main:\n", "retain: 3\nmain:\n");
    stage.deploy(&keeps_three);
    assert_eq!(numbers(&stage), [5, 4, 3]);
}

#[test]
fn an_older_version_on_the_data_of_a_newer_one_is_refused() {
    let stage = Stage::new();
    stage
        .fake
        .publish_image("test/redis:8", FakeImage::new([6379, 8000]));
    stage.deploy(&source("v1", FIRST_DAY, "7"));
    let second = stage.deploy(&source("v2", FIRST_DAY, "8"));
    let error = stage.begin_rollback(1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a rollback to 1 takes redis from 8 back to 7 on the data in volume redis-data"
    );
    stage.await_whole(&second);
    let planned =
        stage.ask(|host| async move { host.plan_rollback(&app(), None, true).await.unwrap() });
    assert_eq!(planned.to, 1);
    let notes = planned.proposal.diff.notes;
    assert!(
        notes
            .iter()
            .any(|note| note.text.contains("goes back from 8 to 7")),
        "{notes:#?}"
    );
}

#[test]
fn what_failed_is_listed_with_what_its_build_printed() {
    let stage = Stage::new();
    let before = stage.deploy(&Source::new("v1"));
    let broken = Source::new("v2").step("RUN echo compiling && exit 7\n");
    let error = stage.fails(stage.begin_deploy(&broken));
    stage.await_whole(&before);
    let releases = stage.releases();
    assert_eq!((releases.current, releases.releases.len()), (Some(1), 1));
    let [failed] = releases.failed.as_slice() else {
        panic!("{releases:#?}");
    };
    assert_eq!(failed.report.error, error);
    let printed = &failed.report.build;
    assert!(
        printed.iter().any(|line| line.contains("compiling")),
        "{printed:?}"
    );
}
