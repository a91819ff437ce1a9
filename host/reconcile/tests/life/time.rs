//! What the host waits for, by a clock that the test puts forward.

use crate::events::told;
use crate::source::Source;
use crate::stage::{Stage, name, try_each};
use doprax_core::change::Changed;
use doprax_engine::{ByHand, Fault};
use doprax_reconcile::After;
use std::time::Duration;

#[test]
fn the_pause_after_a_repair_that_failed_doubles_up_to_five_minutes() {
    let mut stage = Stage::without_host();
    stage.config.interval = Duration::from_millis(100);
    stage.start();
    let whole = stage.deploy(&Source::new("v1"));
    stage.fake.fail_act(1, Fault::Before);
    stage.fake.by_hand(&name("redis"), ByHand::Remove);
    let mut latest = 0;
    // Seconds that the pause has, and that it had before: some of it is over when it is seen.
    let pauses = [5, 10, 20, 40, 80, 160, 300, 300];
    let shorter = [0, 5, 10, 20, 40, 80, 160, 160];
    for (number, (pause, shorter)) in pauses.into_iter().zip(shorter).enumerate() {
        let next_ms = stage.until("it fails", || {
            let status = stage.status()?;
            let failed = status.repair.as_ref().map(|repair| repair.next_try_ms);
            failed
                .filter(|next_ms| *next_ms > latest)
                .ok_or_else(|| format!("{status:#?}"))
        });
        latest = next_ms;
        let rest_ms = next_ms - stage.clock.now_ms();
        assert!(
            rest_ms > shorter * 1_000 && rest_ms <= pause * 1_000,
            "{rest_ms} ms of {pause} s"
        );
        if number + 1 < pauses.len() {
            stage.fake.fail_act(1, Fault::Before);
        }
        let rest_ms = rest_ms.try_into().unwrap();
        stage.clock.advance(Duration::from_millis(rest_ms));
    }
    stage.until("it is forgotten", || match stage.status()?.repair {
        None => Ok(()),
        failed => Err(format!("{failed:?}")),
    });
    stage.await_whole(&whole);
}

#[test]
fn what_fails_its_health_check_three_times_in_a_row_is_unhealthy_until_it_passes() {
    try_each(&[(2, false), (3, true)], |(failures, is_unhealthy)| {
        let stage = Stage::new();
        let main = name("main");
        let source = Source::new("v1").replace("main:\n", "main:\n  health: { path: / }\n");
        let whole = stage.deploy(&source);
        let await_tries = |tries: usize| {
            let before = stage.fake.requests(&main);
            stage.until("it is tried", || {
                stage.clock.advance(Duration::from_secs(10));
                let tried = stage.fake.requests(&main) - before;
                let enough = tried >= tries;
                enough.then_some(()).ok_or_else(|| format!("{tried} times"))
            });
        };
        await_tries(1);
        stage.fake.fail_requests(&main, *failures);
        // That the next has begun shows that what came of the one before was taken in.
        await_tries(failures + 2);
        let states = told(&stage, After::Beginning);
        let was_unhealthy = states.iter().any(|change| match &change.what {
            Changed::Container {
                container, state, ..
            } => container.is_main() && state.as_deref() == Some("unhealthy"),
            _ => false,
        });
        assert_eq!(was_unhealthy, *is_unhealthy, "{states:#?}");
        stage.await_whole(&whole);
    });
}
