//! A host in this process, on an engine in memory whose containers really listen: what a
//! test does to it, and how its app has to be afterwards.

use crate::domain::Dns;
use crate::source::Source;
use doprax_core::copy::CopyName;
use doprax_core::name::{AppName, Instance, ServiceName, VolumeName};
use doprax_core::observed::{Observed, State};
use doprax_engine::{Engine, Fake, FakeImage, names};
use doprax_plugin::{BUILTIN, Limits, Plugins};
use doprax_reconcile::report::{
    AppState, AppStatus, Event, Operation, OperationEvent, OperationState, Releases,
};
use doprax_reconcile::request::{Control, DeployRequest, Edit, Removal, Rollback, WhenBusy};
use doprax_reconcile::{Clock, Config, Error, Exec, Host, Parts, Predecessor, Remedies};
use futures_util::StreamExt as _;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// What comes of the beginning of an operation: its identifier.
pub(crate) type Begun = Result<String, Box<Error>>;

/// How long anything may take that is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

/// Pause between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// Hosts that are tried at the same time.
const AT_ONCE: usize = 24;

/// How long a killed host's threads may take to be gone.
const GONE: Duration = Duration::from_secs(10);

/// An engine, a state folder, and the host on them, if one runs.
pub(crate) struct Stage {
    pub(crate) fake: Fake,
    pub(crate) folder: TempDir,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) dns: Dns,
    running: Option<Running>,
}

struct Running {
    /// All that the host does is done here, or in the threads of its ingress.
    runtime: Runtime,
    host: Arc<Host>,
}

impl Stage {
    /// A host on an engine that has, or can pull, what the apps of these tests need.
    pub(crate) fn new() -> Self {
        let mut stage = Self::without_host();
        stage.start();
        stage
    }

    /// The same before its host has started.
    pub(crate) fn without_host() -> Self {
        let fake = Fake::new(Instance::default());
        let base = || FakeImage::new([]);
        fake.add_image("base", base());
        fake.add_image(
            "crashing",
            base().prints("cannot read its settings").crashes(),
        );
        fake.add_image("deaf", base().never_ready());
        fake.add_image("shy", base().ends_after(Duration::from_millis(1_500)));
        fake.publish_image("test/redis:7", FakeImage::new([6379]));
        let proxy = FakeImage::new([8081]).proxies("main", 8080);
        fake.publish_image("test/proxy:1", proxy);
        fake.publish_image("test/deaf:1", FakeImage::new([6379]).never_ready());
        fake.publish_image("test/crashing:1", FakeImage::new([6379]).crashes());
        let folder = tempfile::tempdir().unwrap();
        copy_plugins(&folder.path().join("plugins"));
        let config = Config {
            state: folder.path().to_owned(),
            // No engine of this machine: nothing is done to its firewall.
            engine: "fake://memory".to_owned(),
            instance: Instance::default(),
            base_domain: "localhost".to_owned(),
            http: vec![([127, 0, 0, 1], 0).into()],
            https: Vec::new(),
            public_https_port: None,
            trusted_proxies: Vec::new(),
            proxy_protocol: Vec::new(),
            limits: Default::default(),
            log_health_checks: false,
            certificates: Default::default(),
            addresses: Vec::new(),
            dns: None,
            pool: vec![fake.pool()],
            build_timeout: Duration::from_secs(60),
            build_cache: None,
            retain: 10,
            allow_metadata: false,
            interval: Duration::from_secs(1),
            remedies: Remedies {
                error: |_| None,
                problem: |_| String::new(),
            },
        };
        Self {
            fake,
            folder,
            config,
            clock: Clock::default(),
            dns: Dns::default(),
            running: None,
        }
    }

    /// Starts a host on what the one before has left.
    pub(crate) fn start(&mut self) {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let fake = self.fake.clone();
        let parts = Parts {
            connect: Box::new(move |_, _| Arc::new(fake)),
            clock: self.clock.clone(),
            resolve: self.dns.resolve(),
        };
        let start = Host::start(self.config.clone(), Predecessor::default(), parts);
        let host = runtime.block_on(start).unwrap();
        self.running = Some(Running { runtime, host });
    }

    /// Ends the host as `kill -9` does: nothing that it was about to do is done.
    pub(crate) fn kill(&mut self) {
        let Running { runtime, host } = self.running.take().unwrap();
        drop(host);
        runtime.shutdown_timeout(GONE);
        self.fake.let_go();
    }

