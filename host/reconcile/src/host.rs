//! The host itself: what it is made of, how it starts and ends.

use crate::access::Access;
use crate::certificate::{Certificates, Shown, StoreVault};
use crate::config::Config;
use crate::error::{Error, StartError};
use crate::events::{After, Events, Told};
use crate::guard::Guard;
use crate::health::Health;
use crate::journal::{Journal, RunningOperation, now_ms};
use crate::keep::{Repair, Upkeep};
use crate::queue::{MOST_WAITING, NoPlace, Queue, Turn};
use crate::report::{Event, Operation, OperationEvent, OperationId, OperationKind, OperationState};
use crate::request::{Control, DeployRequest, Edit, Removal, Rollback, Selection, WhenBusy};
use crate::retire::Retiring;
use crate::routes::{self, RoutesByApp};
use crate::seen::Seen;
use doprax_certificates::{Issuer, SystemClock};
use doprax_core::name::AppName;
use doprax_core::secret::SecretName;
use doprax_engine::{Docker, Engine, Facts};
use doprax_ingress::{AccessLog, Ingress};
use doprax_plugin::{BUILTIN, Limits, Plugins};
use doprax_store::{AppRecord, Store};
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::net::TcpListener;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, OnceCell, watch};
use tokio_util::sync::CancellationToken;

/// How long a start waits for what the engine runs.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// Longest time for what visitors have begun when another host has taken over:
/// connections that are kept idle end sooner, streams and WebSockets may need it.
const LEAVE: Duration = Duration::from_secs(120);

/// Access records that may wait to be kept; more are dropped and counted.
const WAITING_RECORDS: usize = 8_192;

/// The process that served before this one.
#[derive(Debug, Default)]
pub struct Predecessor {
    /// The sockets that it has passed on.
    pub sockets: Vec<TcpListener>,
    /// Cancelled once it has ended, if it goes on serving those who were there before. It
    /// knows the containers that it knew then, and no others.
    pub ended: Option<CancellationToken>,
}

/// A running host.
pub struct Host {
    config: Config,
    engine: Arc<dyn Engine>,
    plugins: Arc<Plugins>,
    ingress: Ingress,
    access: Arc<Access>,
    certificates: Option<Certificates>,
    store: Store,
    journal: Arc<Journal>,
    pub(crate) events: Arc<Events>,
    apps: Mutex<HashMap<AppName, Arc<App>>>,
    pub(crate) routes: Mutex<RoutesByApp>,
    /// Held while a subnet is chosen and written down.
    pub(crate) allocation: tokio::sync::Mutex<()>,
    facts: OnceCell<Facts>,
    /// Held while the engine's build cache is pruned.
    pruning: Arc<tokio::sync::Mutex<()>>,
    pub(crate) guard: Guard,
    pub(crate) upkeep: Upkeep,
    pub(crate) health: Health,
    pub(crate) seen: Seen,
    ending: CancellationToken,
    predecessor_ended: Option<CancellationToken>,
    this: Weak<Self>,
}

/// What the host holds of an app while it runs.
#[derive(Default)]
pub(crate) struct App {
    /// Held by whoever changes the app's containers.
    pub(crate) work: tokio::sync::Mutex<()>,
    pub(crate) queue: Queue,
    /// Held while an operation enters the queue and is journaled: both have the same order.
    admission: tokio::sync::Mutex<()>,
    /// The repair under way.
    pub(crate) repair: Mutex<Option<Repair>>,
    /// Whether somebody waits to look at the app once `work` is free.
    pub(crate) turn_awaited: AtomicBool,
    /// Copies that are being ended.
    pub(crate) retiring: Mutex<watch::Sender<Retiring>>,
}

/// What is journaled of an operation: all that is needed to do it again.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Intent {
    Deploy(Box<DeployRequest>),
    Control {
        selection: Selection,
        control: Control,
    },
    Edit(Edit),
    Rollback(Rollback),
    Remove,
    RemoveWith(Removal),
}

/// Docker at the address of the configuration, for the host with this identifier.
pub fn docker(config: &Config, host: String) -> Arc<dyn Engine> {
    Arc::new(Docker::connect(&config.engine, config.instance.clone()).of_host(host))
}

