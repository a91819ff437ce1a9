//! What is done to a container.
//!
//! A container with files takes two requests, and a host can end between them. So
//! it is made under the name `incomplete_NAME`, gets its files, and only then its
//! name: whatever bears a name of the blueprint is complete. What was left
//! incomplete is removed by the next attempt, or by whoever removes what is not in
//! the blueprint.

use super::body::{Surroundings, create_body};
use super::files::FileBytes;
use super::transport::ALREADY;
use super::{CHANGE, Docker, Failure, label, ulimit};
use crate::names;
use crate::{Error, Event, Foreign, Inputs, Outcome, Progress};
use bollard::models::{ContainerCreateBody, ContainerCreateResponse};
use bollard::query_parameters::{
    RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder, RestartContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptionsBuilder,
};
use doprax_core::blueprint::{Container, Content};
use doprax_core::name::AppName;
use doprax_core::secret::SecretName;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a name may be reserved for a container that is still being made.
const RESERVED: Duration = Duration::from_secs(30);

/// How often the end of a removal or creation that is under way is looked for.
const REMOVAL_POLL: Duration = Duration::from_millis(50);

/// How often a rename is tried on a container that crashes meanwhile.
const RENAMES: usize = 5;

/// The name is taken.
#[derive(Debug, thiserror::Error)]
#[error("a container of this name exists that was made from something else")]
struct Taken;

/// The name of a container that does not have all of its files yet. No service's
/// name has an underscore.
fn incomplete(container: &str) -> String {
    format!("incomplete_{container}")
}

impl Docker {
    /// Creates a container with its files; it does not start.
    pub(super) async fn create_container(
        &self,
        app: &AppName,
        container: &str,
        hash: &str,
        spec: &Container,
        inputs: &Inputs,
    ) -> Result<Outcome, Error> {
        let body = self.body(app, hash, spec, inputs).await?;
        let files = fill_files(spec, inputs)?;
        let owners = &spec.runtime.owners;
        if files.is_empty() && owners.is_empty() {
            return match self.create(container, &body).await {
                Err(failure) if failure.is(409) => {
                    self.check_existing(container, hash, failure).await
                }
                created => {
                    created.map_err(|failure| self.create_error(failure, container, spec))?;
                    Ok(Outcome::Done)
                }
            };
        }
        let taken = Failure::Refused {
            status: 409,
            message: "the name is taken".to_owned(),
        };
        let found = self.inspect(container).await;
        if found
            .map_err(|e| self.error(e, format!("create container {container}")))?
            .is_some()
        {
            return self.check_existing(container, hash, taken).await;
        }
        self.create_complete(container, body, owners, files)
            .await
            .map_err(|failure| self.create_error(failure, container, spec))?;
        Ok(Outcome::Done)
    }

    /// Says which of its volumes a new container's user cannot write. Whether that is
    /// found out decides about nothing.
    pub(super) async fn say_unwritable(
        &self,
        container: &str,
        spec: &Container,
        progress: &Progress,
    ) {
        match self.unwritable(container, spec).await {
            Ok(sentences) => {
                for sentence in sentences {
                    progress(Event::Note(sentence));
                }
            }
            Err(failure) => {
                let error = self.error(failure, format!("look into {container}"));
                tracing::warn!(%error, "whether its user can write its volumes is not known");
            }
        }
    }

    /// Creates a container, gives its volumes their owners, puts files into it, and gives it
    /// its name.
    pub(super) async fn create_complete(
        &self,
        container: &str,
        body: ContainerCreateBody,
        owners: &BTreeMap<String, String>,
        files: Vec<FileBytes>,
    ) -> Result<(), Failure> {
        let unfinished = self.create_incomplete(container, &body).await?;
        // First: whose a file is may follow from whose a volume is.
        self.give_volumes(&unfinished, owners).await?;
        self.put_files(&unfinished, files).await?;
        self.rename(&unfinished, container).await
    }

