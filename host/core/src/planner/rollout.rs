//! The steps that bring one container to its blueprint.

use super::survey::Copies;
use super::{Draft, Ground, SETTLE_AGAIN_MS, SETTLE_MS, runs};
use crate::copy::CopyName;
use crate::observed::State;
use crate::spec::Strategy;

/// What was planned for one container.
#[derive(Default)]
pub(super) struct Rollout {
    /// The steps after which it is as it shall be.
    pub(super) done: Vec<usize>,
    /// Whether it has another address or serves by another copy than before.
    pub(super) moved: bool,
    /// Whether its owner wants it to run.
    pub(super) serves: bool,
    /// Whether its process starts in this plan.
    pub(super) started: bool,
    /// How long it must stay ready once it serves, in milliseconds, before the copies
    /// that are left over go; absent where none of them served.
    pub(super) settles_ms: Option<u32>,
    /// Copies that are left over, under the names they have then.
    pub(super) leftovers: Vec<Leftover>,
}

/// A copy that is left over.
pub(super) struct Leftover {
    pub(super) container: CopyName,
    pub(super) running: bool,
}

/// Plans one container. `gate` are the steps after which it may start. One that its
/// owner `stopped` is made ready to start, and ended where it runs.
pub(super) fn roll_out(
    draft: &mut Draft,
    ground: &Ground<'_>,
    copies: &Copies<'_>,
    gate: &[usize],
    stopped: bool,
) -> Rollout {
    let mut base = ground.names.clone();
    let mounted = copies.spec.mounts.iter();
    base.extend(mounted.filter_map(|mount| ground.volumes.get(&mount.name)));
    base.extend(
        copies
            .evicted
            .iter()
            .filter_map(|name| ground.evicted.get(name)),
    );

    let mut rollout = Rollout {
        serves: !stopped,
        ..Rollout::default()
    };
    let at = match (copies.wanted, &copies.occupant) {
        (Some(copy), _) => &copy.name,
        (None, Some(_)) => &copies.spare,
        (None, None) => &copies.real,
    };
    // Creating takes long, so it waits neither for the network nor for the gate.
    let mut ready = base.clone();
    if copies.wanted.is_none() {
        let after = ground.free(at, &base);
        let create = draft.create(at, &copies.hash, copies.spec, &after);
        rollout.done = vec![create];
        ready = vec![create];
        ready.extend(ground.network.iter().filter(|step| !base.contains(step)));
    }
    if copies
        .wanted
        .and_then(|copy| copy.limits.as_ref())
        .is_some_and(|limits| !limits.hold(&copies.spec.resources))
    {
        let limited = draft.limit(at, copies.spec, &base);
        rollout.done = vec![limited];
        ready.push(limited);
    }
    if copies.is_detached() {
        let connected = draft.connect(at, copies.spec, &base);
        rollout.done = vec![connected];
        rollout.moved = true;
        ready.push(connected);
    }
    let running = copies.wanted.is_some_and(|copy| runs(copy.state));
    if !stopped {
        ready.extend(gate);
    }
    if stopped || copies.spec.strategy == Strategy::Recreate {
        one_at_a_time(
            draft,
            ground,
            copies,
            at,
            running,
            stopped,
            &ready,
            &mut rollout,
        );
    } else {
        side_by_side(draft, ground, copies, at, running, &ready, &mut rollout);
    }
    rollout
}

/// Plans a container of which a volume is gone: it is neither made nor started, only
/// ended where its owner `stopped` it. A copy that never started goes, so that it cannot
/// keep what the engine made in the volume's place.
pub(super) fn hold(
    draft: &mut Draft,
    copies: &Copies<'_>,
    stopped: bool,
    after: &[usize],
) -> Rollout {
    let occupant = copies.occupant.iter().map(|(copy, _)| *copy);
    let others = copies.others.iter().copied();
    for copy in copies.wanted.into_iter().chain(occupant).chain(others) {
        if copy.state == State::Created {
            draft.remove(&copy.name, after);
        } else if stopped && runs(copy.state) {
            draft.stop(&copy.name, copies.spec.stop_grace_ms, after);
        }
    }
    Rollout::default()
}