/// What an operation is begun with, and not journaled in its wish.
#[derive(Default)]
struct Given<'a> {
    /// Values that secrets get.
    values: BTreeMap<SecretName, String>,
    /// The deploy as it was asked for, with these values in it.
    asked: Option<&'a DeployRequest>,
}

impl Host {
    /// Opens the store, the plugins and the ingress, resumes operations that were
    /// under way, and begins to keep apps as they should be. The engine need not be
    /// reachable yet. Of the sockets that were passed on, those are used that listen on an
    /// address of the configuration. `engine` connects to the engine of the host with an
    /// identifier, such as [`docker`] does.
    pub async fn start(
        config: Config,
        predecessor: Predecessor,
        engine: impl FnOnce(&Config, String) -> Arc<dyn Engine>,
    ) -> Result<Arc<Self>, StartError> {
        let Predecessor { sockets, ended } = predecessor;
        let store = Store::open(&config.state).await?;
        let host_id = store.host_id().await?;
        let guard = Guard::new(&host_id, &[&config.http[..], &config.https].concat());
        let engine = engine(&config, host_id);
        let plugins = Arc::new(Plugins::open(
            Some(&config.state.join("plugins")),
            BUILTIN,
            Limits::default(),
        )?);
        for error in plugins.unkept() {
            tracing::warn!(
                error = crate::error::chain(error),
                "a compiled plugin is not kept"
            );
        }
        // Visitors find every app from the first moment on, as far as the engine says how
        // it is.
        let records = store.apps().await?;
        let observed = tokio::time::timeout(FIRST_LOOK, engine.observe_all()).await;
        let observed = observed.ok().and_then(Result::ok);
        let domains = store.domains(None).await?;
        let events = Arc::<Events>::default();
        let routes = routes::first(&config, &records, observed.as_ref(), domains, &events);
        let seen = Seen::default();
        if let Some(observed) = &observed {
            seen.all(observed);
        }
        let served = Arc::<doprax_certificates::Served>::default();
        let certificates = if config.https.is_empty() {
            None
        } else {
            let written = Arc::<Notify>::default();
            let issuer = Issuer::start(
                config.certificates.clone(),
                Arc::new(StoreVault {
                    store: store.clone(),
                    written: Arc::clone(&written),
                }),
                Arc::clone(&served),
                Arc::new(SystemClock),
            );
            let challenges = &config.certificates.challenges;
            let issuer = issuer.await?;
            let served = Arc::clone(&served);
            Some(Certificates::new(issuer, served, challenges, written))
        };
        let (sender, access) = tokio::sync::mpsc::channel(WAITING_RECORDS);
        let settings = doprax_ingress::Config {
            access_log: Some(AccessLog {
                records: sender,
                health_checks: config.log_health_checks,
            }),
            https: config.https.clone(),
            public_https_port: config.public_https_port,
            trusted_proxies: config.trusted_proxies.clone(),
            proxy_protocol: config.proxy_protocol.clone(),
            limits: config.limits.clone(),
            ..doprax_ingress::Config::new(config.http.clone())
        };
        let start = doprax_ingress::Start {
            sockets,
            routes: routes::all(&config, &routes),
            certificates: Arc::new(Shown(served)),
        };
        let ingress = Ingress::start_with(settings, start)?;
        let host = Arc::new_cyclic(|this| Self {
            config,
            engine,
            plugins,
            ingress,
            access: Access::of(access),
            certificates,
            store,
            journal: Arc::new(Journal::new(Arc::clone(&events))),
            events,
            apps: Mutex::default(),
            routes: Mutex::new(routes),
            allocation: tokio::sync::Mutex::default(),
            facts: OnceCell::new(),
            pruning: Arc::default(),
            guard,
            upkeep: Upkeep::default(),
            health: Health::default(),
            seen,
            ending: CancellationToken::new(),
            predecessor_ended: ended,
            this: Weak::clone(this),
        });
        host.renew_wishes().await?;
        host.end_overtaken().await;
        for (operation, intent) in host.store.unfinished::<Intent>().await? {
            tracing::info!(app = %operation.app, operation = operation.id, "resuming");
            host.resume(operation, intent).await?;
        }
        tokio::spawn(Arc::clone(&host).keep());
        tokio::spawn(Arc::clone(&host).keep_looking());
        tokio::spawn(Arc::clone(&host).keep_verifying());
        tokio::spawn(Arc::clone(&host).keep_telling_of_certificates());
        Ok(host)
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
        let (cut, _) = tokio::join!(self.ingress.leave(LEAVE), self.is_alone());
        if cut > 0 {
            tracing::info!(connections = cut, "connections were cut");
        }
    }

