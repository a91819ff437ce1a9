//! A place for one test: an engine with an instance of its own, and the words to
//! say what should be on it.

use crate::required::required;
use doprax_core::blueprint::{Container, Content, Env, File, Image, Stage as Turn};
use doprax_core::copy::CopyName;
use doprax_core::name::{AppName, Instance, ServiceName, VolumeName};
use doprax_core::observed::{Observed, ObservedContainer};
use doprax_core::plan::{Act, Rebuild};
use doprax_core::release::Kept;
use doprax_core::resources::Resources;
use doprax_core::source::Recipe;
use doprax_core::spec::Strategy;
use doprax_core::text::Text;
use doprax_engine::names;
use doprax_engine::{
    ByHand, Docker, Engine, Error, Event, Exec, Fake, FakeImage, Inputs, Outcome, Progress,
};
use futures_util::{FutureExt as _, StreamExt as _};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// An image that both engines have: a real Redis on one, its likeness on the other.
pub(crate) const REDIS: &str = "doprax-test/redis:7";

/// An image with a shell, for builds.
pub(crate) const DEBIAN: &str = "doprax-test/debian:bookworm";

/// Where networks of tests on a real engine are.
const NETWORKS: &str = "10.219.0.0/16";

/// How long a connection and its answer may take.
const DIAL: Duration = Duration::from_secs(2);

/// How long anything may take that is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Stage {
    pub(crate) engine: Arc<dyn Engine>,
    /// The engine as who works by hand reaches it.
    hands: Hands,
    pub(crate) instance: Instance,
    pub(crate) app: AppName,
    pub(crate) inputs: Inputs,
    pub(crate) progress: Progress,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
}

enum Hands {
    Fake(Fake),
    /// By its socket.
    Docker(String),
}

impl Stage {
    fn new(engine: Arc<dyn Engine>, hands: Hands, instance: Instance) -> Self {
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let seen = Arc::clone(&events);
        Self {
            engine,
            hands,
            instance,
            app: AppName::new("shop").unwrap(),
            inputs: Inputs::default(),
            progress: Arc::new(move |event| seen.lock().unwrap().push(event)),
            events,
        }
    }

    /// A stage on the engine that keeps everything in memory.
    pub(crate) fn fake(name: &str) -> Self {
        let instance = instance(name);
        let fake = Fake::new(instance.clone());
        let redis = FakeImage::new([6379]).prints("* Ready to accept connections");
        fake.add_image(REDIS, redis);
        fake.add_image(DEBIAN, FakeImage::new([]));
        Self::new(Arc::new(fake.clone()), Hands::Fake(fake), instance)
    }

    /// A stage on the engine that `DOPRAX_TEST_ENGINE` names, if it does.
    pub(crate) fn docker(name: &str) -> Option<Self> {
        let address = required("DOPRAX_TEST_ENGINE")?.into_string().unwrap();
        let instance = instance(name);
        let docker = Docker::connect(&address, instance.clone());
        Some(Self::new(
            Arc::new(docker),
            Hands::Docker(address),
            instance,
        ))
    }

    /// Runs a test on the stage and clears it, first and last, also when it fails.
    pub(crate) async fn run<F: Future<Output = ()>>(self, test: impl FnOnce(Arc<Self>) -> F) {
        let stage = Arc::new(self);
        stage.clear().await;
        let result = AssertUnwindSafe(test(Arc::clone(&stage)))
            .catch_unwind()
            .await;
        stage.clear().await;
        if let Err(panic) = result {
            resume_unwind(panic);
        }
    }

    async fn clear(&self) {
        for (app, observed) in self.engine.observe_all().await.unwrap() {
            for container in observed.containers {
                let act = Act::RemoveContainer {
                    container: container.name,
                };
                self.apply_to(&app, &act).await.unwrap();
            }
            if observed.network.is_some() {
                self.apply_to(&app, &Act::RemoveNetwork).await.unwrap();
            }
            for volume in observed.volumes {
                self.engine.remove_volume(&app, &volume).await.unwrap();
            }
            self.engine
                .prune_images(&app, &Kept::default())
                .await
                .unwrap();
        }
        self.engine
            .prune_images(&self.app, &Kept::default())
            .await
            .unwrap();
    }

    pub(crate) async fn apply_to(&self, app: &AppName, act: &Act) -> Result<Outcome, Error> {
        self.engine
            .apply(app, act, &self.inputs, &self.progress)
            .await
    }

