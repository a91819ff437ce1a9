//! Progress as moving lines on a terminal: a spinner for each step under way, a bar
//! for each image that is arriving; what is done scrolls up.

use super::step_text;
use crate::output::Output;
use crate::paint::Paint;
use crate::units;
use crate::visible::{in_line, visible};
use doprax_api::wire::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::time::Duration;

const FRAME: Duration = Duration::from_millis(80);

pub(super) struct Moving {
    paint: Paint,
    lines: MultiProgress,
    steps: Vec<String>,
    running: BTreeMap<usize, ProgressBar>,
    pulls: BTreeMap<String, ProgressBar>,
    /// Containers that are not ready yet, and the line that says why.
    waiting: BTreeMap<String, ProgressBar>,
}

impl Moving {
    pub(super) fn new(output: &Output) -> Self {
        Self {
            paint: output.error_paint,
            lines: MultiProgress::new(),
            steps: Vec::new(),
            running: BTreeMap::new(),
            pulls: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    pub(super) fn remark(&self, text: &str) {
        // A terminal that is gone shows nothing.
        let _ = self.lines.println(visible(text, self.paint.colour()));
    }

    pub(super) fn clear(&mut self) {
        let bars = [&mut self.waiting, &mut self.pulls]
            .into_iter()
            .flat_map(std::mem::take)
            .map(|(_, bar)| bar);
        for bar in bars.chain(std::mem::take(&mut self.running).into_values()) {
            bar.finish_and_clear();
        }
        let _ = self.lines.clear();
    }

    pub(super) fn show(&mut self, what: &Event) {
        let paint = self.paint;
        match what {
            Event::Planned { steps } => self.steps.clone_from(steps),
            Event::StepStarted { step } => {
                let bar = self.spinner("{spinner:.cyan} {msg} {elapsed:.dim}");
                bar.set_message(in_line(step_text(&self.steps, *step)).into_owned());
                self.running.insert(*step, bar);
            }
            Event::StepDone { step, ms } => {
                self.end_step(*step);
                let text = step_text(&self.steps, *step);
                self.remark(&format!(
                    "{} {text}  {}",
                    paint.green("✓"),
                    paint.dim(&units::duration(*ms))
                ));
            }
            // Why is told at the end.
            Event::StepFailed { step, .. } => {
                self.end_step(*step);
                let text = step_text(&self.steps, *step);
                self.remark(&format!("{} {text}", paint.red("✗")));
            }
            Event::Build { line } => {
                self.remark(&format!("  {} {}", paint.dim("│"), paint.dim(line)))
            }
            Event::Pull { image, done, total } => self.pull(image, *done, *total),
            Event::Waiting { container, reason } => {
                if !self.waiting.contains_key(container.as_str()) {
                    let bar = self.spinner("    {msg:.dim}");
                    self.waiting.insert(container.to_string(), bar);
                }
                if let Some(bar) = self.waiting.get(container.as_str()) {
                    bar.set_message(format!("{container}: {}", in_line(reason)));
                }
            }
            Event::Note { text } => self.remark(&format!("  {} {text}", paint.yellow("note:"))),
            Event::GoingBack => {
                self.remark(&paint.yellow("it failed; going back to what was there before"))
            }
            Event::Done { .. } | Event::Failed { .. } => {}
        }
    }

    fn spinner(&self, template: &str) -> ProgressBar {
        let style =
            ProgressStyle::with_template(template).expect("the template is one of those above");
        let bar = self.lines.add(ProgressBar::new_spinner().with_style(style));
        bar.enable_steady_tick(FRAME);
        bar
    }

    fn pull(&mut self, image: &str, done: u64, total: u64) {
        let bar = self.pulls.entry(image.to_owned()).or_insert_with(|| {
            let style = ProgressStyle::with_template(
                "    {bar:24.cyan/dim} {bytes} of {total_bytes}  {msg}",
            )
            .expect("the template is right");
            let bar = self.lines.add(ProgressBar::new(total).with_style(style));
            bar.set_message(in_line(image).into_owned());
            bar
        });
        bar.set_length(total);
        bar.set_position(done);
    }

    /// Takes away the lines about a step and about what its text names.
    fn end_step(&mut self, step: usize) {
        if let Some(bar) = self.running.remove(&step) {
            bar.finish_and_clear();
        }
        let text = step_text(&self.steps, step);
        for bars in [&mut self.pulls, &mut self.waiting] {
            bars.retain(|name, bar| {
                let named = text
                    .split(|c: char| c.is_whitespace())
                    .any(|word| word == name);
                if named {
                    bar.finish_and_clear();
                }
                !named
            });
        }
    }
}
