//! Where proxies believe their neighbours to be. Many resolve names only when they start
//! and when they are told to reload.

use crate::blueprint::Blueprint;
use crate::copy::CopyName;
use crate::name::ServiceName;
use crate::observed::{Observed, ObservedContainer, State};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// What each proxy of an app believes.
pub type Neighbours = BTreeMap<ServiceName, Known>;

/// Where a proxy believes its neighbours to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Start of its process, in Unix milliseconds.
    pub started_ms: i64,
    /// The neighbours that it has looked up since then.
    pub addresses: BTreeMap<ServiceName, Ipv4Addr>,
}

/// Where a proxy finds its neighbours if it looks now; nothing while it does not run.
pub fn find(proxy: &ServiceName, observed: &Observed) -> Option<Known> {
    let serving = serving(observed);
    let started_ms = serving.get(proxy)?.started_ms?;
    let others = serving.iter().filter(|(service, _)| **service != proxy);
    Some(Known {
        started_ms,
        addresses: others
            .filter_map(|(service, copy)| Some(((*service).clone(), copy.address?)))
            .collect(),
    })
}

/// The proxies that believe a neighbour to be where it is not, and what each believes: one
/// that started since it was last looked at found what was there then.
pub fn outdated(
    known: &Neighbours,
    blueprint: &Blueprint,
    observed: &Observed,
) -> (BTreeSet<ServiceName>, Neighbours) {
    let serving = serving(observed);
    let mut believed = known.clone();
    believed.retain(|proxy, _| blueprint.containers.contains_key(proxy));
    let mut outdated = BTreeSet::new();
    let proxies = blueprint
        .containers
        .values()
        .filter(|spec| spec.reload.is_some());
    for proxy in proxies.map(|spec| &spec.name) {
        let Some(now) = find(proxy, observed) else {
            continue;
        };
        let believes = match believed.get(proxy) {
            None => now.clone(),
            Some(before) if before.started_ms == now.started_ms => before.clone(),
            Some(_) => {
                let is_older = |service: &ServiceName| {
                    let started = serving.get(service).and_then(|copy| copy.started_ms);
                    started.is_some_and(|started| started <= now.started_ms)
                };
                let mut found = now.clone();
                found.addresses.retain(|service, _| is_older(service));
                found
            }
        };
        let moved = |(service, address)| believes.addresses.get(service) != Some(address);
        if now.addresses.iter().any(moved) {
            outdated.insert(proxy.clone());
        }
        believed.insert(proxy.clone(), believes);
    }
    (outdated, believed)
}

/// The copy of each container that runs under its own name.
fn serving(observed: &Observed) -> BTreeMap<&ServiceName, &ObservedContainer> {
    observed
        .containers
        .iter()
        .filter(|copy| copy.state == State::Running)
        .filter(|copy| copy.name == CopyName::serving(&copy.service))
        .map(|copy| (&copy.service, copy))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blueprint::Container;

    fn service(name: &str) -> ServiceName {
        ServiceName::new(name).unwrap()
    }

    fn blueprint() -> Blueprint {
        let container = |name: &str, reload: bool| {
            let json = serde_json::json!({
                "name": name, "stage": "front", "image": { "pull": { "reference": "x" } },
                "env": {}, "files": [], "mounts": [], "aliases": [], "port_reason": "",
                "probes": [], "ready_timeout_ms": 1, "judged": false, "strategy": "rolling",
                "reload": reload.then_some(["reload"]), "resources": {}, "ulimits": [],
                "capabilities": [], "stop_grace_ms": 1, "outputs": {},
            });
            let container: Container = serde_json::from_value(json).unwrap();
            (container.name.clone(), container)
        };
        Blueprint {
            app: crate::name::AppName::new("shop").unwrap(),
            subnet: "10.16.0.0/23".parse().unwrap(),
            volumes: BTreeSet::new(),
            containers: BTreeMap::from([container("nginx", true), container("api", false)]),
            front: None,
            domains: BTreeMap::new(),
            first_domain: None,
            drain: crate::spec::Drain::default(),
            secrets: BTreeMap::new(),
            revisions: BTreeMap::new(),
            release: None,
            notes: Vec::new(),
        }
    }

    /// Nginx and the API, each with its start and the end of its address.
    fn observed(nginx: (i64, u8), api: (i64, u8)) -> Observed {
        let copy = |name: &str, (started, last): (i64, u8)| ObservedContainer {
            id: format!("{name}-{started}"),
            name: CopyName::serving(&service(name)),
            service: service(name),
            hash: String::new(),
            state: State::Running,
            attached: true,
            address: Some(Ipv4Addr::new(10, 16, 0, last)),
            created: 0,
            started_ms: Some(started),
            ended_ms: None,
            restarts: 0,
            exit_code: None,
            out_of_memory: false,
            image: String::new(),
            image_id: String::new(),
            limits: None,
            healthcheck: None,
        };
        Observed {
            containers: vec![copy("nginx", nginx), copy("api", api)],
            ..Observed::default()
        }
    }

    #[test]
    fn a_proxy_is_outdated_once_a_neighbour_has_moved_whatever_moved_it() {
        let blueprint = blueprint();
        // What is seen one after the other, and whether Nginx is to reload.
        let cases = [
            ("as it began", observed((20, 2), (10, 3)), false),
            ("crashed, same address", observed((20, 2), (30, 3)), false),
            ("crashed, another address", observed((20, 2), (40, 4)), true),
            ("still not told", observed((20, 2), (40, 4)), true),
            (
                "Nginx itself crashed later",
                observed((50, 2), (40, 4)),
                false,
            ),
            (
                "both crashed, Nginx first",
                observed((60, 2), (70, 5)),
                true,
            ),
            ("still not told of that", observed((60, 2), (70, 5)), true),
        ];
        let mut known = Neighbours::new();
        for (what, observed, expected) in cases {
            let (outdated, believed) = outdated(&known, &blueprint, &observed);
            assert_eq!(outdated.contains(&service("nginx")), expected, "{what}");
            known = believed;
        }
        let now = observed((60, 2), (70, 5));
        let told = find(&service("nginx"), &now).unwrap();
        known.insert(service("nginx"), told);
        let (outdated, _) = outdated(&known, &blueprint, &now);
        assert!(outdated.is_empty(), "it was told");
    }
}
