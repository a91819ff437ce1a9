//! A host of the test's own: its state, its port, its subnets, its name on the engine.

use crate::{Cli, Docker, Site, cli};
use std::ffi::OsString;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// Hosts that this process has made.
static HOSTS: AtomicU32 = AtomicU32::new(0);

/// How a host is set up.
#[derive(Clone)]
pub struct Setup {
    /// The engine's address.
    pub engine: String,
    /// Where subnets are taken from.
    pub pool: String,
    /// The port of its ingress.
    pub port: u16,
    /// Its name on the engine. Begins with `test`, so that what a killed test leaves is
    /// found and removed.
    pub instance: String,
    /// The port of its ingress for HTTPS, if it has one.
    pub https_port: Option<u16>,
    /// Whether containers are kept from the machine. The rules outlive a host that is
    /// killed, so only a test of them has them.
    pub guarded: bool,
    /// More arguments of `doprax serve`.
    pub more: Vec<String>,
    /// The program, after what starts it: the binary under test.
    pub command: Vec<OsString>,
}

impl Setup {
    /// A set-up that no other test uses.
    pub fn new(engine: &str) -> Self {
        let (process, number) = (std::process::id(), HOSTS.fetch_add(1, Ordering::Relaxed));
        // 10.128.0.0/10 lies beside the default pool; a /20 of it holds eight apps.
        let block = (process.wrapping_mul(13) + number) % 1024;
        let pool = format!("10.{}.{}.0/20", 128 + block / 16, block % 16 * 16);
        Self {
            engine: engine.to_owned(),
            pool,
            // With room for its HTTPS and for what a test puts beside it.
            port: free_port(process.wrapping_mul(31) + 8 * number),
            instance: format!("test-{process}-{number}"),
            https_port: None,
            guarded: false,
            more: Vec::new(),
            command: vec![crate::binary().into()],
        }
    }

    /// The same with HTTPS.
    #[must_use]
    pub fn with_https(self) -> Self {
        Self {
            https_port: Some(free_port(u32::from(self.port) + 1)),
            ..self
        }
    }
}

/// A port that nothing listens on, below those that the kernel gives to clients.
fn free_port(seed: u32) -> u16 {
    let range = 20_000..32_000;
    let first = seed % range.len() as u32;
    let ports = (0..range.len() as u32)
        .map(|step| 20_000 + ((first + step * 7) % range.len() as u32) as u16);
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports
        .into_iter()
        .find(free)
        .expect("one of 12,000 ports is free")
}

/// A host that runs for one test; what it made on the engine goes away with it.
pub struct Host {
    /// How it is set up.
    pub setup: Setup,
    /// The engine's objects that are its own.
    pub docker: Docker,
    state: TempDir,
    process: Option<Child>,
    /// Process of a host that took over, which is no child of the test.
    successor: Option<u32>,
    /// Processes that were taken over from and may still serve those who were there before.
    predecessors: Vec<u32>,
}

impl Host {
    /// Starts a host on this engine and waits until it answers.
    #[track_caller]
    pub fn start(engine: &str) -> Self {
        Self::start_with(Setup::new(engine))
    }

    /// The same with a set-up of one's own.
    #[track_caller]
    pub fn start_with(setup: Setup) -> Self {
        let mut host = Self::prepare(setup);
        host.resume();
        host
    }

    /// A host that does not run yet.
    pub fn prepare(setup: Setup) -> Self {
        let docker = Docker::new(&setup.engine, &setup.instance);
        Self {
            setup,
            docker,
            state: tempfile::tempdir().unwrap(),
            process: None,
            successor: None,
            predecessors: Vec::new(),
        }
    }

    /// Its state folder.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// The command line that asks it.
    pub fn cli(&self) -> Cli {
        Cli::new(self.state.path().to_str().unwrap())
    }

    /// An app at its ingress.
    pub fn site(&self, app: &str) -> Site {
        Site::new(
            SocketAddr::from(([127, 0, 0, 1], self.setup.port)),
            &format!("{app}.localhost"),
        )
    }

    /// Its process.
    #[track_caller]
    pub fn process(&self) -> u32 {
        self.process.as_ref().expect("the host runs").id()
    }

