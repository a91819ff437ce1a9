//! The steps of an operation: the plan, and waiting for what nobody has shown to work.

use super::{Context, plan};
use crate::blueprint::Blueprint;
use crate::copy::CopyName;
use crate::name::ServiceName;
use crate::observed::Observed;
use crate::plan::{Plan, PlannedStep, Step};
use std::collections::BTreeSet;

/// The steps of an operation that brings the app from `observed` to `blueprint`: [`plan`],
/// and a wait for each container that `previous`, the current release, has not shown to
/// become ready.
pub fn reach(
    previous: Option<&Blueprint>,
    blueprint: &Blueprint,
    observed: &Observed,
    context: &Context<'_>,
) -> Plan {
    let unproven = unproven(previous, blueprint, context.stopped);
    let plan = plan(blueprint, observed, context);
    prove(plan, &unproven)
}

/// The containers of a blueprint that no release has shown to become ready.
fn unproven(
    previous: Option<&Blueprint>,
    blueprint: &Blueprint,
    stopped: &BTreeSet<ServiceName>,
) -> BTreeSet<ServiceName> {
    let is_proven = |name: &ServiceName| {
        let made_from = |blueprint: &Blueprint| {
            let container = blueprint.containers.get(name)?;
            Some(container.made_from(&blueprint.revisions))
        };
        previous.and_then(made_from) == made_from(blueprint)
    };
    let names = blueprint.containers.keys();
    names
        .filter(|name| !stopped.contains(*name) && !is_proven(name))
        .cloned()
        .collect()
}

/// The plan with a wait for each container of `unproven` that it does not wait for anyway:
/// one that a deploy which broke off has left running may not be ready yet.
fn prove(mut plan: Plan, unproven: &BTreeSet<ServiceName>) -> Plan {
    let is_awaited = |plan: &Plan, name: &ServiceName| {
        let mut steps = plan.steps.iter();
        steps.any(
            |planned| matches!(&planned.step, Step::AwaitReady { service, .. } if service == name),
        )
    };
    for service in unproven {
        if !is_awaited(&plan, service) {
            plan.steps.push(PlannedStep {
                step: Step::AwaitReady {
                    service: service.clone(),
                    container: CopyName::serving(service),
                },
                after: Vec::new(),
            });
        }
    }
    plan
}
