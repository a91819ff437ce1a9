//! `doprax quickstart`: from a bare machine to a running app.

use super::up::Up;
use crate::confirm::confirm;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::quickstart::engine::State;
use crate::quickstart::{Error, app, engine, images};
use doprax_api::client::Client;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a host may take to answer after its start.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// The host's log in the state folder, if this command starts it.
const LOG: &str = "serve.log";

/// Try Doprax: from a bare machine to a running app
///
/// Installs and starts a container engine where there is none (Debian, Ubuntu), starts a
/// host in the background, and deploys a small guestbook with Redis from a folder that is
/// yours to change. Asks before it changes the machine. Where no registry can be reached
/// it builds the images it needs from Debian's packages. Can be run again: what is done
/// is left alone.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax quickstart                  ask before every change to the machine
  doprax quickstart --yes            ask nothing
  doprax quickstart --yes ./mine     with the guestbook's source in ./mine")]
pub(crate) struct Quickstart {
    /// Where the guestbook's source is written [default: ~/doprax-guestbook]
    dir: Option<PathBuf>,
    /// Do not ask before changing anything
    #[arg(short, long)]
    yes: bool,
    /// Address on which the host serves apps, if it is started [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
}

impl Quickstart {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let output = &context.output;
        let say = |line: &str| output.remark(format!("  {}", output.error_paint.dim(line)));
        let named = std::env::var("DOCKER_HOST").ok();
        let socket = engine::socket(named.as_deref())?;
        let socket = socket.as_path();
        self.provide_engine(context, socket, &say)?;

        let client = context.client()?;
        if client.version().await.is_ok() {
            output.remark("a host runs already");
        } else {
            let address = client.address().to_string();
            output.remark(format!("starting a host on {address}"));
            self.start_host(context, &client).await?;
        }

        let images = match images::find(socket, &say)? {
            Some(images) => images,
            None => {
                output.remark(
                    "no registry can be reached: the images can be built from Debian's packages \
                     (some minutes, 300 MB)",
                );
                self.ask(context, "Build them?")?;
                images::build(socket, &say)?
            }
        };
        let folder = match self.dir.clone() {
            Some(folder) => folder,
            None => home()?.join("doprax-guestbook"),
        };
        app::write(&folder, images)?;
        output.remark(format!("the guestbook's source is in {}", folder.display()));
        Up::without_asking(folder.clone()).run(context).await?;
        if output.json {
            return Ok(());
        }
        let folder = folder.display();
        let name = app::NAME;
        output.line(format!(
            "\nGo on:\n  \
             change {folder}/page.html, then: doprax up {folder}\n  \
             doprax logs {name} -f          what it prints\n  \
             doprax shell {name} redis      look around in a container\n  \
             doprax status {name}           how it is\n  \
             doprax remove {name}           take it away (its volumes stay)"
        ))
    }

    fn ask(&self, context: &Context, question: &str) -> Result<()> {
        if self.yes || confirm(&context.output, question, "--yes")? {
            return Ok(());
        }
        context.output.remark("nothing was done");
        Err(Failure::Silent(1))
    }

    /// Sees to it that an engine answers.
    fn provide_engine(&self, context: &Context, socket: &Path, say: &dyn Fn(&str)) -> Result<()> {
        if engine::state(socket)? == State::Missing {
            context
                .output
                .remark("this machine has no container engine");
            self.ask(context, "Install Docker from the distribution's packages?")?;
            engine::install(say)?;
        }
        if engine::state(socket)? != State::Answers {
            context.output.remark("the container engine does not run");
            self.ask(context, "Start it?")?;
            engine::start(socket, say)?;
        }
        Ok(())
    }

    /// Starts a host in the background and waits until it answers.
    async fn start_host(&self, context: &Context, client: &Client) -> Result<()> {
        let folder = context.state()?;
        let log = folder.join(LOG);
        let mut child = self.spawn_host(&folder, &log).map_err(|error| {
            Failure::new("cannot start a host in the background").because(&error)
        })?;
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = client.version().await;
            let Err(error) = answer else { return Ok(()) };
            let ended = child.try_wait()?;
            if ended.is_some() || Instant::now() > end {
                let help = format!("its log says why: {}", log.display());
                let failure = Failure::new("the host did not start")
                    .because(&error)
                    .help(help);
                return Err(failure.log(last_lines(&log)));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// `setsid` takes the host out of this terminal's session, so that closing the
    /// terminal does not end it.
    fn spawn_host(&self, folder: &Path, log: &Path) -> std::io::Result<Child> {
        std::fs::create_dir_all(folder)?;
        let log = File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(log)?;
        let mut command = Command::new("setsid");
        command
            .arg(std::env::current_exe()?)
            .arg("serve")
            .arg("--state")
            .arg(folder);
        if let Some(address) = self.http {
            command.arg("--http").arg(address.to_string());
        }
        command
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
    }
}

fn home() -> Result<PathBuf> {
    std::env::home_dir().ok_or_else(|| {
        Failure::usage("your home folder is not known").help("name a folder: doprax quickstart DIR")
    })
}

fn last_lines(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect()
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from_error(&error)
            .help(error.remedy())
            .log(error.output().to_vec())
    }
}
