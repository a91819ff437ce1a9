//! Volumes. Only [`Docker::delete_volume`] removes one, and nothing here calls it. What
//! the engine makes by itself, in the place of a volume that is gone, is none: it goes
//! before anything was started with it.

use super::{CHANGE, Docker, Failure, LOOK, label};
use crate::names;
use crate::{Error, Outcome};
use bollard::models::{Mount, Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};
use doprax_core::name::{AppName, VolumeName};

/// A volume of this name exists that does not belong to the app.
#[derive(Debug, thiserror::Error)]
#[error("the engine has a volume {name} that is not of this app")]
struct Foreign {
    name: String,
}

/// A volume that a container mounts is gone.
#[derive(Debug, thiserror::Error)]
#[error("its volume {name} is gone")]
struct Gone {
    name: String,
}

impl Docker {
    /// The labels of what the engine makes in the place of a volume that is gone.
    pub(super) fn unasked_labels(&self, app: &AppName) -> label::Labels {
        let mut labels = self.labels(app);
        labels.insert(label::UNASKED.to_owned(), "true".to_owned());
        labels
    }

    /// Whether the engine has the volume. One that somebody brought back has no labels.
    pub(super) async fn volume_exists(
        &self,
        app: &AppName,
        volume: &VolumeName,
    ) -> Result<bool, Error> {
        let found = self
            .find_volume(&names::volume(&self.instance, app, volume))
            .await;
        let found =
            found.map_err(|e| self.error(e, format!("look at volume {volume} of {app}")))?;
        Ok(found.is_some_and(|found| self.is_volume(&found)))
    }

    /// Whether nobody else made it, and the engine not unasked.
    fn is_volume(&self, found: &Volume) -> bool {
        let instance = found.labels.get(label::INSTANCE);
        instance.is_none_or(|label| label == self.instance.label())
            && !found.labels.contains_key(label::UNASKED)
    }

    /// Takes a container back that was just made if the engine made a volume for it:
    /// the volume that it should have was gone.
    pub(super) async fn refuse_unasked(
        &self,
        container: &str,
        mounts: &[Mount],
    ) -> Result<(), Failure> {
        for name in mounts.iter().filter_map(|mount| mount.source.as_ref()) {
            let found = self.find_volume(name).await?;
            if found.is_some_and(|found| found.labels.contains_key(label::UNASKED)) {
                self.remove(container).await?;
                self.remove_unasked(name).await?;
                return Err(Failure::other(Gone { name: name.clone() }));
            }
        }
        Ok(())
    }

    /// Removes what the engine made in the place of a volume.
    async fn remove_unasked(&self, name: &str) -> Result<(), Failure> {
        let removed = self.client.remove_volume(name, None::<RemoveVolumeOptions>);
        match self.within(CHANGE, removed).await {
            Err(failure) if !failure.is(404) => Err(failure),
            _ => Ok(()),
        }
    }

    /// The labels of a volume.
    fn volume_labels(&self, app: &AppName, volume: &VolumeName) -> label::Labels {
        let mut labels = self.labels(app);
        labels.insert(label::VOLUME.to_owned(), volume.to_string());
        labels
    }

    /// Creates a volume on the engine's own disk.
    pub(super) async fn create_volume(
        &self,
        app: &AppName,
        volume: &VolumeName,
    ) -> Result<Outcome, Error> {
        let action = || format!("create volume {volume} of {app}");
        let name = names::volume(&self.instance, app, volume);
        let labels = self.volume_labels(app, volume);
        // The engine answers a second creation with the first one, whatever its
        // labels are, so existence has to be asked for.
        if let Some(found) = self
            .find_volume(&name)
            .await
            .map_err(|e| self.error(e, action()))?
        {
            if found.labels.contains_key(label::UNASKED) {
                self.remove_unasked(&name)
                    .await
                    .map_err(|e| self.error(e, action()))?;
            } else if labels
                .iter()
                .all(|(key, value)| found.labels.get(key) == Some(value))
            {
                return Ok(Outcome::AlreadyDone);
            } else {
                return Err(self.error(Failure::other(Foreign { name }), action()));
            }
        }
        let request = VolumeCreateRequest {
            name: Some(name),
            driver: Some("local".to_owned()),
            labels: Some(labels),
            ..VolumeCreateRequest::default()
        };
        self.within(CHANGE, self.client.create_volume(request))
            .await
            .map(|_| Outcome::Done)
            .map_err(|failure| self.error(failure, action()))
    }

    async fn find_volume(&self, name: &str) -> Result<Option<Volume>, Failure> {
        match self.within(LOOK, self.client.inspect_volume(name)).await {
            Ok(volume) => Ok(Some(volume)),
            Err(failure) if failure.is(404) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Volumes of one app, or of all apps of this instance.
    pub(super) async fn list_volumes(&self, app: Option<&AppName>) -> Result<Vec<Volume>, Failure> {
        let filters = self.instance_filter(app);
        let options = ListVolumesOptionsBuilder::default()
            .filters(&filters)
            .build();
        let listed = self
            .within(LOOK, self.client.list_volumes(Some(options)))
            .await?;
        Ok(listed.volumes.unwrap_or_default())
    }

    /// Removes a volume and what is in it. Fails while a container has it.
    pub(super) async fn delete_volume(
        &self,
        app: &AppName,
        volume: &VolumeName,
    ) -> Result<Outcome, Error> {
        let action = || format!("remove volume {volume} of {app}");
        let name = names::volume(&self.instance, app, volume);
        let found = self
            .find_volume(&name)
            .await
            .map_err(|e| self.error(e, action()))?;
        let Some(found) = found else {
            return Ok(Outcome::AlreadyDone);
        };
        if !self.is_volume(&found) {
            return Err(self.error(Failure::other(Foreign { name }), action()));
        }
        let removed = self
            .client
            .remove_volume(&name, None::<RemoveVolumeOptions>);
        match self.within(CHANGE, removed).await {
            Ok(()) => Ok(Outcome::Done),
            Err(failure) if failure.is(404) => Ok(Outcome::AlreadyDone),
            Err(failure) => Err(self.error(failure, action())),
        }
    }
}