/// The new copy starts beside the old one and takes the name when it is ready. The
/// old one goes on running: it is a leftover.
fn side_by_side(
    draft: &mut Draft,
    ground: &Ground<'_>,
    copies: &Copies<'_>,
    at: &CopyName,
    running: bool,
    after: &[usize],
    rollout: &mut Rollout,
) {
    let settled = running && *at == copies.real && !copies.is_detached();
    if !settled {
        let mut last = after.to_vec();
        if !running {
            last = vec![draft.start(at, &last)];
            rollout.started = true;
        }
        let mut ready = draft.await_ready(&copies.spec.name, at, &last);
        if copies.replaces_a_running_one() && *at != copies.real {
            ready = draft.settle(&copies.spec.name, at, SETTLE_MS, &[ready]);
        }
        let done = take_name(draft, ground, copies, at, &[ready]).unwrap_or(ready);
        rollout.done = vec![done];
        rollout.moved = true;
    }
    rollout.settles_ms = copies.replaces_a_running_one().then_some(SETTLE_AGAIN_MS);
    for (container, state) in copies.stale() {
        rollout.leftovers.push(Leftover {
            container,
            running: runs(state),
        });
    }
    rollout.moved |= !rollout.leftovers.is_empty();
}

/// The old copy ends before the new one starts, and is kept until the new one is
/// ready.
#[expect(
    clippy::too_many_arguments,
    reason = "the same as its sibling's, and whether to start"
)]
fn one_at_a_time(
    draft: &mut Draft,
    ground: &Ground<'_>,
    copies: &Copies<'_>,
    at: &CopyName,
    running: bool,
    stopped: bool,
    after: &[usize],
    rollout: &mut Rollout,
) {
    let grace = copies.spec.stop_grace_ms;
    let mut last = after.to_vec();
    let stale = copies
        .occupant
        .iter()
        .map(|(copy, _)| *copy)
        .chain(copies.others.iter().copied());
    let mut ending: Vec<&CopyName> = stale
        .filter(|copy| runs(copy.state))
        .map(|copy| &copy.name)
        .collect();
    if stopped && running {
        ending.push(at);
    }
    if !ending.is_empty() {
        let stops = ending.iter().map(|name| draft.stop(name, grace, &last));
        last = stops.collect();
        rollout.done.clone_from(&last);
        rollout.moved = true;
    }
    let renamed = take_name(draft, ground, copies, at, &last);
    if let Some(renamed) = renamed {
        rollout.done = vec![renamed];
        rollout.moved = true;
        last.push(renamed);
    }
    if !stopped && (!running || renamed.is_some() || copies.is_detached()) {
        if !running {
            last = vec![draft.start(&copies.real, &last)];
            rollout.started = true;
        }
        rollout.done = vec![draft.await_ready(&copies.spec.name, &copies.real, &last)];
        rollout.moved = true;
    }
    if !stopped && copies.replaces_a_running_one() {
        rollout.settles_ms = Some(SETTLE_MS + SETTLE_AGAIN_MS);
    }
    for (container, _) in copies.stale() {
        rollout.leftovers.push(Leftover {
            container,
            running: false,
        });
    }
    rollout.moved |= !rollout.leftovers.is_empty();
}

/// Gives the copy at `at` the name that others know; the occupant gives way.
/// Returns the last step, if it does not bear the name already.
fn take_name(
    draft: &mut Draft,
    ground: &Ground<'_>,
    copies: &Copies<'_>,
    at: &CopyName,
    after: &[usize],
) -> Option<usize> {
    if *at == copies.real {
        return None;
    }
    let mut after = after.to_vec();
    if let Some((_, away)) = &copies.occupant {
        after = vec![draft.rename(&copies.real, away, &ground.free(away, &after))];
    }
    Some(draft.rename(at, &copies.real, &ground.free(&copies.real, &after)))
}

impl Copies<'_> {
    /// Whether a copy that serves is to be removed.
    fn replaces_a_running_one(&self) -> bool {
        self.stale().any(|(_, state)| state == State::Running)
    }

    /// The copies to be removed, under the names that they have when the wanted one
    /// has its own, with what they do now.
    fn stale(&self) -> impl Iterator<Item = (CopyName, State)> {
        let occupant = self
            .occupant
            .iter()
            .map(|(copy, away)| (away.clone(), copy.state));
        occupant.chain(
            self.others
                .iter()
                .map(|copy| (copy.name.clone(), copy.state)),
        )
    }
}

impl Ground<'_> {
    /// `after`, and the step that sets `name` free if something bears it.
    fn free(&self, name: &CopyName, after: &[usize]) -> Vec<usize> {
        after
            .iter()
            .chain(self.evicted.get(name))
            .copied()
            .collect()
    }
}