    /// Kills the host and starts another.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.start();
    }

    /// Has the host begin something, whatever becomes of it.
    pub(crate) fn spawn<F>(&self, begin: impl FnOnce(Arc<Host>) -> F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let Running { runtime, host } = self.running.as_ref().unwrap();
        let begun = begin(Arc::clone(host));
        runtime.spawn(async move { drop(begun.await) });
    }

    /// Waits until the engine has come to the act after which it does nothing more.
    #[track_caller]
    pub(crate) fn await_held(&self) {
        let runtime = &self.running.as_ref().unwrap().runtime;
        let held = async { tokio::time::timeout(DEADLINE, self.fake.held()).await };
        let held = runtime.block_on(held);
        held.unwrap_or_else(|_| panic!("it never came to that: {:#?}", self.acts()));
    }

    /// Asks the host.
    pub(crate) fn ask<T, F: Future<Output = T>>(&self, ask: impl FnOnce(Arc<Host>) -> F) -> T {
        let Running { runtime, host } = self.running.as_ref().unwrap();
        runtime.block_on(async {
            tokio::time::timeout(DEADLINE, ask(Arc::clone(host)))
                .await
                .expect("an answer in time")
        })
    }

    /// Waits until `check` gives something.
    #[track_caller]
    pub(crate) fn until<T>(&self, what: &str, mut check: impl FnMut() -> Result<T, String>) -> T {
        let begin = Instant::now();
        loop {
            match check() {
                Ok(found) => return found,
                Err(reason) if begin.elapsed() > DEADLINE => {
                    panic!("{what}: not in time: {reason}\n{:#?}", self.acts())
                }
                Err(_) => std::thread::sleep(LOOK),
            }
        }
    }

    /// Every act that was asked for, one line each.
    pub(crate) fn acts(&self) -> Vec<String> {
        let name = |copy: &CopyName| self.fake.name_of(&app(), copy);
        self.fake.acts().iter().map(|act| act.text(&name)).collect()
    }

    /// Begins to deploy a source.
    pub(crate) fn begin_deploy(&self, source: &Source) -> Begun {
        self.begin_deploy_as(&app(), source)
    }

    /// The same for an app of this name.
    pub(crate) fn begin_deploy_as(&self, app: &AppName, source: &Source) -> Begun {
        let request = DeployRequest {
            default_app: Some(app.clone()),
            ..source.request()
        };
        self.ask(|host| async move {
            let archive = source.archive();
            host.receive_source(&request.source, &*archive).await?;
            Ok(host.operations().deploy(request, WhenBusy::Wait).await?)
        })
    }

    pub(crate) fn begin_edit(&self, name: &str, value: &str) -> Begun {
        let edit = Edit {
            container: ServiceName::main(),
            env: BTreeMap::from([(name.to_owned(), Some(value.to_owned()))]),
            reset: None,
            actor: None,
        };
        self.ask(
            |host| async move { Ok(host.operations().edit(&app(), edit, WhenBusy::Wait).await?) },
        )
    }

    pub(crate) fn begin_control(&self, control: Control) -> Begun {
        self.ask(|host| async move {
            Ok(host
                .operations()
                .control(&app(), None, control, WhenBusy::Wait)
                .await?)
        })
    }

    /// Begins to bring a release back.
    pub(crate) fn begin_rollback(&self, to: u64) -> Begun {
        let rollback = Rollback {
            to,
            allow_downgrade: false,
            confirmed: None,
            actor: None,
        };
        self.ask(|host| async move {
            Ok(host
                .operations()
                .roll_back(&app(), rollback, WhenBusy::Wait)
                .await?)
        })
    }

    /// The releases that are kept, and what came to none.
    pub(crate) fn releases(&self) -> Releases {
        self.ask(|host| async move { host.releases(&app()).await.unwrap() })
    }

    pub(crate) fn begin_remove(&self) -> Begun {
        self.ask(|host| async move {
            Ok(host
                .operations()
                .remove(&app(), Removal::default(), WhenBusy::Wait)
                .await?)
        })
    }

    /// Waits for the end of an operation. Returns all that was told of it.
    pub(crate) fn events(&self, id: &str) -> Vec<OperationEvent> {
        self.ask(|host| async move {
            let events = host.operations().events(id, 0).await.unwrap();
            events.collect().await
        })
    }

    /// Waits for the end of an operation, which must be a good one.
    #[track_caller]
    pub(crate) fn done(&self, id: Begun) {
        let id = id.unwrap();
        let events = self.events(&id);
        let last = &events.last().unwrap().what;
        assert!(matches!(last, Event::Done { .. }), "{events:#?}");
        assert_eq!(self.operation(&id).state, OperationState::Done);
    }

    /// Waits for the end of an operation, which must be a bad one. Returns what it says.
    #[track_caller]
    pub(crate) fn fails(&self, id: Begun) -> String {
        let id = id.unwrap();
        let events = self.events(&id);
        assert_eq!(self.operation(&id).state, OperationState::Failed);
        match &events.last().unwrap().what {
            Event::Failed { error, .. } => error.clone(),
            other => panic!("{other:?}: {events:#?}"),
        }
    }

    pub(crate) fn operation(&self, id: &str) -> Operation {
        self.ask(|host| async move { host.operations().one(id).await.unwrap() })
    }

    pub(crate) fn status(&self) -> Result<AppStatus, String> {
        let status = self.ask(|host| async move { host.apps().of(&app()).await });
        status.map_err(|error| error.chain())
    }

    pub(crate) fn observe(&self) -> Observed {
        // In memory, where nothing waits for anything.
        futures_util::FutureExt::now_or_never(self.fake.observe(&app()))
            .unwrap()
            .unwrap()
    }

    /// What a visitor of the app gets.
    pub(crate) fn visit(&self) -> Result<String, String> {
        self.visit_as("shop.localhost")
    }

    /// What visitors of a host name get.
    pub(crate) fn visit_as(&self, host: &str) -> Result<String, String> {
        get(self.port()?, host).map_err(|error| error.to_string())
    }

    /// The port of the ingress.
    fn port(&self) -> Result<u16, String> {
        let url = self.status()?.summary.url.ok_or("it has no address")?;
        Ok(url.rsplit_once(':').unwrap().1.parse().unwrap())
    }

    /// A variable as the process of a container sees it.
    pub(crate) fn variable(&self, container: &str, name: &str) -> Result<String, String> {
        let exec = Exec {
            command: vec!["printenv".to_owned(), name.to_owned()],
            ..Exec::default()
        };
        let container = ServiceName::new(container).unwrap();
        self.ask(|host| async move {
            let session = host.exec(&app(), &container, &exec).await;
            let mut session = session.map_err(|error| error.chain())?;
            let mut text = String::new();
            while let Some(Ok(piece)) = session.output.next().await {
                text.push_str(&String::from_utf8_lossy(&piece.bytes));
            }
            Ok(text)
        })
    }

    /// Whether the app serves what it should, is what its release says, has its volumes and
    /// its secrets, and nothing beside that.
    pub(crate) fn is_whole(&self, whole: &Whole) -> Result<(), String> {
        let status = self.status()?;
        let wrong = |what: &str| Err(format!("{what}: {status:#?}"));
        if status.summary.state != AppState::Running || status.operation.is_some() {
            return wrong("it does not run");
        }
        let answer = self.visit()?;
        if answer != whole.answer {
            return wrong(&format!("visitors get {answer:?}"));
        }
        let observed = self.observe();
        let wanted = status.containers.iter();
        let wanted: BTreeSet<CopyName> = wanted.map(|it| CopyName::serving(&it.name)).collect();
        let found: Vec<&CopyName> = observed.containers.iter().map(|c| &c.name).collect();
        let runs = |copy: &doprax_core::observed::ObservedContainer| {
            copy.state == State::Running && copy.attached
        };
        if found.len() != wanted.len()
            || !found.iter().all(|name| wanted.contains(name))
            || !observed.containers.iter().all(runs)
        {
            return wrong(&format!("there is {:#?}", observed.containers));
        }
        if observed.volumes != whole.volumes {
            return wrong(&format!("it has the volumes {:?}", observed.volumes));
        }
        for ((container, variable), value) in &whole.secrets {
            let found = self.variable(container, variable)?;
            if found != *value {
                return wrong(&format!("{variable} of {container} is {found:?}"));
            }
        }
        let operations =
            self.ask(|host| async move { host.operations().list(None).await.unwrap() });
        match operations.iter().find(|it| it.state.is_open()) {
            Some(operation) => wrong(&format!("{operation:?} goes on")),
            None => Ok(()),
        }
    }

    /// Waits until it is so.
    #[track_caller]
    pub(crate) fn await_whole(&self, whole: &Whole) {
        self.until("the app is whole", || self.is_whole(whole));
    }

    /// Deploys a source and waits until the app is whole. Returns how it is.
    #[track_caller]
    pub(crate) fn deploy(&self, source: &Source) -> Whole {
        self.done(self.begin_deploy(source));
        let whole = self.look(source);
        self.await_whole(&whole);
        whole
    }

    /// How the app has to be after a deploy of this source: its secrets are what they are.
    pub(crate) fn look(&self, source: &Source) -> Whole {
        let secrets = [("main", "TOKEN"), ("main", "API_KEY")];
        let secrets = secrets.map(|(container, variable)| {
            let value = self.variable(container, variable).unwrap();
            assert!(value.len() > 1, "{variable} is {value:?}");
            ((container.to_owned(), variable.to_owned()), value)
        });
        Whole {
            answer: source.answer(),
            volumes: volumes(),
            secrets: secrets.into(),
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(Running { runtime, host }) = self.running.take() {
            drop(host);
            runtime.shutdown_background();
        }
    }
}

