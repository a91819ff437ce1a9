//! What a plan changes, for people and scripts: which container will be what, which
//! port was chosen and why, what stays.
//!
//! Holds no secret: their values are unknown here, and what is masked is replaced
//! before it gets into a [`Diff`].

use crate::blueprint::{Blueprint, Front, Note};
use crate::caution;
use crate::copy::CopyName;
use crate::domain::Domains;
use crate::merge::{Change, Merged};
use crate::name::{AppName, ServiceName, VolumeName};
use crate::observed::{Observed, ObservedContainer};
use crate::plan::{Act, Plan, Step};
use crate::spec::{Drain, Protocol, Strategy};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

mod field;
mod render;

/// What a plan changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// The app.
    pub app: AppName,
    /// Whether anything was deployed before.
    pub first: bool,
    /// Whether the app is removed as a whole.
    pub removal: bool,
    /// Every container: main first, then the others by name.
    pub containers: Vec<ContainerDiff>,
    /// The app's network.
    pub network: Option<NetworkDiff>,
    /// Every volume of the app, by name.
    pub volumes: Vec<VolumeDiff>,
    /// What the ingress talks to.
    pub front: Option<FrontDiff>,
    /// For how long a copy that was replaced goes on with what it has begun, if that changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainDiff>,
    /// Host names beside the free subdomain, by name.
    pub domains: Vec<DomainDiff>,
    /// The domain by which visitors know the app, if another one takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_domain: Option<FirstDomainDiff>,
    /// Containers that take notice of what moved earlier, because the steps that had them
    /// do so did not come to their end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reloads: Vec<ServiceName>,
    /// Remarks.
    pub notes: Vec<Note>,
    /// What was done by hand and stays although the manifest says otherwise.
    pub kept: Vec<Change>,
    /// What goes because the manifest no longer has it.
    pub dropped: Vec<Change>,
}

/// What becomes of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It is new.
    Added,
    /// It becomes another.
    Changed,
    /// It goes.
    Removed,
    /// It stays as it is.
    Unchanged,
}

/// What becomes of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerDiff {
    /// Its name.
    pub name: ServiceName,
    /// The plugin that describes it; absent for main.
    pub plugin: Option<String>,
    /// Its image, for people.
    pub image: String,
    /// What becomes of it.
    pub kind: Kind,
    /// What is done to it.
    pub action: Action,
    /// What it is made of: all of it if it is new, else what changes.
    pub fields: Vec<FieldDiff>,
}

/// What is done to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is created where there is none.
    Create,
    /// A new copy runs beside the old one until it is ready.
    ReplaceBeside,
    /// The old copy ends before the new one starts.
    Replace,
    /// The copy that is there takes its place, or starts again.
    Start,
    /// It goes on running, with other limits.
    Update,
    /// It ends and stays.
    Stop,
    /// It goes.
    Remove,
    /// What is left over of an earlier copy goes.
    Tidy,
    /// Nothing.
    Keep,
}

/// One thing that a container is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldDiff {
    /// What it is: `env`, `volume`, `port`, …
    pub field: String,
    /// Which one, where there are several: a variable's name, a path.
    pub key: Option<String>,
    /// What it was.
    pub before: Option<String>,
    /// What it will be.
    pub after: Option<String>,
}

/// What becomes of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkDiff {
    /// Its subnet.
    pub subnet: Option<Ipv4Net>,
    /// What becomes of it.
    pub kind: Kind,
}

/// What becomes of a volume. It is never removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeDiff {
    /// Its name.
    pub name: VolumeName,
    /// Whether it is new.
    pub kind: Kind,
    /// The containers that mount it; none: it is only kept.
    pub mounted_by: Vec<ServiceName>,
}

/// What becomes of the front.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontDiff {
    /// Container and port before.
    pub before: Option<String>,
    /// Container and port.
    pub after: String,
    /// Why.
    pub reason: String,
}

/// For how long a copy that was replaced goes on with what it has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainDiff {
    /// Before.
    pub before: Drain,
    /// From now on.
    pub after: Drain,
}

/// What becomes of a host name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainDiff {
    /// The name.
    pub name: String,
    /// The name that its requests are sent on to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_to: Option<String>,
    /// What becomes of it.
    pub kind: Kind,
}

/// Another domain is the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstDomainDiff {
    /// The one before.
    pub before: String,
    /// The one from now on.
    pub after: String,
}

