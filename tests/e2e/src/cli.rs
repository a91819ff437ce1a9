//! The command line of the binary, run in bounded time.

use serde_json::Value;
use std::ffi::OsStr;
use std::io::{Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a command may take where the test does not say.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs commands that ask one host.
#[derive(Clone)]
pub struct Cli {
    binary: PathBuf,
    env: Vec<(String, String)>,
}

impl Cli {
    /// A command line that asks the host of this state folder.
    pub fn new(state: &str) -> Self {
        Self {
            binary: crate::binary(),
            env: vec![("DOPRAX_STATE".to_owned(), state.to_owned())],
        }
    }

    /// The same with a variable in its environment.
    pub fn env(&self, name: &str, value: &str) -> Self {
        let mut cli = self.clone();
        cli.env.push((name.to_owned(), value.to_owned()));
        cli
    }

    /// A command, not yet run.
    pub fn command<I, S>(&self, arguments: I) -> Invocation
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new(&self.binary);
        command.args(arguments).stdin(Stdio::null());
        // What the machine's user has set must not change the result.
        for name in [
            "DOPRAX_HOST",
            "DOPRAX_TOKEN",
            "DOCKER_HOST",
            "NO_COLOR",
            "RUST_LOG",
        ] {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        Invocation {
            command,
            input: None,
            limit: LIMIT,
        }
    }

    /// Runs a line of sh(1) on a new terminal. Returns it and where keys are pressed.
    pub(crate) fn on_terminal(&self, line: &str) -> (Running, ChildStdin) {
        let mut invocation = self.command(None::<&str>);
        let mut command = Command::new("script");
        command.args([
            "--quiet",
            "--return",
            "--flush",
            "--command",
            line,
            "/dev/null",
        ]);
        for (name, value) in invocation.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .env("TERM", "xterm-256color")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped());
        invocation.command = command;
        let mut running = invocation.spawn();
        let keys = running.child.stdin.take().unwrap();
        (running, keys)
    }

    /// Runs a command that must succeed, and returns what it said.
    #[track_caller]
    pub fn ok<I, S>(&self, arguments: I) -> Outcome
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.command(arguments).run().succeeded()
    }

    /// Runs a command that must end with this exit code.
    #[track_caller]
    pub fn fails<I, S>(&self, code: i32, arguments: I) -> Outcome
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.command(arguments).run().ended_with(code)
    }

    /// Runs a command with `--json` that must succeed, and returns its one value.
    #[track_caller]
    pub fn json<I, S>(&self, arguments: I) -> Value
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut invocation = self.command(arguments);
        invocation.command.arg("--json");
        let outcome = invocation.run().succeeded();
        serde_json::from_str(&outcome.stdout)
            .unwrap_or_else(|error| panic!("no JSON: {error}\n{outcome}"))
    }

    /// The status of an app.
    #[track_caller]
    pub fn status(&self, app: &str) -> Value {
        self.json(["status", app])
    }
}

/// A command that is about to be run.
pub struct Invocation {
    command: Command,
    input: Option<Vec<u8>>,
    limit: Duration,
}

impl Invocation {
    /// The same with a variable in its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// The same in a folder.
    pub fn inside(mut self, folder: &str) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// The same with something on its standard input.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.command.stdin(Stdio::piped());
        self.input = Some(bytes.into());
        self
    }

    /// The same with another limit.
    pub fn within(mut self, seconds: u64) -> Self {
        self.limit = Duration::from_secs(seconds);
        self
    }

    /// Runs it to its end. Panics if that takes too long.
    #[track_caller]
    pub fn run(self) -> Outcome {
        let (limit, mut running) = (self.limit, self.spawn());
        running.end_within(limit)
    }

    /// Begins it.
    pub fn spawn(mut self) -> Running {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let text = format!("{:?}", self.command);
        let mut child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        if let Some(input) = self.input {
            let mut stdin = child.stdin.take().unwrap();
            // The command may end without reading all of it.
            std::thread::spawn(move || drop(stdin.write_all(&input)));
        }
        let (sender, ended) = mpsc::channel();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Running {
            text,
            child,
            stdout: Reader::start(stdout, Some(sender)),
            stderr: Reader::start(stderr, None),
            ended,
        }
    }
}