/// How an app has to be.
#[derive(Clone)]
pub(crate) struct Whole {
    /// What visitors get.
    pub(crate) answer: String,
    pub(crate) volumes: BTreeSet<VolumeName>,
    /// The secrets in the variables of containers.
    pub(crate) secrets: BTreeMap<(String, String), String>,
}

impl Whole {
    /// The same with another value of main's key.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        let mut whole = self.clone();
        let name = ("main".to_owned(), "API_KEY".to_owned());
        whole.secrets.insert(name, format!("{key}\n"));
        whole
    }

    pub(crate) fn answering(&self, answer: &str) -> Self {
        Self {
            answer: answer.to_owned(),
            ..self.clone()
        }
    }
}

/// The app of these tests.
pub(crate) fn app() -> AppName {
    AppName::new("shop").unwrap()
}

/// The copy of a container that serves.
pub(crate) fn serving(container: &str) -> CopyName {
    CopyName::Serving(ServiceName::new(container).unwrap())
}

/// The engine's name for it.
pub(crate) fn name(container: &str) -> String {
    names::container(&Instance::default(), &app(), &serving(container))
}

pub(crate) fn volume(name: &str) -> VolumeName {
    VolumeName::new(name).unwrap()
}

/// The volumes of the app of these tests.
pub(crate) fn volumes() -> BTreeSet<VolumeName> {
    ["redis-data", "static"].map(volume).into()
}

