//! How an app is of which these copies exist.

use crate::apps::{app, container, running, service};
use doprax_core::blueprint::{Blueprint, Stage};
use doprax_core::name::{ServiceName, VolumeName};
use doprax_core::observed::{Observed, State};
use doprax_core::route::{Outage, Target};
use doprax_core::status::{AppState, Facts, Status, Trouble, status};
use std::collections::{BTreeMap, BTreeSet};

/// Main behind a front, and a service.
struct Case {
    blueprint: Blueprint,
    observed: Option<Observed>,
    stopped: BTreeSet<ServiceName>,
    troubles: BTreeMap<ServiceName, Trouble>,
    busy: bool,
    repair_failed: bool,
}

const NOW: i64 = 1_000_000;

impl Case {
    fn new() -> Self {
        let blueprint = app(
            [
                container("redis", Stage::Service, 0),
                container("main", Stage::Main, 0),
                container("nginx", Stage::Front, 0),
            ],
            "nginx",
        );
        let mut observed = running(&blueprint);
        for copy in &mut observed.containers {
            copy.address = Some([10, 16, 0, 2].into());
            copy.started_ms = Some(NOW - 100_000);
        }
        Self {
            blueprint,
            observed: Some(observed),
            stopped: BTreeSet::new(),
            troubles: BTreeMap::new(),
            busy: false,
            repair_failed: false,
        }
    }

    fn with(mut self, name: &str, state: State) -> Self {
        let observed = self.observed.as_mut().unwrap();
        let copies = &mut observed.containers;
        let copy = copies.iter_mut().find(|c| c.service == service(name));
        let copy = copy.unwrap();
        copy.state = state;
        if state != State::Running {
            copy.address = None;
        }
        self
    }

    /// One whose process ended this long ago, after it had run this long.
    fn crashed(self, name: &str, restarts: u32, ran_ms: i64, ago_ms: i64) -> Self {
        let mut case = self.with(name, State::Restarting);
        let copies = &mut case.observed.as_mut().unwrap().containers;
        let copy = copies.iter_mut().find(|c| c.service == service(name));
        let copy = copy.unwrap();
        copy.restarts = restarts;
        copy.exit_code = Some(1);
        copy.ended_ms = Some(NOW - ago_ms);
        copy.started_ms = Some(NOW - ago_ms - ran_ms);
        case
    }

    /// One that crashes soon after each start, and was just started once more.
    fn crashing_and_up(self, name: &str) -> Self {
        let mut case = self.crashed(name, 6, 100, 9_000).with(name, State::Running);
        let copies = &mut case.observed.as_mut().unwrap().containers;
        let copy = copies.iter_mut().find(|c| c.service == service(name));
        let copy = copy.unwrap();
        copy.started_ms = Some(NOW - 500);
        copy.exit_code = None;
        copy.address = Some([10, 16, 0, 2].into());
        case
    }

    fn without(mut self, name: &str) -> Self {
        let observed = self.observed.as_mut().unwrap();
        observed.containers.retain(|c| c.service != service(name));
        self
    }

    fn without_front(mut self) -> Self {
        self.blueprint.front = None;
        self
    }

    fn stopped(mut self, name: &str) -> Self {
        self.stopped.insert(service(name));
        self
    }

    fn troubled(mut self, name: &str, trouble: Trouble) -> Self {
        self.troubles.insert(service(name), trouble);
        self
    }

    fn busy(self) -> Self {
        Self { busy: true, ..self }
    }

    fn not_put_right(self) -> Self {
        Self {
            repair_failed: true,
            ..self
        }
    }

    fn status(&self) -> Status {
        status(&Facts {
            blueprint: Some(&self.blueprint),
            stopped: &self.stopped,
            observed: self.observed.as_ref(),
            troubles: &self.troubles,
            busy: self.busy,
            failed: false,
            repair_failed: self.repair_failed,
            now_ms: NOW,
        })
    }
}

/// What visitors get, in a word.
fn page(target: &Target) -> String {
    match target {
        Target::Address(_) | Target::Tls(_) => "the app".to_owned(),
        Target::Starting => "starting".to_owned(),
        Target::Stopped => "stopped".to_owned(),
        Target::Nowhere => "nowhere".to_owned(),
        Target::Failed(outage) => format!("{outage:?}"),
    }
}

