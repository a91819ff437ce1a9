//! What went wrong on the first day of use, and what visitors must never notice.

use crate::source::Source;
use crate::stage::{Begun, Stage, Visitors, app, name, try_each};
use doprax_reconcile::report::AppState;
use ipnet::Ipv4Net;

#[test]
fn a_main_that_crashes_again_and_again_is_repaired() {
    type Begin = fn(&Stage) -> Begun;
    let repairs: [(Begin, &str); 2] = [
        (|stage| stage.begin_deploy(&Source::new("v2")), "v2"),
        (|stage| stage.begin_edit("ANSWER", "by-hand"), "by-hand"),
    ];
    try_each(&repairs, |(begin, answer)| {
        let stage = Stage::new();
        let whole = stage.deploy(&Source::new("v1"));
        stage.fake.crash_on(&name("main"));
        stage.until("it is seen", || {
            let status = stage.status()?;
            let failed = status.summary.state == AppState::Failed;
            failed.then_some(()).ok_or_else(|| format!("{status:#?}"))
        });
        stage.done(begin(&stage));
        stage.await_whole(&whole.answering(answer));
    });
}

#[test]
fn a_subnet_that_somebody_takes_after_a_deploy_that_failed_is_given_up() {
    let mut stage = Stage::new();
    let deaf = Source::new("v1").on("deaf");
    let deaf = deaf.replace("main:\n", "main:\n  health: { timeout: 1s }\n");
    stage.fails(stage.begin_deploy(&deaf));
    let subnet = stage.status().unwrap().subnet.parse().unwrap();
    stage.fake.take_subnet(subnet);
    stage.restart();
    stage.deploy(&Source::new("v1"));
    assert_ne!(stage.observe().network.unwrap().subnet, subnet);
    assert_eq!(times_asked_for(&stage, subnet), 1);
}

/// How often the engine was asked for a network with this subnet.
fn times_asked_for(stage: &Stage, subnet: Ipv4Net) -> usize {
    let act = format!("create network {subnet}");
    stage.acts().iter().filter(|asked| **asked == act).count()
}

#[test]
fn a_subnet_that_somebody_takes_while_no_host_runs_is_not_asked_for_again() {
    let mut stage = Stage::new();
    let whole = stage.deploy(&Source::new("v1"));
    let subnet = stage.observe().network.unwrap().subnet;
    stage.kill();
    stage.fake.lose_network(&app());
    stage.fake.take_subnet(subnet);
    stage.start();
    stage.await_whole(&whole);
    assert_ne!(stage.observe().network.unwrap().subnet, subnet);
    assert_eq!(times_asked_for(&stage, subnet), 1);
}

#[test]
fn no_request_fails_while_an_app_is_deployed_again_and_again() {
    let sources: [fn(&str) -> Source; 2] = [Source::new, Source::with_proxy];
    try_each(&sources, |source| {
        let stage = Stage::new();
        let whole = stage.deploy(&source("v1"));
        let visitors = Visitors::of(&stage);
        for version in ["v2", "v3", "v4"] {
            stage.done(stage.begin_deploy(&source(version)));
            stage.await_whole(&whole.answering(version));
        }
        let answers = visitors.answers();
        let failed: Vec<_> = answers.iter().filter(|answer| answer.is_err()).collect();
        assert!(
            failed.is_empty(),
            "{} of {}: {failed:?}",
            failed.len(),
            answers.len()
        );
        for version in ["v1", "v2", "v3", "v4"] {
            assert!(
                answers.contains(&Ok(version.to_owned())),
                "nobody saw {version}"
            );
        }
    });
}