    /// Creates a container under a name that says that it is not complete, in the
    /// place of one that was left so. Returns that name.
    pub(super) async fn create_incomplete(
        &self,
        container: &str,
        body: &ContainerCreateBody,
    ) -> Result<String, Failure> {
        let unfinished = incomplete(container);
        match self.create(&unfinished, body).await {
            Err(failure) if failure.is(409) => {
                self.remove(&unfinished).await?;
                self.create(&unfinished, body).await?;
            }
            created => created?,
        }
        Ok(unfinished)
    }

    /// Creates a container, unless a volume that it mounts is gone. Where its name is
    /// reserved and no container to be seen, the
    /// engine still works on a request whose sender went away: that one is waited for.
    async fn create(&self, name: &str, body: &ContainerCreateBody) -> Result<(), Failure> {
        let end = Instant::now() + RESERVED;
        loop {
            match self.create_once(name, body).await {
                Err(failure) if failure.is(409) && Instant::now() < end => {
                    if self.inspect(name).await?.is_some() {
                        return Err(failure);
                    }
                    tokio::time::sleep(REMOVAL_POLL).await;
                }
                created => {
                    created?;
                    let mounts = body.host_config.as_ref().and_then(|c| c.mounts.as_ref());
                    return match mounts {
                        Some(mounts) => self.refuse_unasked(name, mounts).await,
                        None => Ok(()),
                    };
                }
            }
        }
    }

    async fn create_once(&self, name: &str, body: &ContainerCreateBody) -> Result<(), Failure> {
        let path = format!("/containers/create?name={name}");
        let created = self
            .transport
            .post_json::<ContainerCreateResponse>(&path, body);
        self.within(CHANGE, created).await.map(drop)
    }

    async fn body(
        &self,
        app: &AppName,
        hash: &str,
        spec: &Container,
        inputs: &Inputs,
    ) -> Result<ContainerCreateBody, Error> {
        let mut labels = self.labels(app);
        labels.insert(label::SERVICE.to_owned(), spec.name.to_string());
        labels.insert(label::HASH.to_owned(), hash.to_owned());
        if !spec.files.is_empty() {
            let paths: Vec<&str> = spec.files.iter().map(|file| file.path.as_str()).collect();
            labels.insert(
                label::FILES.to_owned(),
                serde_json::json!(paths).to_string(),
            );
        }
        // Only a container with such a limit needs to know what the engine can.
        let disk_limit = spec.resources.disk.is_some() && self.find_facts().await?.disk_limit;
        let init = self.gets_init(spec).await;
        let init =
            init.map_err(|e| self.error(e, format!("look at {}", spec.image.reference())))?;
        let around = Surroundings {
            labels,
            network: names::network(&self.instance, app),
            domain: self.instance.domain(app),
            volume: &|name| names::volume(&self.instance, app, name),
            unasked: self.unasked_labels(app),
            secrets: &inputs.secrets,
            env: &inputs.env,
            disk_limit,
            init,
        };
        let mut body = create_body(spec, around).map_err(no_secret)?;
        let image = self
            .image_to_run(spec.image.reference(), spec.identity.as_ref())
            .await?;
        body.image = Some(image);
        Ok(body)
    }

    fn create_error(&self, failure: Failure, container: &str, spec: &Container) -> Error {
        if failure.is(404)
            && failure
                .message()
                .to_ascii_lowercase()
                .contains("no such image")
        {
            return Error::ImageMissing {
                reference: spec.image.reference().to_owned(),
                reason: failure.message().to_owned(),
            };
        }
        self.error(failure, format!("create container {container}"))
    }

    /// What an existing container of the wanted name means.
    async fn check_existing(
        &self,
        container: &str,
        hash: &str,
        conflict: Failure,
    ) -> Result<Outcome, Error> {
        let action = || format!("create container {container}");
        let found = self
            .inspect(container)
            .await
            .map_err(|e| self.error(e, action()))?;
        let Some(found) = found else {
            return Err(self.error(conflict, action()));
        };
        let labels = found
            .config
            .and_then(|config| config.labels)
            .unwrap_or_default();
        if !self.is_ours(&labels) {
            return Err(self.error(Failure::Foreign(Foreign::Container), action()));
        }
        if labels.get(label::HASH).is_some_and(|found| found == hash) {
            return Ok(Outcome::AlreadyDone);
        }
        Err(self.error(Failure::other(Taken), action()))
    }

