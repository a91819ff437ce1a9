//! What follows when every container is as it shall be: the route moves, those that
//! stand in front take notice, and what is left over goes.
//!
//! The order in which main's old copy goes was measured with Nginx in front: the
//! name moves; the ingress stops reusing connections to the front that it opened
//! before, because a reload cuts idle ones; the front reloads and knows the new
//! copy; requests that are under way end; the old copy ends; the front reloads once
//! more in the same way, because a resolver that knows both copies by their alias may
//! have picked the old one.

use super::rollout::Rollout;
use super::survey::{Copies, Survey};
use super::{Draft, UNKNOWN_GRACE_MS, grace, runs};
use crate::blueprint::{Blueprint, Stage};
use crate::name::ServiceName;
use crate::plan::Step;
use std::collections::{BTreeMap, BTreeSet};

/// Plans the end. `proxies` are to reload, `halted` are unwanted containers with the steps that stopped them,
/// `settled` the steps after which every container is as it shall be.
pub(super) fn retire(
    draft: &mut Draft,
    blueprint: &Blueprint,
    survey: &Survey<'_>,
    rollouts: &BTreeMap<&ServiceName, Rollout>,
    proxies: &[&Copies<'_>],
    halted: &BTreeMap<&str, usize>,
    settled: &[usize],
) {
    let mut last = settled.to_vec();
    if let Some((front, port)) = serving_front(blueprint, survey, rollouts) {
        let step = Step::PublishRoute {
            container: front.real.clone(),
            port,
        };
        last = vec![draft.step(step, &last)];
    }

    if !proxies.is_empty() {
        last = reload(draft, blueprint, proxies, &last);
    }

    let mut ending: Vec<Ending<'_>> = Vec::new();
    for (service, rollout) in rollouts {
        let grace_ms = grace(blueprint, service);
        ending.extend(rollout.leftovers.iter().map(|leftover| Ending {
            service,
            container: &leftover.container,
            running: leftover.running,
            grace_ms,
        }));
    }
    ending.extend(survey.unwanted.iter().map(|container| Ending {
        service: &container.service,
        container: &container.name,
        running: runs(container.state) && !halted.contains_key(container.name.as_str()),
        grace_ms: UNKNOWN_GRACE_MS,
    }));
    if ending.iter().any(|copy| copy.running) {
        last = vec![draft.step(Step::Drain(blueprint.drain), &last)];
    }
    let mut old_main = Vec::new();
    for copy in ending {
        let mut after = last.clone();
        if copy.running {
            after = vec![draft.stop(copy.container, copy.grace_ms, &after)];
        }
        let removed = draft.remove(copy.container, &after);
        if copy.service.is_main() && copy.running {
            old_main.push(removed);
        }
    }
    if !old_main.is_empty() {
        reload(draft, blueprint, proxies, &old_main);
    }
}

/// A container that goes.
struct Ending<'a> {
    service: &'a ServiceName,
    container: &'a str,
    running: bool,
    grace_ms: u32,
}

/// The front and its port, if the route to it may be another than before.
fn serving_front<'a>(
    blueprint: &Blueprint,
    survey: &'a Survey<'_>,
    rollouts: &BTreeMap<&ServiceName, Rollout>,
) -> Option<(&'a Copies<'a>, u16)> {
    let front = blueprint.front.as_ref()?;
    let service = &front.service;
    let rollout = rollouts.get(service)?;
    let replaced = rollout.moved || !survey.unwanted.is_empty();
    let copies = survey
        .services
        .iter()
        .find(|copies| copies.spec.name == *service)?;
    (replaced && rollout.serves).then_some((copies, front.port))
}

/// Those in front of main that go on running and proxy to something that moved, now
/// or in a plan that did not come to its end: those have `owed` a reload since.
pub(super) fn proxies_to_reload<'a>(
    survey: &'a Survey<'_>,
    rollouts: &BTreeMap<&ServiceName, Rollout>,
    owed: &BTreeSet<ServiceName>,
) -> Vec<&'a Copies<'a>> {
    let behind = survey
        .services
        .iter()
        .filter(|copies| copies.spec.stage != Stage::Front);
    let moved = |copies: &Copies<'_>| rollouts.get(&copies.spec.name).is_some_and(|r| r.moved);
    let any_moved = behind.into_iter().any(moved);
    let in_front = survey
        .services
        .iter()
        .filter(|copies| copies.spec.stage == Stage::Front);
    in_front
        .filter(|copies| copies.spec.reload.is_some())
        .filter(|copies| any_moved || owed.contains(&copies.spec.name))
        .filter(|copies| {
            rollouts
                .get(&copies.spec.name)
                .is_some_and(|r| r.serves && !r.started)
        })
        .collect()
}

/// Has each of `proxies` reload, none of them while the ingress relies on connections
/// that this cuts.
fn reload(
    draft: &mut Draft,
    blueprint: &Blueprint,
    proxies: &[&Copies<'_>],
    after: &[usize],
) -> Vec<usize> {
    let mut after = after.to_vec();
    let front = blueprint.front.as_ref().map(|front| &front.service);
    let is_front = |copies: &&Copies<'_>| Some(&copies.spec.name) == front;
    if proxies.iter().any(is_front) {
        after = vec![draft.step(Step::RetireConnections, &after)];
    }
    let commands = proxies
        .iter()
        .filter_map(|copies| Some((copies, copies.spec.reload.as_ref()?)));
    commands
        .map(|(copies, command)| {
            let step = Step::Reload {
                service: copies.spec.name.clone(),
                container: copies.real.clone(),
                command: command.clone(),
            };
            draft.step(step, &after)
        })
        .collect()
}
