//! Durations by row, as a table of medians.

use std::time::{Duration, Instant};

/// The rows, in the order in which they are printed.
const ROWS: [&str; 4] = [
    "first up",
    "up again, nothing to do",
    "one Redis changes",
    "remove, volumes too",
];

/// What was measured of both.
#[derive(Default)]
pub(crate) struct Figures {
    doprax: [Vec<Duration>; ROWS.len()],
    compose: [Vec<Duration>; ROWS.len()],
    /// The first `up` of Compose where main waits for the others.
    ordered: Vec<Duration>,
    /// The first `up` of Doprax where main is built, all of it from the cache.
    built: Vec<Duration>,
}

/// A row of the table.
#[derive(Clone, Copy)]
pub(crate) enum Row {
    First,
    Nothing,
    Change,
    Remove,
}

/// How long it takes.
pub(crate) fn time(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

impl Figures {
    pub(crate) fn doprax(&mut self, row: Row, work: impl FnOnce()) {
        self.doprax[row as usize].push(time(work));
    }

    pub(crate) fn compose(&mut self, row: Row, work: impl FnOnce()) {
        self.compose[row as usize].push(time(work));
    }

    pub(crate) fn built(&mut self, work: impl FnOnce()) {
        self.built.push(time(work));
    }

    pub(crate) fn ordered(&mut self, work: impl FnOnce()) {
        self.ordered.push(time(work));
    }

    pub(crate) fn print(&self) {
        println!(
            "{:<46} {:>10} {:>10} {:>7}",
            "median (fastest–slowest), seconds", "doprax", "compose", "ratio"
        );
        for (row, name) in ROWS.iter().enumerate() {
            line(name, &self.doprax[row], &self.compose[row]);
        }
        line(
            "first up, Doprax builds main from the cache",
            &self.built,
            &self.compose[Row::First as usize],
        );
        line(
            "first up, Compose's main waits for Redis too",
            &self.doprax[Row::First as usize],
            &self.ordered,
        );
    }
}

fn line(name: &str, doprax: &[Duration], compose: &[Duration]) {
    let (ours, theirs) = (median(doprax), median(compose));
    println!(
        "{name:<46} {ours:>10.3} {theirs:>10.3} {:>6.2}×",
        ours / theirs
    );
    println!("{:<46} {:>10} {:>10}", "", spread(doprax), spread(compose));
}

fn median(durations: &[Duration]) -> f64 {
    let mut sorted = durations.to_vec();
    sorted.sort();
    sorted
        .get(sorted.len() / 2)
        .map_or(f64::NAN, Duration::as_secs_f64)
}

fn spread(durations: &[Duration]) -> String {
    let seconds = |duration: Option<&Duration>| duration.map_or(f64::NAN, Duration::as_secs_f64);
    format!(
        "{:.2}–{:.2}",
        seconds(durations.iter().min()),
        seconds(durations.iter().max())
    )
}
