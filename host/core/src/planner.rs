//! From a blueprint and what is observed to the steps between them.
//!
//! Flow: images, network and volumes; then the services, main, and what stands in
//! front of it, each stage started when the one before is ready; then the route
//! moves, what is new has to stay ready for a while, and what is left over goes.
//!
//! Guarantees, whatever is observed: the end of the plan is the blueprint, so that
//! planning again gives an empty plan; any prefix of a plan leaves a state from
//! which this blueprint and the one before can both be reached; nothing is stopped
//! before every image is there; a copy that was replaced is removed only after its
//! successor is ready; no volume is ever removed, and none that is gone replaced.
//!
//! Assumes: the engine never gives one name to two containers, a container's label
//! tells truly which digest it was made from, and digests that begin alike (as far
//! as they are part of a name) are equal.

use crate::blueprint::{Blueprint, Container, Image, Stage};
use crate::copy::CopyName;
use crate::name::{ServiceName, VolumeName};
use crate::observed::{Observed, ObservedContainer, State};
use crate::plan::{Act, Plan, Rebuild};
use std::collections::{BTreeMap, BTreeSet};

mod draft;
mod images;
mod reach;
mod restart;
mod retire;
mod rollout;
mod survey;

pub use images::images;
pub use reach::reach;
pub use restart::restart;

use draft::Draft;
use survey::{Copies, Survey};

/// How long a container may take to end of which no blueprint is at hand, in
/// milliseconds. One that ends in good order ends sooner.
const UNKNOWN_GRACE_MS: u32 = 30_000;

/// How long a new copy must have stayed ready before it takes the place of one that
/// serves, in milliseconds: servers that listen before they can work end soon after.
const SETTLE_MS: u32 = 2_000;
/// How long it must stay so after that, before the other one ends.
const SETTLE_AGAIN_MS: u32 = 1_000;

/// What planning needs to know beside blueprint and observed.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Containers that their owner stopped: made, but not started.
    pub stopped: &'a BTreeSet<ServiceName>,
    /// Containers that an earlier plan would have had reload, had it come to its end.
    pub reloads: &'a BTreeSet<ServiceName>,
    /// Volumes that were made for a release. One that is gone since is not made anew:
    /// what mounts it is left as it is, and not started.
    pub made: &'a BTreeSet<VolumeName>,
}

/// The volumes of the blueprint that were made before and are gone.
pub fn gone_volumes<'a>(
    blueprint: &'a Blueprint,
    observed: &Observed,
    made: &BTreeSet<VolumeName>,
) -> BTreeSet<&'a VolumeName> {
    let volumes = blueprint.volumes.iter();
    volumes
        .filter(|volume| made.contains(*volume) && !observed.volumes.contains(*volume))
        .collect()
}

/// The steps from `observed` to `blueprint`; none if nothing is left to do.
pub fn plan(blueprint: &Blueprint, observed: &Observed, context: &Context<'_>) -> Plan {
    // Containers cannot move to another network.
    let moves = observed
        .network
        .as_ref()
        .is_none_or(|n| n.subnet != blueprint.subnet);
    let usable = if moves {
        &[]
    } else {
        observed.containers.as_slice()
    };
    let survey = Survey::new(blueprint, usable);

    let gone = gone_volumes(blueprint, observed, context.made);
    let lacks_volume = |copies: &Copies<'_>| {
        let mut mounts = copies.spec.mounts.iter();
        mounts.any(|mount| gone.contains(&mount.name))
    };
    let mut draft = Draft::default();
    let images = missing_images(&mut draft, &survey, observed, &lacks_volume);
    let network = if moves {
        vec![renew_network(&mut draft, blueprint, observed, &images)]
    } else {
        images.clone()
    };
    let volumes = volumes(&mut draft, blueprint, observed, &gone, &images);
    let ground = Ground {
        evicted: evict(&mut draft, &survey, &images),
        // A container can be made before its network, only started after it.
        names: if observed.network.is_none() && observed.containers.is_empty() {
            images.clone()
        } else {
            network.clone()
        },
        network,
        volumes,
    };
    let halted = halt_unwanted(&mut draft, &survey, observed, &images);

    let mut rollouts = BTreeMap::new();
    let mut gate: Vec<usize> = halted.values().copied().collect();
    let turn_of = turns(blueprint);
    let turns: BTreeSet<Turn> = turn_of.values().copied().collect();
    for turn in turns {
        let mut done = Vec::new();
        for copies in survey
            .services
            .iter()
            .filter(|copies| turn_of[&copies.spec.name] == turn)
        {
            let stopped = context.stopped.contains(&copies.spec.name);
            let rollout = if lacks_volume(copies) {
                rollout::hold(&mut draft, copies, stopped, &images)
            } else {
                rollout::roll_out(&mut draft, &ground, copies, &gate, stopped)
            };
            done.extend_from_slice(&rollout.done);
            rollouts.insert(&copies.spec.name, rollout);
        }
        gate.extend(done);
    }
    let proxies = retire::proxies_to_reload(blueprint, &survey, &rollouts, context.reloads);
    retire::retire(
        &mut draft, blueprint, &survey, &rollouts, &proxies, &halted, &gate,
    );
    draft.finish()
}

