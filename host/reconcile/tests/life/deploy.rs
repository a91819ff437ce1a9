//! Deploys that work, and deploys that fail at each kind of step and go back.

use crate::source::Source;
use crate::stage::{Stage, try_each};
use doprax_core::copy::CopyName;
use doprax_core::observed::Observed;
use doprax_reconcile::report::{AppState, Event};
use doprax_reconcile::request::Control;
use std::collections::BTreeSet;

#[test]
fn an_app_goes_through_its_life() {
    let stage = Stage::new();
    let first = stage.deploy(&Source::new("v1"));
    let second = stage.deploy(&Source::new("v2"));
    assert_eq!(first.secrets, second.secrets);
    stage.done(stage.begin_edit("ANSWER", "by-hand"));
    stage.await_whole(&second.answering("by-hand"));
    stage.done(stage.begin_control(Control::Stop));
    assert_eq!(stage.status().unwrap().summary.state, AppState::Stopped);
    assert!(stage.visit().is_err());
    stage.done(stage.begin_control(Control::Start));
    stage.await_whole(&second.answering("by-hand"));
    stage.done(stage.begin_control(Control::Restart));
    stage.await_whole(&second.answering("by-hand"));
    // What a person set stays.
    stage.done(stage.begin_deploy(&Source::new("v3")));
    stage.await_whole(&second.answering("by-hand"));
    stage.done(stage.begin_remove());
    let left = stage.observe();
    assert!(left.containers.is_empty() && left.network.is_none());
    assert_eq!(left.volumes, second.volumes);
    let again = stage.deploy(&Source::new("v4"));
    assert_eq!(again.secrets, second.secrets);
}

/// How a deploy ends that cannot work, and what visitors are left with.
struct Failing {
    what: &'static str,
    source: Source,
    error: &'static str,
}

impl std::fmt::Debug for Failing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.what)
    }
}

/// Deploys that cannot work, one for each kind of step that waits for something.
fn failing() -> Vec<Failing> {
    let failing = |what, source, error| Failing {
        what,
        source,
        error,
    };
    let redis = "image: test/redis:7";
    vec![
        failing(
            "build",
            Source::new("v2").step("RUN echo compiling && exit 7\n"),
            "RUN echo compiling",
        ),
        failing(
            "pull",
            Source::new("v2").replace(redis, "image: test/nowhere:1"),
            "test/nowhere:1",
        ),
        failing(
            "wait for a service",
            Source::new("v2").replace(redis, "image: test/deaf:1\n      health: { timeout: 1s }"),
            "redis did not become ready within 1 s",
        ),
        failing(
            "wait for a service that crashes",
            Source::new("v2").replace(redis, "image: test/crashing:1"),
            "redis did not become ready",
        ),
        failing(
            "wait for main",
            Source::new("v2")
                .on("deaf")
                .replace("main:\n", "main:\n  health: { timeout: 1s }\n"),
            "main did not become ready within 1 s",
        ),
        failing(
            "wait for a main that crashes",
            Source::new("v2").on("crashing"),
            "main did not become ready",
        ),
    ]
}

#[test]
fn a_deploy_that_cannot_work_leaves_what_was_there() {
    let settles = Failing {
        what: "a main that ends after it was ready",
        source: Source::new("v2").on("shy"),
        error: "main was ready and did not stay so",
    };
    let mut cases = failing();
    cases.push(settles);
    try_each(&cases, |case| {
        let stage = Stage::new();
        let before = stage.deploy(&Source::new("v1"));
        let error = stage.fails(stage.begin_deploy(&case.source));
        assert!(error.contains(case.error), "{}: {error}", case.what);
        stage.await_whole(&before);
        stage.done(stage.begin_deploy(&Source::new("v3")));
        stage.await_whole(&before.answering("v3"));
    });
}

#[test]
fn the_way_back_is_a_part_of_the_deploy() {
    let cases = failing().split_off(2);
    let first = [false, true];
    let cases: Vec<_> = cases
        .iter()
        .flat_map(|case| first.map(|first| (case, first)))
        .collect();
    try_each(&cases, |(case, first)| {
        let stage = Stage::new();
        if !first {
            stage.deploy(&Source::new("v1"));
        }
        let before = stage.observe();
        let id = stage.begin_deploy(&case.source).unwrap();
        let events = stage.events(&id);
        let mut events = events.iter().map(|event| &event.what);
        assert!(events.any(|event| matches!(event, Event::GoingBack)));
        // The steps back are its own, and not left to whoever looks next.
        let back = events.find_map(|event| match event {
            Event::Planned { steps } => Some(steps),
            _ => None,
        });
        assert!(back.is_some_and(|steps| !steps.is_empty()), "{back:#?}");
        let names = |observed: &Observed| -> BTreeSet<CopyName> {
            let copies = observed.containers.iter();
            copies.map(|copy| copy.name.clone()).collect()
        };
        stage.until("what is there is what was there", || {
            let after = stage.observe();
            match names(&after) == names(&before) && after.network == before.network {
                true => Ok(()),
                false => Err(format!("{after:#?}")),
            }
        });
    });
}

#[test]
fn a_first_deploy_that_cannot_work_leaves_nothing() {
    try_each(&failing(), |case| {
        let stage = Stage::new();
        let error = stage.fails(stage.begin_deploy(&case.source));
        assert!(error.contains(case.error), "{}: {error}", case.what);
        let left = stage.observe();
        assert!(
            left.containers.is_empty() && left.network.is_none(),
            "{left:#?}"
        );
        assert_eq!(stage.status().unwrap().summary.state, AppState::Failed);
        stage.deploy(&Source::new("v1"));
    });
}
