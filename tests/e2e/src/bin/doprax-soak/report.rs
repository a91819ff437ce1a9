//! What is printed of what happened.

use crate::record::{Client, Failure, Record};
use crate::timeline::{self, Change};
use std::collections::BTreeMap;
use std::time::Duration;

/// Prints a failure with what went on when it began and when it was seen.
pub(crate) fn failure(failure: &Failure, changes: &[Change]) {
    let Client { kind, app } = failure.client;
    println!("  FAILED {kind} at {app}: {}", failure.what);
    println!("    begun  {}", timeline::at(changes, failure.began_ms));
    println!("    failed {}", timeline::at(changes, failure.at_ms));
}

/// Prints a change that has ended.
pub(crate) fn change(change: &Change, of: usize) {
    println!(
        "{:>3} of {of}: {:<12} {:<12} {:>6.2} s, drain {:>5.2} s, stop {:>5.2} s",
        change.number,
        change.kind,
        change.of,
        change.took().as_secs_f64(),
        change.took_for("wait for requests").as_secs_f64(),
        change.took_for("stop").as_secs_f64(),
    );
}

/// Prints what each kind of client saw, and what each kind of change brought.
pub(crate) fn tables(record: &Record, changes: &[Change], failures: &[Failure]) {
    println!(
        "\n{:<16} {:<14} {:>11} {:>9} {:>13} {:>10} {:>9}",
        "client", "app", "connections", "good", "ended by main", "sent again", "failures"
    );
    for (client, count) in record.counts() {
        println!(
            "{:<16} {:<14} {:>11} {:>9} {:>13} {:>10} {:>9}",
            client.kind,
            client.app,
            count.connections,
            count.good,
            count.ended,
            count.again,
            count.failures
        );
    }
    println!(
        "\n{:<16} {:<14} {:>11} {:>9} {:>13} {:>9}",
        "change", "of", "times", "median", "longest", "failures"
    );
    let mut kinds: BTreeMap<_, Vec<Duration>> = BTreeMap::new();
    for change in changes {
        let kind = (change.kind, change.of);
        kinds.entry(kind).or_default().push(change.took());
    }
    for ((kind, of), mut times) in kinds {
        times.sort();
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        let is_of = |failure: &&Failure| {
            let change = timeline::around(changes, failure.at_ms);
            change.is_some_and(|change| (change.kind, change.of) == (kind, of))
        };
        println!(
            "{:<16} {:<14} {:>11} {:>9} {:>13} {:>9}",
            kind,
            of,
            times.len(),
            seconds(times[times.len() / 2]),
            seconds(times[times.len() - 1]),
            failures.iter().filter(is_of).count()
        );
    }
    let good: usize = record.counts().values().map(|count| count.good).sum();
    println!(
        "\n{} changes, {good} good answers, echoes, events and messages, {} failures",
        changes.len(),
        failures.len()
    );
}
