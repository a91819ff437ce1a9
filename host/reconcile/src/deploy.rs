//! A deploy: secrets, images, containers; and the way back.
//!
//! Flow: what the request means → secrets written → images built and pulled → rolled out,
//! see [`rollout`]. Done again from the start after a crash, it finds what is done
//! already.

mod account;
pub(crate) mod control;
mod edit;
mod execute;
pub(crate) mod neighbour;
mod reach;
pub(crate) mod remove;
mod retention;
mod retire;
pub(crate) mod rollback;
mod rollout;

use crate::domains::AppDomains;
use crate::journal::RunningOperation;
use crate::network::subnet::Subnets;
use crate::observe::Observer;
use crate::propose::{Around, Proposer, needed_secrets, secret};
use crate::ready::why::{check_mounts, check_variables, explain_build};
use crate::report::Event;
use crate::request::DeployRequest;
use crate::routes::RouteTable;
use crate::run::{Emit, Run};
use crate::{Config, Error};
pub(crate) use account::Account;
use doprax_core::blueprint::{Blueprint, Container};
use doprax_core::name::ServiceName;
use doprax_core::proposal::{Images, Understood, provide};
use doprax_core::release::{Origin, Reason};
use doprax_core::route::Target;
use doprax_engine::Engine;
use doprax_plugin::Plugins;
use doprax_store::{AppRecord, Build, Store};
pub(crate) use edit::environment;
pub(crate) use execute::Executor;
use reach::source_inputs;
pub(crate) use reach::{Goal, Rollout, context};
pub(crate) use retention::Retention;
pub(crate) use rollout::{Making, origin};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Deploys.
pub(crate) struct Deploys {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) subnets: Arc<Subnets>,
    pub(crate) domains: Arc<AppDomains>,
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) proposer: Arc<Proposer>,
    pub(crate) retention: Arc<Retention>,
    pub(crate) executor: Arc<Executor>,
    pub(crate) rollout: Arc<Rollout>,
}

impl Deploys {
    /// Carries out a deploy. Returns where the app can be reached.
    pub(crate) async fn run(
        &self,
        live: &Arc<RunningOperation>,
        request: &DeployRequest,
    ) -> Result<Option<String>, Error> {
        let record = self.proposer.record_for(request).await?;
        let (actor, commit) = (request.actor.as_ref(), request.commit.as_ref());
        let origin = origin(live, Reason::Deploy, actor, commit);
        self.deploy_over(live, request, record, &origin).await
    }

    /// Carries out a deploy of an app that is remembered as `record`.
    pub(crate) async fn deploy_over(
        &self,
        live: &Arc<RunningOperation>,
        request: &DeployRequest,
        record: Option<AppRecord>,
        origin: &Origin,
    ) -> Result<Option<String>, Error> {
        if self.rollout.is_released(live).await? {
            return self.rollout.where_it_is(&live.operation().app).await;
        }
        let account = Account::of(live);
        let deployed = self
            .deploy_release(live, &account, request, record, origin)
            .await;
        let app = &live.operation().app;
        if let Err(error) = &deployed {
            self.rollout
                .remember_failure(app, origin, Some(&request.source), error, &account)
                .await;
        }
        self.domains.put_right(app).await;
        deployed
    }

    async fn deploy_release(
        &self,
        live: &Arc<RunningOperation>,
        account: &Account,
        request: &DeployRequest,
        record: Option<AppRecord>,
        origin: &Origin,
    ) -> Result<Option<String>, Error> {
        let understood = self.proposer.understand(request, record.as_ref())?;
        let app = understood.app().clone();
        let mut record = match record {
            Some(record) => record,
            None => self.subnets.add_app(&app).await?,
        };
        if record.release.is_none() {
            self.routes.set_target(&app, Target::Starting);
        }

        // Nothing of the app has moved yet: what is dropped here leaves nothing to undo.
        let observed = self.observer.of(&record).await?;
        self.subnets.find_room(&mut record, &observed).await?;
        if let Some(release) = &record.release {
            // What is built and pulled may take their references.
            self.retention.hold_images(&app, &release.blueprint).await;
        }
        let prepared = self.prepare(&understood, request, &record, &account.emit);
        let prepared = live.cancelled().run_until_cancelled(prepared).await;
        let (blueprint, images) = prepared.ok_or(Error::Cancelled)??;
        let making = Making {
            manifest: &understood.manifest.spec,
            spec: &understood.merged.spec,
            request,
            origin,
            plugins: &plugin_digests(&self.plugins, &blueprint),
        };
        self.rollout
            .roll_out(live, account, record, blueprint, &images, &making)
            .await
    }