/// The steps that remove an app's containers and its network; volumes stay. `last`
/// is the blueprint that the containers were made from, where it is known: it says
/// how long each may take to end.
pub fn removal(observed: &Observed, last: Option<&Blueprint>) -> Plan {
    let grace = |container: &ObservedContainer| {
        let spec = last.and_then(|blueprint| blueprint.containers.get(&container.service));
        spec.map_or(UNKNOWN_GRACE_MS, |spec| spec.stop_grace_ms)
    };
    let mut draft = Draft::default();
    let (main, others): (Vec<_>, Vec<_>) = observed
        .containers
        .iter()
        .partition(|container| container.service.is_main());
    // Main ends before the services that it writes to.
    let running = main.iter().filter(|container| runs(container.state));
    let ended: Vec<usize> = running
        .map(|container| draft.stop(&container.name, grace(container), &[]))
        .collect();
    let mut removed: Vec<usize> = main
        .iter()
        .map(|container| draft.remove(&container.name, &ended))
        .collect();
    for container in others {
        removed.push(draft.end(container, &container.name, grace(container), &ended));
    }
    if observed.network.is_some() {
        draft.act(Act::RemoveNetwork, &removed);
    }
    draft.finish()
}

/// When a container starts. A proxy of the front's stage starts when what it may name is
/// there: some resolve names at their start only, and end where one is unknown. The one
/// that the ingress talks to comes last. Within these, each comes after those that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    stage: Stage,
    is_proxy: bool,
    is_front: bool,
    /// How many others, each needed by the next, come before it.
    depth: usize,
}

impl Turn {
    fn of(spec: &Container, blueprint: &Blueprint) -> Self {
        let is_proxy = spec.stage == Stage::Front && spec.reload.is_some();
        Self {
            stage: spec.stage,
            is_proxy,
            is_front: is_proxy && blueprint.is_front(&spec.name),
            depth: 0,
        }
    }
}

/// When each container starts.
fn turns(blueprint: &Blueprint) -> BTreeMap<&ServiceName, Turn> {
    let own = blueprint.containers.iter();
    let mut turns: BTreeMap<&ServiceName, Turn> = own
        .map(|(name, spec)| (name, Turn::of(spec, blueprint)))
        .collect();
    // No blueprint has a circle, so each round settles one more of a row at least.
    for _ in &blueprint.containers {
        let mut moved = false;
        for (name, spec) in &blueprint.containers {
            let needed = spec.needs.iter().filter_map(|needed| turns.get(needed));
            let after = needed.map(|turn| Turn {
                depth: turn.depth + 1,
                ..*turn
            });
            let turn = after.fold(turns[name], Turn::max);
            moved |= turns.insert(name, turn) != Some(turn);
        }
        if !moved {
            break;
        }
    }
    turns
}

/// What every container's steps build on.
struct Ground<'a> {
    /// Steps after which every image is there, and what stood on another network gone.
    names: Vec<usize>,
    /// Steps after which the network is there.
    network: Vec<usize>,
    /// Steps that create volumes.
    volumes: BTreeMap<&'a VolumeName, usize>,
    /// Steps that remove what is in the way, with the name that each sets free.
    evicted: BTreeMap<&'a CopyName, usize>,
}

