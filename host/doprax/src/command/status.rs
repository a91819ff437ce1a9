//! `doprax status`: all about one app.

mod watch;

use super::apps::painted;
use crate::context::Context;
use crate::failure::Result;
use crate::units;
use doprax_api::wire::{App, Container, FailedRepair};
use doprax_core::name::AppName;

/// Show all about an app
///
/// Its address, release, containers with their state, addresses and memory, how those that
/// do not work ended and what they printed last, volumes, what its services offer, what went
/// wrong last, and what is going on. While the container engine is away, the app is shown as
/// it was last seen.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax status shop
  doprax status shop --watch       again whenever something of it changes
  doprax status shop --json | jq -r '.containers[] | \"\\(.name) \\(.address)\"'

The exit code is 0 also for an app that does not run well; `--json` has its state.")]
pub(crate) struct Status {
    /// The app's name
    app: AppName,
    /// Show it again whenever something of it changes, until Ctrl-C; with --json one line
    /// each time
    #[arg(short, long)]
    watch: bool,
}

impl Status {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let client = context.client()?;
        if self.watch {
            return watch::watch(context, &client, &self.app).await;
        }
        show(context, &client.app(&self.app).await?)
    }
}

fn show(context: &Context, app: &App) -> Result<()> {
    if context.output.json {
        return context.output.json(app);
    }
    head(context, app)?;
    containers(context, &app.containers)?;
    troubles(context, &app.containers)?;
    volumes(context, app)?;
    offers(context, &app.containers)?;
    remarks(context, app)
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
    if let Some(since) = summary.engine_away_ms {
        output.line(engine_away(since))?;
    }
    if let Some(operation) = &app.operation {
        output.line(format!(
            "under way: {}; follow it with `doprax operation {}`",
            operation.id, operation.id
        ))?;
    }
    for operation in &app.waiting {
        let kind = operation.kind.as_str();
        output.line(format!("then: {}, a {kind}", operation.id))?;
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

/// What is shown while the engine is away.
pub(super) fn engine_away(since_ms: i64) -> String {
    let seconds = u64::try_from((units::now_ms() - since_ms) / 1000).unwrap_or(0);
    format!(
        "the container engine has been away for {}; this is how things were last seen \
         (`doprax doctor` tells more)",
        units::span(seconds)
    )
}

/// Why containers do not work.
fn troubles(context: &Context, containers: &[Container]) -> Result<()> {
    let output = &context.output;
    for container in containers {
        let Some(text) = trouble(container, units::now_ms()) else {
            continue;
        };
        let name = output.paint.bold(container.name.as_str());
        output.line(format!("\n{} {name} {text}", output.paint.red("✗")))?;
        for line in &container.last_lines {
            output.line(format!("  {} {line}", output.paint.dim("│")))?;
        }
        if let Some(help) = &container.help {
            output.line(format!("  {} {help}", output.paint.green("help:")))?;
        }
    }
    Ok(())
}

/// What is wrong with a container, in one line.
fn trouble(container: &Container, now_ms: i64) -> Option<String> {
    let mut parts = Vec::new();
    if container.oom_killed {
        parts.push(match container.memory_limit {
            Some(limit) => format!(
                "ran out of memory: the kernel ended its process at the limit of {}",
                units::bytes(limit)
            ),
            None => "ran out of memory: the kernel ended its process".to_owned(),
        });
    } else if let Some(code) = container.exit_code {
        parts.push(format!("ended with exit code {code}"));
    }
    if let Some(unhealthy) = &container.unhealthy {
        parts.push(format!(
            "is unhealthy (first seen {}): {}",
            units::ago(unhealthy.since_ms),
            unhealthy.reason
        ));
    }
    parts.extend(container.reason.clone());
    if parts.is_empty() && container.last_lines.is_empty() {
        return None;
    }
    if parts.is_empty() {
        parts.push(format!("is {}", container.state));
    }
    if container.restarts > 0 {
        let times = if container.restarts == 1 {
            "time"
        } else {
            "times"
        };
        parts.push(format!("started again {} {times}", container.restarts));
    }
    if let Some(next) = container.next_try_ms {
        let seconds = u64::try_from(next - now_ms).unwrap_or(0).div_ceil(1000);
        parts.push(format!("next try within {}", units::span(seconds)));
    }
    Some(parts.join("; "))
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
    let remarks = !app.notes.is_empty() || !app.by_hand.is_empty();
    if remarks || app.last_error.is_some() || app.repair.is_some() {
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
    if let Some(FailedRepair { error, next_try_ms }) = &app.repair {
        let seconds = u64::try_from(next_try_ms - units::now_ms()).unwrap_or(0);
        output.line(format!(
            "{} {error}; next try in {}",
            output.paint.red("it could not be put right:"),
            units::span(seconds.div_ceil(1000))
        ))?;
    }
    if let Some(error) = &app.last_error {
        output.line(format!(
            "{} {error}",
            output.paint.red("the last operation failed:")
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_api::wire::Unhealthy;
    use doprax_core::name::ServiceName;

    #[test]
    fn a_container_that_does_not_work_says_why_and_when_it_is_tried_again() {
        let crashing = Container {
            name: ServiceName::main(),
            plugin: None,
            image: "shop".to_owned(),
            image_id: None,
            image_digest: None,
            state: "crashing (137)".to_owned(),
            unhealthy: None,
            reason: None,
            help: None,
            exit_code: Some(137),
            oom_killed: true,
            next_try_ms: Some(13_400),
            last_lines: vec!["loading the model".to_owned()],
            address: None,
            port: Some(8000),
            restarts: 7,
            started_ms: None,
            memory: None,
            memory_limit: Some(64 << 20),
            outputs: Vec::new(),
        };
        let text = trouble(&crashing, 1_000);
        assert_eq!(
            text.as_deref(),
            Some(
                "ran out of memory: the kernel ended its process at the limit of 64 MiB; \
                 started again 7 times; next try within 13 s"
            )
        );
        let crashed = Container {
            oom_killed: false,
            exit_code: Some(3),
            next_try_ms: None,
            restarts: 1,
            ..crashing.clone()
        };
        let text = trouble(&crashed, 1_000);
        assert_eq!(
            text.as_deref(),
            Some("ended with exit code 3; started again 1 time")
        );
        let unhealthy = Container {
            state: "unhealthy".to_owned(),
            unhealthy: Some(Unhealthy {
                reason: "GET / answered 500".to_owned(),
                since_ms: units::now_ms(),
            }),
            exit_code: None,
            restarts: 0,
            ..crashed
        };
        let text = trouble(&unhealthy, 1_000);
        assert_eq!(
            text.as_deref(),
            Some("is unhealthy (first seen 0 s ago): GET / answered 500")
        );
        let running = Container {
            state: "running".to_owned(),
            unhealthy: None,
            last_lines: Vec::new(),
            ..unhealthy
        };
        assert_eq!(trouble(&running, 1_000), None);
    }
}
