//! Each act of each kind of operation, of what goes on after its end too: the host is killed
//! before and after it and started again on what is left; or it fails.

use crate::kind::{KINDS, Kind, try_something_new};
use crate::stage::{Stage, try_each};
use doprax_engine::Fault;
use std::sync::Mutex;

/// Every act of these kinds of operation, by its number from 1.
fn acts_of(kinds: &[Kind]) -> Vec<(&Kind, usize, Fault)> {
    let cases = Mutex::new(Vec::new());
    try_each(kinds, |kind| {
        let stage = Stage::new();
        let before = (kind.prepare)(&stage);
        let first = stage.fake.acts().len();
        let id = (kind.begin)(&stage);
        kind.await_end(&stage, id.as_deref());
        (kind.reached)(&stage, before.as_ref());
        let acts = 1..=stage.fake.acts().len() - first;
        let both = acts.flat_map(|act| [Fault::Before, Fault::After].map(|fault| (act, fault)));
        let mut cases = cases.lock().unwrap();
        // Not moved: the kind outlives this.
        let index = kinds.iter().position(|it| std::ptr::eq(it, kind)).unwrap();
        cases.extend(both.map(|(act, fault)| (index, act, fault)));
    });
    let cases = cases.into_inner().unwrap();
    let named = cases.into_iter();
    named
        .map(|(kind, act, fault)| (&kinds[kind], act, fault))
        .collect()
}

#[test]
fn a_host_that_is_killed_at_any_act_goes_on_where_it_was() {
    let cases = acts_of(&KINDS);
    assert!(cases.len() > 150, "{cases:?}");
    try_each(&cases, |(kind, act, fault)| {
        let mut stage = Stage::new();
        let before = (kind.prepare)(&stage);
        stage.fake.hold_act(*act, *fault);
        let id = (kind.begin)(&stage);
        stage.await_held();
        stage.restart();
        match &id {
            Some(id) => kind.await_end(&stage, Some(id)),
            // Whoever was cut off asks again.
            None => drop((kind.begin)(&stage)),
        }
        (kind.reached)(&stage, before.as_ref());
        (kind.later)(&stage, before.as_ref());
        try_something_new(&stage);
    });
}

#[test]
fn an_act_that_fails_leaves_the_app_as_it_was_and_works_the_next_time() {
    let cases = acts_of(&KINDS);
    try_each(&cases, |(kind, act, fault)| {
        let stage = Stage::new();
        let before = (kind.prepare)(&stage);
        stage.fake.fail_act(*act, *fault);
        let id = (kind.begin)(&stage);
        let state = id.as_ref().map(|id| {
            stage.events(id);
            stage.operation(id).state
        });
        if state != Some(kind.ends) {
            if kind.goes_back {
                match &before {
                    Some(before) => stage.await_whole(before),
                    None => {
                        let left = stage.observe();
                        assert!(
                            left.containers.is_empty() && left.network.is_none(),
                            "{left:#?}"
                        );
                    }
                }
            }
            let again = (kind.begin)(&stage);
            kind.await_end(&stage, again.as_deref());
        }
        (kind.reached)(&stage, before.as_ref());
        (kind.later)(&stage, before.as_ref());
    });
}
