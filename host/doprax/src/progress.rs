//! Follows an operation and shows its progress: moving lines on a terminal, plain
//! lines elsewhere, events as JSON for scripts.

mod lines;
mod moving;

use crate::confirm::{can_ask, confirm};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::Output;
use doprax_api::client::{Client, ClientError, Followed, RECONNECT};
use doprax_api::wire::{self, Event, OperationEvent};
use futures_util::StreamExt as _;
use lines::Lines;
use moving::Moving;
use std::collections::VecDeque;

/// Latest lines of a build that the end of an operation may repeat.
const BUILD_LINES: usize = 200;

/// How progress is shown.
enum View {
    Json,
    Lines(Lines),
    Moving(Moving),
}

/// An operation that has come to a good end.
pub(crate) struct Ended {
    /// Where the app can be reached.
    pub(crate) url: Option<String>,
}

/// Follows what has begun to its end, or says how to where it is to go on by itself. Returns
/// nothing where nothing is left to say: of what goes on, and where all was said as JSON.
pub(crate) async fn see_through(
    context: &Context,
    client: &Client,
    started: &wire::Started,
    detach: bool,
) -> Result<Option<Ended>> {
    let output = &context.output;
    if detach {
        match output.json {
            true => output.json(started)?,
            false => output.line(format!(
                "begun; follow it with `doprax operation {}`",
                started.operation
            ))?,
        }
        return Ok(None);
    }
    let url = follow(context, client, &started.operation).await?;
    Ok((!output.json).then_some(Ended { url }))
}

/// Follows operation `id` to its end. Returns where the app can be reached. Ctrl-C asks
/// whether to cancel it; where nobody can be asked, or twice, it leaves the operation to go
/// on by itself.
pub(crate) async fn follow(context: &Context, client: &Client, id: &str) -> Result<Option<String>> {
    let output = &context.output;
    let mut view = View::new(output);
    let mut told = Told::new(!output.json && !output.quiet);
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
                match event.what {
                    Event::Done { url } => {
                        view.clear();
                        return Ok(url);
                    }
                    Event::Failed { error, help, log } => {
                        view.clear();
                        let failure = wire::Failure {
                            error,
                            help,
                            log,
                            ..wire::Failure::default()
                        };
                        let failure = told.leave_out(failure, &mut view);
                        return Err(Failure::Failed(Box::new(failure)));
                    }
                    _ => {}
                }
                told.note(&event.what);
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

/// What was told before the end, which the end need not tell again.
struct Told {
    /// Whether anybody was told.
    shown: bool,
    steps: Vec<String>,
    build: VecDeque<String>,
    failed: Vec<(String, String)>,
}

impl Told {
    fn new(shown: bool) -> Self {
        Self {
            shown,
            steps: Vec::new(),
            build: VecDeque::new(),
            failed: Vec::new(),
        }
    }

    fn note(&mut self, what: &Event) {
        match what {
            Event::Planned { steps } => self.steps.clone_from(steps),
            Event::Build { line } => {
                if self.build.len() == BUILD_LINES {
                    self.build.pop_front();
                }
                self.build.push_back(line.clone());
            }
            Event::StepFailed { step, error } => {
                let text = step_text(&self.steps, *step).to_owned();
                self.failed.push((text, error.clone()));
            }
            _ => {}
        }
    }

    /// Tells what else failed, and takes from the end what was told already.
    fn leave_out(self, end: wire::Failure, view: &mut View) -> wire::Failure {
        for (text, error) in self.failed {
            if error != end.error {
                view.remark(&format!("{text}: {error}"));
            }
        }
        let is_told = self.shown && end.log.iter().all(|line| self.build.contains(line));
        wire::Failure {
            log: if is_told { Vec::new() } else { end.log },
            ..end
        }
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

/// The text of a step; a host of another version may name one that it never planned.
fn step_text(steps: &[String], step: usize) -> &str {
    steps.get(step).map_or("a step", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_build_is_told_once() {
        let failure = || wire::Failure {
            error: "the build failed at [2/2] RUN make".to_owned(),
            log: vec!["cc x.c".to_owned(), "x.c:1: error".to_owned()],
            ..wire::Failure::default()
        };
        let told = |shown: bool| {
            let mut told = Told::new(shown);
            for line in ["[2/2] RUN make", "cc x.c", "x.c:1: error"] {
                told.note(&Event::Build {
                    line: line.to_owned(),
                });
            }
            told.leave_out(failure(), &mut View::Json)
        };
        assert_eq!(told(true).log, [""; 0]);
        // Whoever was told nothing hears all at the end.
        assert_eq!(told(false), failure());
        let other = Told::new(true).leave_out(failure(), &mut View::Json);
        assert_eq!(other, failure());
    }
}
