//! Volumes: listed, and removed only when a person names one. One that was made for a
//! release and is gone is not made anew unasked: what was in it is not in a new one.

use crate::Error;
use crate::apps::Apps;
use crate::keep::Upkeep;
use crate::observe::Observer;
use crate::record::record;
use crate::report::VolumeStatus;
use crate::retiring::Retiring;
use crate::volume::{mounts, volumes_of};
use doprax_core::name::{AppName, VolumeName};
use doprax_core::observed::Observed;
use doprax_core::plan::Act;
use doprax_engine::{Engine, Inputs, Outcome};
use doprax_store::Store;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The volumes of every app.
pub struct Volumes {
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) apps: Arc<Apps>,
    pub(crate) retiring: Arc<Retiring>,
    pub(crate) upkeep: Arc<Upkeep>,
}

impl Volumes {
    /// Makes an empty volume in the place of one that is gone, because a person accepts
    /// that its data is lost.
    pub async fn recreate(&self, app: &AppName, volume: &VolumeName) -> Result<(), Error> {
        let state = self.apps.of(app);
        let work = state.work.lock().await;
        let record = record(&self.store, app).await?;
        let observed = self.observer.of(&record).await?;
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
            .engine
            .apply(app, &act, &Inputs::default(), &progress)
            .await?;
        if made == Outcome::Done {
            tracing::info!(%app, %volume, "an empty volume was made in the place of one that is gone");
        }
        drop(work);
        self.upkeep.look_after_now(app);
        Ok(())
    }

    /// Every volume of every app, those of removed apps included.
    pub async fn list(&self) -> Result<Vec<VolumeStatus>, Error> {
        let (records, observed) =
            tokio::try_join!(async { Ok::<_, Error>(self.store.apps().await?) }, async {
                Ok(self.engine.observe_all().await?)
            })?;
        let mut apps: BTreeMap<AppName, Observed> = observed;
        for record in &records {
            apps.entry(record.name.clone()).or_default();
        }
        let mut volumes = Vec::new();
        for (app, mut observed) in apps {
            let record = records.iter().find(|record| record.name == app);
            if let Some(record) = record {
                self.observer.find_returned(record, &mut observed).await?;
            }
            volumes.extend(volumes_of(&app, record, &observed));
        }
        Ok(volumes)
    }

    /// Refuses a volume that does not exist, or that a container mounts.
    pub async fn check(&self, app: &AppName, volume: &VolumeName) -> Result<(), Error> {
        self.free_volume(app, volume).await.map(drop)
    }

    /// Removes a volume and everything in it. One that a container mounts is refused.
    pub async fn remove(&self, app: &AppName, volume: &VolumeName) -> Result<(), Error> {
        let state = self.apps.of(app);
        // It may take as long as a build.
        if let Some(operation) = state.queue.running() {
            return Err(Error::Busy {
                app: app.clone(),
                operation: operation.id,
            });
        }
        // An old copy that is about to end may still have it.
        self.retiring.wait_for_all(app).await;
        let _work = state.work.lock().await;
        let observed = self.free_volume(app, volume).await?;
        self.engine.remove_volume(app, volume).await?;
        self.store.forget_volume(app, volume).await?;
        if observed.volumes.iter().all(|found| found == volume) {
            self.store.forget_secrets(app).await?;
            self.store.forget_remains(app).await?;
        }
        Ok(())
    }

    /// What exists of an app that has a volume which no container mounts.
    async fn free_volume(&self, app: &AppName, volume: &VolumeName) -> Result<Observed, Error> {
        let record = self.store.app(app).await?;
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
            Some(record) => self.observer.of(record).await?,
            None => self.observer.look_at(app).await?,
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