/// What `plan` changes on the way from `previous` to `next`, where these copies exist.
pub fn diff(
    previous: Option<&Blueprint>,
    next: &Blueprint,
    copies: &[ObservedContainer],
    plan: &Plan,
) -> Diff {
    let touched = Touched::new(copies, plan);
    let mut names: Vec<&ServiceName> = next.containers.keys().collect();
    names.extend(
        previous
            .iter()
            .flat_map(|previous| previous.containers.keys()),
    );
    names.extend(touched.removed.iter());
    names.sort_by_key(|name| (!name.is_main(), *name));
    names.dedup();
    let containers = names
        .into_iter()
        .filter_map(|name| container(previous, next, &touched, name))
        .collect();
    let place = |front: &Front| {
        let Front { service, port, .. } = front;
        match (front.protocol, port) {
            (Protocol::Http, port) => format!("{service}:{port}"),
            // Not known before the image is there.
            (Protocol::Https, 0) => format!("{service} by TLS"),
            (Protocol::Https, port) => format!("{service}:{port} by TLS"),
        }
    };
    let before = previous
        .and_then(|previous| previous.front.as_ref())
        .map(place);
    let front = match &next.front {
        Some(front) => Some(FrontDiff {
            before,
            after: place(front),
            reason: front.reason.clone(),
        }),
        None => before.map(|before| FrontDiff {
            before: Some(before),
            after: "none".to_owned(),
            reason: "main listens on no port".to_owned(),
        }),
    };
    let mut notes = next.notes.clone();
    if let Some(previous) = previous {
        notes.extend(cautions(previous, next, plan));
    }
    Diff {
        app: next.app.clone(),
        first: previous.is_none(),
        removal: false,
        containers,
        network: Some(NetworkDiff {
            subnet: Some(next.subnet),
            kind: network(plan),
        }),
        volumes: volumes(previous, next, &touched),
        front,
        drain: drain(previous, next),
        domains: domains(previous, next),
        first_domain: first_domain(previous, next),
        reloads: Vec::new(),
        notes,
        kept: Vec::new(),
        dropped: Vec::new(),
    }
}

/// What a person should know before `next` goes on with the data that `before` made; the
/// app may have been removed in between.
pub fn cautions(before: &Blueprint, next: &Blueprint, plan: &Plan) -> Vec<Note> {
    let touched = Touched::new(&[], plan);
    let made = next.volumes.iter();
    let made = made.filter(|volume| !touched.volumes.contains(*volume));
    caution::cautions(before, next, &made.collect())
}

fn drain(previous: Option<&Blueprint>, next: &Blueprint) -> Option<DrainDiff> {
    let before = previous.map_or_else(Drain::default, |previous| previous.drain);
    let after = next.drain;
    (before != after).then_some(DrainDiff { before, after })
}

/// What the removal of an app changes. Its volumes stay.
pub fn removal(app: &AppName, last: Option<&Blueprint>, observed: &Observed, plan: &Plan) -> Diff {
    let touched = Touched::new(&observed.containers, plan);
    let mut names: Vec<&ServiceName> = touched.removed.iter().collect();
    names.sort_by_key(|name| (!name.is_main(), *name));
    let containers = names.into_iter().map(|name| {
        let spec = last.and_then(|last| last.containers.get(name));
        let copy = observed
            .containers
            .iter()
            .find(|copy| copy.service == *name);
        ContainerDiff {
            name: name.clone(),
            plugin: spec.and_then(|spec| spec.plugin.clone()),
            image: match (spec, copy) {
                (Some(spec), _) => field::image(spec),
                (None, Some(copy)) => copy.image.clone(),
                (None, None) => String::new(),
            },
            kind: Kind::Removed,
            action: Action::Remove,
            fields: Vec::new(),
        }
    });
    let volumes = observed.volumes.iter().map(|volume| VolumeDiff {
        name: volume.clone(),
        kind: Kind::Unchanged,
        mounted_by: Vec::new(),
    });
    let domains = last.into_iter().flat_map(|last| &last.domains);
    Diff {
        app: app.clone(),
        first: false,
        removal: true,
        containers: containers.collect(),
        network: observed.network.as_ref().map(|network| NetworkDiff {
            subnet: Some(network.subnet),
            kind: Kind::Removed,
        }),
        volumes: volumes.collect(),
        front: None,
        drain: None,
        domains: domains
            .map(|(name, domain)| DomainDiff {
                name: name.clone(),
                redirect_to: domain.redirect_to.clone(),
                kind: Kind::Removed,
            })
            .collect(),
        first_domain: None,
        reloads: Vec::new(),
        notes: Vec::new(),
        kept: Vec::new(),
        dropped: Vec::new(),
    }
}

