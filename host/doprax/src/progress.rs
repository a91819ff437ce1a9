//! Follows an operation and shows its progress: moving lines on a terminal, plain
//! lines elsewhere, events as JSON for scripts.

mod lines;
mod moving;

use crate::confirm::{can_ask, confirm};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::Output;
use doprax_api::client::{Client, ClientError, Followed, RECONNECT};
use doprax_api::wire::{self, OperationEvent, What};
use futures_util::StreamExt as _;
use lines::Lines;
use moving::Moving;

/// How progress is shown.
enum View {
    Json,
    Lines(Lines),
    Moving(Moving),
}

/// Follows operation `id` to its end. Returns where the app can be reached. Ctrl-C asks
/// whether to cancel it; where nobody can be asked, or twice, it leaves the operation to go
/// on by itself.
pub(crate) async fn follow(context: &Context, client: &Client, id: &str) -> Result<Option<String>> {
    let output = &context.output;
    let mut view = View::new(output);
    let mut events = client.follow(id);
    loop {
        let next = tokio::select! {
            next = events.next() => next,
            _ = tokio::signal::ctrl_c() => {
                view.clear();
                if !wants_cancel(output).await? {
                    return Err(Failure::new("left before the end; the host goes on by itself")
                        .help(format!("come back with `doprax operation {id}`, end it early with `doprax operation cancel {id}`")));
                }
                match client.cancel(id).await {
                    Err(error) if !has_ended(&error) => return Err(error.into()),
                    _ => {}
                }
                view = View::new(output);
                continue;
            }
        };
        let Some(followed) = next else {
            view.clear();
            return Err(Failure::new("the host said no more before the end")
                .help(format!("look at it again with `doprax operation {id}`")));
        };
        let followed = followed.inspect_err(|_| view.clear())?;
        match followed {
            Followed::Lost => view.remark(&format!(
                "the host went away; waiting up to {} s for it to come back",
                RECONNECT.as_secs()
            )),
            Followed::Back => view.remark("the host is back"),
            Followed::Event(event) => {
                if let View::Json = view {
                    output.json(&event)?;
                }
                if let Some(end) = end(&event) {
                    view.clear();
                    return end;
                }
                view.show(&event);
            }
        }
    }
}

/// Whether the person who interrupted wants the operation cancelled.
async fn wants_cancel(output: &Output) -> Result<bool> {
    if !can_ask(output) {
        return Ok(false);
    }
    let output = *output;
    let question = "\nIt goes on by itself. Cancel it instead?";
    let asked = tokio::task::spawn_blocking(move || confirm(&output, question, "--yes"));
    tokio::select! {
        answer = asked => answer.unwrap_or(Ok(false)),
        _ = tokio::signal::ctrl_c() => Ok(false),
    }
}

/// Whether it came too late: what is cancelled has ended meanwhile.
fn has_ended(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status, .. } if status.as_u16() == 409)
}

/// How an operation ended, if this is its end.
fn end(event: &OperationEvent) -> Option<Result<Option<String>>> {
    match &event.what {
        What::Done { url } => Some(Ok(url.clone())),
        What::Failed { error, help, log } => Some(Err(Failure::Failed(Box::new(wire::Failure {
            error: error.clone(),
            help: help.clone(),
            log: log.clone(),
            ..wire::Failure::default()
        })))),
        _ => None,
    }
}

impl View {
    fn new(output: &Output) -> Self {
        if output.json {
            Self::Json
        } else if output.animated() {
            Self::Moving(Moving::new(output))
        } else {
            Self::Lines(Lines::new(output))
        }
    }

    fn show(&mut self, event: &OperationEvent) {
        match self {
            Self::Json => {}
            Self::Lines(lines) => lines.show(&event.what),
            Self::Moving(moving) => moving.show(&event.what),
        }
    }

    fn remark(&mut self, text: &str) {
        match self {
            // Standard output carries only events.
            Self::Json => {}
            Self::Lines(lines) => lines.remark(text),
            Self::Moving(moving) => moving.remark(text),
        }
    }

    /// Takes away what moves.
    fn clear(&mut self) {
        if let Self::Moving(moving) = self {
            moving.clear();
        }
    }
}

/// A line that something else printed, without what would move the cursor.
fn printable(line: &str) -> String {
    line.chars()
        .filter(|c| !c.is_control() || matches!(c, '\t' | '\u{1b}'))
        .collect()
}

/// The text of a step; a host of another version may name one that it never planned.
fn step_text(steps: &[String], step: usize) -> &str {
    steps.get(step).map_or("a step", String::as_str)
}
