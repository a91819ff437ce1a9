//! `doprax volume`: list volumes, remove one with all that is in it, and accept an empty
//! one in the place of one that is gone.

use crate::confirm::{confirm, must_ask};
use crate::context::Context;
use crate::failure::{Failure, Result};
use doprax_api::wire;
use doprax_core::name::{AppName, VolumeName};
use serde_json::json;

/// List volumes, remove one, or replace one that is gone
///
/// Volumes hold what must outlive containers. No deploy, removal or rollback takes one
/// away: only `doprax volume remove` does. Where something else took one away, what mounts
/// it is not started with an empty one until it is back, or until `doprax volume recreate`
/// accepts an empty one.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax volume list shop
  doprax volume remove shop data")]
pub(crate) struct Volume {
    #[command(subcommand)]
    command: VolumeCommand,
}

#[derive(Debug, clap::Subcommand)]
enum VolumeCommand {
    List(List),
    Recreate(Recreate),
    Remove(Remove),
}

/// List volumes and where they are mounted
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax volume list               those of all apps, also of removed ones
  doprax volume list shop          those of one app")]
struct List {
    /// Only those of this app
    app: Option<AppName>,
}

/// Make an empty volume in the place of one that is gone
///
/// For a volume that something took away (`docker volume rm`, a new disk). What was in it
/// is not in the new one; containers that mount it start again. One that is there is left
/// as it is.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax volume recreate shop data
  doprax volume recreate shop \"new volume 01\" --yes")]
struct Recreate {
    /// The app that it belongs to
    app: AppName,
    /// Its name in doprax.yaml
    #[arg(value_parser = |text: &str| VolumeName::new(text))]
    name: VolumeName,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Remove a volume and everything in it
///
/// It cannot be brought back. A volume that a container mounts is not removed. With the last
/// volume of a removed app its secrets are forgotten.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax volume remove shop data
  doprax volume remove shop \"new volume 01\" --yes")]
struct Remove {
    /// The app that it belongs to
    app: AppName,
    /// Its name in doprax.yaml
    #[arg(value_parser = |text: &str| VolumeName::new(text))]
    name: VolumeName,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Volume {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        match self.command {
            VolumeCommand::List(list) => list.run(context).await,
            VolumeCommand::Recreate(recreate) => recreate.run(context).await,
            VolumeCommand::Remove(remove) => remove.run(context).await,
        }
    }
}

impl List {
    async fn run(self, context: &Context) -> Result<()> {
        let output = &context.output;
        let mut volumes = context.client()?.volumes().await?;
        if let Some(app) = &self.app {
            volumes.retain(|volume| volume.app == *app);
        }
        if output.json {
            return output.json(&volumes);
        }
        if volumes.is_empty() {
            output.remark("no volumes");
            return Ok(());
        }
        let rows: Vec<Vec<String>> = volumes
            .iter()
            .map(|volume| {
                vec![
                    volume.app.to_string(),
                    volume.name.to_string(),
                    mounts(volume),
                ]
            })
            .collect();
        output.table(&["APP", "VOLUME", "MOUNTED AT"], &rows)
    }
}

impl Recreate {
    async fn run(self, context: &Context) -> Result<()> {
        let output = &context.output;
        let question = format!(
            "Start {} with an empty volume {:?}, without what was in it?",
            self.app,
            self.name.as_str()
        );
        if !self.yes && !confirm(output, &question, "--yes")? {
            output.remark("nothing was done");
            return Err(Failure::Silent(1));
        }
        context
            .client()?
            .recreate_volume(&self.app, &self.name)
            .await?;
        if output.json {
            return output.json(&json!({ "app": self.app, "recreated": self.name }));
        }
        output.line(format!(
            "volume {:?} of {} is there, and empty",
            self.name.as_str(),
            self.app
        ))
    }
}

impl Remove {
    async fn run(self, context: &Context) -> Result<()> {
        let output = &context.output;
        let client = context.client()?;
        if !self.yes {
            must_ask(output, "--yes")?;
            // Nobody is asked about what cannot be done.
            client.check_volume(&self.app, &self.name).await?;
            let question = format!(
                "Remove volume {:?} of {} and everything in it for good?",
                self.name.as_str(),
                self.app
            );
            if !confirm(output, &question, "--yes")? {
                output.remark("nothing was done");
                return Err(Failure::Silent(1));
            }
        }
        client.remove_volume(&self.app, &self.name).await?;
        if output.json {
            return output.json(&json!({ "app": self.app, "removed": self.name }));
        }
        output.line(format!(
            "volume {:?} of {} is removed",
            self.name.as_str(),
            self.app
        ))
    }
}

/// Where a volume is mounted.
pub(super) fn mounts(volume: &wire::Volume) -> String {
    let mut places = volume.mounts.join(", ");
    if places.is_empty() {
        places.push_str("(nowhere)");
    }
    if volume.gone {
        places.push_str(" - it is gone");
    }
    places
}