impl Diff {
    /// The diff with what a merge kept and dropped.
    pub fn with_merge(mut self, merged: &Merged) -> Self {
        self.kept.clone_from(&merged.kept);
        self.dropped.clone_from(&merged.removed);
        self
    }

    /// The diff with the reloads of `owed` that the plan makes up for, as far as nothing
    /// else happens to the container.
    pub fn with_owed(mut self, owed: &BTreeSet<ServiceName>, plan: &Plan) -> Self {
        let is_planned = |name: &ServiceName| {
            let mut steps = plan.steps.iter();
            steps.any(
                |planned| matches!(&planned.step, Step::Reload { service, .. } if service == name),
            )
        };
        let unchanged = self.containers.iter();
        let unchanged = unchanged.filter(|container| container.kind == Kind::Unchanged);
        self.reloads = unchanged
            .map(|container| &container.name)
            .filter(|name| owed.contains(*name) && is_planned(name))
            .cloned()
            .collect();
        self
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        let unchanged = |kind: Kind| kind == Kind::Unchanged;
        self.containers
            .iter()
            .all(|container| unchanged(container.kind))
            && self.network.iter().all(|network| unchanged(network.kind))
            && self.volumes.iter().all(|volume| unchanged(volume.kind))
            && self.domains.iter().all(|domain| unchanged(domain.kind))
            && !self.front_changes()
            && self.drain.is_none()
            && self.first_domain.is_none()
            && self.reloads.is_empty()
            && self.dropped.is_empty()
    }

    fn front_changes(&self) -> bool {
        self.front
            .as_ref()
            .is_some_and(|front| front.before.as_ref() != Some(&front.after))
    }
}

/// What the plan does to the containers, by service.
#[derive(Default)]
struct Touched {
    /// Created under the name of a copy that waits beside another.
    beside: BTreeSet<ServiceName>,
    created: BTreeSet<ServiceName>,
    started: BTreeSet<ServiceName>,
    updated: BTreeSet<ServiceName>,
    stopped: BTreeSet<ServiceName>,
    removed: BTreeSet<ServiceName>,
    volumes: BTreeSet<VolumeName>,
}

impl Touched {
    fn new(copies: &[ObservedContainer], plan: &Plan) -> Self {
        // One that somebody renamed does not say by its name whose it is.
        let service = |name: &CopyName| {
            let copy = || copies.iter().find(|copy| copy.name == *name);
            name.service().or_else(|| Some(&copy()?.service)).cloned()
        };
        let mut touched = Self::default();
        for planned in &plan.steps {
            let Step::Engine(act) = &planned.step else {
                continue;
            };
            let (set, container) = match act {
                Act::CreateContainer {
                    container, spec, ..
                } => {
                    if matches!(container, CopyName::Spare(..)) {
                        touched.beside.insert(spec.name.clone());
                    }
                    (&mut touched.created, container)
                }
                Act::StartContainer { container } | Act::RenameContainer { to: container, .. } => {
                    (&mut touched.started, container)
                }
                Act::UpdateContainer { container, .. } => (&mut touched.updated, container),
                Act::StopContainer { container, .. } => (&mut touched.stopped, container),
                Act::RemoveContainer { container } => (&mut touched.removed, container),
                Act::CreateVolume { volume } => {
                    touched.volumes.insert(volume.clone());
                    continue;
                }
                _ => continue,
            };
            set.extend(service(container));
        }
        touched
    }
}

