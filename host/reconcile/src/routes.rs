//! Which host name leads where, and telling the ingress.
//!
//! Flow: whoever finds an app's target or host names to be others says so; what differs is
//! told to whoever watches, and the ingress gets the routes of this app anew.
//! Guarantees: the ingress has what the table has, in the order in which that changed.

use crate::Config;
use crate::certificate::{Certificates, is_private};
use crate::events::Events;
use doprax_core::change::{Changed, DomainChange};
use doprax_core::domain::{Domain, Domains};
use doprax_core::name::AppName;
use doprax_core::route::{Route, Routes, Target};
use doprax_ingress::Ingress;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The host names of each app and what answers to them.
pub(crate) type RoutesByApp = BTreeMap<AppName, AppRoutes>;

/// The host names of one app and what answers to them.
#[derive(PartialEq)]
pub(crate) struct AppRoutes {
    domains: Domains,
    target: Target,
}

impl AppRoutes {
    /// Those of an app that has no host names beside the free one.
    pub(crate) fn to(target: Target) -> Self {
        let domains = Domains::new();
        Self { domains, target }
    }

    /// Adds a host name.
    pub(crate) fn add(&mut self, name: String, domain: Domain) {
        self.domains.insert(name, domain);
    }
}

impl Default for AppRoutes {
    fn default() -> Self {
        Self {
            domains: Domains::new(),
            target: Target::Starting,
        }
    }
}

/// How long browsers remember to use nothing but HTTPS, where they are told to.
const HSTS: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What the ingress was told of every app.
pub(crate) struct RouteTable {
    config: Arc<Config>,
    ingress: Arc<Ingress>,
    certificates: Arc<Certificates>,
    events: Arc<Events>,
    apps: Mutex<RoutesByApp>,
}

impl RouteTable {
    /// The table of an ingress that has these routes.
    pub(crate) fn new(
        config: Arc<Config>,
        ingress: Arc<Ingress>,
        certificates: Arc<Certificates>,
        events: Arc<Events>,
        apps: RoutesByApp,
    ) -> Self {
        Self {
            config,
            ingress,
            certificates,
            events,
            apps: Mutex::new(apps),
        }
    }

    /// Where an app can be reached.
    pub(crate) fn url(&self, app: &AppName) -> String {
        let host = self.config.free_name(app);
        let has_certificate = self.certificates.serves(&host);
        self.url_of(&host, has_certificate)
    }

    /// What the app's own texts may ask for. Its address has the protocol that it is
    /// going to have, be there a certificate already or not.
    pub(crate) fn address(&self, app: &AppName, domain: Option<&str>) -> (String, String) {
        let host = self.config.host_name(app, domain);
        (self.url_of(&host, true), host)
    }

    /// The address of a host name, over HTTPS where that is spoken at all and `secure`.
    fn url_of(&self, host: &str, secure: bool) -> String {
        let https = self.ingress.https_addresses().first();
        if let Some(address) = https.filter(|_| secure && !is_private(host)) {
            let port = self.config.public_https_port.unwrap_or(address.port());
            return match port {
                443 => format!("https://{host}"),
                port => format!("https://{host}:{port}"),
            };
        }
        match self.ingress.addresses().first().map(SocketAddr::port) {
            None | Some(80) => format!("http://{host}"),
            Some(port) => format!("http://{host}:{port}"),
        }
    }

    /// Points the app's host names at a target and tells the ingress if that is new.
    pub(crate) fn set_target(&self, app: &AppName, target: Target) {
        self.change(app, |routes| {
            let differs = routes.target != target;
            if differs {
                let to = answering(&target);
                self.events.tell(Some(app), Changed::Route { to });
                routes.target = target;
            }
            differs
        });
    }

    /// Changes the app's host names beside the free one and tells the ingress if they
    /// are new.
    pub(crate) fn set_domains(&self, app: &AppName, domains: Domains) {
        self.change(app, |routes| {
            for (name, change) in changes(&routes.domains, &domains) {
                self.events
                    .tell(Some(app), Changed::Domain { name, change });
            }
            let differs = routes.domains != domains;
            routes.domains = domains;
            differs
        });
    }

    /// `change` says whether it has changed anything.
    fn change(&self, app: &AppName, change: impl FnOnce(&mut AppRoutes) -> bool) {
        let mut apps = self.lock();
        let known = apps.contains_key(app);
        let routes = apps.entry(app.clone()).or_default();
        if change(routes) || !known {
            self.ingress
                .publish_app(app, of_app(&self.config, app, routes));
        }
    }

    /// Takes the app's host names from the ingress.
    pub(crate) fn remove(&self, app: &AppName) {
        if self.lock().remove(app).is_some() {
            self.ingress.publish_app(app, Routes::new());
        }
    }

    /// The app of every host name.
    pub(crate) fn owners(&self) -> HashMap<String, AppName> {
        let apps = self.lock();
        let names = apps.iter().flat_map(|(app, routes)| {
            let own = routes.domains.keys().cloned();
            own.chain([self.config.free_name(app)])
                .map(|name| (name, app.clone()))
        });
        names.collect()
    }

    fn lock(&self) -> MutexGuard<'_, RoutesByApp> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What answers an app's visitors, in a word.
fn answering(target: &Target) -> String {
    match target {
        Target::Address(address) | Target::Tls(address) => address.to_string(),
        Target::Starting => "starting".to_owned(),
        Target::Nowhere => "nowhere".to_owned(),
        Target::Stopped => "stopped".to_owned(),
        Target::Failed(_) => "failed".to_owned(),
    }
}

/// The names that came and went.
fn changes(was: &Domains, now: &Domains) -> Vec<(String, DomainChange)> {
    let only_in = |these: &Domains, those: &Domains, change: DomainChange| {
        let names = these.keys().filter(|name| !those.contains_key(*name));
        names.map(|name| (name.clone(), change)).collect::<Vec<_>>()
    };
    let mut all = only_in(now, was, DomainChange::Added);
    all.extend(only_in(was, now, DomainChange::Removed));
    all
}

/// The routes of all apps, as the ingress takes them.
pub(crate) fn all(config: &Config, routes: &RoutesByApp) -> Routes {
    let each = routes.iter();
    each.flat_map(|(app, routes)| of_app(config, app, routes))
        .collect()
}

/// The routes of one app.
fn of_app(config: &Config, app: &AppName, routes: &AppRoutes) -> Routes {
    let AppRoutes { domains, target } = routes;
    let mut all = Routes::new();
    let free = config.free_name(app);
    let mut route = Route::new(app.clone(), target.clone());
    route.options.keep_http = is_private(&free);
    all.insert(free, route);
    for (name, domain) in domains {
        let mut route = Route::new(app.clone(), target.clone());
        route.options.redirect_to.clone_from(&domain.redirect_to);
        route.options.hsts = domain.hsts.then_some(HSTS);
        route.options.keep_http = is_private(name);
        all.insert(name.clone(), route);
    }
    all
}
