//! When containers are tried, and what comes of it.

use super::*;
use crate::clock::now_ms;
use doprax_core::blueprint::Blueprint;
use doprax_core::copy::CopyName;
use doprax_store::Release;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SECOND: Duration = Duration::from_secs(1);

fn app(name: &str) -> AppName {
    AppName::new(name).unwrap()
}

fn container(name: &str) -> Value {
    json!({
        "name": name, "plugin": null, "stage": "service", "image": {"pull": {"reference": "a:1"}},
        "env": {"KEY": {"value": [], "masked": true}}, "entrypoint": null, "command": null,
        "user": null, "files": [], "mounts": [], "aliases": [name], "port": 80,
        "port_reason": "", "probes": [{
            "check": {"serves": {"port": 80}}, "interval_ms": 500, "timeout_ms": 500,
            "steady_ms": 6_400,
        }],
        "ready_timeout_ms": 60_000, "judged": false, "reload": null, "strategy": "rolling",
        "resources": {}, "shm_size": null, "ulimits": [], "capabilities": [],
        "stop_signal": null, "stop_grace_ms": 10_000, "outputs": {},
    })
}

/// An app that is released with these containers.
fn record(app: &AppName, containers: &[Value]) -> AppRecord {
    let subnet = "10.200.0.0/23".parse().unwrap();
    let containers = containers.iter().map(|container| {
        let container: Container = serde_json::from_value(container.clone()).unwrap();
        (container.name.clone(), container)
    });
    let blueprint = Blueprint {
        app: app.clone(),
        subnet,
        volumes: BTreeSet::new(),
        containers: containers.collect(),
        front: None,
        drain: Default::default(),
        domains: BTreeMap::new(),
        first_domain: None,
        secrets: BTreeMap::new(),
        revisions: BTreeMap::new(),
        release: None,
        notes: Vec::new(),
    };
    AppRecord {
        name: app.clone(),
        subnet,
        manifest: None,
        spec: None,
        release: Some(Release {
            number: 1,
            created_ms: 1,
            source: String::new(),
            blueprint,
        }),
        stopped: BTreeSet::new(),
        reloads: BTreeSet::new(),
        made_volumes: BTreeSet::new(),
        last_error: None,
        notes: Vec::new(),
    }
}

/// A copy of a container that runs since long ago.
fn copy(service: &str) -> ObservedContainer {
    let service = ServiceName::new(service).unwrap();
    let copy = json!({
        "id": format!("id-of-{service}"), "name": CopyName::serving(&service),
        "service": service, "hash": "", "state": "running", "started_ms": 1,
    });
    serde_json::from_value(copy).unwrap()
}

struct Stage {
    health: Health,
    shop: AppName,
}

impl Stage {
    fn new() -> Self {
        Self {
            health: Health::new(Arc::new(Config::of_tests()), Clock::default()),
            shop: app("shop"),
        }
    }

    /// Has one container of the shop looked at, which is as `change` makes it.
    fn watch(&self, spec: &Value, change: impl FnOnce(&mut ObservedContainer)) {
        let mut copy = copy("db");
        change(&mut copy);
        let observed = Observed {
            containers: vec![copy],
            ..Observed::default()
        };
        let record = record(&self.shop, std::slice::from_ref(spec));
        self.health.watch(&record, &observed);
    }

    /// What is due in this time.
    fn due_in(&self, time: Duration) -> Vec<(AppName, Arc<Watch>)> {
        self.health.take_due_at(Instant::now() + time)
    }

    /// Tries the container of the shop at once. Returns whether it is to be restarted.
    fn tries(&self, verdict: Verdict) -> bool {
        let mut due = self.due_in(60 * SECOND);
        assert_eq!(due.len(), 1);
        let (app, subject) = due.remove(0);
        self.health.take_down(&app, &subject, verdict)
    }

    fn fails(&self, reason: &str) -> bool {
        self.tries(Verdict::Waiting(reason.to_owned()))
    }

    fn reason(&self) -> Option<String> {
        let db = ServiceName::new("db").unwrap();
        self.health.of(&self.shop, &db).map(|found| found.reason)
    }
}

