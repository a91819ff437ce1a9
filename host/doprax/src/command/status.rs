//! `doprax status`: all about one app.

use super::apps::painted;
use crate::context::Context;
use crate::failure::Result;
use crate::units;
use doprax_api::wire::{App, Container};
use doprax_core::name::AppName;

/// Show all about an app
///
/// Its address, release, containers with their state, addresses and memory, volumes, what
/// its services offer, what went wrong last, and what is going on.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax status shop
  doprax status shop --json | jq -r '.containers[] | \"\\(.name) \\(.address)\"'

The exit code is 0 also for an app that does not run well; `--json` has its state.")]
pub(crate) struct Status {
    /// The app's name
    app: AppName,
}

impl Status {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let app = context.client()?.app(&self.app).await?;
        if context.output.json {
            return context.output.json(&app);
        }
        head(context, &app)?;
        containers(context, &app.containers)?;
        health(context, &app.containers)?;
        volumes(context, &app)?;
        offers(context, &app.containers)?;
        remarks(context, &app)
    }
}

fn head(context: &Context, app: &App) -> Result<()> {
    let output = &context.output;
    let paint = output.paint;
    let summary = &app.summary;
    let state = painted(summary.state, paint);
    output.line(format!(
        "{}  {state}  {}",
        paint.bold(summary.app.as_str()),
        summary.url.as_ref().map_or_else(
            || paint.dim("no port, so no address"),
            |url| paint.cyan(url)
        )
    ))?;
    let mut facts = Vec::new();
    if let Some(release) = summary.release {
        let when = app
            .released_ms
            .map(|ms| format!(" ({})", units::ago(ms)))
            .unwrap_or_default();
        facts.push(format!("release {release}{when}"));
    }
    facts.push(format!("network {}", app.subnet));
    output.line(paint.dim(&facts.join(", ")))?;
    if let Some(operation) = &app.operation {
        output.line(format!(
            "under way: {}; follow it with `doprax operation {}`",
            operation.id, operation.id
        ))?;
    }
    output.line("")
}

fn containers(context: &Context, containers: &[Container]) -> Result<()> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let rows: Vec<Vec<String>> = containers
        .iter()
        .map(|container| {
            let address = container
                .address
                .as_ref()
                .map(|address| match container.port {
                    Some(port) => format!("{address}:{port}"),
                    None => address.clone(),
                });
            let memory = container.memory.map(|used| match container.memory_limit {
                Some(limit) => format!("{} of {}", units::bytes(used), units::bytes(limit)),
                None => units::bytes(used),
            });
            vec![
                container.name.to_string(),
                container.state.clone(),
                or_dash(container.started_ms.map(units::ago)),
                container.restarts.to_string(),
                or_dash(memory),
                or_dash(address),
                container.image.clone(),
            ]
        })
        .collect();
    context.output.table(
        &[
            "CONTAINER",
            "STATE",
            "STARTED",
            "RESTARTS",
            "MEMORY",
            "ADDRESS",
            "IMAGE",
        ],
        &rows,
    )
}

/// What is wrong with containers that run and do not serve.
fn health(context: &Context, containers: &[Container]) -> Result<()> {
    for container in containers {
        if let Some(unhealthy) = &container.unhealthy {
            context.output.line(format!(
                "{} is unhealthy (first seen {}): {}",
                container.name,
                units::ago(unhealthy.since_ms),
                unhealthy.reason
            ))?;
        }
    }
    Ok(())
}

fn volumes(context: &Context, app: &App) -> Result<()> {
    if app.volumes.is_empty() {
        return Ok(());
    }
    context.output.line("")?;
    let rows: Vec<Vec<String>> = app
        .volumes
        .iter()
        .map(|volume| vec![volume.name.to_string(), super::volume::mounts(volume)])
        .collect();
    context.output.table(&["VOLUME", "MOUNTED AT"], &rows)
}

fn offers(context: &Context, containers: &[Container]) -> Result<()> {
    let rows: Vec<Vec<String>> = containers
        .iter()
        .flat_map(|container| {
            let name = container.name.to_string();
            container
                .outputs
                .iter()
                .map(move |(key, value)| vec![name.clone(), key.clone(), value.clone()])
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    context.output.line("")?;
    context.output.table(&["SERVICE", "OFFERS", "VALUE"], &rows)
}

fn remarks(context: &Context, app: &App) -> Result<()> {
    let output = &context.output;
    if !app.notes.is_empty() || app.last_error.is_some() || !app.by_hand.is_empty() {
        output.line("")?;
    }
    if !app.by_hand.is_empty() {
        let changes: Vec<String> = app.by_hand.iter().map(ToString::to_string).collect();
        output.line(format!(
            "{} {}",
            output.paint.yellow("by hand:"),
            changes.join(", ")
        ))?;
    }
    for note in &app.notes {
        output.line(format!("{} {note}", output.paint.yellow("note:")))?;
    }
    if let Some(error) = &app.last_error {
        output.line(format!(
            "{} {error}",
            output.paint.red("the last operation failed:")
        ))?;
    }
    Ok(())
}
