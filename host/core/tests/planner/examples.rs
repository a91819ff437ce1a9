//! Plans that people meet every day, step by step.

use crate::apps::{
    app, called, container, copy, limits, recreated, running, service, with_memory, with_reload,
    with_volume,
};
use crate::sim::Sim;
use doprax_core::blueprint::{Blueprint, Container, Stage};
use doprax_core::copy::CopyName;
use doprax_core::name::ServiceName;
use doprax_core::observed::{Observed, State};
use doprax_core::plan::{Act, Plan, PlannedStep, Step};
use doprax_core::planner::{self, Context};
use doprax_core::resources::Resources;
use std::collections::BTreeSet;

fn plan(blueprint: &Blueprint, observed: &Observed, stopped: &[&str]) -> Plan {
    let stopped: BTreeSet<ServiceName> = stopped.iter().map(|name| service(name)).collect();
    let plan = planner::plan(
        blueprint,
        observed,
        &Context {
            stopped: &stopped,
            reloads: &BTreeSet::new(),
            made: &BTreeSet::new(),
        },
    );
    let mut sim = Sim::new(observed, blueprint, &stopped);
    let order: Vec<usize> = (0..plan.steps.len()).collect();
    sim.run(&plan, &order).unwrap();
    let again = planner::plan(
        blueprint,
        &sim.observed,
        &Context {
            stopped: &stopped,
            reloads: &BTreeSet::new(),
            made: &BTreeSet::new(),
        },
    );
    assert_eq!(again, Plan::default());
    plan
}

/// One line for each step: what it does, and after which it comes.
fn text(plan: &Plan) -> String {
    let mut text = String::new();
    for (index, planned) in plan.steps.iter().enumerate() {
        let what = match &planned.step {
            Step::Engine(act) => match act {
                Act::BuildImage { reference, .. } => format!("build {reference}"),
                Act::PullImage { reference, .. } => format!("pull {reference}"),
                Act::CreateNetwork { subnet } => format!("network {subnet}"),
                Act::CreateVolume { volume } => format!("volume {volume}"),
                Act::CreateContainer { container, .. } => format!("create {}", called(container)),
                Act::ConnectContainer { container, aliases } => {
                    format!("connect {} as {}", called(container), aliases.join(", "))
                }
                Act::StartContainer { container } => format!("start {}", called(container)),
                Act::UpdateContainer { container, .. } => format!("limit {}", called(container)),
                Act::RestartContainer {
                    container,
                    grace_ms,
                } => format!("restart {} within {grace_ms} ms", called(container)),
                Act::RenameContainer { from, to } => {
                    format!("rename {} to {}", called(from), called(to))
                }
                Act::StopContainer {
                    container,
                    grace_ms,
                } => format!("stop {} within {grace_ms} ms", called(container)),
                Act::RemoveContainer { container } => format!("remove {}", called(container)),
                Act::RemoveNetwork => "remove the network".to_owned(),
            },
            Step::AwaitReady { container, .. } => format!("await {}", called(container)),
            Step::Settle { container, ms, .. } => {
                format!("settle {} for {ms} ms", called(container))
            }
            Step::PublishRoute { container, port } => {
                format!("route to {}:{port}", called(container))
            }
            Step::RetireConnections => "retire connections".to_owned(),
            Step::Reload {
                container, command, ..
            } => format!("reload {} by {}", called(container), command.join(" ")),
            Step::Drain(_) => "drain".to_owned(),
        };
        text.push_str(&format!("{index:>2} {what} {:?}\n", planned.after));
    }
    text
}

fn redis(version: u8) -> doprax_core::blueprint::Container {
    with_volume(container("redis", Stage::Service, version), "data")
}

fn nginx(version: u8) -> doprax_core::blueprint::Container {
    with_reload(container("nginx", Stage::Front, version))
}

fn main(version: u8) -> doprax_core::blueprint::Container {
    container("main", Stage::Main, version)
}

#[test]
fn first_deploy() {
    let app = app([main(1), redis(1), nginx(1)], "nginx");
    insta::assert_snapshot!(text(&plan(&app, &Observed::default(), &[])));
}

