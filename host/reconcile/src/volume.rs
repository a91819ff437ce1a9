//! Volumes: listed, and removed only when a person names one. One that was made for a
//! release and is gone is not made anew unasked: what was in it is not in a new one.

use crate::report::VolumeStatus;
use crate::{Error, Host};
use doprax_core::blueprint::Blueprint;
use doprax_core::name::{AppName, ServiceName, VolumeName};
use doprax_core::observed::Observed;
use doprax_core::plan::Act;
use doprax_core::planner::gone_volumes;
use doprax_engine::{Material, Outcome};
use doprax_store::AppRecord;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Host {
    /// What the engine has of an app, volumes that somebody brought back among it.
    pub(crate) async fn observe(&self, record: &AppRecord) -> Result<Observed, Error> {
        let mut observed = self.look_at(&record.name).await?;
        self.find_returned(record, &mut observed).await?;
        Ok(observed)
    }

    /// Adds the volumes that the engine has and its list does not tell of: somebody
    /// brought them back by hand.
    pub(crate) async fn find_returned(
        &self,
        record: &AppRecord,
        observed: &mut Observed,
    ) -> Result<(), Error> {
        for volume in &record.made_volumes {
            if !observed.volumes.contains(volume)
                && self.engine().has_volume(&record.name, volume).await?
            {
                observed.volumes.insert(volume.clone());
            }
        }
        Ok(())
    }

    /// Refuses to go on without a volume that some of these containers mount and that is
    /// gone.
    pub(crate) fn refuse_gone(
        &self,
        record: &AppRecord,
        blueprint: &Blueprint,
        observed: &Observed,
        selected: Option<&BTreeSet<ServiceName>>,
    ) -> Result<(), Error> {
        let mut lacking = lacking(record, blueprint, observed);
        lacking.retain(|container, _| selected.is_none_or(|names| names.contains(container)));
        if lacking.is_empty() {
            return Ok(());
        }
        let volumes: BTreeSet<VolumeName> = lacking.values().cloned().collect();
        let instance = &self.config().instance;
        Err(Error::VolumeGone {
            app: record.name.clone(),
            containers: lacking.into_keys().collect(),
            volumes: volumes
                .into_iter()
                .map(|volume| {
                    let name = instance.volume(&record.name, &volume);
                    (volume, name)
                })
                .collect(),
        })
    }

    /// Makes an empty volume in the place of one that is gone, because a person accepts
    /// that its data is lost.
    pub async fn recreate_volume(
        self: &Arc<Self>,
        app: &AppName,
        volume: &VolumeName,
    ) -> Result<(), Error> {
        let state = self.app(app);
        let work = state.work.lock().await;
        let record = self.record(app).await?;
        let observed = self.observe(&record).await?;
        if observed.volumes.contains(volume) {
            let (app, volume) = (app.clone(), volume.clone());
            return Err(Error::VolumeExists { app, volume });
        }
        if !record.made_volumes.contains(volume) {
            let (app, volume) = (app.clone(), volume.clone());
            return Err(Error::NoVolume { app, volume });
        }
        let act = Act::CreateVolume {
            volume: volume.clone(),
        };
        let progress: doprax_engine::Progress = Arc::new(|_| {});
        let made = self
            .engine()
            .apply(app, &act, &Material::default(), &progress)
            .await?;
        if made == Outcome::Done {
            tracing::info!(%app, %volume, "an empty volume was made in the place of one that is gone");
        }
        drop(work);
        self.look_after_now(app);
        Ok(())
    }

    /// Every volume of every app, those of removed apps included.
    pub async fn volumes(&self) -> Result<Vec<VolumeStatus>, Error> {
        let (records, observed) = tokio::try_join!(
            async { Ok::<_, Error>(self.store().apps().await?) },
            async { Ok(self.engine().observe_all().await?) }
        )?;
        let mut apps: BTreeMap<AppName, Observed> = observed;
        for record in &records {
            apps.entry(record.name.clone()).or_default();
        }
        let mut volumes = Vec::new();
        for (app, mut observed) in apps {
            let record = records.iter().find(|record| record.name == app);
            if let Some(record) = record {
                self.find_returned(record, &mut observed).await?;
            }
            volumes.extend(volumes_of(&app, record, &observed));
        }
        Ok(volumes)
    }

    /// Refuses a volume that does not exist, or that a container mounts.
    pub async fn check_volume(&self, app: &AppName, volume: &VolumeName) -> Result<(), Error> {
        self.free_volume(app, volume).await.map(drop)
    }

    /// Removes a volume and everything in it. One that a container mounts is refused.
    pub async fn remove_volume(&self, app: &AppName, volume: &VolumeName) -> Result<(), Error> {
        let state = self.app(app);
        // It may take as long as a build.
        if let Some(operation) = state.operation() {
            return Err(Error::Busy {
                app: app.clone(),
                operation: operation.id,
            });
        }
        // An old copy that is about to end may still have it.
        self.await_all_retired(app).await;
        let _work = state.work.lock().await;
        let observed = self.free_volume(app, volume).await?;
        self.engine().remove_volume(app, volume).await?;
        self.store().forget_volume(app, volume).await?;
        if observed.volumes.iter().all(|found| found == volume) {
            self.store().forget_secrets(app).await?;
            self.store().forget_remains(app).await?;
        }
        Ok(())
    }

    /// What exists of an app that has a volume which no container mounts.
    async fn free_volume(&self, app: &AppName, volume: &VolumeName) -> Result<Observed, Error> {
        let record = self.store().app(app).await?;
        let release = record.as_ref().and_then(|record| record.release.as_ref());
        let users = mounts(release.map(|release| &release.blueprint), volume);
        if !users.is_empty() {
            let users = users.join(", ");
            return Err(Error::VolumeInUse {
                app: app.clone(),
                volume: volume.clone(),
                users,
            });
        }
        let observed = match &record {
            Some(record) => self.observe(record).await?,
            None => self.look_at(app).await?,
        };
        // One that is gone may be forgotten too.
        let is_made = record.is_some_and(|record| record.made_volumes.contains(volume));
        if !observed.volumes.contains(volume) && !is_made {
            return Err(Error::NoVolume {
                app: app.clone(),
                volume: volume.clone(),
            });
        }
        Ok(observed)
    }
}

