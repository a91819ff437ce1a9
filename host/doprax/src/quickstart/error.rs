//! What can go wrong before the guestbook can be deployed, each with its remedy.

use std::io;
use std::path::PathBuf;

/// Why the quickstart cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Only root may do it.
    #[error("only root can {action}")]
    NotRoot {
        /// What was to be done.
        action: &'static str,
    },
    /// The machine has no `apt-get`.
    #[error("this machine has no apt-get, so the quickstart cannot {action}")]
    NotDebian {
        /// What was to be done.
        action: &'static str,
    },
    /// A program could not be run at all.
    #[error("cannot run {program} to {action}")]
    NotRun {
        /// What was to be done.
        action: &'static str,
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("{program} failed to {action}")]
    Failed {
        /// What was to be done.
        action: &'static str,
        /// The program.
        program: String,
        /// The last lines it printed.
        output: Vec<String>,
    },
    /// The engine was started and does not answer.
    #[error("the container engine was started and does not answer")]
    EngineSilent {
        /// Where its log is, or the command that shows it.
        log: String,
        /// The last lines of its log, where it is a file.
        output: Vec<String>,
    },
    /// The engine's socket belongs to others.
    #[error("the socket {} of the container engine is closed to this user", socket.display())]
    EngineDenied {
        /// The socket.
        socket: PathBuf,
    },
    /// `DOCKER_HOST` names an engine that cannot be used.
    #[error("no container engine answers at {address}, which DOCKER_HOST names")]
    EngineNamed {
        /// The address.
        address: String,
    },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// What to do about it.
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::NotRoot { .. } => "run the command again with sudo".to_owned(),
            Self::NotDebian { .. } => {
                "install Docker as https://docs.docker.com/engine/install/ says, then run the command again".to_owned()
            }
            Self::NotRun { program, source, .. } if source.kind() == io::ErrorKind::NotFound => {
                let package = match program.as_str() {
                    "docker" => "docker-cli",
                    "setsid" => "util-linux",
                    other => other,
                };
                format!("install it (`apt-get install {package}`), then run the command again")
            }
            Self::NotRun { program, .. } => format!("see whether `{program}` works by itself"),
            Self::Failed { program, .. } if program == "apt-get" => {
                "see whether `apt-get update` works by itself; it needs the network and no other apt running".to_owned()
            }
            Self::Failed { program, .. } if program == "debootstrap" => {
                "it needs Debian's mirror (deb.debian.org): check the network, or a proxy in http_proxy".to_owned()
            }
            Self::Failed { .. } => "its last lines say why; the command can be run again and goes on where it was".to_owned(),
            Self::EngineSilent { log, .. } => format!("its log says why: {log}"),
            Self::EngineDenied { .. } => {
                "run the command with sudo, or join the group of the socket: `sudo usermod -aG docker $USER`, then log in again".to_owned()
            }
            Self::EngineNamed { .. } => {
                "start it, or unset DOCKER_HOST to use Docker's usual socket; the quickstart needs one of this machine (unix:///PATH)".to_owned()
            }
            Self::Write { .. } => "check the folder's permissions and the free space".to_owned(),
        }
    }

    /// The last lines of what was run, for people.
    pub(crate) fn output(&self) -> &[String] {
        match self {
            Self::Failed { output, .. } | Self::EngineSilent { output, .. } => output,
            _ => &[],
        }
    }
}
