//! Which host name leads where, and telling the ingress.

use crate::Host;
use doprax_core::blueprint::Blueprint;
use doprax_core::name::{AppName, Instance};
use doprax_core::observed::{Observed, State};
use doprax_core::route::{Route, Routes, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::PoisonError;

/// The host names of each app and what answers to them.
pub(crate) type RoutesByApp = BTreeMap<AppName, (Vec<String>, Target)>;

impl Host {
    /// Where an app can be reached.
    pub(crate) fn url(&self, app: &AppName) -> String {
        let host = format!("{app}.{}", self.config().base_domain);
        match self.ingress().addresses().first().map(SocketAddr::port) {
            None | Some(80) => format!("http://{host}"),
            Some(port) => format!("http://{host}:{port}"),
        }
    }

    /// Points the app's host names at a target and tells the ingress if that is new.
    pub(crate) fn set_target(&self, app: &AppName, domains: &BTreeSet<String>, target: Target) {
        let mut hosts = vec![format!("{app}.{}", self.config().base_domain)];
        hosts.extend(domains.iter().cloned());
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let new = (hosts, target);
        if routes.get(app) == Some(&new) {
            return;
        }
        routes.insert(app.clone(), new);
        self.ingress().publish(all(&routes));
    }

    /// Takes the app's host names from the ingress.
    pub(crate) fn remove_route(&self, app: &AppName) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if routes.remove(app).is_some() {
            self.ingress().publish(all(&routes));
        }
    }
}

fn all(routes: &RoutesByApp) -> Routes {
    routes
        .iter()
        .flat_map(|(app, (hosts, target))| {
            let route = Route::new(app.clone(), target.clone());
            hosts.iter().map(move |host| (host.clone(), route.clone()))
        })
        .collect()
}

/// What answers for an app whose containers are as observed.
pub(crate) fn target(
    instance: &Instance,
    blueprint: &Blueprint,
    observed: &Observed,
    stopped: bool,
) -> Target {
    if stopped {
        return Target::Stopped;
    }
    let name = instance.container(&blueprint.app, &blueprint.front.service);
    let front = observed
        .containers
        .iter()
        .find(|container| container.name == name);
    match front.map(|container| (container.state, container.address)) {
        Some((State::Running, Some(address))) => {
            Target::Address(SocketAddr::new(address.into(), blueprint.front.port))
        }
        _ => Target::Starting,
    }
}
