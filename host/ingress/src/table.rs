//! From host names to backends.
//!
//! Readers take a snapshot without a lock. Writers (publishing, draining, retiring
//! connections) are rare: they build a new table, put it in place, and only then
//! close the backends that are no longer in it, so that a reader who finds a closed
//! backend finds its successor in the table.

use crate::backend::{Backend, Flight, Generation};
use crate::host::Host;
use crate::metrics::{Counters, Traffic};
use arc_swap::ArcSwap;
use doprax_core::name::AppName;
use doprax_core::route::{HostOptions, Route, Routes};
use http::HeaderValue;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

type Hosts = HashMap<Arc<str>, Entry>;

/// The routes of an ingress.
#[derive(Debug)]
pub(crate) struct Table {
    threads: usize,
    hosts: ArcSwap<Hosts>,
    writer: Mutex<Writer>,
}

#[derive(Debug, Default)]
struct Writer {
    last_generation: u64,
    generations: HashMap<AppName, Generation>,
    /// Of every app that has a route.
    counters: HashMap<AppName, Arc<Counters>>,
    /// Backends that were replaced and still answer requests.
    replaced: HashMap<AppName, Vec<Arc<Backend>>>,
}

#[derive(Debug, Clone)]
struct Entry {
    backend: Arc<Backend>,
    options: Option<Arc<Options>>,
}

/// What is done for a host name beside sending its requests on.
#[derive(Debug)]
pub(crate) struct Options {
    /// The value of `Strict-Transport-Security` (RFC 6797 section 6.1).
    pub(crate) hsts: Option<HeaderValue>,
    /// The name that requests are sent to instead.
    pub(crate) redirect_to: Option<String>,
    /// Whether HTTP is answered although there is a certificate.
    pub(crate) keep_http: bool,
}

impl Options {
    fn new(options: HostOptions) -> Option<Arc<Self>> {
        let HostOptions {
            hsts,
            redirect_to,
            keep_http,
        } = options;
        let hsts = hsts.and_then(|age| {
            let value = format!("max-age={}", age.as_secs());
            HeaderValue::from_str(&value).ok()
        });
        let needed = hsts.is_some() || redirect_to.is_some() || keep_http;
        needed.then(|| {
            Arc::new(Self {
                hsts,
                redirect_to,
                keep_http,
            })
        })
    }
}

/// What the table has for a host name.
pub(crate) struct Found {
    pub(crate) answer: Answer,
    pub(crate) options: Option<Arc<Options>>,
}

/// What answers for a host name.
pub(crate) enum Answer {
    /// A container, and the request is counted as in flight.
    Container(Flight),
    /// An app that answers no requests at this moment.
    Idle(Arc<Backend>),
}

