//! Docker through its API: Engine 20.10 (API 1.41) and later, on a Unix socket or
//! over TCP.
//!
//! Owns how objects are named, labelled and limited on the engine. Keeps nothing
//! about apps in memory: what exists is what the engine says.
//!
//! Every call but builds, pulls and streams ends within a bounded time; those end
//! when their future or stream is dropped. [`Docker::connect`] does not connect:
//! an engine that is down shows as [`Error::Unreachable`] from each call until it
//! is back.

use crate::names;
use crate::{
    Engine, Error, Examination, Exec, ExecSession, Facts, ImageFacts, Inputs, LogRequest, Outcome,
    Output, Progress, Usage,
};
use async_trait::async_trait;
use doprax_core::copy::CopyName;
use doprax_core::name::{AppName, Instance, VolumeName};
use doprax_core::observed::{Observed, ObservedContainer};
use doprax_core::plan::Act;
use doprax_core::release::Kept;
use failure::Failure;
use futures_util::stream::BoxStream;
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use transport::Transport;

mod body;
mod build;
mod build_cache;
mod build_log;
mod container;
mod demux;
mod examine;
mod exec;
mod facts;
mod failure;
mod files;
mod healthcheck;
mod hints;
mod image;
mod init;
mod label;
mod limits;
mod logs;
mod network;
mod observe;
mod owner;
mod pull;
mod transport;
mod ulimit;
mod usage;
mod volume;

/// How long the engine may take to say what exists.
const LOOK: Duration = Duration::from_secs(30);

/// How long the engine may take to change something. A machine that starts
/// hundreds of containers at once needs tens of seconds for each.
const CHANGE: Duration = Duration::from_secs(180);

/// How long a registry may take to say what it has.
const REGISTRY: Duration = Duration::from_secs(20);

/// A Docker engine.
#[derive(Debug, Clone)]
pub struct Docker {
    address: String,
    instance: Instance,
    /// Identifies the host among those of its instance.
    host: Option<String>,
    transport: Transport,
    client: bollard::Docker,
    machine: Arc<OnceCell<limits::Machine>>,
}

impl Docker {
    /// The engine at `unix:///path` or `tcp://host:port`, with the objects of
    /// `instance` on it. Nothing is sent before the first call.
    pub fn connect(address: &str, instance: Instance) -> Self {
        let transport = Transport::new(address);
        let client = transport.client();
        Self {
            address: address.to_owned(),
            instance,
            host: None,
            transport,
            client,
            machine: Arc::default(),
        }
    }

    /// The same for the host with this identifier: containers and networks that another
    /// host of the instance made are none of its own. Volumes are the instance's, so
    /// that a host whose state was lost finds the data again.
    #[must_use]
    pub fn of_host(self, id: String) -> Self {
        Self {
            host: Some(id),
            ..self
        }
    }

    /// Waits for an answer of the engine, but not longer than `limit`.
    async fn within<T, E: Into<Failure>>(
        &self,
        limit: Duration,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer.map_err(Into::into),
            Err(_) => Err(Failure::timeout(limit)),
        }
    }

    /// The error that people see for what went wrong with `action`.
    fn error(&self, failure: impl Into<Failure>, action: impl Into<String>) -> Error {
        failure.into().error(&self.address, action)
    }

    /// Like [`Docker::error`], with a missing container told apart.
    fn container_error(&self, failure: Failure, action: &str, container: &str) -> Error {
        if failure.is_no_container() {
            return Error::NoContainer {
                container: container.to_owned(),
            };
        }
        self.error(failure, format!("{action} {container}"))
    }

    /// The labels of every object of the app.
    fn labels(&self, app: &AppName) -> label::Labels {
        let host = self
            .host
            .iter()
            .map(|id| (label::HOST.to_owned(), id.clone()));
        let rest = [
            (label::INSTANCE.to_owned(), self.instance.label().to_owned()),
            (label::APP.to_owned(), app.to_string()),
        ];
        host.chain(rest).collect()
    }

    /// A filter for what this host made of one app, or of all apps.
    fn filter(&self, app: Option<&AppName>) -> HashMap<String, Vec<String>> {
        let mut filter = self.instance_filter(app);
        if let (Some(id), Some(labels)) = (&self.host, filter.get_mut("label")) {
            labels.push(format!("{}={id}", label::HOST));
        }
        filter
    }

    /// A filter for the objects of one app, or of all apps of this instance, whichever
    /// host made them.
    fn instance_filter(&self, app: Option<&AppName>) -> HashMap<String, Vec<String>> {
        let mut labels = vec![format!("{}={}", label::INSTANCE, self.instance.label())];
        labels.push(match app {
            Some(app) => format!("{}={app}", label::APP),
            None => label::APP.to_owned(),
        });
        HashMap::from([("label".to_owned(), labels)])
    }
}

#[async_trait]
impl Engine for Docker {
    async fn facts(&self) -> Result<Facts, Error> {
        self.find_facts().await
    }

