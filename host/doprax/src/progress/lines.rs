//! Progress as plain lines on standard error.

use super::step_text;
use crate::output::Output;
use crate::units;
use doprax_api::wire::Event;
use std::collections::BTreeMap;

/// A pull says how far it is each time another of these many parts has arrived.
const PULL_PARTS: u64 = 4;

pub(super) struct Lines {
    output: Output,
    steps: Vec<String>,
    /// What each container was last waited for.
    waiting: BTreeMap<String, String>,
    /// The last part of each image that was told.
    pulled: BTreeMap<String, u64>,
}

impl Lines {
    pub(super) fn new(output: &Output) -> Self {
        Self {
            output: *output,
            steps: Vec::new(),
            waiting: BTreeMap::new(),
            pulled: BTreeMap::new(),
        }
    }

    pub(super) fn remark(&self, text: &str) {
        self.output.remark(text);
    }

    pub(super) fn show(&mut self, what: &Event) {
        let paint = self.output.error_paint;
        match what {
            Event::Planned { steps } => self.steps.clone_from(steps),
            Event::StepStarted { step } => {
                if self.output.verbose > 0 {
                    self.remark(&format!(
                        "{} {}",
                        paint.dim("…"),
                        step_text(&self.steps, *step)
                    ));
                }
            }
            Event::StepDone { step, ms } => {
                let text = step_text(&self.steps, *step);
                let took = paint.dim(&units::duration(*ms));
                self.remark(&format!("{} {text}  {took}", paint.green("✓")));
            }
            // Why is told at the end.
            Event::StepFailed { step, .. } => {
                let text = step_text(&self.steps, *step);
                self.remark(&format!("{} {text}", paint.red("✗")));
            }
            Event::Build { line } => self.remark(&format!("  {} {line}", paint.dim("│"))),
            Event::Pull { image, done, total } => {
                let part = (done * PULL_PARTS).checked_div(*total).unwrap_or(0);
                if self.pulled.get(image).is_none_or(|last| part > *last) {
                    self.pulled.insert(image.clone(), part);
                    let (done, total) = (units::bytes(*done), units::bytes(*total));
                    self.remark(&format!("  {} {image}: {done} of {total}", paint.dim("↓")));
                }
            }
            Event::Waiting { container, reason } => {
                let last = self.waiting.insert(container.to_string(), reason.clone());
                if last.as_ref() != Some(reason) {
                    self.remark(&format!("  {} {container}: {reason}", paint.dim("…")));
                }
            }
            Event::Note { text } => self.remark(&format!("  {} {text}", paint.yellow("note:"))),
            Event::GoingBack => {
                self.remark(&paint.yellow("it failed; going back to what was there before"))
            }
            Event::Done { .. } | Event::Failed { .. } => {}
        }
    }
}
