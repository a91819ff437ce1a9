//! `doprax apps`: every app in one line.

use crate::context::Context;
use crate::failure::Result;
use crate::paint::Paint;
use doprax_api::wire::AppState;

/// List the apps of the host
///
/// Each with its state, how many of its containers run, its release and its address.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax apps
  doprax apps --json | jq -r '.[] | select(.state != \"running\") | .app'")]
pub(crate) struct Apps {}

impl Apps {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let output = &context.output;
        let apps = context.client()?.apps().await?;
        if output.json {
            return output.json(&apps);
        }
        if apps.is_empty() {
            output.remark("no apps yet; deploy one with `doprax up DIR`");
            return Ok(());
        }
        if let Some(since) = apps.iter().find_map(|app| app.engine_away_ms) {
            output.remark(super::status::engine_away(since));
        }
        let rows: Vec<Vec<String>> = apps
            .into_iter()
            .map(|app| {
                vec![
                    app.app.to_string(),
                    app.state.as_str().to_owned(),
                    format!("{}/{}", app.running, app.wanted),
                    app.release
                        .map_or_else(|| "-".to_owned(), |release| release.to_string()),
                    app.url.unwrap_or_else(|| "- (no port)".to_owned()),
                ]
            })
            .collect();
        output.table(&["APP", "STATE", "RUNNING", "RELEASE", "ADDRESS"], &rows)
    }
}

/// A state in its colour.
pub(super) fn painted(state: AppState, paint: Paint) -> String {
    let text = state.as_str();
    match state {
        AppState::Running => paint.green(text),
        AppState::Starting => paint.cyan(text),
        AppState::Degraded | AppState::Unhealthy | AppState::Unknown => paint.yellow(text),
        AppState::Stopped => paint.dim(text),
        AppState::Failed => paint.red(text),
    }
}