    /// Waits until no process from before serves anybody any more. Returns whether that
    /// came to pass in the time that such a process has.
    pub(crate) async fn is_alone(&self) -> bool {
        let Some(ended) = &self.predecessor_ended else {
            return true;
        };
        tokio::time::timeout(LEAVE, ended.cancelled()).await.is_ok()
    }

    fn end(&self) {
        self.ending.cancel();
        if let Some(certificates) = &self.certificates {
            certificates.end();
        }
    }

    /// The plugins that services may name.
    pub fn plugins(&self) -> Arc<Plugins> {
        Arc::clone(&self.plugins)
    }

    /// How the host is set up.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Begins a deploy. The source archive must have been received unless the source
    /// was built before.
    pub async fn deploy(
        self: &Arc<Self>,
        mut request: DeployRequest,
        busy: WhenBusy,
    ) -> Result<OperationId, Error> {
        let (app, _) = self.app_and_source_of(&request)?;
        self.check_source(&request, "was not sent").await?;
        // Values have one home, the app's secrets: a later change must not find them in
        // what was once asked.
        let asked = request.clone();
        let given = Given {
            values: self.take_given(&mut request)?,
            asked: Some(&asked),
        };
        let intent = Intent::Deploy(Box::new(request));
        self.begin_with(&app, OperationKind::Deploy, intent, &given, busy)
            .await
    }

    /// Refuses a deploy whose source is neither here nor built. `reason` says of the
    /// archive why.
    async fn check_source(&self, request: &DeployRequest, reason: &str) -> Result<(), Error> {
        let (app, source) = self.app_and_source_of(request)?;
        let built = self
            .main_image(&app, &source.build_digest())
            .await?
            .is_some();
        let enough = built && !request.refresh.build;
        if !enough && !self.store.source_path(&request.source).exists() {
            return Err(Error::Source {
                digest: request.source.clone(),
                reason: reason.to_owned(),
            });
        }
        Ok(())
    }

    /// Begins to start, stop or restart containers.
    pub async fn control(
        self: &Arc<Self>,
        app: &AppName,
        selection: Selection,
        control: Control,
        busy: WhenBusy,
    ) -> Result<OperationId, Error> {
        let record = self.record(app).await?;
        self.check_selection(&record, selection.as_ref())?;
        let kind = match control {
            Control::Start => OperationKind::Start,
            Control::Stop => OperationKind::Stop,
            Control::Restart => OperationKind::Restart,
        };
        self.begin(app, kind, Intent::Control { selection, control }, busy)
            .await
    }

    /// Begins to change a container by hand, as a deploy of the same source.
    pub async fn edit(
        self: &Arc<Self>,
        app: &AppName,
        edit: Edit,
        busy: WhenBusy,
    ) -> Result<OperationId, Error> {
        let record = self.record(app).await?;
        self.check_selection(&record, Some(&edit.container))?;
        self.begin(app, OperationKind::Deploy, Intent::Edit(edit), busy)
            .await
    }

    /// Begins to bring an earlier release back.
    pub async fn roll_back(
        self: &Arc<Self>,
        app: &AppName,
        rollback: Rollback,
        busy: WhenBusy,
    ) -> Result<OperationId, Error> {
        self.check_rollback(app, &rollback).await?;
        let intent = Intent::Rollback(rollback);
        self.begin(app, OperationKind::Rollback, intent, busy).await
    }

    /// Begins to remove an app; its volumes stay.
    pub async fn remove(
        self: &Arc<Self>,
        app: &AppName,
        removal: Removal,
        busy: WhenBusy,
    ) -> Result<OperationId, Error> {
        self.check_removal(app, &removal).await?;
        let intent = if removal == Removal::default() {
            Intent::Remove
        } else {
            Intent::RemoveWith(removal)
        };
        self.begin(app, OperationKind::Remove, intent, busy).await
    }

    /// The operations of one app, or of all, that are under way or remembered, the latest
    /// first.
    pub async fn operations(&self, app: Option<&AppName>) -> Result<Vec<Operation>, Error> {
        Ok(self.store.operations(app).await?)
    }