#[test]
fn three_failures_in_a_row_make_a_container_unhealthy() {
    let stage = Stage::new();
    let before = now_ms();
    stage.watch(&container("db"), |_| {});
    for verdict in ["a", "b"] {
        assert!(!stage.fails(verdict));
        assert_eq!(stage.reason(), None);
    }
    assert!(!stage.tries(Verdict::Ready));
    for verdict in ["c", "d"] {
        stage.fails(verdict);
        assert_eq!(stage.reason(), None);
    }
    assert!(!stage.tries(Verdict::Failed("e".to_owned())));
    assert_eq!(stage.reason().as_deref(), Some("e"));
    let db = ServiceName::new("db").unwrap();
    let since_ms = stage.health.of(&stage.shop, &db).unwrap().since_ms;
    assert!((before..=now_ms()).contains(&since_ms));
    let trouble = Trouble::Unhealthy("e".to_owned());
    assert_eq!(stage.health.troubles(&stage.shop), [(db, trouble)].into());
    assert!(stage.health.troubles(&app("blog")).is_empty());
    stage.tries(Verdict::Ready);
    assert_eq!(stage.reason(), None);
    assert!(stage.health.troubles(&stage.shop).is_empty());
}

#[test]
fn what_is_unhealthy_since_the_first_failure_is_told_as_of_the_last() {
    let mut tries = Tries::default();
    for (now_ms, reason) in [(10, "a"), (20, "b"), (30, "c"), (40, "d")] {
        tries.take_down(Verdict::Waiting(reason.to_owned()), false, now_ms);
    }
    let unhealthy = tries.unhealthy(None).unwrap();
    assert_eq!((unhealthy.since_ms, unhealthy.reason.as_str()), (10, "d"));
}

#[test]
fn one_is_restarted_after_as_many_failures_as_its_owner_wants() {
    let stage = Stage::new();
    let mut spec = container("db");
    spec["restart_after"] = 2.into();
    stage.watch(&spec, |_| {});
    assert!(!stage.fails("a"));
    assert!(stage.fails("b"));
    assert!(stage.reason().is_some(), "it is told why it is restarted");
    assert!(stage.fails("c"), "until it starts again");

    let stage = Stage::new();
    spec["restart_after"] = 5.into();
    stage.watch(&spec, |_| {});
    for _ in 0..4 {
        assert!(!stage.fails("a"));
    }
    assert!(stage.reason().is_some(), "it is unhealthy before that");
    assert!(stage.fails("a"));

    let stage = Stage::new();
    stage.watch(&container("db"), |_| {});
    assert!((0..20).all(|_| !stage.fails("a")), "nobody wants that");
}

#[test]
fn one_that_has_just_started_may_fail_until_it_has_passed() {
    let stage = Stage::new();
    let mut spec = container("db");
    spec["restart_after"] = 1.into();
    let started =
        |ago_ms: i64| move |copy: &mut ObservedContainer| copy.started_ms = Some(now_ms() - ago_ms);
    stage.watch(&spec, started(1_000));
    assert!((0..5).all(|_| !stage.fails("a")) && stage.reason().is_none());
    stage.tries(Verdict::Ready);
    assert!(stage.fails("b"));

    let stage = Stage::new();
    stage.watch(&spec, started(60_000));
    assert!(stage.fails("a"), "it has had its time");
    let stage = Stage::new();
    stage.watch(&spec, |copy| copy.started_ms = None);
    assert!(stage.fails("a"), "nobody knows when it started");
}

#[test]
fn each_is_tried_at_its_own_pace_and_one_that_fails_more_often() {
    let stage = Stage::new();
    let none_before_but_at = |pause: Duration| {
        let early = stage.due_in(pause - SECOND);
        assert!(early.is_empty(), "{pause:?}");
        let mut due = stage.due_in(pause);
        assert_eq!(due.len(), 1, "{pause:?}");
        assert!(stage.due_in(60 * SECOND).is_empty(), "it is under way");
        due.remove(0)
    };
    let begin = Instant::now();
    stage.watch(&container("db"), |_| {});
    let spec: Container = serde_json::from_value(container("db")).unwrap();
    // Somewhere in the second half of a pause.
    let first = first_pause(&spec, digest(&spec));
    assert!(
        stage
            .health
            .take_due_at(begin + first - Duration::from_millis(1))
            .is_empty()
    );
    let (app, subject) = none_before_but_at(first);
    stage.health.take_down(&app, &subject, Verdict::Ready);
    let (app, subject) = none_before_but_at(Duration::from_millis(6_400));
    stage.fails_with(&app, &subject);
    let (app, subject) = none_before_but_at(AGAIN);
    stage.health.put_off(&app, &subject.spec.name);
    none_before_but_at(AGAIN);
}

