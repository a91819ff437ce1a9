//! Giving each app a subnet that nothing else on the machine uses, and another one where
//! something else has it meanwhile.

use super::machine::{self, Route};
use crate::record::record;
use crate::{Config, Error};
use doprax_core::name::AppName;
use doprax_core::observed::Observed;
use doprax_core::subnet::{choose, overlap, shadows};
use doprax_engine::Engine;
use doprax_store::{AppRecord, Store};
use ipnet::Ipv4Net;
use std::sync::Arc;

/// Gives out subnets.
pub(crate) struct Subnets {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    /// Held while a subnet is chosen and written down.
    pub(crate) allocation: tokio::sync::Mutex<()>,
}

impl Subnets {
    /// Remembers a new app with a subnet of its own.
    pub(crate) async fn add_app(&self, app: &AppName) -> Result<AppRecord, Error> {
        let _allocation = self.allocation.lock().await;
        let subnet = self.free(&[]).await?;
        self.store.add_app(app, subnet).await?;
        record(&self.store, app).await
    }

    /// A subnet of the pool that no app, no network of the engine and no route of the
    /// machine has, and that is none of those that were `refused`.
    pub(crate) async fn free(&self, refused: &[Ipv4Net]) -> Result<Ipv4Net, Error> {
        let mut taken = self.store.subnets().await?;
        taken.extend(self.engine.subnets().await?);
        taken.extend(refused);
        let routes = machine::nets(&machine::routes());
        Ok(choose(&self.config.pool, &taken, &routes)?)
    }

    /// Whether something else has the app's subnet meanwhile, and nothing of the app runs
    /// on it.
    pub(crate) async fn is_lost(
        &self,
        record: &AppRecord,
        observed: &Observed,
    ) -> Result<bool, Error> {
        let subnet = &record.subnet;
        let routes = machine::routes();
        if observed.network.as_ref().map(|network| &network.subnet) == Some(subnet) {
            let runs = observed
                .containers
                .iter()
                .any(|copy| copy.address.is_some());
            return Ok(!runs && shadowing(&routes, subnet).is_some());
        }
        let others = self.engine.subnets().await?;
        Ok(others.iter().any(|other| overlap(other, subnet))
            || routes.iter().any(|route| shadows(&route.net, subnet)))
    }

    /// Gives the app another subnet if it has lost its own.
    pub(crate) async fn find_room(
        &self,
        record: &mut AppRecord,
        observed: &Observed,
    ) -> Result<(), Error> {
        if self.is_lost(record, observed).await? {
            self.move_app(record, &[]).await?;
        }
        Ok(())
    }

    /// Gives the app another subnet, none of those that were `refused`.
    pub(crate) async fn move_app(
        &self,
        record: &mut AppRecord,
        refused: &[Ipv4Net],
    ) -> Result<(), Error> {
        let _allocation = self.allocation.lock().await;
        let subnet = self.free(refused).await?;
        self.store.set_subnet(&record.name, subnet).await?;
        tracing::info!(
            app = %record.name, from = %record.subnet, to = %subnet,
            "something else has the app's subnet: it gets another"
        );
        record.subnet = subnet;
        if let Some(release) = &mut record.release {
            release.blueprint.subnet = subnet;
        }
        Ok(())
    }
}

/// The route that leads away what is meant for some of a network's addresses. The
/// engine's bridge has a route of its own for all of them.
pub(crate) fn shadowing<'a>(routes: &'a [Route], subnet: &Ipv4Net) -> Option<&'a Route> {
    let mut others = routes
        .iter()
        .filter(|route| route.net != *subnet || !route.interface.starts_with("br-"));
    others.find(|route| shadows(&route.net, subnet))
}
