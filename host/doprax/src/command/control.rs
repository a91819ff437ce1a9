//! `doprax start`, `stop` and `restart`.

use crate::context::Context;
use crate::failure::Result;
use crate::progress;
use crate::turn::Turn;
use doprax_api::wire::Control;
use doprax_core::name::{AppName, ServiceName};

/// Start an app that was stopped, or one of its containers
///
/// Starts everything in order and waits until it is ready.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax start shop                start all of it
  doprax start shop redis          start one container")]
pub(crate) struct Start {
    #[command(flatten)]
    target: Target,
}

/// Stop an app, or one of its containers
///
/// What was stopped stays stopped, also when the host or the machine restarts, until it is
/// started or deployed again. Volumes and settings stay.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax stop shop                 stop all of it
  doprax stop shop worker          stop one container")]
pub(crate) struct Stop {
    #[command(flatten)]
    target: Target,
}

/// Restart an app, or one of its containers
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax restart shop              restart all of it, in order
  doprax restart shop main         restart one container")]
pub(crate) struct Restart {
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
struct Target {
    /// The app's name
    app: AppName,
    /// One of its containers: main or a service; all of them if absent
    container: Option<ServiceName>,
    /// Do not wait for the end
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    turn: Turn,
}

impl Start {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        self.target.run(context, Control::Start, "runs").await
    }
}

impl Stop {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        self.target.run(context, Control::Stop, "is stopped").await
    }
}

impl Restart {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        self.target
            .run(context, Control::Restart, "runs again")
            .await
    }
}

impl Target {
    async fn run(self, context: &Context, control: Control, end: &str) -> Result<()> {
        let output = &context.output;
        let client = self.turn.client(context)?;
        let started = client
            .control(&self.app, self.container.as_ref(), control)
            .await?;
        let ended = progress::see_through(context, &client, &started, self.detach).await?;
        if ended.is_none() {
            return Ok(());
        }
        let app = output.paint.bold(self.app.as_str());
        match &self.container {
            Some(container) => output.line(format!("{container} of {app} {end}")),
            None => output.line(format!("{app} {end}")),
        }
    }
}