    /// Asks an operation under way to end early: it begins nothing new, ends what it waits
    /// for, and goes back to what was there before as if it had failed. One that waits for
    /// its turn does not begin.
    pub async fn cancel(self: &Arc<Self>, id: &str) -> Result<(), Error> {
        let operation = self.operation(id).await?;
        let app = self.app(&operation.app);
        let _admission = app.admission.lock().await;
        if let Some((live, source)) = app.queue.withdraw(id) {
            let host = Arc::clone(self);
            tokio::spawn(async move { host.end_withdrawn(&live, source.as_deref()).await });
            return Ok(());
        }
        if operation.state.is_open() && self.journal.cancel(id) {
            return Ok(());
        }
        Err(Error::Ended {
            operation: operation.id,
        })
    }

    /// One operation.
    pub async fn operation(&self, id: &str) -> Result<Operation, Error> {
        self.store
            .operation(id)
            .await?
            .ok_or_else(|| Error::NoOperation {
                operation: id.chars().take(64).collect(),
            })
    }

    /// The events of an operation whose number is above `after`; ends after the
    /// operation has ended.
    pub async fn operation_events(
        &self,
        id: &str,
        after: u64,
    ) -> Result<BoxStream<'static, OperationEvent>, Error> {
        self.operation(id).await?;
        Ok(self.journal.follow(&self.store, id, after).await?)
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

    async fn begin(
        self: &Arc<Self>,
        name: &AppName,
        kind: OperationKind,
        intent: Intent,
        busy: WhenBusy,
    ) -> Result<OperationId, Error> {
        self.begin_with(name, kind, intent, &Given::default(), busy)
            .await
    }

    /// Begins an operation, or has it wait for its turn.
    async fn begin_with(
        self: &Arc<Self>,
        name: &AppName,
        kind: OperationKind,
        intent: Intent,
        given: &Given<'_>,
        busy: WhenBusy,
    ) -> Result<OperationId, Error> {
        if self.ending.is_cancelled() {
            return Err(Error::ShuttingDown);
        }
        let app = self.app(name);
        let _admission = app.admission.lock().await;
        let mut operation = Operation {
            id: uuid::Uuid::new_v4().to_string(),
            app: name.clone(),
            kind,
            state: OperationState::Running,
            started_ms: now_ms(),
            ended_ms: None,
        };
        let entered = app
            .queue
            .enter(&operation, intent.source(), busy == WhenBusy::Wait);
        let ahead = entered.map_err(|refused| match refused {
            NoPlace::Busy(other) => Error::Busy {
                app: name.clone(),
                operation: other.id,
            },
            NoPlace::Full => Error::QueueFull {
                app: name.clone(),
                waiting: MOST_WAITING,
            },
        })?;
        if ahead.is_some() {
            operation.state = OperationState::Waiting;
        }
        let id = operation.id.clone();
        let begun = async {
            // One that waits is looked at when its turn comes.
            if let (None, Some(asked)) = (&ahead, given.asked) {
                app.give_up_repair();
                let _work = app.work.lock().await;
                self.check_confirmed(asked).await?;
            }
            let added = self.store.add_operation(&operation, &intent, &given.values);
            added.await?;
            Ok::<_, Error>(self.journal.open(&self.store, operation, false).await?)
        };
        match begun.await {
            Ok(live) => self.admit(&app, live, intent, ahead),
            Err(error) => {
                if let Some(next) = app.queue.leave(&id) {
                    self.run(Arc::clone(&app), next);
                }
                // A repair may have been given up for it.
                self.look_after_now(name);
                return Err(error);
            }
        }
        Ok(id)
    }

    /// Begins an operation that is journaled, or has it wait for the one ahead of it.
    fn admit(
        self: &Arc<Self>,
        app: &Arc<App>,
        live: Arc<RunningOperation>,
        intent: Intent,
        ahead: Option<Operation>,
    ) {
        let waited = live.operation().state == OperationState::Waiting;
        let intent = (!waited).then_some(intent);
        if let Some(ahead) = &ahead {
            let kind = ahead.kind.as_str();
            let text = format!("it begins once the {kind} {} has ended", ahead.id);
            live.emit(Event::Note { text });
        }
        let turn = Turn { live, intent };
        let first = match ahead {
            None => Some(turn),
            Some(_) => app.queue.ready(turn),
        };
        if let Some(turn) = first {
            self.run(Arc::clone(app), turn);
        }
    }

