//! A deploy: secrets, images, containers, release; and the way back.
//!
//! Flow: what the request means → secrets written → images built and pulled → plan →
//! steps → release remembered → old images and archives removed.
//! Guarantees: until the release is remembered, the release before it is what the
//! host keeps up; a failure goes back to it, or to nothing where there is none. Done
//! again from the start after a crash, it finds what is done already.

use crate::execute::{Emit, Run};
use crate::journal::{Live, now_ms};
use crate::propose::Around;
use crate::report::{Operation, What};
use crate::request::{DeployRequest, Refresh};
use crate::secret;
use crate::subnet::Goal;
use crate::why::{check_variables, explain_build};
use crate::{Error, Host, machine};
use doprax_core::blueprint::{Blueprint, Content, Image};
use doprax_core::name::AppName;
use doprax_core::planner;
use doprax_core::proposal::{Images, Understood, provide};
use doprax_core::route::Target;
use doprax_core::text::HOST_VARIABLE;
use doprax_engine::Material;
use doprax_store::{AppRecord, Build, NewRelease};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

impl Host {
    /// Carries out a deploy. Returns where the app can be reached.
    pub(crate) async fn run_deploy(
        &self,
        live: &Arc<Live>,
        request: &DeployRequest,
    ) -> Result<Option<String>, Error> {
        let record = self.record_for(request).await?;
        self.deploy_over(live, request, record).await
    }

    /// Carries out a deploy of an app that is remembered as `record`.
    pub(crate) async fn deploy_over(
        &self,
        live: &Arc<Live>,
        request: &DeployRequest,
        record: Option<AppRecord>,
    ) -> Result<Option<String>, Error> {
        let deployed = self.deploy_release(live, request, record).await;
        // Failing at it changes nothing of what came of the deploy; the next one does it.
        let app = &live.operation().app;
        if let Err(error) = self.keep_released_domains(app).await {
            tracing::warn!(%app, error = error.chain(), "domains were not put right");
        }
        deployed
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
        live: &Arc<Live>,
        request: &DeployRequest,
        record: Option<AppRecord>,
    ) -> Result<Option<String>, Error> {
        let notes = Arc::new(Mutex::new(Vec::new()));
        let emit: Emit = {
            let (live, notes) = (Arc::clone(live), Arc::clone(&notes));
            Arc::new(move |what| {
                if let What::Note { text } = &what {
                    notes
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(text.clone());
                }
                live.emit(what);
            })
        };
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
        let prepared = self.prepare(&understood, request, &record, &emit);
        let prepared = live.cancelled().run_until_cancelled(prepared).await;
        let (mut blueprint, images) = prepared.ok_or(Error::Cancelled)??;

        let observed = self.observe(&record).await?;
        self.refuse_gone(&record, &blueprint, &observed, None)?;
        let run = self.run_for(&blueprint, Arc::clone(&emit)).await?;
        let run = run.until(live.cancelled());
        check_variables(&blueprint, &run.material)?;
        let retired = self.await_retired(&app, &blueprint);
        let retired = live.cancelled().run_until_cancelled(retired).await;
        retired.ok_or(Error::Cancelled)?;
        if !record.stopped.is_empty() {
            self.store().set_stopped(&app, &BTreeSet::new()).await?;
        }
        let running = BTreeSet::new();
        let goal = Goal {
            images: &images,
            stopped: &running,
            cancelled: Some(live.cancelled()),
        };
        let released = async {
            self.reach(&mut record, &mut blueprint, &goal, Arc::clone(&emit))
                .await?;
            let notes = notes.lock().unwrap_or_else(PoisonError::into_inner).clone();
            // What is made of it later, such as a change by hand, looks for nothing again.
            let request = &DeployRequest {
                refresh: Refresh::default(),
                confirmed: None,
                ..request.clone()
            };
            let new = NewRelease {
                manifest: &understood.manifest.spec,
                spec: &understood.merged.spec,
                blueprint: &blueprint,
                source: &request.source,
                created_ms: now_ms(),
                notes: &notes,
                request,
            };
            self.store().add_release(&app, &new).await?;
            Ok::<_, Error>(())
        };
        if let Err(error) = released.await {
            emit(What::GoingBack);
            if let Err(back) = self.go_back(record, Arc::clone(&emit)).await {
                let text = format!("it could not go back yet: {}", back.chain());
                emit(What::Note { text });
            }
            return Err(error);
        }
        if record.release.is_none() {
            self.forget_failed_logs(&app).await;
        }
        self.clean_up(&app, &blueprint).await;
        if blueprint.front.is_none() {
            self.set_target(&app, Target::Nowhere);
            return Ok(None);
        }
        self.await_predecessor(live).await;
        Ok(Some(self.url(&app)))
    }