/// Somebody who asks for a page again and again.
pub(crate) struct Visitors {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<Vec<Result<String, String>>>>,
}

impl Visitors {
    /// Visitors of the app of a stage.
    pub(crate) fn of(stage: &Stage) -> Self {
        let (port, stop) = (stage.port().unwrap(), Arc::<AtomicBool>::default());
        let stopped = Arc::clone(&stop);
        let visit = move || {
            let mut answers = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                answers.push(get(port, "shop.localhost").map_err(|error| error.to_string()));
            }
            answers
        };
        let thread = Some(std::thread::spawn(visit));
        Self { stop, thread }
    }

    /// What they got.
    pub(crate) fn answers(mut self) -> Vec<Result<String, String>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

/// Tries each of these in a thread of its own, many at a time: most of them wait most of
/// the time. What fails is told with what was tried.
pub(crate) fn try_each<T: std::fmt::Debug + Sync>(cases: &[T], test: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(cases.len()) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if catch_unwind(AssertUnwindSafe(|| test(case))).is_err() {
                        failed.lock().unwrap().push(format!("{case:?}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{} of {}: {failed:#?}",
        failed.len(),
        cases.len()
    );
}

/// What is answered to a request for `/`, if that is a page of an app.
fn get(port: u16, host: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(DEADLINE))?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.starts_with("HTTP/1.1 200 ") {
        Ok(body.to_owned())
    } else {
        Err(std::io::Error::other(
            head.lines().next().unwrap_or("nothing").to_owned(),
        ))
    }
}

/// Gives a host compiled plugins, which would take it seconds.
fn copy_plugins(to: &Path) {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    let compiled = COMPILED.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins");
        Plugins::open(Some(&folder), BUILTIN, Limits::default()).unwrap();
        folder
    });
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in std::fs::read_dir(compiled).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
