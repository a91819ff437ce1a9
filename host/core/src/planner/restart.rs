//! Stopping containers and starting them again, as they are.

use super::{Draft, retire, turns};
use crate::blueprint::Blueprint;
use crate::copy::CopyName;
use crate::name::ServiceName;
use crate::plan::{Act, Plan, Step};
use std::collections::BTreeSet;

/// The steps that restart the `selected` containers in the order in which they start in a
/// deploy, each when those before it are ready, and let the proxies that serve take
/// notice of where they are then.
pub fn restart(
    blueprint: &Blueprint,
    selected: &BTreeSet<ServiceName>,
    stopped: &BTreeSet<ServiceName>,
) -> Plan {
    let mut draft = Draft::default();
    let turn_of = turns(blueprint);
    let turn = |service: &ServiceName| turn_of.get(service).copied();
    let turns: BTreeSet<_> = selected.iter().filter_map(turn).collect();
    let mut gate = Vec::new();
    for now in turns {
        let mut ready = Vec::new();
        for spec in blueprint.containers.values() {
            if !selected.contains(&spec.name) || turn(&spec.name) != Some(now) {
                continue;
            }
            let container = CopyName::serving(&spec.name);
            let restart = Act::RestartContainer {
                container: container.clone(),
                grace_ms: spec.stop_grace_ms,
            };
            let restarted = draft.act(restart, &gate);
            ready.push(draft.await_ready(&spec.name, &container, &[restarted]));
        }
        gate.extend(ready);
    }
    if gate.is_empty() {
        return draft.finish();
    }
    let mut last = gate;
    let front = blueprint.front.as_ref();
    if let Some(front) = front.filter(|front| !stopped.contains(&front.service)) {
        let step = Step::PublishRoute {
            container: CopyName::serving(&front.service),
            port: front.port,
        };
        last = vec![draft.step(step, &last)];
    }
    let outdated = |proxy: &ServiceName| {
        let mut others = selected.iter().filter(|other| *other != proxy);
        !stopped.contains(proxy)
            && others.any(|other| !selected.contains(proxy) || turn(other) >= turn(proxy))
    };
    let proxies: Vec<_> = blueprint
        .containers
        .values()
        .filter(|spec| spec.reload.is_some() && outdated(&spec.name))
        .map(|spec| (spec, CopyName::serving(&spec.name)))
        .collect();
    let proxies = proxies.iter().map(|(spec, name)| (*spec, name));
    retire::reload(&mut draft, blueprint, proxies, &last);
    draft.finish()
}
