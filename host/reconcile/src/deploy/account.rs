//! What an operation tells on its way to a release.

use crate::journal::RunningOperation;
use crate::report::Event;
use crate::run::Emit;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Lines of a build that are kept of a deploy that failed, and bytes of each.
const BUILD_LINES: usize = 200;
const BUILD_LINE: usize = 500;

/// What an operation tells on its way to a release: followers hear all of it, and some is
/// remembered with the release, or with the failure.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) emit: Emit,
    told: Arc<Mutex<Told>>,
}

#[derive(Default)]
struct Told {
    notes: Vec<String>,
    build: VecDeque<String>,
}

impl Account {
    /// What this operation tells.
    pub(crate) fn of(live: &Arc<RunningOperation>) -> Self {
        let told = Arc::<Mutex<Told>>::default();
        let (live, heard) = (Arc::clone(live), Arc::clone(&told));
        let emit: Emit = Arc::new(move |what| {
            let mut told = lock(&heard);
            match &what {
                Event::Note { text } => told.notes.push(text.clone()),
                Event::Build { line } => keep(&mut told.build, line),
                _ => {}
            }
            drop(told);
            live.emit(what);
        });
        Self { emit, told }
    }

    pub(super) fn notes(&self) -> Vec<String> {
        lock(&self.told).notes.clone()
    }

    pub(super) fn build(&self) -> Vec<String> {
        lock(&self.told).build.iter().cloned().collect()
    }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a line of a build, and of all of them the last.
fn keep(build: &mut VecDeque<String>, line: &str) {
    build.push_back(cut(line));
    if build.len() > BUILD_LINES {
        build.pop_front();
    }
}

/// A line without what goes beyond the bound.
fn cut(line: &str) -> String {
    line[..line.floor_char_boundary(BUILD_LINE)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_between_letters() {
        assert_eq!(cut("short"), "short");
        let long = "ä".repeat(BUILD_LINE);
        assert_eq!(cut(&long), "ä".repeat(BUILD_LINE / 2));
    }

    #[test]
    fn the_last_200_lines_of_a_build_are_kept() {
        let mut build = VecDeque::new();
        for line in 0..=200 {
            keep(&mut build, &line.to_string());
        }
        assert_eq!(build.len(), 200);
        assert_eq!((build[0].as_str(), build[199].as_str()), ("1", "200"));
    }
}
