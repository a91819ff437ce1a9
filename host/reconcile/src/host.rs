//! The host itself: starts its parts, ends them, and passes on what is asked of it.

use crate::access::AccessRecords;
use crate::certificate::Certificates;
use crate::deploy::environment;
use crate::doctor::Doctor;
use crate::domains::AppDomains;
use crate::events::{After, Events, Told};
use crate::logs::LogLine;
use crate::observe::Observer;
use crate::operations::Operations;
use crate::propose::Proposer;
use crate::record::{check_selection, record};
use crate::report::{Finding, Proposal, RollbackProposal, Variable};
use crate::request::{DeployRequest, SecretsOnRemoval};
use crate::start::start;
use crate::status::Statuses;
use crate::takeover::{LEAVE, Predecessor, Takeover};
use crate::volumes::Volumes;
use crate::{Config, Error, Parts, StartError};
use crate::{logs, metrics, releases, source, variable};
use doprax_certificates::CertificateStatus;
use doprax_core::copy::CopyName;
use doprax_core::name::{AppName, ServiceName};
use doprax_core::release::{ReleaseDetails, Releases};
use doprax_engine::{Engine, Exec, ExecSession, LogRequest};
use doprax_ingress::{AccessRecord, Ingress};
use doprax_plugin::Plugins;
use doprax_store::Store;
use futures_util::stream::BoxStream;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio_util::sync::CancellationToken;

/// A running host.
pub struct Host {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) ingress: Arc<Ingress>,
    pub(crate) access: Arc<AccessRecords>,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) domains: Arc<AppDomains>,
    pub(crate) events: Arc<Events>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) statuses: Arc<Statuses>,
    pub(crate) proposer: Arc<Proposer>,
    pub(crate) operations: Arc<Operations>,
    pub(crate) volumes: Volumes,
    pub(crate) doctor: Doctor,
    pub(crate) takeover: Arc<Takeover>,
    pub(crate) ending: CancellationToken,
}

impl Host {
    /// Opens the store, the plugins and the ingress, resumes operations that were
    /// under way, and begins to keep apps as they should be. The engine need not be
    /// reachable yet. Of the sockets that were passed on, those are used that listen on an
    /// address of the configuration.
    pub async fn start(
        config: Config,
        predecessor: Predecessor,
        parts: Parts,
    ) -> Result<Arc<Self>, StartError> {
        start(config, predecessor, parts).await.map(Arc::new)
    }

    /// Ends the host. Apps go on running; operations under way are resumed by the
    /// next start.
    pub async fn shutdown(&self) {
        self.end();
        let cut = self.ingress.stop(Duration::from_secs(10)).await;
        if cut > 0 {
            tracing::info!(connections = cut, "connections were cut");
        }
        self.store.close().await;
    }

    /// Copies of the sockets on which apps are served, for another host that takes over.
    pub fn sockets(&self) -> std::io::Result<Vec<TcpListener>> {
        self.ingress.sockets()
    }

    /// Ends all but the serving of visitors, so that another host can take over; apps
    /// are served as they are at this moment.
    pub async fn release(&self) {
        self.end();
        self.store.close().await;
    }

    /// Serves what visitors have begun, now that another host serves the others.
    pub async fn leave(&self) {
        // Whoever waits for this process waits for the one before it as well.
        let (cut, _) = tokio::join!(self.ingress.leave(LEAVE), self.takeover.ended());
        if cut > 0 {
            tracing::info!(connections = cut, "connections were cut");
        }
    }

    fn end(&self) {
        self.ending.cancel();
        self.certificates.end();
    }

    /// The plugins that services may name.
    pub fn plugins(&self) -> Arc<Plugins> {
        Arc::clone(&self.plugins)
    }

    /// How the host is set up.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What is begun, under way, waiting and remembered.
    pub fn operations(&self) -> &Arc<Operations> {
        &self.operations
    }

    /// The host names that apps have beside their free ones.
    pub fn domains(&self) -> &AppDomains {
        &self.domains
    }

    /// The volumes of every app.
    pub fn volumes(&self) -> &Volumes {
        &self.volumes
    }

    /// How apps are.
    pub fn apps(&self) -> &Statuses {
        &self.statuses
    }

    /// What a deploy would do. Changes nothing.
    pub async fn plan(&self, request: &DeployRequest) -> Result<Proposal, Error> {
        self.proposer.plan(request).await
    }

    /// What a rollback to a release would do, or to the one before the current where none is
    /// named. Changes nothing.
    pub async fn plan_rollback(
        &self,
        app: &AppName,
        to: Option<u64>,
        allow_downgrade: bool,
    ) -> Result<RollbackProposal, Error> {
        let rollbacks = &self.operations.work.rollbacks;
        rollbacks.plan(app, to, allow_downgrade).await
    }

