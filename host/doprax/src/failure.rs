//! Errors as people and scripts see them: what failed, why, what to do next. The
//! only place that prints one.

use crate::output;
use crate::paint::Paint;
use crate::state;
use crate::visible::visible;
use doprax_api::client::{Address, ClientError};
use doprax_api::wire;
use doprax_core::diagnostic::Diagnostic;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How a command that did not succeed ends.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It failed: exit code 1, and this is said.
    Failed(Box<wire::Failure>),
    /// It was called wrongly: exit code 2, and this is said.
    Usage(Box<wire::Failure>),
    /// It ends with this code, and all has been said.
    Silent(u8),
}

/// What a command returns.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// It failed.
    pub(crate) fn new(error: impl Into<String>) -> Self {
        Self::Failed(Box::new(wire::Failure {
            error: error.into(),
            ..wire::Failure::default()
        }))
    }

    /// It was called wrongly.
    pub(crate) fn usage(error: impl Into<String>) -> Self {
        Self::Usage(Box::new(wire::Failure {
            error: error.into(),
            ..wire::Failure::default()
        }))
    }

    /// It failed because of this error and its causes.
    pub(crate) fn from_error(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Failed(Box::new(wire::Failure::from_error(error)))
    }

    /// The same with a cause and its causes.
    pub(crate) fn because(mut self, cause: &(dyn std::error::Error + 'static)) -> Self {
        if let Some(failure) = self.content() {
            let wire::Failure { error, causes, .. } = wire::Failure::from_error(cause);
            failure.causes.push(error);
            failure.causes.extend(causes);
        }
        self
    }

    /// The same with what to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        if let Some(failure) = self.content() {
            failure.help = Some(help.into());
        }
        self
    }

    /// The same with the last lines of a log that show why.
    pub(crate) fn log(mut self, lines: Vec<String>) -> Self {
        if let Some(failure) = self.content() {
            failure.log = lines;
        }
        self
    }

    /// What is wrong with which places of a file, which it then no longer says itself.
    pub(crate) fn take_diagnostics(&mut self) -> Vec<Diagnostic> {
        let content = self.content();
        content.map_or_else(Vec::new, |failure| std::mem::take(&mut failure.diagnostics))
    }

    /// What failed and its causes in one line, and what to do about it.
    pub(crate) fn texts(self) -> (String, Option<String>) {
        match self {
            Self::Failed(failure) | Self::Usage(failure) => {
                let parts = std::iter::once(failure.error).chain(failure.causes);
                (parts.collect::<Vec<_>>().join(": "), failure.help)
            }
            Self::Silent(_) => (String::new(), None),
        }
    }

    fn content(&mut self) -> Option<&mut wire::Failure> {
        match self {
            Self::Failed(failure) | Self::Usage(failure) => Some(failure),
            Self::Silent(_) => None,
        }
    }

    /// Says it on standard error, as JSON if that is wanted, and gives the exit code.
    pub(crate) fn report(&self, json: bool, paint: Paint) -> ExitCode {
        let (failure, code) = match self {
            Self::Failed(failure) => (failure, 1),
            Self::Usage(failure) => (failure, 2),
            Self::Silent(code) => return ExitCode::from(*code),
        };
        let text = if json {
            format!("{}\n", output::json(failure))
        } else {
            visible(&render(failure, paint), paint.colour()).into_owned()
        };
        // Where standard error is closed there is nobody to tell.
        let _ = io::stderr().write_all(text.as_bytes());
        ExitCode::from(code)
    }
}