/// Whether a process is there that has to be ended.
fn runs(state: State) -> bool {
    matches!(state, State::Running | State::Restarting)
}

/// Builds and pulls what the containers to be created need and the engine lacks.
fn missing_images(
    draft: &mut Draft,
    survey: &Survey<'_>,
    observed: &Observed,
    lacks_volume: &dyn Fn(&Copies<'_>) -> bool,
) -> Vec<usize> {
    let missing: BTreeMap<&str, &Container> = survey
        .services
        .iter()
        .filter(|copies| copies.wanted.is_none() && !lacks_volume(copies))
        .map(|copies| (copies.spec.image.reference(), copies.spec))
        .filter(|(reference, _)| !observed.images.contains(*reference))
        .collect();
    let digest = |spec: &Container| spec.identity.as_ref()?.digest.clone();
    let acts = missing.into_values().map(|spec| match spec.image.clone() {
        Image::Build {
            reference,
            source,
            recipe,
        } => Act::BuildImage {
            reference,
            source,
            recipe,
            rebuild: Rebuild::Never,
        },
        Image::Pull { reference } => Act::PullImage {
            reference,
            digest: digest(spec),
        },
    });
    acts.map(|act| draft.act(act, &[])).collect()
}

/// Creates the network; what stands on one with another subnet goes first.
fn renew_network(
    draft: &mut Draft,
    blueprint: &Blueprint,
    observed: &Observed,
    images: &[usize],
) -> usize {
    let mut before = images.to_vec();
    for container in &observed.containers {
        let grace = grace(blueprint, &container.service);
        before.push(draft.end(container, &container.name, grace, images));
    }
    if observed.network.is_some() {
        before = vec![draft.act(Act::RemoveNetwork, &before)];
    }
    draft.act(
        Act::CreateNetwork {
            subnet: blueprint.subnet,
        },
        &before,
    )
}

/// Creates the volumes that are missing, but not those that are gone.
fn volumes<'a>(
    draft: &mut Draft,
    blueprint: &'a Blueprint,
    observed: &Observed,
    gone: &BTreeSet<&VolumeName>,
    images: &[usize],
) -> BTreeMap<&'a VolumeName, usize> {
    let missing = blueprint
        .volumes
        .iter()
        .filter(|volume| !observed.volumes.contains(volume) && !gone.contains(volume));
    missing
        .map(|volume| {
            (
                volume,
                draft.act(
                    Act::CreateVolume {
                        volume: volume.clone(),
                    },
                    images,
                ),
            )
        })
        .collect()
}

/// Removes what is in the way of the names that the plan gives.
fn evict<'a>(
    draft: &mut Draft,
    survey: &Survey<'a>,
    images: &[usize],
) -> BTreeMap<&'a CopyName, usize> {
    let evicted = survey.evicted.iter();
    evicted
        .map(|container| {
            let step = draft.end(container, &container.name, UNKNOWN_GRACE_MS, images);
            (&container.name, step)
        })
        .collect()
}

/// Stops the containers of services that are no longer wanted before a new service
/// takes over a volume that has been there before: what has only changed its name
/// must not run twice on the same data. Elsewhere they end last, when nothing needs
/// them any more.
fn halt_unwanted<'a>(
    draft: &mut Draft,
    survey: &Survey<'a>,
    observed: &Observed,
    images: &[usize],
) -> BTreeMap<&'a CopyName, usize> {
    let inherits = |copies: &&Copies<'_>| {
        copies.is_new()
            && copies
                .spec
                .mounts
                .iter()
                .any(|mount| observed.volumes.contains(&mount.name))
    };
    if !survey.services.iter().any(|copies| inherits(&copies)) {
        return BTreeMap::new();
    }
    let running = survey
        .unwanted
        .iter()
        .filter(|container| runs(container.state));
    running
        .map(|container| {
            (
                &container.name,
                draft.stop(&container.name, UNKNOWN_GRACE_MS, images),
            )
        })
        .collect()
}

/// How long a service's container may take to end.
fn grace(blueprint: &Blueprint, service: &ServiceName) -> u32 {
    blueprint
        .containers
        .get(service)
        .map_or(UNKNOWN_GRACE_MS, |spec| spec.stop_grace_ms)
}
