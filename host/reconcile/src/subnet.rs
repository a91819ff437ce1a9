//! Giving each app a subnet that nothing else on the machine uses, and another one where
//! something else has it meanwhile.

use crate::execute::Emit;
use crate::machine::{self, Route};
use crate::report::Event;
use crate::{Error, Host};
use doprax_core::blueprint::Blueprint;
use doprax_core::name::{AppName, ServiceName};
use doprax_core::observed::Observed;
use doprax_core::planner;
use doprax_core::proposal::Images;
use doprax_core::subnet::{choose, overlap, shadows};
use doprax_store::AppRecord;
use ipnet::Ipv4Net;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How many subnets of one app may turn out to be another's before that is an error.
const MOST_MOVES: usize = 16;

/// What is known of where steps lead, beside the blueprint.
pub(crate) struct Goal<'a> {
    /// The images that the engine has.
    pub(crate) images: &'a Images,
    /// Containers that are not to run.
    pub(crate) stopped: &'a BTreeSet<ServiceName>,
    /// Gives up what leads there; absent: it is the way back from a deploy that failed.
    pub(crate) cancelled: Option<&'a CancellationToken>,
}

impl Host {
    /// Remembers a new app with a subnet of its own.
    pub(crate) async fn add_app(&self, app: &AppName) -> Result<AppRecord, Error> {
        let _allocation = self.allocation.lock().await;
        let subnet = self.free_subnet(&[]).await?;
        self.store().add_app(app, subnet).await?;
        self.record(app).await
    }

    /// A subnet of the pool that no app, no network of the engine and no route of the
    /// machine has, and that is none of those that were `refused`.
    pub(crate) async fn free_subnet(&self, refused: &[Ipv4Net]) -> Result<Ipv4Net, Error> {
        let mut taken = self.store().subnets().await?;
        taken.extend(self.engine().subnets().await?);
        taken.extend(refused);
        let routes = machine::nets(&machine::routes());
        choose(&self.config().pool, &taken, &routes).map_err(|error| Error::Unplannable {
            message: error.to_string(),
            help: Some(
                "give the host a larger pool (doprax serve --pool CIDR), or remove apps".to_owned(),
            ),
        })
    }

    /// Whether something else has the app's subnet meanwhile, and nothing of the app runs
    /// on it.
    pub(crate) async fn has_lost_subnet(
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
        let others = self.engine().subnets().await?;
        Ok(others.iter().any(|other| overlap(other, subnet))
            || routes.iter().any(|route| shadows(&route.net, subnet)))
    }

    /// Gives the app another subnet if it has lost its own.
    pub(crate) async fn find_room(
        &self,
        record: &mut AppRecord,
        observed: &Observed,
    ) -> Result<(), Error> {
        if self.has_lost_subnet(record, observed).await? {
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
        let subnet = self.free_subnet(refused).await?;
        self.store().set_subnet(&record.name, subnet).await?;
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

    /// Carries out the steps to a blueprint; where its subnet turns out to be another's,
    /// on another one.
    pub(crate) async fn reach(
        &self,
        record: &mut AppRecord,
        blueprint: &mut Blueprint,
        goal: &Goal<'_>,
        emit: Emit,
    ) -> Result<(), Error> {
        let mut refused = Vec::new();
        loop {
            let observed = self.observe(record).await?;
            let observed = self.ground(blueprint, observed, goal.images);
            let context = self.context(goal.stopped, &record.reloads, &record.made_volumes);
            let previous = record.release.as_ref().map(|release| &release.blueprint);
            let plan = planner::reach(previous, blueprint, &observed, &context);
            let mut run = self.run_for(blueprint, Arc::clone(&emit)).await?;
            match goal.cancelled {
                Some(cancelled) => run = run.until(cancelled),
                None => run.goes_back = true,
            }
            match self.execute(&run, &plan).await {
                Err(Error::Engine(doprax_engine::Error::SubnetTaken { subnet }))
                    if refused.len() < MOST_MOVES =>
                {
                    refused.push(subnet);
                    self.move_app(record, &refused).await?;
                    blueprint.subnet = record.subnet;
                    let text = format!(
                        "the subnet {subnet} is another network's; the app gets {}",
                        record.subnet
                    );
                    emit(Event::Note { text });
                }
                done => return done,
            }
        }
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
