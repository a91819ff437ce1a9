//! `doprax rollback`: go back to an earlier release.

use crate::actor::actor;
use crate::confirm::confirm;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::progress::{self, Ended};
use crate::turn::Turn;
use doprax_api::wire;
use doprax_core::name::AppName;
use serde_json::json;

/// Go back to an earlier release
///
/// Shows what would change, asks, and brings the image, the environment, the config files,
/// the secrets and the services' versions of that release back, all together and without a
/// failed request, as a release of its own. Neither its source nor a registry is needed.
/// Without RELEASE it goes to the one before; another rollback then goes further back.
///
/// Volumes are never rolled back. A service whose data a newer version has written does not
/// go back to an older one, unless with --allow-downgrade. A secret that was set for the next
/// deploy stays so.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax rollback shop             the release before the current one
  doprax rollback shop 3 --yes     release 3, without asking
  doprax rollback shop --detach    begin, and do not wait for the end
  doprax releases shop             which are there?")]
pub(crate) struct Rollback {
    /// The app's name
    app: AppName,
    /// The release's number; else the one before the current
    #[arg(value_name = "RELEASE")]
    release: Option<u64>,
    /// Let services go back to an older version on the data that a newer one has written
    #[arg(long)]
    allow_downgrade: bool,
    /// Do not ask before changing anything
    #[arg(short, long)]
    yes: bool,
    /// Do not wait for the end
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    turn: Turn,
}

impl Rollback {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let output = &context.output;
        let client = self.turn.client(context)?;
        let (mut wanted, allow_downgrade) = (self.release, self.allow_downgrade);
        let (to, started) = loop {
            let planned = client.plan_rollback(&self.app, wanted, allow_downgrade);
            let wire::RollbackProposal { to, proposal } = planned.await?;
            // What was looked at is what is meant from now on.
            wanted = Some(to);
            if !output.json {
                output.line(proposal.diff.render(output.paint.colour()).trim_end())?;
                output.remark(format!("this is release {to}; volumes stay as they are"));
            }
            if !proposal.changes {
                let done = json!({ "event": "done", "app": self.app, "changes": false });
                return match output.json {
                    true => output.json(&done),
                    false => Ok(()),
                };
            }
            if !self.yes && !confirm(output, &format!("Go back to release {to}?"), "--yes")? {
                output.remark("nothing was done");
                return Err(Failure::Silent(1));
            }
            let rollback = wire::Rollback {
                to,
                allow_downgrade,
                confirmed: proposal.digest.filter(|_| !self.yes),
                actor: actor(),
            };
            match client.roll_back(&self.app, &rollback).await {
                Err(error) if error.is_outdated() => {
                    output.remark("something has changed meanwhile, so nothing was done yet\n");
                }
                started => break (to, started?),
            }
        };
        let ended = progress::see_through(context, &client, &started, self.detach).await?;
        let Some(Ended { url }) = ended else {
            return Ok(());
        };
        let name = output.paint.bold(self.app.as_str());
        match url {
            Some(url) => output.line(format!(
                "{name} runs as in release {to} at {}",
                output.paint.cyan(&url)
            )),
            None => output.line(format!("{name} runs as in release {to}")),
        }
    }
}
