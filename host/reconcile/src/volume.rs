//! Volumes: listed, and removed only when a person names one.

use crate::report::VolumeStatus;
use crate::{Error, Host};
use doprax_core::blueprint::Blueprint;
use doprax_core::name::{AppName, VolumeName};

impl Host {
    /// Every volume of every app, those of removed apps included.
    pub async fn volumes(&self) -> Result<Vec<VolumeStatus>, Error> {
        let (records, observed) = tokio::try_join!(
            async { Ok::<_, Error>(self.store().apps().await?) },
            async { Ok(self.engine().observe_all().await?) }
        )?;
        let mut volumes = Vec::new();
        for (app, observed) in observed {
            let record = records.iter().find(|record| record.name == app);
            let release = record.and_then(|record| record.release.as_ref());
            for name in observed.volumes {
                let mounts = mounts(release.map(|release| &release.blueprint), &name);
                volumes.push(VolumeStatus {
                    app: app.clone(),
                    name,
                    mounts,
                });
            }
        }
        Ok(volumes)
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
        let _work = state.work.lock().await;
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
        let observed = self.engine().observe(app).await?;
        if !observed.volumes.contains(volume) {
            return Err(Error::NoVolume {
                app: app.clone(),
                volume: volume.clone(),
            });
        }
        self.engine().remove_volume(app, volume).await?;
        if observed.volumes.len() == 1 {
            self.store().forget_secrets(app).await?;
        }
        Ok(())
    }
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