    /// All that comes before the first container changes: names, secrets, files, images.
    async fn prepare(
        &self,
        understood: &Understood,
        request: &DeployRequest,
        record: &AppRecord,
        emit: &Emit,
    ) -> Result<(Blueprint, Images), Error> {
        let app = understood.app();
        self.domains
            .claim(app, &understood.domains(), false)
            .await?;
        let stored = self.store.secrets(app).await?;
        let new = needed_secrets(understood, request, &stored)?;
        let revisions = secret::revisions(&stored, &new.values);
        let values = secret::values(&stored, &new.values);
        let observed = self.observer.of(record).await?;
        let around = Around {
            subnet: record.subnet,
            revisions: &revisions,
            record: Some(record),
            observed: &observed,
            images: &self.proposer.images(understood, request).await?,
        };
        // What cannot start is refused before anything is built for it.
        let proposed = self
            .proposer
            .blueprint(understood, request, &around)
            .await?;
        check_variables(&proposed, &values)?;
        self.store.put_secrets(app, &new.values).await?;
        for file in request.files.values() {
            let digest = doprax_core::blueprint::sha256_hex(&file.content);
            self.store.put_blob(&digest, &file.content).await?;
        }
        let images = self.provide_images(understood, request, emit).await?;
        let around = Around {
            observed: &self.observer.of(record).await?,
            images: &images,
            ..around
        };
        let blueprint = self
            .proposer
            .blueprint(understood, request, &around)
            .await?;
        check_mounts(self.engine.as_ref(), understood, &blueprint, record).await?;
        Ok((blueprint, images))
    }

    /// Builds main's image and pulls the others, as far as they are missing.
    async fn provide_images(
        &self,
        understood: &Understood,
        request: &DeployRequest,
        emit: &Emit,
    ) -> Result<Images, Error> {
        let app = understood.app();
        let images = self.proposer.images(understood, request).await?;
        let source = understood.source(&request.source);
        let build_digest = source.build_digest();
        let built = self.config.instance.image(app, &build_digest);
        let fresh = self.proposer.fresh(understood, request, &images).await?;
        for note in &fresh.notes {
            let text = note.text.clone();
            emit(Event::Note { text });
        }
        let plan = provide(understood, &images, &fresh, &source, &built);
        if plan.steps.is_empty() {
            return Ok(images);
        }
        let builds = images.needs_build(&fresh);
        let run = Run::for_images(
            app,
            source_inputs(&self.store, &request.source),
            Arc::clone(emit),
        );
        let provided = self.executor.execute(&run, &plan).await;
        if builds {
            self.retention.bound_build_cache();
        }
        provided.map_err(|error| explain_build(error, &request.dockerfile))?;
        if builds {
            let facts = self
                .engine
                .image(&built)
                .await?
                .ok_or(Error::BuiltImageGone)?;
            let build = Build {
                image: facts.id,
                ports: facts.ports,
                bases: self.proposer.built_on(fresh.bases).await?,
            };
            self.store.put_build(app, &build_digest, &build).await?;
        }
        self.proposer.images(understood, request).await
    }
}

/// Digests of the plugins' components that describe the services of a blueprint.
fn plugin_digests(plugins: &Plugins, blueprint: &Blueprint) -> BTreeMap<ServiceName, String> {
    let digest = |container: &Container| {
        let plugin = container.plugin.as_deref()?;
        let mut known = plugins.known();
        let info = known.find(|info| info.names().any(|name| name == plugin))?;
        Some((container.name.clone(), info.digest.clone()))
    };
    blueprint.containers.values().filter_map(digest).collect()
}