/// The containers of a blueprint that a volume is gone for, with the first such volume.
pub(crate) fn lacking(
    record: &AppRecord,
    blueprint: &Blueprint,
    observed: &Observed,
) -> BTreeMap<ServiceName, VolumeName> {
    let gone = gone_volumes(blueprint, observed, &record.made_volumes);
    let containers = blueprint.containers.values();
    containers
        .filter_map(|spec| {
            let mut mounted = spec.mounts.iter().map(|mount| &mount.name);
            let volume = mounted.find(|volume| gone.contains(volume))?;
            Some((spec.name.clone(), volume.clone()))
        })
        .collect()
}

/// The volumes of an app, those that are gone among them.
pub(crate) fn volumes_of(
    app: &AppName,
    record: Option<&AppRecord>,
    observed: &Observed,
) -> Vec<VolumeStatus> {
    let blueprint = record
        .and_then(|record| record.release.as_ref())
        .map(|release| &release.blueprint);
    let wanted = blueprint.into_iter().flat_map(|b| &b.volumes);
    let names: BTreeSet<&VolumeName> = observed.volumes.iter().chain(wanted).collect();
    names
        .into_iter()
        .map(|name| VolumeStatus {
            app: app.clone(),
            name: name.clone(),
            mounts: mounts(blueprint, name),
            gone: !observed.volumes.contains(name),
        })
        .collect()
}

/// Where containers of a blueprint mount a volume: `main:/app_data/static`.
pub(crate) fn mounts(blueprint: Option<&Blueprint>, volume: &VolumeName) -> Vec<String> {
    let containers = blueprint
        .into_iter()
        .flat_map(|blueprint| blueprint.containers.values());
    containers
        .flat_map(|container| {
            let mounts = container
                .mounts
                .iter()
                .filter(|mount| mount.name == *volume);
            mounts.map(|mount| format!("{}:{}", container.name, mount.path))
        })
        .collect()
}