    pub(crate) async fn apply(&self, act: &Act) -> Result<Outcome, Error> {
        self.apply_to(&self.app, act).await
    }

    /// Does an act of which something must be left to do.
    pub(crate) async fn must(&self, act: Act) {
        assert_eq!(self.apply(&act).await.unwrap(), Outcome::Done, "{act:?}");
    }

    /// Creates a network whose subnet no other test uses: its third number comes
    /// from the instance's name.
    pub(crate) async fn network(&self) -> ipnet::Ipv4Net {
        let mut digest = 0u8;
        for byte in self.instance.label().bytes() {
            digest = digest.wrapping_mul(31).wrapping_add(byte);
        }
        let networks = match &self.hands {
            Hands::Fake(fake) => fake.pool(),
            Hands::Docker(_) => NETWORKS.parse().unwrap(),
        };
        let subnets: Vec<ipnet::Ipv4Net> = networks.subnets(24).unwrap().collect();
        for offset in 0..subnets.len() {
            let subnet = subnets[(usize::from(digest) + offset) % subnets.len()];
            match self.apply(&Act::CreateNetwork { subnet }).await {
                Ok(_) => return subnet,
                Err(Error::SubnetTaken { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        panic!("no subnet is free");
    }

    pub(crate) fn name(&self, service: &str) -> String {
        let service = ServiceName::new(service).unwrap();
        let serving = CopyName::Serving(service);
        names::container(&self.instance, &self.app, &serving)
    }

    /// The copy that a container of this name is.
    pub(crate) fn copy(&self, name: &str) -> CopyName {
        names::copy(&self.instance, &self.app, name)
    }

    pub(crate) fn create(&self, spec: &Container) -> Act {
        Act::CreateContainer {
            container: CopyName::serving(&spec.name),
            hash: hash(spec),
            spec: Box::new(spec.clone()),
        }
    }

    /// Creates and starts a container, and before it the volumes that it mounts; returns its name.
    pub(crate) async fn start(&self, spec: &Container) -> String {
        for mount in &spec.mounts {
            let volume = mount.name.clone();
            self.apply(&Act::CreateVolume { volume }).await.unwrap();
        }
        self.must(self.create(spec)).await;
        let container = self.name(spec.name.as_str());
        self.must(Act::StartContainer {
            container: CopyName::serving(&spec.name),
        })
        .await;
        container
    }

    /// Changes a container as a person does with the engine's own command.
    pub(crate) async fn by_hand(&self, container: &str, change: ByHand) {
        let address = match &self.hands {
            Hands::Fake(fake) => return fake.by_hand(container, change),
            Hands::Docker(address) => address,
        };
        let of = format!("/containers/{container}");
        let network = names::network(&self.instance, &self.app);
        let (method, path, body) = match change {
            ByHand::Stop => ("POST", format!("{of}/stop?t=5"), String::new()),
            ByHand::Kill => ("POST", format!("{of}/kill"), String::new()),
            ByHand::Pause => ("POST", format!("{of}/pause"), String::new()),
            ByHand::Disconnect => (
                "POST",
                format!("/networks/{network}/disconnect"),
                format!(r#"{{"Container": "{container}", "Force": true}}"#),
            ),
            ByHand::Update(memory) => {
                let memory = memory.unwrap_or_default();
                let body = format!(
                    r#"{{"Memory": {memory}, "MemorySwap": {memory}, "RestartPolicy": {{"Name": "no"}}}}"#
                );
                ("POST", format!("{of}/update"), body)
            }
            ByHand::Remove => ("DELETE", format!("{of}?force=1"), String::new()),
        };
        let request = format!(
            "{method} /v1.41{path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let socket = address.strip_prefix("unix://").unwrap();
        let mut stream = UnixStream::connect(socket).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 2"), "{change:?}: {answer}");
    }

    pub(crate) async fn observe(&self) -> Observed {
        self.engine.observe(&self.app).await.unwrap()
    }

    pub(crate) async fn container(&self, name: &str) -> ObservedContainer {
        let observed = self.observe().await;
        let copy = self.copy(name);
        let mut containers = observed.containers.iter();
        let found = containers.find(|container| container.name == copy);
        found
            .cloned()
            .unwrap_or_else(|| panic!("no {name} in {observed:?}"))
    }

    /// Runs a command to its end; returns its exit code, output and error output.
    pub(crate) async fn run_in(
        &self,
        container: &str,
        exec: Exec,
        input: &str,
    ) -> (i64, String, String) {
        let mut session = self.engine.exec(container, &exec).await.unwrap();
        if exec.stdin {
            session.input.write_all(input.as_bytes()).await.unwrap();
            session.input.shutdown().await.unwrap();
        }
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some(piece) = session.output.next().await {
            let piece = piece.unwrap();
            if piece.stderr { &mut err } else { &mut out }.extend_from_slice(&piece.bytes);
        }
        let code = self.engine.exec_exit_code(&session.id).await.unwrap();
        (
            code,
            String::from_utf8_lossy(&out).into_owned(),
            String::from_utf8_lossy(&err).into_owned(),
        )
    }

    /// What a command without input printed; it must succeed.
    pub(crate) async fn output_of(&self, container: &str, command: &[&str]) -> String {
        let (code, out, err) = self.run_in(container, command_of(command), "").await;
        assert_eq!(code, 0, "{command:?}: {out}{err}");
        out
    }
}

/// What Redis at this address answers to a `PING`; nothing where nobody answers.
pub(crate) async fn ping(address: std::net::Ipv4Addr) -> Option<String> {
    let asked = async {
        let mut stream = TcpStream::connect((address, 6379)).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    tokio::time::timeout(DIAL, asked).await.ok()?.ok()
}

/// Waits until `check` gives something.
pub(crate) async fn until<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, found)
        .await
        .unwrap_or_else(|_| panic!("{what}: not in time"))
}

fn instance(name: &str) -> Instance {
    let label = format!("test-{}", name.replace('_', "-"));
    Instance::named(AppName::new(label).unwrap())
}

pub(crate) fn command_of(command: &[&str]) -> Exec {
    Exec {
        command: command.iter().map(ToString::to_string).collect(),
        ..Exec::default()
    }
}

pub(crate) fn hash(spec: &Container) -> String {
    spec.made_from(&BTreeMap::new())
}

pub(crate) fn volume(name: &str) -> VolumeName {
    VolumeName::new(name).unwrap()
}

pub(crate) fn literal(value: &str) -> Env {
    Env {
        value: Text::literal(value),
        masked: false,
    }
}

/// A container of the image, with everything else left to it.
pub(crate) fn container(name: &str, image: &str) -> Container {
    Container {
        name: ServiceName::new(name).unwrap(),
        plugin: None,
        stage: Turn::Service,
        image: Image::Pull {
            reference: image.to_owned(),
        },
        identity: None,
        env: BTreeMap::new(),
        entrypoint: None,
        command: None,
        user: None,
        files: Vec::new(),
        mounts: Vec::new(),
        aliases: vec![name.to_owned()],
        port: None,
        port_reason: String::new(),
        probes: Vec::new(),
        ready_timeout_ms: 60_000,
        judged: false,
        component: None,
        restart_after: None,
        needs: Default::default(),
        reload: None,
        strategy: Strategy::Rolling,
        resources: Resources::default(),
        shm_size: None,
        ulimits: Vec::new(),
        capabilities: Vec::new(),
        stop_signal: None,
        stop_grace_ms: 1_000,
        outputs: BTreeMap::new(),
        init: None,
        runtime: Default::default(),
    }
}

pub(crate) fn file(path: &str, mode: u32, text: &str) -> File {
    File {
        path: path.to_owned(),
        mode,
        content: Content::Text(Text::literal(text)),
        owner: None,
    }
}

/// A build of a source that is only this Dockerfile.
pub(crate) fn build_of(
    stage: &Stage,
    dockerfile: &str,
) -> (Act, doprax_engine::Inputs, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source.tar");
    let mut archive = tar::Builder::new(std::fs::File::create(&path).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(dockerfile.len() as u64);
    header.set_mode(0o644);
    archive
        .append_data(&mut header, "Dockerfile", dockerfile.as_bytes())
        .unwrap();
    archive.into_inner().unwrap();
    let source = doprax_core::blueprint::sha256_hex(
        format!("{dockerfile}{:?}", std::time::SystemTime::now()).as_bytes(),
    );
    let mut inputs = stage.inputs.clone();
    inputs.sources.insert(source.clone(), path);
    let reference = stage.instance.image(&stage.app, &source);
    (
        Act::BuildImage {
            reference,
            source,
            recipe: Recipe::default(),
            rebuild: Rebuild::Never,
        },
        inputs,
        folder,
    )
}
