//! `doprax logs`: what containers print, and what visitors asked for.

use crate::context::Context;
use crate::failure::Result;
use crate::since::Since;
use crate::units;
use crate::visible::in_line;
use doprax_api::client::LogQuery;
use doprax_api::wire::{Access, LogLine};
use doprax_core::name::{AppName, ServiceName};
use futures_util::StreamExt as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Show what an app's containers print
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax logs shop -f              all containers, as it comes
  doprax logs shop mysql --tail 50 the last 50 lines of one container
  doprax logs shop --since 10m     the last ten minutes
  doprax logs shop --since 2026-01-31T08:00:00Z --json
  doprax logs shop main --raw      with all that it does to a terminal
  doprax logs shop --access -f     what visitors ask for, and what they get
  doprax logs --access             the same of all apps, and what was for none

The host keeps the latest 20000 requests in memory, and 2000 of those for no app, until it
ends or is upgraded. `doprax serve --metrics` counts all.")]
pub(crate) struct Logs {
    /// The app's name; with --access, all apps if absent
    #[arg(required_unless_present = "access")]
    app: Option<AppName>,
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
    /// Print lines byte for byte as far as they are UTF-8, also what a terminal obeys; else
    /// only colours pass, and only to a terminal
    #[arg(long, conflicts_with = "access")]
    raw: bool,
    /// Show requests instead: what visitors asked for, and what they got. Not with a
    /// container, --since or --timestamps
    #[arg(long, conflicts_with_all = ["container", "since", "timestamps"])]
    access: bool,
}

impl Logs {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let Some(app) = self.app.as_ref().filter(|_| !self.access) else {
            return self.show_access(context).await;
        };
        let query = LogQuery {
            container: self.container.clone(),
            since: self.since.map(|Since(seconds)| seconds),
            tail: self.tail,
            follow: self.follow,
        };
        let mut lines = context.client()?.logs(app, &query).await?;
        let mut seen = Vec::new();
        while let Some(line) = lines.next().await {
            let line = line?;
            if context.output.json {
                context.output.json(&line)?;
            } else {
                let text = self.render(context, &line, &mut seen);
                if self.raw {
                    context.output.raw_line(text)?;
                } else {
                    context.output.line(text)?;
                }
            }
        }
        Ok(())
    }

    async fn show_access(&self, context: &Context) -> Result<()> {
        let client = context.client()?;
        let mut records = client
            .access(self.app.as_ref(), self.tail, self.follow)
            .await?;
        while let Some(record) = records.next().await {
            let record = record?;
            if context.output.json {
                context.output.json(&record)?;
            } else {
                context.output.line(in_line(&request(&record)))?;
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

/// A request, in one line.
fn request(record: &Access) -> String {
    let seconds = i64::try_from(record.time_ms / 1000).unwrap_or_default();
    let time = OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok());
    let status = record
        .status
        .map_or_else(|| "gone".to_owned(), |status| status.to_string());
    let mut line = format!(
        "{} {} {status} {} {}{} {} {}",
        time.unwrap_or_default(),
        record.client,
        record.method,
        record.host,
        record.path,
        units::bytes(record.bytes),
        units::micros(record.duration_us),
    );
    if let Some(error) = &record.error {
        let id = record.request_id.as_deref().unwrap_or("-");
        line.push_str(&format!(" ({error}; request {id})"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_line() {
        let mut record = Access {
            time_ms: 1_767_225_600_000,
            app: Some("shop".to_owned()),
            host: "shop.localhost".to_owned(),
            method: "GET".to_owned(),
            path: "/a".to_owned(),
            protocol: "HTTP/1.1".to_owned(),
            secure: false,
            status: Some(200),
            bytes: 1536,
            duration_us: 1234,
            client: "192.0.2.1".parse().unwrap(),
            request_id: None,
            error: None,
        };
        assert_eq!(
            request(&record),
            "2026-01-01T00:00:00Z 192.0.2.1 200 GET shop.localhost/a 1.5 KiB 1.2 ms"
        );
        record.status = None;
        record.error = Some("no response".to_owned());
        record.request_id = Some("7f".to_owned());
        assert!(request(&record).ends_with(" (no response; request 7f)"));
    }
}
