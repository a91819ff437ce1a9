//! A deploy: secrets, images, containers; and the way back.
//!
//! Flow: what the request means → secrets written → images built and pulled → rolled out,
//! see [`crate::release`]. Done again from the start after a crash, it finds what is done
//! already.

use crate::execute::{Emit, Run};
use crate::journal::RunningOperation;
use crate::propose::Around;
use crate::release::{Account, Making, origin};
use crate::report::Event;
use crate::request::DeployRequest;
use crate::secret;
use crate::subnet::Goal;
use crate::why::{check_variables, explain_build};
use crate::{Error, Host, machine};
use doprax_core::blueprint::{Blueprint, Container, Content, Image};
use doprax_core::name::{AppName, ServiceName};
use doprax_core::planner;
use doprax_core::proposal::{Images, Understood, provide};
use doprax_core::release::{Origin, Reason};
use doprax_core::route::Target;
use doprax_core::text::HOST_VARIABLE;
use doprax_engine::Material;
use doprax_store::{AppRecord, Build};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Host {
    /// Carries out a deploy. Returns where the app can be reached.
    pub(crate) async fn run_deploy(
        &self,
        live: &Arc<RunningOperation>,
        request: &DeployRequest,
    ) -> Result<Option<String>, Error> {
        let record = self.record_for(request).await?;
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
        if self.is_released(live).await? {
            return self.where_it_is(&live.operation().app).await;
        }
        let account = Account::of(live);
        let deployed = self
            .deploy_release(live, &account, request, record, origin)
            .await;
        let app = &live.operation().app;
        if let Err(error) = &deployed {
            self.remember_failure(app, origin, Some(&request.source), error, &account)
                .await;
        }
        self.put_domains_right(app).await;
        deployed
    }

    /// Takes from an app the names that did not come to a release. Failing at it changes
    /// nothing of what came of a deploy; the next one does it.
    pub(crate) async fn put_domains_right(&self, app: &AppName) {
        if let Err(error) = self.keep_released_domains(app).await {
            tracing::warn!(%app, error = error.chain(), "domains were not put right");
        }
    }

    /// Takes from an app the names that it got for a deploy that has failed, or that its
    /// release no longer has.
    async fn keep_released_domains(&self, app: &AppName) -> Result<(), Error> {
        let record = self.store().app_in_brief(app).await?;
        let kept = record.and_then(|record| record.release);
        let kept = kept.map(|release| release.blueprint.domains);
        self.store()
            .release_domains(app, &kept.unwrap_or_default())
            .await?;
        self.renew_domains(app).await
    }

    async fn deploy_release(
        &self,
        live: &Arc<RunningOperation>,
        account: &Account,
        request: &DeployRequest,
        record: Option<AppRecord>,
        origin: &Origin,
    ) -> Result<Option<String>, Error> {
        let understood = self.understand(request, record.as_ref())?;
        let app = understood.app().clone();
        let mut record = match record {
            Some(record) => record,
            None => self.add_app(&app).await?,
        };
        if record.release.is_none() {
            self.set_target(&app, Target::Starting);
        }

        // Nothing of the app has moved yet: what is dropped here leaves nothing to undo.
        let observed = self.observe(&record).await?;
        self.find_room(&mut record, &observed).await?;
        if let Some(release) = &record.release {
            // What is built and pulled may take their references.
            self.hold_images(&app, &release.blueprint).await;
        }
        let prepared = self.prepare(&understood, request, &record, &account.emit);
        let prepared = live.cancelled().run_until_cancelled(prepared).await;
        let (blueprint, images) = prepared.ok_or(Error::Cancelled)??;
        let making = Making {
            manifest: &understood.manifest.spec,
            spec: &understood.merged.spec,
            request,
            origin,
            plugins: &self.plugin_digests(&blueprint),
        };
        self.roll_out(live, account, record, blueprint, &images, &making)
            .await
    }

    /// Digests of the plugins' components that describe the services of a blueprint.
    fn plugin_digests(&self, blueprint: &Blueprint) -> BTreeMap<ServiceName, String> {
        let plugins = self.plugins();
        let digest = |container: &Container| {
            let plugin = container.plugin.as_deref()?;
            let mut known = plugins.known();
            let info = known.find(|info| info.names().any(|name| name == plugin))?;
            Some((container.name.clone(), info.digest.clone()))
        };
        blueprint.containers.values().filter_map(digest).collect()
    }

    /// Waits until no visitor can be led to what was replaced: a process that served before
    /// this one leads those who were there to the containers that it knew.
    pub(crate) async fn await_predecessor(&self, live: &RunningOperation) {
        let alone = self.is_alone();
        tokio::pin!(alone);
        if futures_util::poll!(alone.as_mut()).is_ready() {
            return;
        }
        let text = "released; waiting for those whom the host before the upgrade still serves";
        live.emit(Event::Note {
            text: text.to_owned(),
        });
        // Whoever gives up gives up waiting: it is released already.
        let _ = live.cancelled().run_until_cancelled(alone).await;
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
        self.claim(app, &understood.domains(), false).await?;
        let stored = self.secrets(app).await?;
        let new = self.needed_secrets(understood, request, &stored)?;
        let revisions = secret::revisions(&stored, &new.values);
        let values = secret::values(&stored, &new.values);
        let observed = self.observe(record).await?;
        let around = Around {
            subnet: record.subnet,
            revisions: &revisions,
            record: Some(record),
            observed: &observed,
            images: &self.images(understood, request).await?,
        };
        // What cannot start is refused before anything is built for it.
        let proposed = self.blueprint(understood, request, &around).await?;
        check_variables(&proposed, &values)?;
        self.store().put_secrets(app, &new.values).await?;
        for file in request.files.values() {
            let digest = doprax_core::blueprint::sha256_hex(&file.content);
            self.store().put_blob(&digest, &file.content).await?;
        }
        let images = self.provide_images(understood, request, emit).await?;
        let around = Around {
            observed: &self.observe(record).await?,
            images: &images,
            ..around
        };
        let blueprint = self.blueprint(understood, request, &around).await?;
        self.check_mounts(understood, &blueprint, record).await?;
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
        let images = self.images(understood, request).await?;
        let source = understood.source(&request.source);
        let build_digest = source.build_digest();
        let built = self.config().instance.image(app, &build_digest);
        let fresh = self.fresh(understood, request, &images).await?;
        for note in &fresh.notes {
            let text = note.text.clone();
            emit(Event::Note { text });
        }
        let plan = provide(understood, &images, &fresh, &source, &built);
        if plan.steps.is_empty() {
            return Ok(images);
        }
        let builds = images.needs_build(&fresh);
        let run = Run::for_images(app, self.source_material(&request.source), Arc::clone(emit));
        let provided = self.execute(&run, &plan).await;
        if builds {
            self.bound_build_cache();
        }
        provided.map_err(|error| explain_build(error, &request.dockerfile))?;
        if builds {
            let facts = self
                .engine()
                .image(&built)
                .await?
                .ok_or_else(|| Error::Unplannable {
                    message: "the image that was just built is gone".to_owned(),
                    help: Some("something removes images from the engine; deploy again".to_owned()),
                })?;
            let build = Build {
                image: facts.id,
                ports: facts.ports,
                bases: self.built_on(fresh.bases).await?,
            };
            self.store().put_build(app, &build_digest, &build).await?;
        }
        self.images(understood, request).await
    }

    /// Makes the app what it was before a deploy that failed.
    pub(crate) async fn go_back(&self, mut record: AppRecord, emit: Emit) -> Result<(), Error> {
        if let Some(release) = &record.release {
            self.await_retired(&record.name, &release.blueprint).await;
        }
        let Some(release) = &record.release else {
            let observed = self.engine().observe(&record.name).await?;
            // They go, and with them what they had to say.
            self.keep_failed_logs(&record.name, &observed.containers)
                .await;
            let run = Run::for_images(&record.name, Material::default(), emit);
            return self.execute(&run, &planner::removal(&observed, None)).await;
        };
        let mut blueprint = release.blueprint.clone();
        let images = Images::all_present(&blueprint);
        let stopped = record.stopped.clone();
        self.store().set_stopped(&record.name, &stopped).await?;
        let goal = Goal {
            images: &images,
            stopped: &stopped,
            cancelled: None,
        };
        self.reach(&mut record, &mut blueprint, &goal, emit).await
    }

    /// All that is needed to carry out steps towards a blueprint.
    pub(crate) async fn run_for(&self, blueprint: &Blueprint, emit: Emit) -> Result<Run, Error> {
        // The values that it was made with, whatever was set since.
        let secrets = self
            .store()
            .secrets_at(&blueprint.app, &blueprint.revisions)
            .await?;
        let host = self.host_name(&blueprint.app, blueprint.domain());
        let mut material = Material {
            secrets,
            mtu: machine::mtu(),
            env: [(HOST_VARIABLE.to_owned(), host)].into(),
            ..Material::default()
        };
        for container in blueprint.containers.values() {
            for file in &container.files {
                if let Content::Blob { digest, .. } = &file.content
                    && let Some(bytes) = self.store().blob(digest).await?
                {
                    material.blobs.insert(digest.clone(), bytes.into());
                }
            }
            if let Image::Build { source, .. } = &container.image {
                material
                    .sources
                    .extend(self.source_material(source).sources);
            }
        }
        Ok(Run::for_blueprint(blueprint.clone(), material, emit))
    }

    fn source_material(&self, source: &str) -> Material {
        let path = self.store().source_path(source);
        Material {
            sources: [(source.to_owned(), path)].into(),
            ..Material::default()
        }
    }
}
