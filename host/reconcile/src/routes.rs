//! Which host name leads where, and telling the ingress.

use crate::certificate::is_private;
use crate::events::Events;
use crate::status::{self, Circumstances};
use crate::{Config, Host};
use doprax_core::change::{Changed, DomainChange};
use doprax_core::domain::Domains;
use doprax_core::name::AppName;
use doprax_core::observed::Observed;
use doprax_core::route::{Route, Routes, Target};
use doprax_store::{AppRecord, OwnedDomain};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::PoisonError;
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
    /// The app's host names beside its free one.
    pub(crate) fn domains(&self) -> &Domains {
        &self.domains
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

impl Host {
    /// Where an app can be reached.
    pub(crate) fn url(&self, app: &AppName) -> String {
        let host = self.free_name(app);
        let certificates = self.certificates_kept();
        let has_certificate = certificates.is_some_and(|kept| kept.serves(&host));
        self.url_of(&host, has_certificate)
    }

    /// What the app's own texts may ask for. Its address has the protocol that it is
    /// going to have, be there a certificate already or not.
    pub(crate) fn address(&self, app: &AppName, domain: Option<&str>) -> (String, String) {
        let host = self.host_name(app, domain);
        (self.url_of(&host, true), host)
    }

    /// The host name by which visitors know an app: the first of its domains, which is
    /// `domain`, else the free one.
    pub(crate) fn host_name(&self, app: &AppName, domain: Option<&str>) -> String {
        domain.map_or_else(|| self.free_name(app), str::to_owned)
    }

    pub(crate) fn free_name(&self, app: &AppName) -> String {
        format!("{app}.{}", self.config().base_domain)
    }

    /// The address of a host name, over HTTPS where that is spoken at all and `secure`.
    fn url_of(&self, host: &str, secure: bool) -> String {
        let https = self.ingress().https_addresses().first();
        if let Some(address) = https.filter(|_| secure && !is_private(host)) {
            let port = self.config().public_https_port.unwrap_or(address.port());
            return match port {
                443 => format!("https://{host}"),
                port => format!("https://{host}:{port}"),
            };
        }
        match self.ingress().addresses().first().map(SocketAddr::port) {
            None | Some(80) => format!("http://{host}"),
            Some(port) => format!("http://{host}:{port}"),
        }
    }

    /// Points the app's host names at a target and tells the ingress if that is new.
    pub(crate) fn set_target(&self, app: &AppName, target: Target) {
        self.change_routes(app, |routes| {
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
        self.change_routes(app, |routes| {
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
    fn change_routes(&self, app: &AppName, change: impl FnOnce(&mut AppRoutes) -> bool) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let known = routes.contains_key(app);
        let changed = change(routes.entry(app.clone()).or_default());
        if changed || !known {
            self.ingress().publish(all(self.config(), &routes));
        }
    }

    /// Takes the app's host names from the ingress.
    pub(crate) fn remove_route(&self, app: &AppName) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if routes.remove(app).is_some() {
            self.ingress().publish(all(self.config(), &routes));
        }
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

/// The routes of every app as it is remembered and as the engine has it, if that is known.
pub(crate) fn first(
    config: &Config,
    records: &[AppRecord],
    observed: Option<&BTreeMap<AppName, Observed>>,
    domains: Vec<OwnedDomain>,
    events: &Events,
) -> RoutesByApp {
    let nothing = Observed::default();
    let circumstances = Circumstances::default();
    let mut routes: RoutesByApp = records
        .iter()
        .map(|record| {
            let observed = observed.map(|all| all.get(&record.name).unwrap_or(&nothing));
            let status = status::of(config, record, observed, &circumstances);
            let release = record.release.as_ref().map(|release| release.number);
            events.know(&record.name, release, &status);
            let routes = AppRoutes {
                domains: Domains::new(),
                target: status.target,
            };
            (record.name.clone(), routes)
        })
        .collect();
    for domain in domains {
        let found = routes.entry(domain.app).or_default();
        found.domains.insert(domain.name, domain.domain);
    }
    routes
}

/// The routes of all apps, as the ingress takes them.
pub(crate) fn all(config: &Config, routes: &RoutesByApp) -> Routes {
    let mut all = Routes::new();
    for (app, AppRoutes { domains, target }) in routes {
        let free = format!("{app}.{}", config.base_domain);
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
    }
    all
}