impl Table {
    /// A table without routes, for so many threads.
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            threads,
            hosts: ArcSwap::default(),
            writer: Mutex::default(),
        }
    }

    /// Finds what answers for `host` and, if a container does, counts the request
    /// in the same step.
    pub(crate) fn find(&self, host: &Host<'_>) -> Option<Found> {
        loop {
            let hosts = self.hosts.load();
            let Entry { backend, options } = lookup(&hosts, host.name())?;
            let answer = if backend.target.address().is_none() {
                Answer::Idle(Arc::clone(backend))
            } else if let Some(flight) = backend.enter() {
                Answer::Container(flight)
            } else {
                continue;
            };
            let options = options.clone();
            return Some(Found { answer, options });
        }
    }

    /// Replaces every route.
    pub(crate) fn publish(&self, routes: Routes) {
        let mut writer = self.writer();
        let old = self.hosts.load_full();
        let mut hosts = Hosts::with_capacity(routes.len());
        self.add(&mut writer, old.values(), &mut hosts, routes);
        let routed: HashSet<&AppName> = hosts.values().map(|entry| &entry.backend.app).collect();
        writer.counters.retain(|app, _| routed.contains(app));
        self.replace(&mut writer, hosts);
    }

    /// Replaces the routes of one app, and takes from others what is its own from now on.
    pub(crate) fn publish_app(&self, app: &AppName, routes: Routes) {
        let mut writer = self.writer();
        let mut hosts = Hosts::clone(&self.hosts.load());
        let is_its = |_: &Arc<str>, entry: &mut Entry| entry.backend.app == *app;
        let old: Vec<Entry> = hosts.extract_if(is_its).map(|(_, entry)| entry).collect();
        if routes.is_empty() {
            writer.counters.remove(app);
        }
        self.add(&mut writer, old.iter(), &mut hosts, routes);
        self.replace(&mut writer, hosts);
    }

    /// Adds routes to `hosts`; those that lead where `old` ones did share their backends.
    fn add<'a>(
        &self,
        writer: &mut Writer,
        old: impl Iterator<Item = &'a Entry>,
        hosts: &mut Hosts,
        routes: Routes,
    ) {
        let mut backends: HashMap<AppName, Vec<Arc<Backend>>> = HashMap::new();
        for Entry { backend, .. } in old {
            let known = backends.entry(backend.app.clone()).or_default();
            if !known.iter().any(|other| Arc::ptr_eq(other, backend)) {
                known.push(Arc::clone(backend));
            }
        }
        let mut shared: Vec<(HostOptions, Option<Arc<Options>>)> = Vec::new();
        for (name, route) in routes {
            let Route {
                app,
                target,
                options,
            } = route;
            let known = backends.entry(app.clone()).or_default();
            let same = known.iter().find(|backend| backend.target == target);
            let backend = same.map(Arc::clone).unwrap_or_else(|| {
                let generation = writer.generation(&app);
                let counters = writer.counters.entry(app.clone());
                let counters = counters.or_insert_with(|| Arc::new(Counters::new(self.threads)));
                let new = Backend::new(app, target, generation, Arc::clone(counters));
                known.push(Arc::clone(&new));
                new
            });
            let same = shared.iter().find(|(shared, _)| *shared == options);
            let options = match same {
                Some((_, same)) => same.clone(),
                None if options.redirect_to.is_some() => Options::new(options),
                None => {
                    let new = Options::new(options.clone());
                    shared.push((options, new.clone()));
                    new
                }
            };
            hosts.insert(Arc::from(name), Entry { backend, options });
        }
    }

    /// What was counted for each app that has a route.
    pub(crate) fn traffic(&self) -> BTreeMap<AppName, Traffic> {
        let counters = self.writer().counters.clone();
        let traffic = |(app, counters): (AppName, Arc<Counters>)| {
            let backends = self.backends(&app);
            let in_flight = backends.iter().map(|backend| backend.in_flight()).sum();
            let traffic = Traffic {
                in_flight,
                ..counters.read()
            };
            (app, traffic)
        };
        counters.into_iter().map(traffic).collect()
    }

    /// Replaces the backends of `app` by equal ones and returns every backend of the
    /// app that was replaced now or before and may still answer requests. With
    /// `settled`, the new ones do not use connections that were opened for the old,
    /// and are careful with their own until then.
    pub(crate) fn renew(&self, app: &AppName, settled: Option<Instant>) -> Vec<Arc<Backend>> {
        let mut writer = self.writer();
        if let Some(settled) = settled {
            writer.next_generation(app, settled);
        }
        let generation = writer.generation(app);
        let mut renewed: HashMap<*const Backend, Arc<Backend>> = HashMap::new();
        let mut hosts = Hosts::clone(&self.hosts.load());
        let backends = hosts.values_mut().map(|entry| &mut entry.backend);
        for backend in backends.filter(|backend| backend.app == *app) {
            let new = renewed.entry(Arc::as_ptr(backend)).or_insert_with(|| {
                let counters = Arc::clone(&backend.counters);
                Backend::new(
                    backend.app.clone(),
                    backend.target.clone(),
                    generation,
                    counters,
                )
            });
            *backend = Arc::clone(new);
        }
        self.replace(&mut writer, hosts);
        writer.replaced.get(app).cloned().unwrap_or_default()
    }

    /// Every backend of `app` that may answer requests now, replaced ones included.
    pub(crate) fn backends(&self, app: &AppName) -> Vec<Arc<Backend>> {
        let writer = self.writer();
        let hosts = self.hosts.load();
        let current = hosts.values().map(|entry| &entry.backend);
        let current = current.filter(|backend| backend.app == *app);
        let mut backends: Vec<Arc<Backend>> = current.map(Arc::clone).collect();
        backends.extend(
            writer
                .replaced
                .get(app)
                .into_iter()
                .flatten()
                .map(Arc::clone),
        );
        backends.sort_by_key(|backend| Arc::as_ptr(backend) as usize);
        backends.dedup_by(|a, b| Arc::ptr_eq(a, b));
        backends
    }

    fn replace(&self, writer: &mut Writer, hosts: Hosts) {
        let kept: HashSet<*const Backend> = hosts
            .values()
            .map(|entry| Arc::as_ptr(&entry.backend))
            .collect();
        let old = self.hosts.swap(Arc::new(hosts));
        let mut gone: Vec<&Arc<Backend>> = old
            .values()
            .map(|entry| &entry.backend)
            .filter(|backend| !kept.contains(&Arc::as_ptr(backend)))
            .collect();
        gone.sort_by_key(|backend| Arc::as_ptr(backend) as usize);
        gone.dedup_by(|a, b| Arc::ptr_eq(a, b));
        for backend in gone {
            backend.close();
            writer
                .replaced
                .entry(backend.app.clone())
                .or_default()
                .push(Arc::clone(backend));
        }
        // A closed backend without requests stays without: nobody can enter it.
        for backends in writer.replaced.values_mut() {
            backends.retain(|backend| backend.in_flight() > 0);
        }
        writer.replaced.retain(|_, backends| !backends.is_empty());
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // Every write leaves the writer consistent before anything can panic.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    fn generation(&mut self, app: &AppName) -> Generation {
        match self.generations.get(app) {
            Some(generation) => *generation,
            None => self.next_generation(app, Instant::now()),
        }
    }

    fn next_generation(&mut self, app: &AppName, settled: Instant) -> Generation {
        self.last_generation += 1;
        let number = self.last_generation;
        let generation = Generation { number, settled };
        self.generations.insert(app.clone(), generation);
        generation
    }
}