/// Gathers what a command prints while it runs.
struct Reader {
    text: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    fn start(stream: impl Read + Send + 'static, ended: Option<mpsc::Sender<()>>) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let gathered = Arc::clone(&text);
        let thread = std::thread::spawn(move || {
            let mut stream = stream;
            let mut piece = vec![0; 16 << 10];
            while let Ok(length @ 1..) = stream.read(&mut piece) {
                gathered.lock().unwrap().extend_from_slice(&piece[..length]);
            }
            if let Some(ended) = ended {
                // Nobody waits any more where the test has failed already.
                let _ = ended.send(());
            }
        });
        Self {
            text,
            thread: Some(thread),
        }
    }

    fn all(&mut self) -> String {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.so_far()
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }
}

/// A command that runs. It is killed where the test ends before it.
pub struct Running {
    text: String,
    child: Child,
    stdout: Reader,
    stderr: Reader,
    ended: Receiver<()>,
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed on standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    /// What it has printed on standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    /// Waits until what it printed contains `text`.
    #[track_caller]
    pub fn wait_for(&self, text: &str, seconds: u64) {
        let found = crate::wait::look_for(seconds, || {
            (self.stdout().contains(text) || self.stderr().contains(text)).then_some(())
        });
        assert!(
            found.is_some(),
            "waited {seconds} s in vain for {text:?} from {}\n{}{}",
            self.text,
            self.stdout(),
            self.stderr()
        );
    }

    /// Sends it a signal, such as `INT`.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(&mut self, seconds: u64) -> Outcome {
        self.end_within(Duration::from_secs(seconds))
    }

    #[track_caller]
    fn end_within(&mut self, limit: Duration) -> Outcome {
        if let Err(RecvTimeoutError::Timeout) = self.ended.recv_timeout(limit) {
            self.kill();
            panic!(
                "not ended after {} s\n{}",
                limit.as_secs(),
                self.outcome(None)
            );
        }
        let status = self.child.wait().unwrap();
        self.outcome(Some(status))
    }

    fn outcome(&mut self, status: Option<ExitStatus>) -> Outcome {
        Outcome {
            command: self.text.clone(),
            code: status.and_then(|status| status.code()).unwrap_or(-1),
            stdout: self.stdout.all(),
            stderr: self.stderr.all(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process, by the name that kill(1) knows.
pub(crate) fn signal(process: u32, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &process.to_string()])
        .status()
        .unwrap();
    assert!(sent.success(), "kill -{name} {process}");
}

/// How a command ended and what it said.
pub struct Outcome {
    command: String,
    /// Its exit code; -1 where a signal ended it.
    pub code: i32,
    /// What it printed on standard output.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
}

impl Outcome {
    /// Panics unless it succeeded.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        self.ended_with(0)
    }

    /// Panics unless it ended with this exit code.
    #[track_caller]
    pub fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code\n{self}");
        self
    }

    /// Panics unless it said each of these, on standard output or error.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                self.stdout.contains(text) || self.stderr.contains(text),
                "did not say {text:?}\n{self}"
            );
        }
        self
    }

    /// Panics if it said one of these, on standard output or error.
    #[track_caller]
    pub fn says_none(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                !self.stdout.contains(text) && !self.stderr.contains(text),
                "said {text:?}\n{self}"
            );
        }
        self
    }

    /// The JSON values on standard output, one a line.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{self}"))
        };
        self.stdout.lines().map(parse).collect()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            command,
            code,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "{command}\nexit code {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---"
        )
    }
}
