//! `doprax up`: deploy the app in a folder.

use super::plan::{Choices, Prepared, prepare};
use crate::confirm::confirm;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::progress::{self, Ended};
use crate::turn::Turn;
use crate::units;
use doprax_api::client::Client;
use doprax_api::wire::Proposal;
use doprax_source::{Tree, pack};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Sources from this size on show how far their sending is, in bytes.
const LARGE: u64 = 8 << 20;

/// Deploy the app in a folder
///
/// Reads doprax.yaml and the Dockerfile in DIR, shows what would change, asks, and does
/// it: builds main, pulls images, starts services, waits until everything is ready and
/// points the app's address at it. What runs already and does not change is left alone;
/// a new copy of main takes over without a failed request. If something does not become
/// ready, the release before goes on serving.
///
/// `.dockerignore` says what is not sent. Left out already are .git, .hg, .svn, .DS_Store,
/// .dockerignore, doprax.yaml and the config files that it mounts, unless the Dockerfile
/// copies one of these files by its name or its folder's; `!.git` in `.dockerignore` brings
/// it back, and so for the others. `${NAME}` in doprax.yaml is taken from the
/// environment, or from `doprax secret set`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax up                        deploy the app in this folder
  doprax up shop --yes             deploy the app in ./shop without asking
  doprax up --yes --detach         begin, and do not wait for the end
  doprax up --yes --no-wait        fail if something else is done to the app just now
  doprax up --pull                 with the images that the registries now have
  doprax up --build --no-cache     build main again from nothing
  doprax up --env-file .env        give the manifest's ${NAME} the values of a file
  API_KEY=… doprax up              give the manifest's ${API_KEY} its value

Ctrl-C asks whether to cancel the deploy or to let it go on by itself. `doprax operation ID`
comes back to it.")]
pub(crate) struct Up {
    /// The app's source folder
    #[arg(default_value = ".", hide_default_value = true)]
    dir: PathBuf,
    /// Do not ask before changing anything
    #[arg(short, long)]
    yes: bool,
    /// Do not wait for the end
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    turn: Turn,
    #[command(flatten)]
    choices: Choices,
}

impl Up {
    /// The command as it is with `--yes`.
    pub(crate) fn without_asking(dir: PathBuf) -> Self {
        Self {
            dir,
            yes: true,
            detach: false,
            turn: Turn::default(),
            choices: Choices::default(),
        }
    }

    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let output = &context.output;
        let client = self.turn.client(context)?;
        let Prepared {
            mut request,
            tree,
            mut proposal,
        } = prepare(context, &client, &self.dir, &self.choices).await?;
        let mut tree = Some(tree);
        let started = loop {
            if !proposal.changes {
                return nothing_to_do(context, &proposal);
            }
            if !output.json {
                super::plan::show(context, &proposal)?;
            }
            if !self.yes && !confirm(output, "Apply?", "--yes")? {
                output.remark("nothing was done");
                return Err(Failure::Silent(1));
            }
            // Only what somebody looked at can have become another.
            request.confirmed = proposal.digest.clone().filter(|_| !self.yes);
            if let Some(tree) = tree.take_if(|_| proposal.needs_source) {
                send(context, &client, tree, &request.source).await?;
            }
            match client.deploy(&request).await {
                Err(error) if error.is_outdated() => {
                    output.remark("something has changed meanwhile, so nothing was done yet\n");
                    proposal = client.plan(&request).await?;
                }
                started => break started?,
            }
        };
        let ended = progress::see_through(context, &client, &started, self.detach).await?;
        let Some(Ended { url }) = ended else {
            return Ok(());
        };
        let name = output.paint.bold(proposal.app.as_str());
        match url {
            Some(url) => output.line(format!("{name} runs at {}", output.paint.cyan(&url))),
            None => output.line(format!("{name} runs")),
        }
    }
}

fn nothing_to_do(context: &Context, proposal: &Proposal) -> Result<()> {
    let output = &context.output;
    if output.json {
        return output.json(&json!({ "event": "done", "app": proposal.app, "changes": false }));
    }
    super::plan::show(context, proposal)
}

/// Sends the source archive.
async fn send(context: &Context, client: &Client, tree: Tree, digest: &str) -> Result<()> {
    let output = &context.output;
    let total = tree.bytes;
    let sent = Arc::new(AtomicU64::new(0));
    let pieces = pack(tree, Arc::clone(&sent));
    let mut sending = std::pin::pin!(client.send_source(digest, pieces));
    if total < LARGE {
        return Ok(sending.await?);
    }
    if !output.animated() {
        output.remark(format!("sending {} of source", units::bytes(total)));
        return Ok(sending.await?);
    }
    let style =
        ProgressStyle::with_template("{bar:24.cyan/dim} {bytes} of {total_bytes} of source sent")
            .expect("the template is right");
    let bar = ProgressBar::new(total).with_style(style);
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let ended = loop {
        tokio::select! {
            ended = &mut sending => break ended,
            _ = tick.tick() => bar.set_position(sent.load(Ordering::Relaxed).min(total)),
        }
    };
    bar.finish_and_clear();
    Ok(ended?)
}
