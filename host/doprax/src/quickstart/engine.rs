//! A container engine on a Debian or Ubuntu machine that has none.

use super::run::{is_installed, run, succeeds};
use super::{Error, Progress};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where Docker listens unless it is told otherwise.
const SOCKET: &str = "/var/run/docker.sock";

/// Where the log of an engine goes that [`start`] runs in the background.
pub(crate) const LOG: &str = "/var/log/dockerd.log";

const PID_FILE: &str = "/var/run/docker.pid";

/// How long an engine may take to answer after its start.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// What there is of an engine on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It answers on the socket.
    Answers,
    /// It is installed and does not answer.
    NotRunning,
    /// It is not installed.
    Missing,
}

/// The socket of the engine to use: Docker's usual one, or the one that `docker_host`,
/// the value of `DOCKER_HOST`, names. One that is named must answer: nothing is
/// installed or started in its place.
pub(crate) fn socket(docker_host: Option<&str>) -> Result<PathBuf, Error> {
    let Some(address) = docker_host.filter(|address| !address.is_empty()) else {
        return Ok(PathBuf::from(SOCKET));
    };
    let named = address.strip_prefix("unix://").map(PathBuf::from);
    match named {
        Some(socket) if state(&socket)? == State::Answers => Ok(socket),
        _ => Err(Error::EngineNamed {
            address: address.to_owned(),
        }),
    }
}

/// Looks for an engine on `socket` and among the installed programs.
pub(crate) fn state(socket: &Path) -> Result<State, Error> {
    match ping(socket) {
        Ok(()) => Ok(State::Answers),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Error::EngineDenied {
            socket: socket.to_owned(),
        }),
        Err(_) if is_installed("dockerd") => Ok(State::NotRunning),
        Err(_) => Ok(State::Missing),
    }
}

/// Installs the engine and its command line from the distribution's packages. On a
/// machine with systemd this starts it too.
pub(crate) fn install(progress: Progress<'_>) -> Result<(), Error> {
    let mut packages = vec!["docker.io", "iptables"];
    if !is_installed("docker") && is_package("docker-cli") {
        // Newer releases have it in a package of its own.
        packages.push("docker-cli");
    }
    install_packages("install the container engine", &packages, progress)
}

/// Starts the installed engine, as a service where systemd runs, else in the
/// background, and waits until it answers. An engine that runs in the background
/// outlives this program; its log is [`LOG`].
pub(crate) fn start(socket: &Path, progress: Progress<'_>) -> Result<(), Error> {
    let action = "start the container engine";
    require_root(action)?;
    if Path::new("/run/systemd/system").is_dir() {
        progress("systemctl start docker");
        run(
            action,
            Command::new("systemctl").args(["start", "docker"]),
            progress,
        )?;
        return wait(socket, None);
    }
    drop_stale_pid_file();
    progress(&format!("dockerd in the background; its log is {LOG}"));
    let child = background(action, socket)?;
    wait(socket, Some(child))
}

/// Installs packages by apt.
pub(super) fn install_packages(
    action: &'static str,
    packages: &[&str],
    progress: Progress<'_>,
) -> Result<(), Error> {
    if !is_installed("apt-get") {
        return Err(Error::NotDebian { action });
    }
    require_root(action)?;
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .arg("--quiet=2")
            .args(arguments);
        command
    };
    progress(&format!("apt-get install {}", packages.join(" ")));
    run(action, &mut apt(&["update"]), progress)?;
    let install = ["install", "--yes", "--no-install-recommends"];
    run(action, &mut apt(&[&install, packages].concat()), progress)
}

pub(super) fn require_root(action: &'static str) -> Result<(), Error> {
    if rustix::process::geteuid().is_root() {
        Ok(())
    } else {
        Err(Error::NotRoot { action })
    }
}

fn is_package(name: &str) -> bool {
    succeeds(Command::new("apt-cache").args(["show", "--no-all-versions", name]))
}

/// Asks the engine whether it is there (`GET /_ping` of its API).
fn ping(socket: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    if answer.ends_with(b" 200") {
        Ok(())
    } else {
        Err(io::Error::other("something else than an engine answers"))
    }
}

fn wait(socket: &Path, mut child: Option<Child>) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    while ping(socket).is_err() {
        let ended = child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))));
        if ended || Instant::now() >= deadline {
            let (log, output) = match child {
                Some(_) => (LOG.to_owned(), last_lines(Path::new(LOG))),
                None => ("journalctl --unit docker".to_owned(), Vec::new()),
            };
            return Err(Error::EngineSilent { log, output });
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn background(action: &'static str, socket: &Path) -> Result<Child, Error> {
    let unwritable = |source| Error::Write {
        path: PathBuf::from(LOG),
        source,
    };
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(LOG)
        .map_err(unwritable)?;
    let errors = log.try_clone().map_err(unwritable)?;
    // In a session of its own, so that closing the terminal does not end it.
    Command::new("setsid")
        .arg("dockerd")
        .arg("--host")
        .arg(format!("unix://{}", socket.display()))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|source| Error::NotRun {
            action,
            program: "setsid".to_owned(),
            source,
        })
}

/// The engine refuses to start while the number in its pid file belongs to any
/// process; after a crash that may be a stranger.
fn drop_stale_pid_file() {
    let Ok(pid) = fs::read_to_string(PID_FILE) else {
        return;
    };
    let name = fs::read_to_string(format!("/proc/{}/comm", pid.trim())).unwrap_or_default();
    if name.trim() != "dockerd" {
        // If it stays the engine says so itself.
        let _ = fs::remove_file(PID_FILE);
    }
}

fn last_lines(path: &Path) -> Vec<String> {
    let Ok(file) = File::open(path) else {
        return Vec::new();
    };
    let lines: Vec<String> = BufReader::new(file).lines().map_while(Result::ok).collect();
    lines.into_iter().rev().take(10).rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn an_engine_is_what_answers_its_ping() {
        for (answer, is_engine) in [
            ("HTTP/1.0 200 OK\r\n\r\nOK", true),
            ("HTTP/1.1 404 Not Found\r\n\r\n", false),
            ("SSH-2.0-OpenSSH", false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let socket = folder.path().join("engine.sock");
            let listener = UnixListener::bind(&socket).unwrap();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                stream.write_all(answer.as_bytes()).unwrap();
            });
            assert_eq!(ping(&socket).is_ok(), is_engine, "{answer}");
            server.join().unwrap();
        }
        assert!(ping(Path::new("/nowhere/engine.sock")).is_err());
    }

    #[test]
    fn an_engine_that_is_named_has_to_answer() {
        for unset in [None, Some("")] {
            assert_eq!(socket(unset).unwrap(), Path::new(SOCKET));
        }
        for away in ["unix:///nowhere/engine.sock", "tcp://127.0.0.1:1"] {
            let error = socket(Some(away)).unwrap_err();
            assert!(error.to_string().contains(away), "{error}");
        }
    }
}
