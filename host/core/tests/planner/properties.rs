//! What holds for every plan.

use crate::arbitrary::{any_app, any_app_and_observed, any_stopped};
use crate::sim::Sim;
use doprax_core::blueprint::Blueprint;
use doprax_core::copy::CopyName;
use doprax_core::name::ServiceName;
use doprax_core::observed::{Observed, State};
use doprax_core::plan::Plan;
use doprax_core::planner::{self, Context};
use proptest::prelude::*;
use proptest::test_runner::TestRng;
use std::collections::BTreeSet;

fn plan(blueprint: &Blueprint, observed: &Observed, stopped: &BTreeSet<ServiceName>) -> Plan {
    planner::plan(
        blueprint,
        observed,
        &Context {
            stopped,
            reloads: &BTreeSet::new(),
            made: &BTreeSet::new(),
        },
    )
}

/// One of the orders in which the steps may be done.
fn any_order(plan: &Plan, rng: &mut TestRng) -> Vec<usize> {
    let mut order = Vec::new();
    let mut left: Vec<usize> = (0..plan.steps.len()).collect();
    while !left.is_empty() {
        let free = left.iter().enumerate().filter(|(_, index)| {
            plan.steps[**index]
                .after
                .iter()
                .all(|before| !left.contains(before))
        });
        let free: Vec<usize> = free.map(|(position, _)| position).collect();
        let pick = free[rng.next_u64() as usize % free.len()];
        order.push(left.remove(pick));
    }
    order
}

/// Whether the app is as the blueprint says.
fn check_end(sim: &Sim<'_>, blueprint: &Blueprint, stopped: &BTreeSet<ServiceName>) {
    let observed = &sim.observed;
    assert_eq!(
        observed.network.as_ref().map(|n| n.subnet),
        Some(blueprint.subnet)
    );
    assert!(observed.volumes.is_superset(&blueprint.volumes));
    let names: BTreeSet<&ServiceName> = observed.containers.iter().map(|c| &c.service).collect();
    assert_eq!(names.len(), observed.containers.len(), "one copy of each");
    assert_eq!(names, blueprint.containers.keys().collect());
    for copy in &observed.containers {
        let spec = &blueprint.containers[&copy.service];
        let earlier = spec.hash(&blueprint.revisions);
        assert!(copy.hash == earlier || copy.hash == spec.made_from(&blueprint.revisions));
        assert!(copy.limits.as_ref().unwrap().hold(&spec.resources));
        assert_eq!(copy.name, CopyName::serving(&copy.service));
        let runs = matches!(copy.state, State::Running | State::Restarting);
        assert_eq!(runs, !stopped.contains(&copy.service), "{:?}", copy.name);
    }
    assert_eq!(
        plan(blueprint, observed, stopped),
        Plan::default(),
        "nothing is left to do"
    );
}

/// Plans, applies all or the beginning, and gives what the engine holds then.
fn apply(
    blueprint: &Blueprint,
    observed: &Observed,
    stopped: &BTreeSet<ServiceName>,
    part: Option<prop::sample::Index>,
    rng: &mut TestRng,
) -> Observed {
    let plan = plan(blueprint, observed, stopped);
    for (index, planned) in plan.steps.iter().enumerate() {
        assert!(planned.after.iter().all(|before| *before < index));
        assert!(planned.after.is_sorted_by(|a, b| a < b));
    }
    let mut order = any_order(&plan, rng);
    if let Some(part) = part {
        order.truncate(part.index(order.len() + 1));
    }
    let mut sim = Sim::new(observed, blueprint, stopped);
    if let Err(error) = sim.run(&plan, &order) {
        panic!(
            "{error}\nobserved: {observed:#?}\nplan: {:#?}",
            steps(&plan)
        );
    }
    if part.is_none() {
        check_end(&sim, blueprint, stopped);
        let front = blueprint.front.as_ref().unwrap();
        if !stopped.contains(&front.service) && observed.containers.is_empty() {
            let name = CopyName::serving(&front.service);
            assert_eq!(sim.route, Some((name, front.port)));
        }
    }
    assert!(
        sim.observed.volumes.is_superset(&observed.volumes),
        "no volume goes"
    );
    sim.observed
}

fn steps(plan: &Plan) -> Vec<String> {
    let without_spec = |text: String| text.split(", spec:").next().unwrap_or_default().to_owned();
    plan.steps
        .iter()
        .enumerate()
        .map(|(index, p)| {
            format!(
                "{index} {} {:?}",
                without_spec(format!("{:?}", p.step)),
                p.after
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reaches_the_blueprint_from_anything(
        (blueprint, observed) in any_app_and_observed(),
        stopped in any_stopped(),
        mut rng in any_rng(),
    ) {
        for _ in 0..3 {
            apply(&blueprint, &observed, &stopped, None, &mut rng);
        }
    }

    #[test]
    fn survives_a_crash_at_any_step(
        blueprints in prop::collection::vec((any_app(), any::<prop::sample::Index>()), 1..4),
        stopped in any_stopped(),
        mut rng in any_rng(),
    ) {
        // A first deploy, then deploys of which each breaks off somewhere.
        let running = BTreeSet::new();
        let mut observed =
            apply(&blueprints[0].0, &Observed::default(), &running, None, &mut rng);
        for (blueprint, part) in &blueprints {
            observed = apply(blueprint, &observed, &stopped, Some(*part), &mut rng);
        }
        // Forward to the last one, and back to each of those before.
        for (blueprint, _) in &blueprints {
            apply(blueprint, &observed, &running, None, &mut rng);
            apply(blueprint, &observed, &stopped, None, &mut rng);
        }
    }

    #[test]
    fn a_volume_that_is_gone_is_not_replaced(
        (blueprint, observed) in any_app_and_observed(),
        mut rng in any_rng(),
    ) {
        let made = &blueprint.volumes;
        let plan = planner::plan(&blueprint, &observed, &Context {
            stopped: &BTreeSet::new(),
            reloads: &BTreeSet::new(),
            made,
        });
        let gone = planner::gone_volumes(&blueprint, &observed, made);
        let lacking = blueprint.containers.values().filter(|spec| {
            spec.mounts.iter().any(|mount| gone.contains(&mount.name))
        });
        // What lacks a volume must not start, and nothing waits for it.
        let held: BTreeSet<ServiceName> = lacking.map(|spec| spec.name.clone()).collect();
        let mut sim = Sim::new(&observed, &blueprint, &held);
        sim.free_fall = true;
        let order = any_order(&plan, &mut rng);
        prop_assert_eq!(sim.run(&plan, &order), Ok(()));
        prop_assert_eq!(&sim.observed.volumes, &observed.volumes);
    }

    #[test]
    fn removal_leaves_nothing_but_volumes((blueprint, observed) in any_app_and_observed(), mut rng in any_rng()) {
        let plan = planner::removal(&observed, Some(&blueprint));
        let running = BTreeSet::new();
        let mut sim = Sim::new(&observed, &blueprint, &running);
        sim.free_fall = true;
        let order = any_order(&plan, &mut rng);
        prop_assert_eq!(sim.run(&plan, &order), Ok(()));
        prop_assert!(sim.observed.containers.is_empty());
        prop_assert_eq!(sim.observed.network, None);
        prop_assert_eq!(sim.observed.volumes, observed.volumes);
    }
}

fn any_rng() -> impl Strategy<Value = TestRng> {
    Just(()).prop_perturb(|(), rng| rng)
}
