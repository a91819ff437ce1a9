//! `doprax logs`: what containers print.

use crate::context::Context;
use crate::failure::Result;
use crate::since::Since;
use doprax_api::client::LogQuery;
use doprax_api::wire::LogLine;
use doprax_core::name::{AppName, ServiceName};
use futures_util::StreamExt as _;

/// Show what an app's containers print
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax logs shop -f              all containers, as it comes
  doprax logs shop mysql --tail 50 the last 50 lines of one container
  doprax logs shop --since 10m     the last ten minutes
  doprax logs shop --since 2026-01-31T08:00:00Z --json")]
pub(crate) struct Logs {
    /// The app's name
    app: AppName,
    /// One of its containers: main or a service; all of them if absent
    container: Option<ServiceName>,
    /// Wait for more
    #[arg(short, long)]
    follow: bool,
    /// Only what is newer: 30s, 10m, 2h, 3d, an RFC 3339 time or Unix time
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
    /// Only this many lines of each container, from the end
    #[arg(short = 'n', long, value_name = "LINES")]
    tail: Option<u32>,
    /// Show when each line was printed
    #[arg(short, long)]
    timestamps: bool,
}

impl Logs {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let query = LogQuery {
            container: self.container.clone(),
            since: self.since.map(|Since(seconds)| seconds),
            tail: self.tail,
            follow: self.follow,
        };
        let mut lines = context.client()?.logs(&self.app, &query).await?;
        let mut seen = Vec::new();
        while let Some(line) = lines.next().await {
            let line = line?;
            if context.output.json {
                context.output.json(&line)?;
            } else {
                context
                    .output
                    .line(self.render(context, &line, &mut seen))?;
            }
        }
        Ok(())
    }

    /// The line, with its container where several are shown; `seen` gives each a colour.
    fn render(&self, context: &Context, line: &LogLine, seen: &mut Vec<ServiceName>) -> String {
        let paint = context.output.paint;
        let mut text = String::new();
        if self.container.is_none() {
            let index = seen
                .iter()
                .position(|name| *name == line.container)
                .unwrap_or_else(|| {
                    seen.push(line.container.clone());
                    seen.len() - 1
                });
            let width = seen
                .iter()
                .map(|name| name.as_str().len())
                .max()
                .unwrap_or(0);
            text.push_str(&paint.nth(index, &format!("{:width$} │ ", line.container.as_str())));
        }
        if self.timestamps {
            text.push_str(&paint.dim(&format!("{} ", line.time)));
        }
        text.push_str(&line.text);
        text
    }
}