fn container(
    previous: Option<&Blueprint>,
    next: &Blueprint,
    touched: &Touched,
    name: &ServiceName,
) -> Option<ContainerDiff> {
    let before = previous.and_then(|previous| previous.containers.get(name));
    let after = next.containers.get(name);
    let (fields, spec) = match (before, after) {
        (Some(before), Some(after)) => {
            let mut fields = field::changes(before, after);
            let revision = |blueprint: &Blueprint, secret| blueprint.revisions.get(secret).copied();
            let secrets = after.secrets().into_iter().filter(|secret| {
                let old = previous.and_then(|previous| revision(previous, secret));
                old.is_some() && old != revision(next, secret)
            });
            fields.extend(secrets.map(field::new_secret));
            (fields, after)
        }
        (None, Some(after)) => (field::all(after), after),
        (Some(before), None) => (Vec::new(), before),
        // A leftover that neither blueprint knows.
        (None, None) => {
            return Some(ContainerDiff {
                name: name.clone(),
                plugin: None,
                image: String::new(),
                kind: Kind::Removed,
                action: Action::Remove,
                fields: Vec::new(),
            });
        }
    };
    let action = if after.is_none() {
        Action::Remove
    } else if touched.beside.contains(name) && spec.strategy == Strategy::Rolling {
        Action::ReplaceBeside
    } else if touched.beside.contains(name) {
        Action::Replace
    } else if touched.created.contains(name) {
        Action::Create
    } else if touched.started.contains(name) {
        Action::Start
    } else if touched.removed.contains(name) {
        Action::Tidy
    } else if touched.stopped.contains(name) {
        Action::Stop
    } else if touched.updated.contains(name) {
        Action::Update
    } else {
        Action::Keep
    };
    let kind = match (before, after) {
        (None, _) => Kind::Added,
        (_, None) => Kind::Removed,
        _ if fields.is_empty() && action == Action::Keep => Kind::Unchanged,
        _ => Kind::Changed,
    };
    Some(ContainerDiff {
        name: name.clone(),
        plugin: spec.plugin.clone(),
        image: field::image(spec),
        kind,
        action,
        fields,
    })
}

fn network(plan: &Plan) -> Kind {
    let has = |wanted: fn(&Act) -> bool| {
        plan.steps
            .iter()
            .any(|planned| matches!(&planned.step, Step::Engine(act) if wanted(act)))
    };
    let created = has(|act| matches!(act, Act::CreateNetwork { .. }));
    let removed = has(|act| matches!(act, Act::RemoveNetwork));
    match (created, removed) {
        (true, true) => Kind::Changed,
        (true, false) => Kind::Added,
        (false, true) => Kind::Removed,
        (false, false) => Kind::Unchanged,
    }
}

/// The volumes of both blueprints. One that no container mounts any more is kept.
fn volumes(previous: Option<&Blueprint>, next: &Blueprint, touched: &Touched) -> Vec<VolumeDiff> {
    let mut mounted_by: BTreeMap<&VolumeName, Vec<ServiceName>> = BTreeMap::new();
    for volume in previous
        .into_iter()
        .chain([next])
        .flat_map(|blueprint| &blueprint.volumes)
    {
        mounted_by.entry(volume).or_default();
    }
    for container in next.containers.values() {
        for mount in &container.mounts {
            let containers = mounted_by.entry(&mount.name).or_default();
            if !containers.contains(&container.name) {
                containers.push(container.name.clone());
            }
        }
    }
    mounted_by
        .into_iter()
        .map(|(name, mounted_by)| VolumeDiff {
            name: name.clone(),
            kind: if touched.volumes.contains(name) {
                Kind::Added
            } else {
                Kind::Unchanged
            },
            mounted_by,
        })
        .collect()
}

fn first_domain(previous: Option<&Blueprint>, next: &Blueprint) -> Option<FirstDomainDiff> {
    let (before, after) = (previous?.domain()?, next.domain()?);
    // One that goes says so itself.
    let stays = next.domains.contains_key(before);
    (before != after && stays).then(|| FirstDomainDiff {
        before: before.to_owned(),
        after: after.to_owned(),
    })
}

fn domains(previous: Option<&Blueprint>, next: &Blueprint) -> Vec<DomainDiff> {
    let none = Domains::new();
    let before = previous.map_or(&none, |previous| &previous.domains);
    let names: BTreeSet<&String> = before.keys().chain(next.domains.keys()).collect();
    names
        .into_iter()
        .map(|name| {
            let (old, new) = (before.get(name), next.domains.get(name));
            DomainDiff {
                name: name.clone(),
                redirect_to: new.or(old).and_then(|domain| domain.redirect_to.clone()),
                kind: match (old, new) {
                    (None, _) => Kind::Added,
                    (Some(_), None) => Kind::Removed,
                    (Some(old), Some(new)) if old == new => Kind::Unchanged,
                    (Some(_), Some(_)) => Kind::Changed,
                },
            }
        })
        .collect()
}