    /// What it wrote on standard error, earlier runs included.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        // Beside the state folder, so that the folder holds only what the host writes.
        self.state.path().with_extension("log")
    }

    /// The arguments of `doprax serve`.
    pub fn arguments(&self) -> Vec<String> {
        let Setup {
            engine,
            pool,
            port,
            instance,
            https_port,
            guarded,
            more,
            ..
        } = &self.setup;
        let http = format!("127.0.0.1:{port}");
        [
            "serve",
            "--engine",
            engine,
            "--pool",
            pool,
            "--http",
            &http,
            "--instance",
            instance,
        ]
        .map(str::to_owned)
        .into_iter()
        .chain(
            https_port
                .iter()
                .flat_map(|port| ["--https".to_owned(), format!("127.0.0.1:{port}")]),
        )
        .chain((!guarded).then(|| "--allow-metadata".to_owned()))
        .chain(more.iter().cloned())
        .collect()
    }

    /// Starts it and waits until it answers.
    #[track_caller]
    pub fn resume(&mut self) {
        assert!(self.process.is_none(), "the host runs already");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        let (program, before) = self.setup.command.split_first().unwrap();
        let mut command = Command::new(program);
        command
            .args(before)
            .args(self.arguments())
            .arg("--state")
            .arg(self.state.path())
            .env_remove("DOPRAX_HOST")
            .env_remove("DOPRAX_STATE")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let mut process = command.spawn().unwrap();
        let socket = self.state.path().join("doprax.sock");
        crate::wait_for("the host to answer", 30, || {
            if let Some(status) = process.try_wait().unwrap() {
                panic!("the host ended with {status}\n{}", self.log());
            }
            UnixStream::connect(&socket).ok().map(drop)
        });
        self.process = Some(process);
    }

    /// Has a successor take over, and waits until it has and the host itself has ended.
    #[track_caller]
    pub fn upgrade(&mut self) {
        self.hand_over();
        self.wait_for_former();
    }

    /// Has a successor take over, and waits until it has. The host itself may still serve
    /// those who were there before.
    #[track_caller]
    pub fn hand_over(&mut self) {
        let before = self.holder();
        self.signal("USR2");
        let socket = self.state.path().join("doprax.sock");
        let successor = crate::wait_for("a successor that answers", 60, || {
            let holder = self.holder();
            (holder != before && UnixStream::connect(&socket).is_ok()).then_some(holder)
        });
        self.successor = Some(successor);
        self.predecessors.push(before);
    }

    /// Waits until the host that was taken over from has ended.
    #[track_caller]
    pub fn wait_for_former(&mut self) {
        if let Some(mut process) = self.process.take() {
            let ended = crate::wait_for("the host to end", 130, || process.try_wait().unwrap());
            assert!(ended.success(), "it ended with {ended}\n{}", self.log());
        }
    }

    /// Sends a signal, such as `USR2`, to the process that has the state folder.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        cli::signal(self.holder(), name);
    }

    /// Whether a host that was taken over from still serves those who were there before.
    pub fn lingers(&mut self) -> bool {
        if let Some(process) = &mut self.process
            && self.successor.is_some()
        {
            // One that has ended is there until it was waited for.
            let _ = process.try_wait();
        }
        // One that is no child may have ended and not been waited for: it has no program
        // any more.
        let program = crate::binary();
        self.predecessors.retain(|process| {
            let runs = std::fs::read_link(format!("/proc/{process}/exe"));
            runs.is_ok_and(|runs| runs.file_name() == program.file_name())
        });
        !self.predecessors.is_empty()
    }

    /// The process that has the state folder.
    pub fn holder(&self) -> u32 {
        let lock = self.state.path().join("lock");
        let text = std::fs::read_to_string(lock).unwrap_or_default();
        text.trim().parse().unwrap_or_default()
    }

    /// Ends it in good order.
    #[track_caller]
    pub fn stop(&mut self) {
        let mut process = self.process.take().expect("the host runs");
        cli::signal(process.id(), "TERM");
        let status = crate::wait_for("the host to end", 30, || process.try_wait().unwrap());
        assert!(
            status.success(),
            "the host ended with {status}\n{}",
            self.log()
        );
    }

    /// Ends it at once, with `kill -9`.
    #[track_caller]
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("the host runs");
        process.kill().unwrap();
        process.wait().unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have crashed.
            let _ = process.kill();
            let _ = process.wait();
        }
        if let Some(successor) = self.successor {
            cli::signal(successor, "KILL");
        }
        if self.lingers() {
            for process in &self.predecessors {
                // It may end by itself meanwhile.
                let _ = Command::new("kill")
                    .args(["-KILL", &process.to_string()])
                    .status();
            }
        }
        if std::thread::panicking() {
            eprintln!("--- log of the host\n{}---", self.log());
        }
        self.docker.clean();
        if self.setup.guarded {
            crate::docker::drop_rules(&self.setup.pool);
        }
        // There is none where the host was never started.
        let _ = std::fs::remove_file(self.log_path());
    }
}
