//! One host takes over from another while visitors are served.
//!
//! ```text
//! running host                         its successor (the program of today)
//! SIGUSR2: starts it, with the sockets
//!                             ← "waiting"   arguments and sockets are good
//! ends its API and its work; lets go of the state folder
//!                                           opens it, finds every app, serves
//!                               ← "ready"   by the same sockets
//! ends when what visitors have begun has ended
//! ```
//!
//! Until "waiting" nothing has happened: a successor that fails before is forgotten. One
//! that fails after it is killed, and the running host takes the state folder back. The
//! sockets listen all the time, so no connection is refused. Until the old host has ended,
//! the new one removes no container that a visitor of the old one may be led to.

use crate::failure::{Failure, Result};
use command_fds::{CommandFdExt as _, FdMapping};
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

/// Where the predecessor waits for word, for the successor.
const PREDECESSOR: &str = "DOPRAX_PREDECESSOR";

/// How long a successor may take until it waits, and from then on until it serves.
const START: Duration = Duration::from_secs(30);
const TAKE_OVER: Duration = Duration::from_secs(120);

const WAITING: &str = "waiting";
const READY: &str = "ready";

/// The first descriptor that is passed on (sd_listen_fds(3)).
const FIRST: i32 = 3;

/// What was typed to start this program, so that it can be started again.
#[derive(Debug)]
pub(crate) struct Invocation {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Invocation {
    /// As it was; to be asked before another program may have come in its place.
    pub(crate) fn current() -> io::Result<Self> {
        Ok(Self {
            program: std::env::current_exe()?,
            arguments: std::env::args_os().skip(1).collect(),
        })
    }
}

/// The host that is to take over.
#[derive(Debug)]
pub(crate) struct Successor {
    process: Process,
    words: BufReader<UnixStream>,
}

/// A program that was started. It ends with this value, unless it has taken over.
#[derive(Debug)]
struct Process {
    child: Child,
    id: u32,
    has_taken_over: bool,
}

impl Successor {
    /// Starts it and waits until it waits for the state folder.
    pub(crate) async fn start(
        invocation: &Invocation,
        folder: &Path,
        sockets: Vec<TcpListener>,
    ) -> Result<Self> {
        let failed = |error: io::Error| {
            let program = invocation.program.display();
            Failure::new(format!("cannot start {program} as successor")).because(&error)
        };
        let path = folder.join("successor.sock");
        // One may be left of a host that was killed.
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).map_err(failed)?;
        let mappings = sockets
            .into_iter()
            .zip(FIRST..)
            .map(|(socket, child_fd)| FdMapping {
                parent_fd: OwnedFd::from(socket),
                child_fd,
            });
        let mappings: Vec<FdMapping> = mappings.collect();
        let mut command = Command::new(&invocation.program);
        command
            .args(&invocation.arguments)
            .env(PREDECESSOR, &path)
            .env("LISTEN_FDS", mappings.len().to_string())
            .env_remove("LISTEN_PID");
        command
            .fd_mappings(mappings)
            .map_err(|error| failed(io::Error::other(error)))?;
        let mut process = Process::start(command).map_err(failed)?;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            ended = process.child.wait() => Err(early_end(ended)),
            () = tokio::time::sleep(START) => Err(io::ErrorKind::TimedOut.into()),
        };
        let _ = std::fs::remove_file(&path);
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                process.end().await;
                return Err(failed(error).help("its own words above say why"));
            }
        };
        let mut successor = Self {
            process,
            words: BufReader::new(stream),
        };
        match successor.hears(WAITING, START).await {
            Ok(()) => Ok(successor),
            Err(error) => {
                successor.end().await;
                Err(failed(error).help("its own words above say why"))
            }
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id
    }

    /// Waits until it serves.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        let heard = self.hears(READY, TAKE_OVER).await;
        heard.map_err(|error| {
            let process = self.process.id;
            Failure::new(format!("process {process} did not take over")).because(&error)
        })?;
        self.process.has_taken_over = true;
        Ok(())
    }

    /// Ends it, and waits until it has ended: nothing that it held is held any more.
    pub(crate) async fn end(self) {
        self.process.end().await;
    }

    async fn hears(&mut self, word: &str, limit: Duration) -> io::Result<()> {
        let mut line = String::new();
        let read = tokio::time::timeout(limit, self.words.read_line(&mut line)).await;
        read.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        if line.trim_end() == word {
            Ok(())
        } else {
            Err(io::Error::other("it ended before it got that far"))
        }
    }
}

impl Process {
    fn start(command: Command) -> io::Result<Self> {
        let child = tokio::process::Command::from(command).spawn()?;
        Ok(Self {
            id: child.id().unwrap_or_default(),
            child,
            has_taken_over: false,
        })
    }

    async fn end(mut self) {
        // It may have ended by itself.
        let _ = self.child.kill().await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_taken_over {
            // It may have ended by itself.
            let _ = self.child.start_kill();
        }
    }
}

fn early_end(ended: io::Result<ExitStatus>) -> io::Error {
    match ended {
        Ok(status) => io::Error::other(format!("it ended early ({status})")),
        Err(error) => error,
    }
}

/// The host that this one takes over from.
#[derive(Debug)]
pub(crate) struct Predecessor {
    words: std::os::unix::net::UnixStream,
    ended: CancellationToken,
}

impl Predecessor {
    /// It, if there is one.
    pub(crate) fn from_environment() -> Result<Option<Self>> {
        let Some(path) = std::env::var_os(PREDECESSOR) else {
            return Ok(None);
        };
        match std::os::unix::net::UnixStream::connect(&path) {
            Ok(words) => Ok(Some(Self {
                words,
                ended: CancellationToken::new(),
            })),
            Err(error) => Err(Failure::new("the host that started this one does not wait")
                .because(&error)
                .help(format!("unset {PREDECESSOR} to start a host of its own"))),
        }
    }

    /// Cancelled once it serves nobody any more.
    pub(crate) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Says that all is good so far.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        writeln!(self.words, "{WAITING}")
    }

    /// Says that visitors are served, and watches it end.
    pub(crate) fn relieve(self) -> io::Result<()> {
        let Self { mut words, ended } = self;
        // Dropped with whatever happens: to wait for it would then be in vain.
        let ended = ended.drop_guard();
        writeln!(words, "{READY}")?;
        words.set_nonblocking(true)?;
        let mut words = UnixStream::from_std(words)?;
        tokio::spawn(async move {
            // It has nothing to say; the kernel ends the stream when it ends.
            let _ = words.read(&mut [0]).await;
            drop(ended);
        });
        Ok(())
    }
}

/// The listening sockets that a predecessor, or a service manager, has passed on.
pub(crate) fn sockets() -> Vec<TcpListener> {
    let mut passed = listenfd::ListenFd::from_env();
    let taken = (0..passed.len()).filter_map(|index| passed.take_tcp_listener(index).ok()?);
    taken.collect()
}

/// Tells a service manager that waits for it that this process is the host now and serves
/// (sd_notify(3)).
pub(crate) fn notify() -> io::Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let socket = UnixDatagram::unbound()?;
    let state = format!("MAINPID={}\nREADY=1", std::process::id());
    match path.to_str().and_then(|path| path.strip_prefix('@')) {
        Some(name) => {
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            socket.send_to_addr(state.as_bytes(), &address)?;
        }
        None => drop(socket.send_to(state.as_bytes(), &path)?),
    }
    Ok(())
}