#[test]
fn one_truth_is_told_of_an_app() {
    use State::{Created, Exited, Paused};
    let new = Case::new;
    let unhealthy = || Trouble::Unhealthy("GET / answered 500".to_owned());
    let gone = || Trouble::NoVolume(VolumeName::new("data").unwrap());
    let cases = [
        // What is so, the state, the front's, main's, of how many run, what visitors get.
        (
            "runs",
            new(),
            "running",
            "running",
            "running",
            "3/3",
            "the app",
        ),
        (
            "stopped",
            new().stopped("nginx").stopped("main").stopped("redis"),
            "stopped",
            "running",
            "running",
            "0/0",
            "stopped",
        ),
        (
            "its front is stopped",
            new().stopped("nginx").with("nginx", Exited(0)),
            "stopped",
            "stopped",
            "running",
            "2/2",
            "stopped",
        ),
        (
            "a service is stopped",
            new().stopped("redis").with("redis", Exited(0)),
            "running",
            "running",
            "running",
            "2/2",
            "the app",
        ),
        (
            "main is paused",
            new().with("main", Paused),
            "degraded",
            "running",
            "paused",
            "2/3",
            "the app",
        ),
        (
            "its front is paused",
            new().with("nginx", Paused),
            "failed",
            "paused",
            "running",
            "2/3",
            "NotRunning",
        ),
        (
            "main ended once",
            new().crashed("main", 1, 50_000, 10),
            "degraded",
            "running",
            "restarting (1)",
            "2/3",
            "the app",
        ),
        (
            "main loops",
            new().crashed("main", 6, 100, 10),
            "degraded",
            "running",
            "crashing (1)",
            "2/3",
            "the app",
        ),
        (
            "its front ended once",
            new().crashed("nginx", 1, 50_000, 10),
            "starting",
            "restarting (1)",
            "running",
            "2/3",
            "starting",
        ),
        (
            "its front ended once more",
            new().crashed("nginx", 9, 50_000, 10),
            "starting",
            "restarting (1)",
            "running",
            "2/3",
            "starting",
        ),
        (
            "its front loops",
            new().crashed("nginx", 6, 100, 10),
            "failed",
            "crashing (1)",
            "running",
            "2/3",
            "Crashing",
        ),
        (
            "its front loops, and runs at the moment",
            new().crashing_and_up("nginx"),
            "failed",
            "crashing",
            "running",
            "2/3",
            "the app",
        ),
        (
            "its front is gone",
            new().without("nginx"),
            "starting",
            "missing",
            "running",
            "2/3",
            "starting",
        ),
        (
            "its front is gone for good",
            new().without("nginx").not_put_right(),
            "failed",
            "missing",
            "running",
            "2/3",
            "NotRunning",
        ),
        (
            "its front has ended for good",
            new().with("nginx", Exited(2)).not_put_right(),
            "failed",
            "exited (2)",
            "running",
            "2/3",
            "Crashing",
        ),
        (
            "main is gone",
            new().without("main"),
            "degraded",
            "running",
            "missing",
            "2/3",
            "the app",
        ),
        (
            "main is being made",
            new().without("main").busy(),
            "starting",
            "running",
            "starting",
            "2/3",
            "the app",
        ),
        (
            "its front is being made",
            new().with("nginx", Created).busy(),
            "starting",
            "starting",
            "running",
            "2/3",
            "starting",
        ),
        (
            "its front is unhealthy",
            new().troubled("nginx", unhealthy()),
            "unhealthy",
            "unhealthy",
            "running",
            "2/3",
            "the app",
        ),
        (
            "main is unhealthy",
            new().troubled("main", unhealthy()),
            "unhealthy",
            "running",
            "unhealthy",
            "2/3",
            "the app",
        ),
        (
            "a volume is gone",
            new().with("nginx", Exited(0)).troubled("nginx", gone()),
            "failed",
            "volume missing",
            "running",
            "2/3",
            "NoVolume",
        ),
        (
            "it answers no requests",
            new().without_front(),
            "running",
            "running",
            "running",
            "3/3",
            "nowhere",
        ),
        (
            "it answers no requests, and main loops",
            new().without_front().crashed("main", 6, 100, 10),
            "failed",
            "running",
            "crashing (1)",
            "2/3",
            "nowhere",
        ),
        (
            "the engine was never seen",
            Case {
                observed: None,
                ..new()
            },
            "unknown",
            "unknown",
            "unknown",
            "0/3",
            "Unknown",
        ),
    ];
    for (what, case, state, front, main, counts, visitors) in cases {
        let status = case.status();
        let of = |name: &str| status.containers[&service(name)].to_string();
        let seen = (
            status.state.as_str(),
            of("nginx"),
            of("main"),
            format!("{}/{}", status.running, status.wanted),
            page(&status.target),
        );
        let expected = (
            state,
            front.to_owned(),
            main.to_owned(),
            counts.to_owned(),
            visitors.to_owned(),
        );
        assert_eq!(seen, expected, "{what}");
    }
}

#[test]
fn an_app_without_a_release_is_starting_until_its_deploy_fails() {
    let case = Case::new();
    let cases = [
        (false, false, AppState::Starting, Target::Starting),
        (true, false, AppState::Starting, Target::Starting),
        (true, true, AppState::Starting, Target::Starting),
        (
            false,
            true,
            AppState::Failed,
            Target::Failed(Outage::NeverDeployed),
        ),
    ];
    for (busy, failed, state, target) in cases {
        let status = status(&Facts {
            blueprint: None,
            stopped: &case.stopped,
            observed: case.observed.as_ref(),
            troubles: &case.troubles,
            busy,
            failed,
            repair_failed: false,
            now_ms: NOW,
        });
        assert_eq!((status.state, status.target), (state, target));
    }
}

#[test]
fn the_next_try_of_a_loop_is_known() {
    use doprax_core::status::{ContainerState, Exit};
    let exit = Exit {
        code: Some(1),
        oom_killed: false,
    };
    // The pause doubles from 100 ms up to a minute.
    for (restarts, pause) in [(4, 800), (7, 6_400), (40, 60_000)] {
        let status = Case::new().crashed("nginx", restarts, 100, 10).status();
        assert_eq!(
            status.containers[&service("nginx")],
            ContainerState::Crashing(exit, Some(NOW - 10 + pause))
        );
    }
}