    /// Starts a container. Where the engine may not raise a limit of its processes,
    /// the container is made again without that limit, and a note says so.
    pub(super) async fn start_container(
        &self,
        container: &str,
        progress: &Progress,
    ) -> Result<Outcome, Error> {
        loop {
            let started = self
                .client
                .start_container(container, None::<StartContainerOptions>);
            match self.within(CHANGE, started).await {
                Ok(()) => return Ok(Outcome::Done),
                Err(failure) if failure.is(ALREADY.as_u16()) => return Ok(Outcome::AlreadyDone),
                Err(failure) => {
                    let limit = ulimit::refused(failure.message());
                    let error = self.container_error(failure, "start container", container);
                    let Some(limit) = limit else {
                        return Err(error);
                    };
                    let left_out = self.recreate_without(container, limit).await;
                    if !left_out
                        .map_err(|e| self.container_error(e, "recreate container", container))?
                    {
                        return Err(error);
                    }
                    progress(Event::Note(format!(
                        "{container} starts without its {limit} limit: the engine on this machine may not raise it"
                    )));
                }
            }
        }
    }

    /// Stops a container and starts it again.
    pub(super) async fn restart_container(
        &self,
        container: &str,
        grace_ms: u32,
    ) -> Result<Outcome, Error> {
        let seconds = seconds(grace_ms);
        let options = RestartContainerOptionsBuilder::default().t(seconds).build();
        let restarted = self.client.restart_container(container, Some(options));
        self.within(patience(grace_ms), restarted)
            .await
            .map(|()| Outcome::Done)
            .map_err(|failure| self.container_error(failure, "restart container", container))
    }

    /// Gives a container another name.
    pub(super) async fn rename_container(&self, from: &str, to: &str) -> Result<Outcome, Error> {
        match self.rename(from, to).await {
            Ok(()) => Ok(Outcome::Done),
            Err(failure) if failure.is_no_container() => {
                let found = self.inspect(to).await;
                match found.map_err(|e| self.container_error(e, "look at container", to))? {
                    Some(_) => Ok(Outcome::AlreadyDone),
                    None => Err(Error::NoContainer {
                        container: from.to_owned(),
                    }),
                }
            }
            Err(failure) => Err(self.error(failure, format!("rename container {from} to {to}"))),
        }
    }

    /// Engine 20.10 cannot rename a container that is between two restarts: such a one
    /// is stopped for that moment.
    pub(super) async fn rename(&self, from: &str, to: &str) -> Result<(), Failure> {
        for _ in 0..RENAMES {
            match self.rename_once(from, to).await {
                Err(failure) if failure.is_no_sandbox() => {
                    if let Some(renamed) = self.rename_restarting(from, to).await? {
                        return Ok(renamed);
                    }
                }
                renamed => return renamed,
            }
        }
        self.rename_once(from, to).await
    }

    /// Renames a container that is between two restarts; nothing if it is not any more.
    async fn rename_restarting(&self, from: &str, to: &str) -> Result<Option<()>, Failure> {
        let state = self.inspect(from).await?.and_then(|found| found.state);
        if state.is_none_or(|state| state.restarting != Some(true)) {
            return Ok(None);
        }
        let options = StopContainerOptionsBuilder::default().t(0).build();
        let stopped = self.client.stop_container(from, Some(options));
        match self.within(CHANGE, stopped).await {
            Err(failure) if !failure.is(ALREADY.as_u16()) => return Err(failure),
            _ => {}
        }
        let renamed = self.rename_once(from, to).await;
        let name = if renamed.is_ok() { to } else { from };
        let started = self
            .client
            .start_container(name, None::<StartContainerOptions>);
        match self.within(CHANGE, started).await {
            Err(failure) if !failure.is(ALREADY.as_u16()) => return Err(failure),
            _ => {}
        }
        renamed.map(Some)
    }