impl Stage {
    fn fails_with(&self, app: &AppName, subject: &Watch) {
        let verdict = Verdict::Waiting("no".to_owned());
        self.health.take_down(app, subject, verdict);
    }
}

#[test]
fn first_tries_are_spread_over_half_a_pause() {
    let spec: Container = serde_json::from_value(container("db")).unwrap();
    let ms = |seed| first_pause(&spec, seed).as_millis();
    assert_eq!((ms(0), ms(1), ms(63), ms(64)), (3_200, 3_250, 6_350, 3_200));
    let fast = |steady_ms: u32| {
        let mut spec = spec.clone();
        spec.probes[0].steady_ms = steady_ms;
        pause_after(&spec, &Verdict::Waiting(String::new()))
    };
    assert_eq!(fast(1_000), SECOND, "one with a pace of its own keeps it");
    assert_eq!(fast(3_000), AGAIN);
    let mut two = spec.clone();
    two.probes.push(two.probes[0].clone());
    two.probes[1].steady_ms = 9_000;
    assert_eq!(steady(&two), 9 * SECOND);
    two.probes.clear();
    assert_eq!(steady(&two), 10 * SECOND);
}

#[test]
fn only_what_runs_and_can_be_tried_is_looked_at() {
    let stage = Stage::new();
    let is_watched = |spec: &Value, change: fn(&mut ObservedContainer)| {
        stage.watch(spec, change);
        !stage.due_in(60 * SECOND).is_empty()
    };
    let spec = container("db");
    let mut bare = spec.clone();
    bare["probes"] = json!([]);
    assert!(!is_watched(&bare, |_| {}));
    assert!(is_watched(&bare, |copy| {
        let check = json!({
            "command": ["true"], "timeout_ms": 1, "patience_ms": 1, "passes": null, "output": "",
        });
        copy.healthcheck = Some(serde_json::from_value(check).unwrap());
    }));
    assert!(!is_watched(&spec, |copy| copy.state = State::Paused));
    assert!(!is_watched(&spec, |copy| {
        copy.name = CopyName::spare(&copy.service, "0123");
    }));
    assert!(is_watched(&spec, |_| {}));
    stage.health.unwatch(&app("blog"));
    stage.health.unwatch(&stage.shop);
    assert!(stage.health.lock().is_empty());

    stage.watch(&spec, |_| {});
    let gone = AppRecord {
        release: None,
        ..record(&stage.shop, &[])
    };
    stage.health.watch(&gone, &Observed::default());
    assert!(stage.due_in(60 * SECOND).is_empty());
}

#[test]
fn what_is_known_goes_with_the_run_that_it_is_of() {
    type Change = fn(&mut Value, &mut ObservedContainer);
    let others: [Change; 5] = [
        |_, copy| copy.started_ms = Some(2),
        |_, copy| copy.id.push('2'),
        |spec, _| spec["probes"][0]["check"]["serves"]["port"] = 81.into(),
        |spec, _| spec["ready_timeout_ms"] = 61_000.into(),
        |spec, _| spec["restart_after"] = 9.into(),
    ];
    let same: [Change; 2] = [
        |_, _| {},
        |spec, _| spec["image"]["pull"]["reference"] = "a:2".into(),
    ];
    let changes = others
        .iter()
        .map(|it| (it, false))
        .chain(same.iter().map(|it| (it, true)));
    for (number, (change, stays)) in changes.enumerate() {
        let stage = Stage::new();
        stage.watch(&container("db"), |_| {});
        assert!((0..3).all(|_| !stage.fails("a")));
        let mut due = stage.due_in(60 * SECOND);
        let (app, before) = due.remove(0);
        let mut spec = container("db");
        let mut found = copy("db");
        change(&mut spec, &mut found);
        stage.watch(&spec, |copy| *copy = found);
        assert_eq!(stage.reason().is_some(), stays, "{number}");
        // What was tried before that says nothing of the other.
        stage
            .health
            .take_down(&app, &before, Verdict::Waiting("late".to_owned()));
        assert_eq!(
            stage.reason().as_deref(),
            stays.then_some("late"),
            "{number}"
        );
    }
}

#[test]
fn no_value_of_a_variable_is_kept_for_probes() {
    let stage = Stage::new();
    stage.watch(&container("db"), |_| {});
    let due = stage.due_in(60 * SECOND);
    assert!(due[0].1.spec.env.is_empty());
}
