//! Reaching a blueprint: the steps to it, planned and carried out.

use super::{Executor, Retention};
use crate::network::machine;
use crate::network::subnet::Subnets;
use crate::observe::Observer;
use crate::report::Event;
use crate::retiring::Retiring;
use crate::routes::RouteTable;
use crate::run::{Emit, Run};
use crate::takeover::Takeover;
use crate::{Config, Error};
use doprax_core::blueprint::{Blueprint, Content, Image};
use doprax_core::name::ServiceName;
use doprax_core::planner::{self, Context};
use doprax_core::proposal::Images;
use doprax_core::text::HOST_VARIABLE;
use doprax_engine::{Engine, Inputs};
use doprax_store::{AppRecord, Store};
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

/// Makes apps what blueprints say.
pub(crate) struct Rollout {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) subnets: Arc<Subnets>,
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) takeover: Arc<Takeover>,
    pub(crate) retiring: Arc<Retiring>,
    pub(crate) retention: Arc<Retention>,
    pub(crate) executor: Arc<Executor>,
}

impl Rollout {
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
            let observed = self.observer.of(record).await?;
            let observed = self.retiring.ground(blueprint, observed, goal.images);
            let context = context(record, goal.stopped);
            let previous = record.release.as_ref().map(|release| &release.blueprint);
            let plan = planner::reach(previous, blueprint, &observed, &context);
            let mut run = self.run_for(blueprint, Arc::clone(&emit)).await?;
            match goal.cancelled {
                Some(cancelled) => run = run.until(cancelled),
                None => run.goes_back = true,
            }
            match self.executor.execute(&run, &plan).await {
                Err(Error::Engine(doprax_engine::Error::SubnetTaken { subnet }))
                    if refused.len() < MOST_MOVES =>
                {
                    refused.push(subnet);
                    self.subnets.move_app(record, &refused).await?;
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

    /// All that is needed to carry out steps towards a blueprint.
    pub(crate) async fn run_for(&self, blueprint: &Blueprint, emit: Emit) -> Result<Run, Error> {
        // The values that it was made with, whatever was set since.
        let secrets = self
            .store
            .secrets_at(&blueprint.app, &blueprint.revisions)
            .await?;
        let host = self.config.host_name(&blueprint.app, blueprint.domain());
        let mut inputs = Inputs {
            secrets,
            mtu: machine::mtu(),
            env: [(HOST_VARIABLE.to_owned(), host)].into(),
            ..Inputs::default()
        };
        for container in blueprint.containers.values() {
            for file in &container.files {
                if let Content::Blob { digest, .. } = &file.content
                    && let Some(bytes) = self.store.blob(digest).await?
                {
                    inputs.blobs.insert(digest.clone(), bytes.into());
                }
            }
            if let Image::Build { source, .. } = &container.image {
                inputs
                    .sources
                    .extend(source_inputs(&self.store, source).sources);
            }
        }
        Ok(Run::for_blueprint(blueprint.clone(), inputs, emit))
    }
}

/// What the planner goes by beside blueprint and observed.
pub(crate) fn context<'a>(
    record: &'a AppRecord,
    stopped: &'a BTreeSet<ServiceName>,
) -> Context<'a> {
    Context {
        stopped,
        reloads: &record.reloads,
        made: &record.made_volumes,
    }
}

/// The archive of a source, as the engine takes it.
pub(super) fn source_inputs(store: &Store, source: &str) -> Inputs {
    let path = store.source_path(source);
    Inputs {
        sources: [(source.to_owned(), path)].into(),
        ..Inputs::default()
    }
}
