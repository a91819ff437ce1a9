//! What was done to the apps and when, as the host told it.

use crate::change::Kind;
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// A change that has ended.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) number: usize,
    pub(crate) kind: Kind,
    /// What was changed: an app, or the host.
    pub(crate) of: &'static str,
    begin_ms: i64,
    end_ms: i64,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    text: String,
    begin_ms: i64,
    end_ms: i64,
}

impl Change {
    /// Reads the events of an operation, if it is one. A release is planned twice: before and after
    /// its image is built; steps are numbered in each plan.
    pub(crate) fn read(
        number: usize,
        (kind, of): (Kind, &'static str),
        (begin_ms, end_ms): (i64, i64),
        events: &[Value],
    ) -> Self {
        let mut planned: &[Value] = &[];
        let mut begun = Vec::new();
        let mut steps = Vec::new();
        for event in events {
            let at_ms = event["time_ms"].as_i64().unwrap_or(end_ms);
            match event["event"].as_str() {
                Some("planned") => {
                    planned = event["steps"].as_array().map_or(&[], Vec::as_slice);
                    begun = vec![at_ms; planned.len()];
                }
                Some("step-started") => {
                    if let Some(begun) = index(event).and_then(|index| begun.get_mut(index)) {
                        *begun = at_ms;
                    }
                }
                Some("step-done" | "step-failed") => {
                    let found = index(event)
                        .and_then(|index| Some((planned.get(index)?, begun.get(index)?)));
                    if let Some((text, begin_ms)) = found {
                        steps.push(Step {
                            text: text.as_str().unwrap_or_default().to_owned(),
                            begin_ms: *begin_ms,
                            end_ms: at_ms,
                        });
                    }
                }
                _ => {}
            }
        }
        Self {
            number,
            kind,
            of,
            begin_ms,
            end_ms,
            steps,
        }
    }

    pub(crate) fn took(&self) -> Duration {
        Duration::from_millis((self.end_ms - self.begin_ms).unsigned_abs())
    }

    /// How long the steps took whose text begins so.
    pub(crate) fn took_for(&self, what: &str) -> Duration {
        let steps = self.steps.iter().filter(|step| step.text.starts_with(what));
        Duration::from_millis(steps.map(|s| (s.end_ms - s.begin_ms).unsigned_abs()).sum())
    }

    /// What went on at a time within it.
    fn at(&self, at_ms: i64) -> Option<String> {
        if !(self.begin_ms..=self.end_ms).contains(&at_ms) {
            return None;
        }
        let running = |step: &&Step| (step.begin_ms..=step.end_ms).contains(&at_ms);
        let steps: Vec<String> = self
            .steps
            .iter()
            .filter(running)
            .map(|step| format!("{} (+{} ms)", step.text, at_ms - step.begin_ms))
            .collect();
        let steps = match steps.is_empty() {
            true => "no step".to_owned(),
            false => steps.join(", "),
        };
        let since = at_ms - self.begin_ms;
        Some(format!("{self}, {since} ms: {steps}"))
    }
}

fn index(event: &Value) -> Option<usize> {
    usize::try_from(event["step"].as_u64()?).ok()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "change {} ({} of {})", self.number, self.kind, self.of)
    }
}

/// The change within which a time is, or the last before it.
pub(crate) fn around(changes: &[Change], at_ms: i64) -> Option<&Change> {
    let within = changes.iter().find(|change| change.at(at_ms).is_some());
    within.or_else(|| changes.iter().rfind(|change| change.end_ms < at_ms))
}

/// What went on at a time, or before it where nothing did.
pub(crate) fn at(changes: &[Change], at_ms: i64) -> String {
    let Some(change) = around(changes, at_ms) else {
        return "before the first change".to_owned();
    };
    let after = || format!("{} ms after {change}", at_ms - change.end_ms);
    change.at(at_ms).unwrap_or_else(after)
}
