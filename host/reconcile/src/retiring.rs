//! Old copies that are being ended beside what comes next.
//!
//! Guarantees: copies that are being ended are no part of what is planned with, unless the
//! network itself moves; a copy that is wanted again is waited for.

use doprax_core::blueprint::Blueprint;
use doprax_core::name::AppName;
use doprax_core::observed::Observed;
use doprax_core::proposal::Images;
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How long what needs a volume waits for old copies that may have it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Copies that are being ended: the digest that each was made from, by the engine's id.
pub(crate) type Copies = BTreeMap<String, String>;

/// The copies of every app that are being ended.
#[derive(Default)]
pub(crate) struct Retiring(Mutex<HashMap<AppName, watch::Sender<Copies>>>);

impl Retiring {
    fn change(&self, app: &AppName, change: impl FnOnce(&mut Copies)) {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.entry(app.clone()).or_default().send_modify(change);
    }

    /// These copies are being ended.
    pub(crate) fn add(&self, app: &AppName, copies: Copies) {
        self.change(app, |all| all.extend(copies));
    }

    /// They have ended.
    pub(crate) fn remove(&self, app: &AppName, copies: &Copies) {
        self.change(app, |all| all.retain(|id, _| !copies.contains_key(id)));
    }

    fn subscribe(&self, app: &AppName) -> watch::Receiver<Copies> {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.entry(app.clone()).or_default().subscribe()
    }

    /// The copies of an app that are being ended.
    pub(crate) fn copies(&self, app: &AppName) -> Copies {
        self.subscribe(app).borrow().clone()
    }

    /// Whether a copy of an app is being ended.
    pub(crate) fn is_under_way(&self, app: &AppName) -> bool {
        !self.subscribe(app).borrow().is_empty()
    }

    /// What is observed, as the planner takes it: with the images that there are, without
    /// the copies that are being ended.
    pub(crate) fn ground(
        &self,
        blueprint: &Blueprint,
        mut observed: Observed,
        images: &Images,
    ) -> Observed {
        observed.images.clone_from(&images.present);
        let (app, subnet) = (&blueprint.app, blueprint.subnet);
        self.without(app, subnet, &mut observed, &Copies::new());
        observed
    }

    /// What is observed without the copies that are being ended, or were `before`.
    pub(crate) fn without(
        &self,
        name: &AppName,
        subnet: Ipv4Net,
        observed: &mut Observed,
        before: &Copies,
    ) {
        let stays = observed
            .network
            .as_ref()
            .is_some_and(|network| network.subnet == subnet);
        if stays {
            let retiring = self.subscribe(name);
            let retiring = retiring.borrow();
            observed
                .containers
                .retain(|copy| !retiring.contains_key(&copy.id) && !before.contains_key(&copy.id));
        }
    }

    /// Waits until no copy that a blueprint wants is being ended.
    pub(crate) async fn wait(&self, app: &AppName, blueprint: &Blueprint) {
        let mut retiring = self.subscribe(app);
        let wanted: Vec<String> = blueprint
            .containers
            .values()
            .flat_map(|spec| {
                // Containers of earlier hosts bear the second.
                [
                    spec.made_from(&blueprint.revisions),
                    spec.hash(&blueprint.revisions),
                ]
            })
            .collect();
        // The sender lives as long as the app's entry.
        let _ = retiring
            .wait_for(|retiring| !retiring.values().any(|hash| wanted.contains(hash)))
            .await;
    }

    /// Waits until every old copy of an app has ended, for a minute at most.
    pub(crate) async fn wait_for_all(&self, app: &AppName) {
        let mut retiring = self.subscribe(app);
        let ended = retiring.wait_for(Copies::is_empty);
        // What still runs then is named by the engine.
        let _ = tokio::time::timeout(PATIENCE, ended).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_core::observed::{Network, ObservedContainer};
    use serde_json::json;

    fn app() -> AppName {
        AppName::new("shop").unwrap()
    }

    #[test]
    fn copies_that_are_being_ended_are_not_planned_with_unless_the_network_moves() {
        let subnet = "10.200.0.0/23".parse().unwrap();
        let copy = |id: &str| -> ObservedContainer {
            let copy = json!({
                "id": id, "name": {"foreign": id}, "service": "main", "hash": "", "state": "running",
            });
            serde_json::from_value(copy).unwrap()
        };
        let observed = |subnet| Observed {
            network: Some(Network { subnet }),
            containers: vec![copy("old"), copy("new")],
            ..Observed::default()
        };
        let retiring = Retiring::default();
        let copies: Copies = [("old".to_owned(), "digest".to_owned())].into();
        let left = |app: &AppName, subnet, mut observed: Observed| -> Vec<String> {
            retiring.without(app, subnet, &mut observed, &Copies::new());
            observed
                .containers
                .into_iter()
                .map(|copy| copy.id)
                .collect()
        };
        assert_eq!(left(&app(), subnet, observed(subnet)), ["old", "new"]);
        retiring.add(&app(), copies.clone());
        assert_eq!(left(&app(), subnet, observed(subnet)), ["new"]);
        let blog = AppName::new("blog").unwrap();
        assert_eq!(left(&blog, subnet, observed(subnet)), ["old", "new"]);
        let other = "10.200.2.0/23".parse().unwrap();
        assert_eq!(left(&app(), other, observed(subnet)), ["old", "new"]);
        let before = retiring.copies(&app());
        let rest: Copies = [("more".to_owned(), "another".to_owned())].into();
        retiring.add(&app(), rest.clone());
        retiring.remove(&app(), &copies);
        assert_eq!(left(&app(), subnet, observed(subnet)), ["old", "new"]);
        let mut seen = observed(subnet);
        retiring.without(&app(), subnet, &mut seen, &before);
        assert_eq!(seen.containers, [copy("new")]);
        retiring.remove(&app(), &rest);
        assert_eq!(*retiring.subscribe(&app()).borrow(), Copies::new());
    }
}
