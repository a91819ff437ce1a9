//! Proxies and where they believe their neighbours to be: what has moved by itself, such
//! as by a crash, they are told of as well.

use crate::{Error, Host};
use doprax_core::blueprint::Blueprint;
use doprax_core::name::ServiceName;
use doprax_core::neighbour::{self, Known};
use doprax_core::observed::Observed;
use std::collections::BTreeSet;

impl Host {
    /// The proxies that believe a neighbour to be where it is not.
    pub(crate) async fn outdated_proxies(
        &self,
        blueprint: &Blueprint,
        observed: &Observed,
    ) -> Result<BTreeSet<ServiceName>, Error> {
        if !blueprint
            .containers
            .values()
            .any(|spec| spec.reload.is_some())
        {
            return Ok(BTreeSet::new());
        }
        let app = &blueprint.app;
        let known = self.store().neighbours(app).await?;
        let instance = &self.config().instance;
        let (outdated, believed) = neighbour::outdated(&known, blueprint, observed, instance);
        if believed != known {
            self.store().set_neighbours(app, &believed).await?;
        }
        Ok(outdated)
    }

    /// Where a proxy finds its neighbours now.
    pub(crate) async fn neighbours_of(
        &self,
        proxy: &ServiceName,
        blueprint: &Blueprint,
    ) -> Result<Option<Known>, Error> {
        let observed = self.engine().observe(&blueprint.app).await?;
        let instance = &self.config().instance;
        Ok(neighbour::find(proxy, blueprint, &observed, instance))
    }

    /// Remembers where a proxy has found its neighbours.
    pub(crate) async fn remember_neighbours(
        &self,
        proxy: &ServiceName,
        blueprint: &Blueprint,
        found: Known,
    ) -> Result<(), Error> {
        let app = &blueprint.app;
        let mut known = self.store().neighbours(app).await?;
        known.insert(proxy.clone(), found);
        Ok(self.store().set_neighbours(app, &known).await?)
    }
}