    async fn rename_once(&self, from: &str, to: &str) -> Result<(), Failure> {
        let options = RenameContainerOptionsBuilder::default().name(to).build();
        self.within(CHANGE, self.client.rename_container(from, options))
            .await
    }

    /// Ends a container's process in good order, by force after the grace period.
    pub(super) async fn stop_container(
        &self,
        container: &str,
        grace_ms: u32,
    ) -> Result<Outcome, Error> {
        let options = StopContainerOptionsBuilder::default()
            .t(seconds(grace_ms))
            .build();
        let stopped = self.client.stop_container(container, Some(options));
        match self.within(patience(grace_ms), stopped).await {
            Ok(()) => Ok(Outcome::Done),
            Err(failure) if failure.is(ALREADY.as_u16()) || failure.is_no_container() => {
                Ok(Outcome::AlreadyDone)
            }
            Err(failure) => Err(self.container_error(failure, "stop container", container)),
        }
    }

    /// Removes a container, by force where it still runs. Volumes stay.
    pub(super) async fn remove_container(&self, container: &str) -> Result<Outcome, Error> {
        self.remove(container)
            .await
            .map_err(|failure| self.container_error(failure, "remove container", container))
    }

    /// Volumes that have no name go with the container: the image declared them, no
    /// other container can ever mount them, and nobody could find them again. A
    /// volume with a name stays.
    pub(super) async fn remove(&self, container: &str) -> Result<Outcome, Failure> {
        let Some(found) = self.inspect(container).await? else {
            return Ok(Outcome::AlreadyDone);
        };
        if !found
            .config
            .and_then(|c| c.labels)
            .is_some_and(|labels| self.is_ours(&labels))
        {
            return Err(Failure::Foreign(Foreign::Container));
        }
        // By id: the name may go to another container at any moment.
        let id = found.id.unwrap_or_else(|| container.to_owned());
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        match self
            .within(CHANGE, self.client.remove_container(&id, Some(options)))
            .await
        {
            Ok(()) => Ok(Outcome::Done),
            Err(failure) if failure.is(404) => Ok(Outcome::AlreadyDone),
            Err(failure) if failure.is(409) && failure.message().contains("in progress") => {
                self.await_removal(&id).await.map(|()| Outcome::AlreadyDone)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn await_removal(&self, id: &str) -> Result<(), Failure> {
        let gone = async {
            while self.inspect(id).await?.is_some() {
                tokio::time::sleep(REMOVAL_POLL).await;
            }
            Ok::<(), Failure>(())
        };
        self.within(CHANGE, gone).await
    }
}

/// The files of a container with their content.
fn fill_files(spec: &Container, inputs: &Inputs) -> Result<Vec<FileBytes>, Error> {
    let content = |content: &Content| match content {
        Content::Text(text) => text
            .fill(|name| inputs.secrets.get(name).map(String::as_str))
            .map(String::into_bytes)
            .map_err(no_secret),
        Content::Blob { digest, source } => match inputs.blobs.get(digest) {
            Some(bytes) => Ok(bytes.to_vec()),
            None => Err(Error::NoMaterial {
                name: source.clone(),
            }),
        },
    };
    let filled = spec.files.iter().map(|file| {
        let bytes = content(&file.content)?;
        Ok(FileBytes {
            path: file.path.clone(),
            mode: file.mode,
            owner: file.owner.as_ref().into(),
            bytes,
        })
    });
    filled.collect()
}

fn no_secret(name: SecretName) -> Error {
    Error::NoMaterial {
        name: name.to_string(),
    }
}

/// Whole seconds, as the engine counts; a fraction gets the next one.
fn seconds(grace_ms: u32) -> i32 {
    i32::try_from(grace_ms.div_ceil(1000)).unwrap_or(i32::MAX)
}

/// How long a stop may take to be answered.
fn patience(grace_ms: u32) -> Duration {
    CHANGE + Duration::from_millis(u64::from(grace_ms))
}