#[test]
fn nothing_to_do() {
    let app = app([main(1), redis(1), nginx(1)], "nginx");
    assert_eq!(plan(&app, &running(&app), &[]), Plan::default());
}

#[test]
fn new_main_behind_a_proxy() {
    let old = app([main(1), redis(1), nginx(1)], "nginx");
    let new = app([main(2), redis(1), nginx(1)], "nginx");
    insta::assert_snapshot!(text(&plan(&new, &running(&old), &[])));
}

#[test]
fn new_main_that_is_the_front() {
    let old = app([main(1)], "main");
    let new = app([main(2)], "main");
    insta::assert_snapshot!(text(&plan(&new, &running(&old), &[])));
}

#[test]
fn new_main_that_must_not_run_twice() {
    let old = app([main(1)], "main");
    let new = app([recreated(main(2))], "main");
    insta::assert_snapshot!(text(&plan(&new, &running(&old), &[])));
}

#[test]
fn new_service_version() {
    let old = app([main(1), redis(1), nginx(1)], "nginx");
    let new = app([main(1), redis(2), nginx(1)], "nginx");
    insta::assert_snapshot!(text(&plan(&new, &running(&old), &[])));
}

#[test]
fn new_proxy() {
    let old = app([main(1), redis(1), nginx(1)], "nginx");
    let new = app([main(1), redis(1), nginx(2)], "nginx");
    insta::assert_snapshot!(text(&plan(&new, &running(&old), &[])));
}

/// A container of the front's stage that is no proxy.
fn api(version: u8) -> doprax_core::blueprint::Container {
    container("api", Stage::Front, version)
}

#[test]
fn a_proxy_starts_when_all_that_it_may_name_is_there() {
    let app = app([main(1), api(1), nginx(1)], "nginx");
    insta::assert_snapshot!(text(&plan(&app, &Observed::default(), &[])));
}

#[test]
fn a_proxy_is_told_of_any_neighbour_that_moved() {
    let old = app([main(1), api(1), nginx(1)], "nginx");
    let new = app([main(1), api(2), nginx(1)], "nginx");
    insta::assert_snapshot!(text(&plan(&new, &running(&old), &[])));
}

#[test]
fn a_proxy_that_starts_before_main_is_told_of_it() {
    let proxy = with_reload(container("proxy", Stage::Service, 1));
    let app = app([main(1), proxy], "main");
    let plan = plan(&app, &Observed::default(), &[]);
    let reloads = |planned: &PlannedStep| matches!(planned.step, Step::Reload { .. });
    assert_eq!(plan.steps.iter().filter(|step| reloads(step)).count(), 1);
}

#[test]
fn one_that_crashes_again_and_again_is_replaced_without_a_wait() {
    let mut observed = running(&app([main(1)], "main"));
    observed.containers[0].state = State::Restarting;
    let plan = plan(&app([main(2)], "main"), &observed, &[]);
    let settles = |planned: &PlannedStep| matches!(planned.step, Step::Settle { .. });
    assert!(!plan.steps.iter().any(settles), "{plan:#?}");
}