    /// Goes on with an operation that a host before this one has left.
    async fn resume(
        self: &Arc<Self>,
        operation: Operation,
        intent: Intent,
    ) -> Result<(), doprax_store::Error> {
        let app = self.app(&operation.app);
        // What was journaled had its place.
        let Ok(ahead) = app.queue.enter(&operation, intent.source(), true) else {
            tracing::error!(operation = operation.id, "more wait than may");
            return Ok(());
        };
        let live = self.journal.open(&self.store, operation, true).await?;
        self.admit(&app, live, intent, ahead);
        Ok(())
    }

    /// Runs an operation whose turn it is in a task of its own, and those that wait for it
    /// after it.
    fn run(self: &Arc<Self>, app: Arc<App>, turn: Turn) {
        let host = Arc::clone(self);
        tokio::spawn(async move {
            let ending = host.ending.clone();
            let work = async {
                let mut turn = Some(turn);
                while let Some(next) = turn {
                    turn = host.carry_out(&app, next).await;
                }
            };
            // What is dropped here was journaled, and is done again by the next start.
            if ending.run_until_cancelled(work).await.is_none() {
                tracing::info!("operations wait for the next start");
            }
        });
    }

    /// Writes down that an operation has waited and will not begin.
    async fn end_withdrawn(&self, live: &RunningOperation, source: Option<&str>) {
        let (state, outcome) = (OperationState::Cancelled, Error::Withdrawn.report());
        let end = self
            .journal
            .write_end(&self.store, live, state, outcome, None);
        let end = end.await;
        if let Some(source) = source
            && let Err(error) = self
                .store
                .remove_source(source, &self.sources_in_use())
                .await
        {
            tracing::warn!(%error, "a source archive was not removed");
        }
        self.journal.close(live, end, state);
    }

    /// Carries out an operation to its written end. Returns the one that has waited for it.
    async fn carry_out(&self, app: &App, turn: Turn) -> Option<Turn> {
        let Turn { live, intent } = turn;
        let live = &live;
        // A person does not wait for what a repair waits for.
        app.give_up_repair();
        let _work = app.work.lock().await;
        let name = &live.operation().app;
        let source = app.queue.source();
        let result = async {
            let intent = match intent {
                Some(intent) => intent,
                None => self.begin_waiting(live).await?,
            };
            self.work_on(live, intent).await
        };
        let result = result.await;
        let (state, outcome) = match result {
            Ok(url) => {
                self.upkeep.put_right(name);
                (OperationState::Done, Event::Done { url })
            }
            Err(error) => {
                tracing::warn!(app = %name, error = error.chain(), "an operation failed");
                let state = match error {
                    Error::Cancelled => OperationState::Cancelled,
                    _ => OperationState::Failed,
                };
                (state, error.report())
            }
        };
        // Whoever hears of the end finds the app as it is from then on.
        if let Err(error) = self.look_after(name).await {
            tracing::warn!(app = %name, %error, "routes were not renewed");
        }
        let failure = match &outcome {
            Event::Failed { error, .. } => Some(error.clone()),
            _ => None,
        };
        let end = self
            .journal
            .write_end(&self.store, live, state, outcome, failure.as_deref());
        let end = end.await;
        if let (Some(source), true) = (source, state != OperationState::Done) {
            self.clean_up_after_failure(live.operation(), &source).await;
        }
        // Only now it is known to visitors that it failed.
        if state != OperationState::Done
            && let Err(error) = self.look_after(name).await
        {
            tracing::warn!(app = %name, %error, "routes were not renewed");
        }
        let next = app.queue.leave(&live.operation().id);
        self.journal.close(live, end, state);
        next
    }

    async fn work_on(
        &self,
        live: &Arc<RunningOperation>,
        intent: Intent,
    ) -> Result<Option<String>, Error> {
        match intent {
            Intent::Deploy(request) => self.run_deploy(live, &request).await,
            Intent::Control { selection, control } => {
                self.run_control(live, selection.as_ref(), control).await
            }
            Intent::Edit(edit) => self.run_edit(live, &edit).await,
            Intent::Rollback(rollback) => self.run_rollback(live, &rollback).await,
            Intent::Remove => self.run_remove(live, None).await.map(|()| None),
            Intent::RemoveWith(removal) => {
                self.run_remove(live, removal.secrets).await.map(|()| None)
            }
        }
    }