fn lookup<'a>(hosts: &'a Hosts, name: &str) -> Option<&'a Entry> {
    hosts.get(name).or_else(|| {
        let (_, parent) = name.split_once('.')?;
        hosts.get(format!("*.{parent}").as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_core::route::Target;

    fn app(name: &str) -> AppName {
        AppName::new(name).unwrap()
    }

    fn routes(entries: &[(&str, &str, Target)]) -> Routes {
        let route = |(host, name, target): &(&str, &str, Target)| {
            (host.to_string(), Route::new(app(name), target.clone()))
        };
        entries.iter().map(route).collect()
    }

    fn address(port: u16) -> Target {
        Target::Address(([127, 0, 0, 1], port).into())
    }

    fn find(table: &Table, host: &str) -> Option<Flight> {
        let found = table.find(&Host::parse(host.as_bytes()).unwrap())?;
        match found.answer {
            Answer::Container(flight) => Some(flight),
            Answer::Idle(_) => None,
        }
    }

    #[test]
    fn names_are_found_without_regard_to_case_port_and_dot_at_the_end() {
        let table = Table::new(1);
        table.publish(routes(&[("shop.localhost", "shop", address(1))]));
        for host in [
            "shop.localhost",
            "Shop.LocalHost",
            "shop.localhost:8080",
            "shop.localhost.",
            "shop.localhost.:80",
        ] {
            assert!(find(&table, host).is_some(), "{host}");
        }
        for host in [
            "localhost",
            "a.shop.localhost",
            "shop.localhosts",
            "127.0.0.1",
            "[::1]:80",
        ] {
            assert!(find(&table, host).is_none(), "{host}");
        }
    }

    #[test]
    fn a_wildcard_answers_one_label_below_and_after_exact_names() {
        let table = Table::new(1);
        table.publish(routes(&[
            ("*.example.com", "many", address(1)),
            ("one.example.com", "one", address(2)),
        ]));
        let name = |host| find(&table, host).map(|flight| flight.backend().app.to_string());
        assert_eq!(name("two.example.com").as_deref(), Some("many"));
        assert_eq!(name("one.example.com").as_deref(), Some("one"));
        assert_eq!(name("example.com"), None);
        assert_eq!(name("a.b.example.com"), None);
    }

    #[test]
    fn publishing_the_same_routes_keeps_backends_and_their_counts() {
        let table = Table::new(1);
        let same = routes(&[
            ("a.localhost", "a", address(1)),
            ("a.example", "a", address(1)),
        ]);
        table.publish(same.clone());
        let flight = find(&table, "a.localhost").unwrap();
        table.publish(same);
        let other = find(&table, "a.example").unwrap();
        assert!(std::ptr::eq(flight.backend(), other.backend()));
        assert_eq!(table.backends(&app("a")).len(), 1);
    }

    #[test]
    fn hosts_share_what_is_the_same_for_them() {
        let options = |seconds| HostOptions {
            hsts: Some(std::time::Duration::from_secs(seconds)),
            ..HostOptions::default()
        };
        let route = |host: &str, seconds| {
            let mut route = Route::new(app("a"), address(1));
            route.options = options(seconds);
            (host.to_owned(), route)
        };
        let table = Table::new(1);
        let all = [("a.example", 1), ("b.example", 1), ("c.example", 2)];
        table.publish(all.map(|(host, seconds)| route(host, seconds)).into());
        let [a, b, c] = all.map(|(host, _)| {
            let found = table.find(&Host::parse(host.as_bytes()).unwrap());
            found.unwrap().options.unwrap()
        });
        assert!(Arc::ptr_eq(&a, &b) && !Arc::ptr_eq(&a, &c));
        assert_eq!(c.hsts.as_ref().unwrap(), "max-age=2");
    }

    #[test]
    fn the_routes_of_one_app_are_replaced_and_no_others() {
        let table = Table::new(1);
        table.publish(routes(&[
            ("a.localhost", "a", address(1)),
            ("old.example", "a", address(1)),
            ("b.localhost", "b", address(2)),
        ]));
        let (of_a, of_b) = (table.backends(&app("a")), table.backends(&app("b")));
        table.publish_app(
            &app("a"),
            routes(&[
                ("a.localhost", "a", address(1)),
                ("new.example", "a", address(3)),
            ]),
        );
        assert!(find(&table, "old.example").is_none());
        let new = find(&table, "new.example").unwrap();
        assert_eq!(new.backend().target, address(3));
        // What stays where it was keeps its connections.
        let same = find(&table, "a.localhost").unwrap();
        assert!(std::ptr::eq(same.backend(), &*of_a[0]));
        let other = find(&table, "b.localhost").unwrap();
        assert!(std::ptr::eq(other.backend(), &*of_b[0]));
        assert_eq!(table.traffic().len(), 2);
        drop((new, same, other));

        table.publish_app(&app("a"), Routes::new());
        assert!(find(&table, "a.localhost").is_none());
        assert!(find(&table, "b.localhost").is_some());
        assert_eq!(table.traffic().len(), 1);
    }

    #[test]
    fn a_moved_route_leaves_the_old_backend_to_its_requests() {
        let table = Table::new(1);
        table.publish(routes(&[("a.localhost", "a", address(1))]));
        let old = find(&table, "a.localhost").unwrap();
        table.publish(routes(&[("a.localhost", "a", address(2))]));
        let new = find(&table, "a.localhost").unwrap();
        assert_eq!(new.backend().target, address(2));
        let waiting = table.renew(&app("a"), None);
        assert_eq!(
            waiting
                .iter()
                .map(|backend| backend.in_flight())
                .collect::<Vec<_>>(),
            [1, 1]
        );
        drop((old, new));
        assert!(table.renew(&app("a"), None).is_empty());
    }

    #[test]
    fn retiring_changes_the_generation_of_that_app_only() {
        let table = Table::new(1);
        table.publish(routes(&[
            ("a.localhost", "a", address(1)),
            ("b.localhost", "b", address(1)),
        ]));
        let generation = |host| find(&table, host).unwrap().backend().generation;
        let (a, b) = (generation("a.localhost"), generation("b.localhost"));
        assert_ne!(a, b, "two apps on one address share no connections");
        table.renew(&app("a"), None);
        assert_eq!(generation("a.localhost"), a);
        table.renew(&app("a"), Some(Instant::now()));
        assert_ne!(generation("a.localhost"), a);
        assert_eq!(generation("b.localhost"), b);
    }
}
