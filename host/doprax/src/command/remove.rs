//! `doprax remove`: take an app away, and keep its volumes.

use crate::confirm::confirm;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::progress;
use crate::turn::Turn;
use doprax_api::wire::SecretsOnRemoval;
use doprax_core::name::AppName;

/// Remove an app; its volumes stay
///
/// Stops and removes the app's containers and its network, and forgets its releases. What
/// its volumes hold stays, and the next deploy of an app of this name finds it again.
///
/// Its secrets, generated ones and those set with `doprax secret`, stay while volumes stay,
/// for what is in those may open only with them. Without volumes they are forgotten: the
/// next deploy generates others. --keep-secrets and --forget-secrets decide otherwise.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax remove shop               show what goes and what stays, ask, remove
  doprax remove shop --yes         do not ask
  doprax remove shop --keep-secrets
  doprax volume remove shop data   afterwards: remove a volume and what is in it")]
pub(crate) struct Remove {
    /// The app's name
    app: AppName,
    /// Keep its secrets, whether or not volumes stay
    #[arg(long, conflicts_with = "forget_secrets")]
    keep_secrets: bool,
    /// Forget its secrets, whether or not volumes stay; also those that an app of this name
    /// left when it was removed
    #[arg(long)]
    forget_secrets: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Do not wait for the end
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    turn: Turn,
}

impl Remove {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let output = &context.output;
        let client = self.turn.client(context)?;
        let secrets = match (self.keep_secrets, self.forget_secrets) {
            (true, _) => Some(SecretsOnRemoval::Keep),
            (_, true) => Some(SecretsOnRemoval::Forget),
            _ => None,
        };
        let (started, volumes) = loop {
            // Not the app's status: an engine may take a second to measure each container.
            let (proposal, mut volumes) =
                tokio::try_join!(client.plan_removal(&self.app, secrets), client.volumes())?;
            volumes.retain(|volume| volume.app == self.app);
            if !output.json && proposal.changes {
                output.line(proposal.diff.render(output.paint.colour()).trim_end())?;
            }
            if !self.yes && !confirm(output, &format!("Remove {}?", self.app), "--yes")? {
                output.remark("nothing was done");
                return Err(Failure::Silent(1));
            }
            // Only what somebody looked at can have become another.
            let confirmed = proposal.digest.as_deref().filter(|_| !self.yes);
            match client.remove(&self.app, secrets, confirmed).await {
                Err(error) if error.is_outdated() => {
                    output.remark("something has changed meanwhile, so nothing was done yet\n");
                }
                started => break (started?, volumes),
            }
        };
        let ended = progress::see_through(context, &client, &started, self.detach).await?;
        if ended.is_none() {
            return Ok(());
        }
        output.line(format!(
            "{} is removed",
            output.paint.bold(self.app.as_str())
        ))?;
        if !volumes.is_empty() {
            let names = volumes
                .iter()
                .map(|volume| format!("{:?}", volume.name.as_str()));
            let names: Vec<String> = names.collect();
            output.remark(format!(
                "its volumes stay: {}; `doprax volume remove {} NAME` removes one and what is in it",
                names.join(", "),
                self.app
            ));
        }
        Ok(())
    }
}