    /// Waits until no visitor can be led to what was replaced: a process that served before
    /// this one leads those who were there to the containers that it knew.
    async fn await_predecessor(&self, live: &Live) {
        let alone = self.is_alone();
        tokio::pin!(alone);
        if futures_util::poll!(alone.as_mut()).is_ready() {
            return;
        }
        let text = "released; waiting for those whom the host before the upgrade still serves";
        live.emit(What::Note {
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
        self.store().put_secrets(app, &new.values).await?;
        let revisions = secret::revisions(&stored, &new.values);
        for file in request.files.values() {
            let digest = doprax_core::blueprint::sha256_hex(&file.content);
            self.store().put_blob(&digest, &file.content).await?;
        }
        let images = self.provide_images(understood, request, emit).await?;
        let observed = self.observe(record).await?;
        let around = Around {
            subnet: record.subnet,
            revisions: &revisions,
            record: Some(record),
            observed: &observed,
            images: &images,
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
            emit(What::Note { text });
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
    async fn go_back(&self, mut record: AppRecord, emit: Emit) -> Result<(), Error> {
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

    /// Removes what no release needs any more. Failing at it harms nothing: the next
    /// deploy tries again.
    pub(crate) async fn clean_up(&self, app: &AppName, blueprint: &Blueprint) {
        self.prune_images(app, Some(blueprint)).await;
        if let Err(error) = self.store().prune_sources(&self.sources_in_use()).await {
            tracing::warn!(%error, "old source archives were not removed");
        }
    }

    /// Removes the image and the archive that a failed deploy leaves, unless the app's
    /// release needs them.
    pub(crate) async fn clean_up_after_failure(&self, operation: &Operation, source: &str) {
        let app = &operation.app;
        let removed = async {
            let record = self.store().app_in_brief(app).await?;
            let release = record.and_then(|record| record.release);
            self.prune_images(app, release.as_ref().map(|release| &release.blueprint))
                .await;
            let others = self.sources_in_use_but(Some(&operation.id));
            self.store().remove_source(source, &others).await
        };
        if let Err(error) = removed.await {
            tracing::warn!(%app, %error, "what a failed deploy left was not removed");
        }
    }

    async fn prune_images(&self, app: &AppName, needed: Option<&Blueprint>) {
        let containers = needed
            .into_iter()
            .flat_map(|blueprint| blueprint.containers.values());
        let keep: Vec<String> = containers
            .map(|container| container.image.reference().to_owned())
            .collect();
        if let Err(error) = self.engine().prune_images(app, &keep).await {
            tracing::warn!(%app, %error, "old images were not removed");
        }
    }

    /// All that is needed to carry out steps towards a blueprint.
    pub(crate) async fn run_for(&self, blueprint: &Blueprint, emit: Emit) -> Result<Run, Error> {
        // The values that it was made with, whatever was set since.
        let secrets = self
            .store()
            .secrets_at(&blueprint.app, &blueprint.revisions)
            .await?;
        let host = self.host_name(&blueprint.app, &blueprint.domains);
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
