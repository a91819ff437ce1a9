//! What follows when every container is as it shall be: the route moves, those that
//! stand in front take notice, and what is left over goes.
//!
//! The order in which main's old copy goes was measured with Nginx in front: the
//! name moves; the ingress stops reusing connections to the front that it opened
//! before, because a reload cuts idle ones; the front reloads and knows the new
//! copy; requests that are under way end, and the new copy stays ready; the old copy
//! ends; the front reloads once more in the same way, because a resolver that knows both
//! copies by their alias may have picked the old one.

use super::rollout::Rollout;
use super::survey::{Copies, Survey};
use super::{Draft, UNKNOWN_GRACE_MS, grace, runs, turns};
use crate::blueprint::{Blueprint, Container};
use crate::copy::CopyName;
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
    halted: &BTreeMap<&CopyName, usize>,
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

    let named = proxies.iter().map(|copies| (copies.spec, &copies.real));
    if !proxies.is_empty() {
        last = reload(draft, blueprint, named.clone(), &last);
    }

    let mut ending: Vec<Ending<'_>> = Vec::new();
    for (service, rollout) in rollouts {
        let grace_ms = grace(blueprint, service);
        ending.extend(rollout.leftovers.iter().map(|leftover| Ending {
            service,
            container: &leftover.container,
            running: leftover.running,
            replaced: true,
            grace_ms,
        }));
    }
    ending.extend(survey.unwanted.iter().map(|container| Ending {
        service: &container.service,
        container: &container.name,
        running: runs(container.state) && !halted.contains_key(&container.name),
        replaced: false,
        grace_ms: UNKNOWN_GRACE_MS,
    }));
    let mut looked: Vec<usize> = Vec::new();
    for copies in &survey.services {
        let settles_ms = rollouts
            .get(&copies.spec.name)
            .and_then(|rollout| rollout.settles_ms);
        if let Some(ms) = settles_ms {
            looked.push(draft.settle(&copies.spec.name, &copies.real, ms, &last));
        }
    }
    if ending.iter().any(|copy| copy.running) {
        last = vec![draft.step(Step::Drain(blueprint.drain), &last)];
    }
    last.extend(looked);
    let mut twins = Vec::new();
    for copy in ending {
        let mut after = last.clone();
        if copy.running {
            after = vec![draft.stop(copy.container, copy.grace_ms, &after)];
        }
        let removed = draft.remove(copy.container, &after);
        let known = proxies.iter().any(|proxy| proxy.spec.name != *copy.service);
        if copy.replaced && copy.running && known {
            twins.push(removed);
        }
    }
    if !twins.is_empty() {
        reload(draft, blueprint, named, &twins);
    }
}

/// A container that goes.
struct Ending<'a> {
    service: &'a ServiceName,
    container: &'a CopyName,
    running: bool,
    /// Whether another copy has its place.
    replaced: bool,
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

/// The proxies that serve and know a neighbour that moved by where it was, because it
/// moved now, after they started, or in a plan that did not come to its end: those have
/// `owed` a reload since.
pub(super) fn proxies_to_reload<'a>(
    blueprint: &Blueprint,
    survey: &'a Survey<'_>,
    rollouts: &BTreeMap<&ServiceName, Rollout>,
    owed: &BTreeSet<ServiceName>,
) -> Vec<&'a Copies<'a>> {
    let turns = turns(blueprint);
    let turn = |copies: &Copies<'_>| turns[&copies.spec.name];
    let outdated = |proxy: &&Copies<'_>| {
        let Some(rollout) = rollouts.get(&proxy.spec.name).filter(|r| r.serves) else {
            return false;
        };
        if !rollout.started && owed.contains(&proxy.spec.name) {
            return true;
        }
        let mut others = survey.services.iter().filter(|copies| {
            copies.spec.name != proxy.spec.name
                && rollouts.get(&copies.spec.name).is_some_and(|r| r.moved)
        });
        others.any(|copies| !rollout.started || turn(copies) >= turn(proxy))
    };
    survey
        .services
        .iter()
        .filter(|copies| copies.spec.reload.is_some())
        .filter(outdated)
        .collect()
}

/// Has each of `proxies` reload, none of them while the ingress relies on connections
/// that this cuts. They come with their names.
pub(super) fn reload<'a>(
    draft: &mut Draft,
    blueprint: &Blueprint,
    proxies: impl Iterator<Item = (&'a Container, &'a CopyName)> + Clone,
    after: &[usize],
) -> Vec<usize> {
    let mut after = after.to_vec();
    let front = blueprint.front.as_ref().map(|front| &front.service);
    let mut names = proxies.clone().map(|(spec, _)| &spec.name);
    if names.any(|name| Some(name) == front) {
        after = vec![draft.step(Step::RetireConnections, &after)];
    }
    let commands = proxies.filter_map(|(spec, name)| Some((spec, name, spec.reload.as_ref()?)));
    commands
        .map(|(spec, name, command)| {
            let step = Step::Reload {
                service: spec.name.clone(),
                container: name.clone(),
                command: command.clone(),
            };
            draft.step(step, &after)
        })
        .collect()
}