/// The failure as people read it. Ends with a line break.
fn render(failure: &wire::Failure, paint: Paint) -> String {
    let mut text = String::new();
    let mut line = |content: String| {
        text.push_str(&content);
        text.push('\n');
    };
    for part in &failure.log {
        line(format!("  {} {part}", paint.dim("│")));
    }
    if !failure.diagnostics.is_empty() {
        let rendered = doprax_core::diagnostic::render(&failure.diagnostics, paint.colour());
        line(rendered);
    }
    line(format!(
        "{} {}",
        paint.red("error:"),
        paint.bold(&failure.error)
    ));
    for cause in &failure.causes {
        for (number, part) in cause.lines().enumerate() {
            line(format!(
                "{} {part}",
                if number == 0 {
                    "  because:"
                } else {
                    "          "
                }
            ));
        }
    }
    if let Some(help) = &failure.help {
        for (number, part) in help.lines().enumerate() {
            let margin = if number == 0 {
                paint.green("help:")
            } else {
                "     ".to_owned()
            };
            line(format!("{margin} {part}"));
        }
    }
    text
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused { failure, .. } => Self::Failed(failure),
            ClientError::Unreachable {
                ref address,
                ref source,
            } => {
                let failure = Self::new(format!("no host answers at {address}")).because(source);
                failure.help(unreachable_help(address, source))
            }
            ClientError::Ingress { .. } => Self::from_error(&error).help(
                "the API has a socket (unix://STATE/doprax.sock) or, with `doprax serve --api \
                 ADDRESS`, a port of its own: name that one with --host or DOPRAX_HOST",
            ),
            ClientError::Broken { .. } => Self::from_error(&error)
                .help("the host may be restarting: run the command again in a moment"),
            ClientError::Answer { .. } => Self::from_error(&error)
                .help("is it a Doprax host of this version? compare `doprax --version` on both"),
        }
    }
}

/// What to do when a host does not answer.
fn unreachable_help(address: &Address, source: &io::Error) -> String {
    let elsewhere = "say where it is with --host or DOPRAX_HOST";
    match (address, source.kind()) {
        (Address::Unix(_), io::ErrorKind::PermissionDenied) => {
            "the socket belongs to another user: use `sudo`, or have the host run with `doprax serve --group GROUP`".to_owned()
        }
        (Address::Unix(path), _) => match host_of_the_system(path) {
            Some(system) => format!("a host of this machine is at unix://{}: {elsewhere}", system.display()),
            None => format!("start one with `doprax serve`, or {elsewhere}"),
        },
        (Address::Tcp(_), _) => format!("check that it serves there (`doprax serve --api ADDRESS`), or {elsewhere}"),
    }
}

/// The socket of the host that root runs on this machine, for a user who named no other and
/// has none at `path`.
fn host_of_the_system(path: &Path) -> Option<PathBuf> {
    let usual = state::folder(None).ok()?.join(state::SOCKET);
    let system = Path::new(state::SYSTEM).join(state::SOCKET);
    (*path == usual && *path != system && is_served(&system)).then_some(system)
}

/// Whether somebody serves a socket, whoever may use it. One that a dead host left is not.
fn is_served(socket: &Path) -> bool {
    match UnixStream::connect(socket) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    }
}

/// What went wrong when a command said something on standard output. A reader that
/// has seen enough (`| head`) is no failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Silent(0)
        } else {
            Self::new("cannot write what there is to say").because(&error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_socket_that_nobody_serves_is_no_host() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("doprax.sock");
        assert!(!is_served(&socket));
        let listener = UnixListener::bind(&socket).unwrap();
        assert!(is_served(&socket));
        drop(listener);
        assert!(socket.exists() && !is_served(&socket));
    }

    #[test]
    fn who_named_a_socket_is_sent_to_no_other() {
        assert_eq!(host_of_the_system(Path::new("/named/doprax.sock")), None);
    }

    #[test]
    fn a_failure_says_what_why_and_what_next() {
        let failure = wire::Failure {
            error: "cannot build the app".to_owned(),
            causes: vec![
                "the engine refused".to_owned(),
                "disk full\n3 bytes free".to_owned(),
            ],
            help: Some("free some space:\n`docker system prune`".to_owned()),
            log: vec!["step 1".to_owned()],
            ..wire::Failure::default()
        };
        insta::assert_snapshot!(render(&failure, Paint::new(false)), @r"
          │ step 1
        error: cannot build the app
          because: the engine refused
          because: disk full
                   3 bytes free
        help: free some space:
              `docker system prune`
        ");
    }
}