    /// Begins what has waited, unless what it was asked for is not possible any more.
    /// Returns what that is.
    async fn begin_waiting(&self, live: &RunningOperation) -> Result<Intent, Error> {
        let operation = live.operation();
        let running = self.app(&operation.app).operation();
        let started_ms = running.map_or_else(now_ms, |running| running.started_ms);
        let begun = self.store.begin_operation(operation, started_ms);
        begun.await?;
        self.journal.begin(live, started_ms);
        let intent = self.store.request_of(&operation.id).await?;
        let intent = intent.ok_or_else(|| Error::NoOperation {
            operation: operation.id.clone(),
        })?;
        match &intent {
            Intent::Deploy(request) => {
                let reason = "went with what was deployed meanwhile";
                self.check_source(request, reason).await?;
                self.check_confirmed(request).await?;
            }
            Intent::Remove => {
                self.check_removal(&operation.app, &Removal::default())
                    .await?;
            }
            Intent::RemoveWith(removal) => self.check_removal(&operation.app, removal).await?,
            Intent::Rollback(rollback) => self.check_rollback(&operation.app, rollback).await?,
            // These look for themselves.
            Intent::Control { .. } | Intent::Edit(_) => {}
        }
        Ok(intent)
    }

    /// Ends operations that a host before this one left and that something newer on their
    /// app has followed.
    async fn end_overtaken(&self) {
        let ended = async {
            for operation in self.store.overtaken().await? {
                tracing::warn!(app = %operation.app, operation = operation.id, "not resumed: a newer operation has followed");
                self.journal.end_overtaken(&self.store, &operation).await?;
            }
            Ok::<(), doprax_store::Error>(())
        };
        if let Err(error) = ended.await {
            tracing::error!(%error, "the end of overtaken operations was not written down");
        }
    }

    /// The host, for what goes on in a task of its own; nothing once it is given up.
    pub(crate) fn this(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    pub(crate) fn ingress(&self) -> &Ingress {
        &self.ingress
    }

    pub(crate) fn access_kept(&self) -> &Access {
        &self.access
    }

    pub(crate) fn certificates_kept(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn ending(&self) -> &CancellationToken {
        &self.ending
    }

    /// Digests of the sources that operations under way, and those that wait, deploy.
    pub(crate) fn sources_in_use(&self) -> Vec<String> {
        self.sources_in_use_but(None)
    }

    /// The same but for that of one operation.
    pub(crate) fn sources_in_use_but(&self, operation: Option<&str>) -> Vec<String> {
        let apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let sources = apps.values().flat_map(|app| app.queue.sources(operation));
        sources.collect()
    }

    /// Has the engine forget what its build cache has beyond the bound, beside whatever
    /// else goes on.
    pub(crate) fn bound_build_cache(&self) {
        let Some(keep) = self.config.build_cache else {
            return;
        };
        let Ok(turn) = Arc::clone(&self.pruning).try_lock_owned() else {
            return;
        };
        let engine = Arc::clone(&self.engine);
        tokio::spawn(async move {
            let _turn = turn;
            match engine.prune_build_cache(keep).await {
                Ok(0) => {}
                Ok(bytes) => tracing::info!(bytes, "the build cache was pruned"),
                Err(error) => {
                    let error = Error::from(error).chain();
                    tracing::warn!(error, "the build cache was not pruned");
                }
            }
        });
    }

    /// What the engine can do; asked once.
    pub(crate) async fn facts(&self) -> Result<&Facts, Error> {
        Ok(self.facts.get_or_try_init(|| self.engine.facts()).await?)
    }

    pub(crate) async fn record(&self, app: &AppName) -> Result<AppRecord, Error> {
        self.store
            .app(app)
            .await?
            .ok_or_else(|| Error::NoApp { app: app.clone() })
    }

    pub(crate) fn app(&self, name: &AppName) -> Arc<App> {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(apps.entry(name.clone()).or_default())
    }
}

impl App {
    /// The operation under way.
    pub(crate) fn operation(&self) -> Option<Operation> {
        self.queue.running()
    }
}

impl Intent {
    /// Digest of the source that it deploys.
    fn source(&self) -> Option<String> {
        match self {
            Self::Deploy(request) => Some(request.source.clone()),
            _ => None,
        }
    }
}