    async fn observe(&self, app: &AppName) -> Result<Observed, Error> {
        self.observe_app(app).await
    }

    async fn observe_all(&self) -> Result<BTreeMap<AppName, Observed>, Error> {
        self.observe_instance().await
    }

    fn name_of(&self, app: &AppName, copy: &CopyName) -> String {
        names::container(&self.instance, app, copy)
    }

    async fn container(
        &self,
        app: &AppName,
        copy: &CopyName,
    ) -> Result<Option<ObservedContainer>, Error> {
        self.observe_container(&self.name_of(app, copy)).await
    }

    async fn apply(
        &self,
        app: &AppName,
        act: &Act,
        inputs: &Inputs,
        progress: &Progress,
    ) -> Result<Outcome, Error> {
        let name = |copy| self.name_of(app, copy);
        match act {
            Act::BuildImage {
                reference,
                source,
                recipe,
                rebuild,
            } => {
                let wanted = build::Wanted {
                    reference,
                    source,
                    recipe,
                    rebuild: *rebuild,
                };
                self.build(app, wanted, inputs, progress).await
            }
            Act::PullImage { reference, digest } => {
                self.pull(reference, digest.as_deref(), progress).await
            }
            Act::CreateNetwork { subnet } => self.create_network(app, *subnet, inputs.mtu).await,
            Act::RemoveNetwork => self.remove_network(app).await,
            Act::CreateVolume { volume } => self.create_volume(app, volume).await,
            Act::CreateContainer {
                container,
                hash,
                spec,
            } => {
                let container = &name(container);
                let outcome = self
                    .create_container(app, container, hash, spec, inputs)
                    .await?;
                if outcome == Outcome::Done {
                    self.say_unwritable(container, spec, progress).await;
                }
                Ok(outcome)
            }
            Act::ConnectContainer { container, aliases } => {
                self.connect_container(app, &name(container), aliases).await
            }
            Act::StartContainer { container } => {
                self.start_container(&name(container), progress).await
            }
            Act::UpdateContainer {
                container,
                resources,
            } => self.update_container(&name(container), resources).await,
            Act::RestartContainer {
                container,
                grace_ms,
            } => self.restart_container(&name(container), *grace_ms).await,
            Act::RenameContainer { from, to } => {
                self.rename_container(&name(from), &name(to)).await
            }
            Act::StopContainer {
                container,
                grace_ms,
            } => self.stop_container(&name(container), *grace_ms).await,
            Act::RemoveContainer { container } => self.remove_container(&name(container)).await,
        }
    }

    async fn has_volume(&self, app: &AppName, volume: &VolumeName) -> Result<bool, Error> {
        self.volume_exists(app, volume).await
    }

    async fn remove_volume(&self, app: &AppName, volume: &VolumeName) -> Result<Outcome, Error> {
        self.delete_volume(app, volume).await
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageFacts>, Error> {
        self.find_image(reference).await
    }

    async fn examine(&self, container: &str) -> Result<Examination, Error> {
        self.examine_container(container).await
    }

    async fn files_at(
        &self,
        app: &AppName,
        image: &str,
        paths: &[String],
    ) -> Result<BTreeSet<String>, Error> {
        self.find_files_at(app, image, paths).await
    }

    async fn registry_digest(&self, reference: &str) -> Result<Option<String>, Error> {
        self.find_registry_digest(reference).await
    }

    async fn keep_image(&self, app: &AppName, id: &str) -> Result<(), Error> {
        self.keep_image_of(app, id).await
    }

    async fn prune_images(&self, app: &AppName, keep: &Kept) -> Result<(), Error> {
        self.remove_images_but(app, keep).await
    }

    async fn build_cache(&self) -> Result<u64, Error> {
        self.measure_build_cache().await
    }

    async fn prune_build_cache(&self, keep: u64) -> Result<u64, Error> {
        self.shrink_build_cache(keep).await
    }

    async fn exec(&self, container: &str, exec: &Exec) -> Result<ExecSession, Error> {
        self.start_exec(container, exec).await
    }

    async fn exec_resize(&self, id: &str, columns: u16, rows: u16) -> Result<(), Error> {
        self.resize_exec(id, columns, rows).await
    }

    async fn exec_exit_code(&self, id: &str) -> Result<i64, Error> {
        self.find_exit_code(id).await
    }

    async fn logs(
        &self,
        container: &str,
        request: LogRequest,
    ) -> Result<BoxStream<'static, Result<Output, Error>>, Error> {
        self.open_logs(container, request).await
    }

    async fn usage(&self, container: &str) -> Result<Usage, Error> {
        self.find_usage(container).await
    }

    async fn subnets(&self) -> Result<Vec<Ipv4Net>, Error> {
        self.list_subnets().await
    }

    async fn hints(&self) -> Result<BoxStream<'static, AppName>, Error> {
        self.open_hints().await
    }
}