    /// What a removal would do. Changes nothing.
    pub async fn plan_removal(
        &self,
        app: &AppName,
        secrets: Option<SecretsOnRemoval>,
    ) -> Result<Proposal, Error> {
        self.operations.work.removals.plan(app, secrets).await
    }

    /// Takes in the archive (tar) of the source with this digest. It is read as it
    /// arrives, never held in memory, and kept only if its content has that digest.
    pub async fn receive_source(
        &self,
        digest: &str,
        body: impl AsyncRead + Send + Unpin,
    ) -> Result<(), Error> {
        source::receive(&self.store, digest, body).await
    }

    /// What changed after a place in the stream about one app, or about all; then what
    /// comes, if the reader `waits` for it.
    pub fn events(
        &self,
        after: After,
        app: Option<AppName>,
        waits: bool,
    ) -> BoxStream<'static, Told> {
        self.events.follow(after, app, waits)
    }

    /// The releases of an app that are kept, and the deploys that came to none.
    pub async fn releases(&self, app: &AppName) -> Result<Releases, Error> {
        releases::releases(&self.store, app).await
    }

    /// What a release was made of, and what it changed.
    pub async fn release_details(
        &self,
        app: &AppName,
        number: u64,
    ) -> Result<ReleaseDetails, Error> {
        releases::details(&self.store, app, number).await
    }

    /// The log of one container, or those of all containers of an app: as they come
    /// when followed, else in the order of time. Where none of the app's deploys has
    /// succeeded and nothing of it runs: what the containers of the last one printed.
    pub async fn logs(
        &self,
        app: &AppName,
        container: Option<&ServiceName>,
        request: LogRequest,
    ) -> Result<BoxStream<'static, LogLine>, Error> {
        let engine = self.engine.as_ref();
        logs::read(&self.store, engine, &self.observer, app, container, request).await
    }

    /// The latest requests for an app, or else all, those for no app among them; `tail` of
    /// them at most, followed by those that come until the stream is dropped.
    pub async fn access(
        &self,
        app: Option<&AppName>,
        tail: Option<usize>,
        follow: bool,
    ) -> Result<BoxStream<'static, Arc<AccessRecord>>, Error> {
        if let Some(app) = app {
            record(&self.store, app).await?;
        }
        Ok(self.access.records(app, tail, follow).await)
    }

    /// What is counted, as Prometheus reads it (text format 0.0.4).
    pub fn metrics(&self) -> String {
        metrics::metrics(&self.ingress, &self.certificates)
    }

    /// How things stand with every certificate.
    pub fn certificates(&self) -> Vec<CertificateStatus> {
        self.certificates.status()
    }

    /// The certificate of the host's own CA, in PEM; none where nothing is served by
    /// HTTPS.
    pub fn local_ca(&self) -> Option<String> {
        self.certificates.local_ca()
    }

    /// The environment that a container has, masked values without their text, by name.
    pub async fn env(
        &self,
        app: &AppName,
        container: &ServiceName,
    ) -> Result<Vec<Variable>, Error> {
        let engine = self.engine.as_ref();
        environment(&self.config, &self.store, engine, app, container).await
    }

    /// Keeps values for the manifest's variables with an app, or drops them; used from
    /// the next deploy on. The app need not exist yet. One that the current release
    /// was made with cannot be dropped: a lost container is made anew with it.
    pub async fn set_variables(
        &self,
        app: &AppName,
        values: BTreeMap<String, Option<String>>,
    ) -> Result<(), Error> {
        variable::set(&self.store, app, values).await
    }

    /// The names of the variables that an app has values for.
    pub async fn variables(&self, app: &AppName) -> Result<Vec<String>, Error> {
        variable::names(&self.store, app).await
    }

    /// Starts a command in a container.
    pub async fn exec(
        &self,
        app: &AppName,
        container: &ServiceName,
        exec: &Exec,
    ) -> Result<ExecSession, Error> {
        let record = record(&self.store, app).await?;
        check_selection(&record, Some(container))?;
        let name = self.engine.name_of(app, &CopyName::serving(container));
        Ok(self.engine.exec(&name, exec).await?)
    }

    /// Tells a command's terminal its new size.
    pub async fn exec_resize(&self, id: &str, columns: u16, rows: u16) -> Result<(), Error> {
        Ok(self.engine.exec_resize(id, columns, rows).await?)
    }

    /// The exit code of an ended command.
    pub async fn exec_exit_code(&self, id: &str) -> Result<i64, Error> {
        Ok(self.engine.exec_exit_code(id).await?)
    }

    /// Looks at everything that the host depends on.
    pub async fn doctor(&self) -> Vec<Finding> {
        self.doctor.look().await
    }
}