#[test]
fn a_service_starts_when_those_that_it_needs_are_ready() {
    let needs = |mut container: Container, needed: &[&str]| {
        container.needs = needed.iter().map(|name| service(name)).collect();
        container
    };
    // By their names they would start the other way round, or together.
    let broker = needs(container("broker", Stage::Service, 1), &["keeper"]);
    let admin = needs(container("admin", Stage::Service, 1), &["broker", "keeper"]);
    let keeper = container("keeper", Stage::Service, 1);
    // In front of main, and yet after a proxy.
    let page = needs(api(1), &["nginx"]);
    let app = app([main(1), admin, broker, keeper, page, nginx(1)], "nginx");
    insta::assert_snapshot!(text(&plan(&app, &Observed::default(), &[])));

    let all: BTreeSet<ServiceName> = app.containers.keys().cloned().collect();
    let restart = planner::restart(&app, &all, &BTreeSet::new());
    let restarted: Vec<&str> = restart
        .steps
        .iter()
        .filter_map(|planned| match &planned.step {
            Step::Engine(Act::RestartContainer { container, .. }) => {
                container.service().map(ServiceName::as_str)
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        restarted,
        ["keeper", "broker", "admin", "main", "nginx", "api"]
    );
}

#[test]
fn a_restart_goes_by_turns_and_tells_every_proxy() {
    let app = app([main(1), redis(1), api(1), nginx(1)], "nginx");
    let restart = |services: &[&str]| {
        let selected = services.iter().map(|name| service(name)).collect();
        let stopped = BTreeSet::new();
        text(&planner::restart(&app, &selected, &stopped))
    };
    insta::assert_snapshot!("restart_of_one", restart(&["api"]));
    insta::assert_snapshot!(
        "restart_of_all",
        restart(&["main", "redis", "api", "nginx"])
    );
    assert_eq!(restart(&[]), "");
}

#[test]
fn everything_is_new() {
    let old = app([main(1), redis(1), nginx(1)], "nginx");
    let new = app([main(2), redis(2), nginx(2)], "nginx");
    insta::assert_snapshot!(text(&plan(&new, &running(&old), &[])));
}

#[test]
fn a_service_is_stopped_and_another_no_longer_wanted() {
    let old = app([main(1), redis(1), nginx(1)], "nginx");
    let new = app([main(1), redis(1)], "main");
    insta::assert_snapshot!(text(&plan(&new, &running(&old), &["redis"])));
}

#[test]
fn a_service_under_another_name_inherits_its_volume() {
    let old = app([main(1), redis(1)], "main");
    let cache = with_volume(container("cache", Stage::Service, 1), "data");
    let new = app([main(1), cache], "main");
    insta::assert_snapshot!(text(&plan(&new, &running(&old), &[])));
}

#[test]
fn a_service_that_goes_ends_last_where_another_has_only_changed() {
    let keeps = |version| with_volume(redis(version), "data");
    let old = app(
        [main(1), keeps(1), container("worker", Stage::Service, 1)],
        "main",
    );
    let plan = plan(&app([main(1), keeps(2)], "main"), &running(&old), &[]);
    let place = |is_it: fn(&Step) -> bool| {
        let place = plan.steps.iter().position(|planned| is_it(&planned.step));
        place.unwrap_or_else(|| panic!("{}", text(&plan)))
    };
    let ready = place(
        |step| matches!(step, Step::AwaitReady { service, .. } if service.as_str() == "redis"),
    );
    let stopped = place(
        |step| matches!(step, Step::Engine(Act::StopContainer { container, .. }) if container.service().is_some_and(|service| service.as_str() == "worker")),
    );
    assert!(ready < stopped, "{}", text(&plan));
}

#[test]
fn new_limits_are_given_to_the_container_that_runs() {
    let old = app([main(1), with_memory(redis(1), 64 << 20)], "main");
    let new = app([main(1), with_memory(redis(1), 128 << 20)], "main");
    let without = app([main(1), redis(1)], "main");
    let once = "\u{20}0 limit redis.shop.internal []\n";
    assert_eq!(text(&plan(&new, &running(&old), &[])), once);
    assert_eq!(text(&plan(&new, &running(&without), &[])), once);
    assert_eq!(text(&plan(&without, &running(&old), &[])), once);
}

#[test]
fn limits_that_somebody_changed_are_put_right() {
    let app = app([with_memory(main(1), 64 << 20)], "main");
    let mut observed = running(&app);
    let once = "\u{20}0 limit main.shop.internal []\n";
    observed.containers[0].limits.as_mut().unwrap().usual = false;
    assert_eq!(text(&plan(&app, &observed, &[])), once);
    observed.containers[0].limits = Some(limits(&Resources::default()));
    assert_eq!(text(&plan(&app, &observed, &[])), once);
    // All processors of the machine are no limit.
    observed = running(&app);
    observed.containers[0].limits.as_mut().unwrap().millicpus = Some(2000);
    assert_eq!(plan(&app, &observed, &[]), Plan::default());
}

#[test]
fn containers_of_earlier_hosts_go_on() {
    let app = app([with_memory(main(1), 64 << 20), redis(1)], "main");
    let mut observed = running(&app);
    for copy in &mut observed.containers {
        copy.hash = app.containers[&copy.service].hash(&app.revisions);
    }
    assert_eq!(plan(&app, &observed, &[]), Plan::default());
}

#[test]
fn another_subnet() {
    let old = app([main(1), redis(1)], "main");
    let mut new = old.clone();
    new.subnet = "10.16.2.0/23".parse().unwrap();
    insta::assert_snapshot!(text(&plan(&new, &running(&old), &[])));
}

#[test]
fn removal_keeps_volumes() {
    let app = app([main(1), redis(1), nginx(1)], "nginx");
    insta::assert_snapshot!(text(&planner::removal(&running(&app), Some(&app))));
}

/// The longest way through a plan, in milliseconds, if each step takes as long as it
/// does on a small machine.
fn duration(plan: &Plan) -> u32 {
    let mut ends = Vec::<u32>::new();
    for planned in &plan.steps {
        let takes = match &planned.step {
            Step::Engine(Act::CreateNetwork { .. }) => 90,
            Step::Engine(Act::CreateContainer { .. }) => 200,
            Step::Engine(Act::StartContainer { .. }) => 300,
            Step::AwaitReady { .. } => 50,
            _ => 10,
        };
        let begins = planned
            .after
            .iter()
            .map(|before| ends[*before])
            .max()
            .unwrap_or(0);
        ends.push(begins + takes);
    }
    ends.into_iter().max().unwrap_or(0)
}

#[test]
fn a_first_deploy_creates_everything_at_once() {
    let services = ["a", "b", "c", "d", "e"].map(|name| container(name, Stage::Service, 1));
    let app = app(services.into_iter().chain([main(1), nginx(1)]), "nginx");
    let images = app
        .containers
        .values()
        .map(|c| c.image.reference().to_owned())
        .collect();
    let observed = Observed {
        images,
        ..Observed::default()
    };
    // One creation with the network beside it, three stages that start and become ready, the route.
    assert_eq!(
        duration(&plan(&app, &observed, &[])),
        200 + 3 * (300 + 50) + 10
    );
}

#[test]
fn every_old_copy_ends_before_it_is_removed() {
    let new = app([recreated(main(3))], "main");
    let mut observed = running(&app([main(1)], "main"));
    let other = app([main(2)], "main");
    let spec = &other.containers[&ServiceName::main()];
    let spare = CopyName::spare(&spec.name, &spec.made_from(&other.revisions));
    observed
        .containers
        .push(copy(1, &other, spec, spare, State::Running));
    insta::assert_snapshot!(text(&plan(&new, &observed, &[])));
}

#[test]
fn what_a_broken_off_deploy_left_running_is_waited_for() {
    let blueprint = app([main(1)], "main");
    let reach = |previous: Option<&Blueprint>, observed: &Observed| {
        let context = Context {
            stopped: &BTreeSet::new(),
            reloads: &BTreeSet::new(),
            made: &BTreeSet::new(),
        };
        let plan = planner::reach(previous, &blueprint, observed, &context);
        let awaited = plan.steps.iter();
        let awaited = awaited.filter(|planned| {
            matches!(&planned.step, Step::AwaitReady { service, .. } if service.is_main())
        });
        (awaited.count(), plan)
    };
    let observed = running(&blueprint);
    assert_eq!(reach(Some(&blueprint), &observed), (0, Plan::default()));
    let other = app([main(2)], "main");
    for previous in [None, Some(&other)] {
        let (awaited, plan) = reach(previous, &observed);
        assert_eq!((awaited, plan.steps.len()), (1, 1), "{}", text(&plan));
    }
    // What is waited for anyway is waited for once.
    assert_eq!(reach(None, &Observed::default()).0, 1);
}
