//! Apps and engine states of every kind, sensible or not.

use crate::apps::{app, container, copy, limits, recreated, service, with_reload, with_volume};
use doprax_core::blueprint::{Blueprint, Container, Stage};
use doprax_core::copy::CopyName;
use doprax_core::name::{ServiceName, VolumeName};
use doprax_core::observed::{Network, Observed, ObservedContainer, State};
use doprax_core::resources::Resources;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::collections::{BTreeMap, BTreeSet};

const NAMES: [&str; 5] = ["main", "a", "b", "c", "d"];
const VOLUMES: [&str; 3] = ["one", "two", "three"];

fn any_memory() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![3 => Just(None), 1 => Just(Some(64 << 20)), 1 => Just(Some(128 << 20))]
}

fn any_container(name: &'static str) -> impl Strategy<Value = Container> {
    let stage = if name == "main" {
        Just(Stage::Main).boxed()
    } else {
        prop_oneof![Just(Stage::Service), Just(Stage::Front)].boxed()
    };
    let volumes = subsequence(VOLUMES.to_vec(), 0..=2);
    let switches = (any::<bool>(), any::<bool>());
    (stage, 0..3u8, volumes, switches, any_memory()).prop_map(
        move |(stage, version, volumes, (recreate, reload), memory)| {
            let mut made = container(name, stage, version);
            made.resources.memory = memory;
            made = volumes.into_iter().fold(made, with_volume);
            if recreate {
                made = recreated(made);
            }
            if reload { with_reload(made) } else { made }
        },
    )
}

/// Any app of up to five containers.
pub(crate) fn any_app() -> impl Strategy<Value = Blueprint> {
    let services = subsequence(NAMES[1..].to_vec(), 0..=4)
        .prop_flat_map(|names| names.into_iter().map(any_container).collect::<Vec<_>>());
    let subnet = prop_oneof![9 => Just("10.16.0.0/23"), 1 => Just("10.16.2.0/23")];
    (
        any_container("main"),
        services,
        any::<prop::sample::Index>(),
        subnet,
    )
        .prop_map(|(main, services, front, subnet)| {
            let names: Vec<String> = services
                .iter()
                .chain([&main])
                .map(|c| c.name.to_string())
                .collect();
            let front: &String = front.get(&names);
            let mut made = app(services.into_iter().chain([main]), front);
            made.subnet = subnet.parse().unwrap();
            made
        })
}

/// Any set of containers that their owner stopped.
pub(crate) fn any_stopped() -> impl Strategy<Value = BTreeSet<ServiceName>> {
    prop_oneof![
        2 => Just(Vec::new()),
        1 => subsequence(NAMES.to_vec(), 0..=2),
    ]
    .prop_map(|names| names.into_iter().map(service).collect())
}

fn any_state() -> impl Strategy<Value = State> {
    select(vec![
        State::Created,
        State::Running,
        State::Running,
        State::Restarting,
        State::Paused,
        State::Exited(1),
        State::Dead,
    ])
}

/// What a name of an observed container is made from.
#[derive(Debug, Clone)]
enum Name {
    Real(&'static str),
    Spare(&'static str),
    OwnReal,
    OwnSpare,
    Foreign(u8),
}

fn any_name() -> impl Strategy<Value = Name> {
    prop_oneof![
        3 => Just(Name::OwnReal),
        3 => Just(Name::OwnSpare),
        1 => select(NAMES.to_vec()).prop_map(Name::Real),
        1 => select(NAMES.to_vec()).prop_map(Name::Spare),
        1 => (0..3u8).prop_map(Name::Foreign),
    ]
}

/// An app, and anything that an engine could hold of it: copies that no plan would
/// make, several of one kind, under names that they should not have.
pub(crate) fn any_app_and_observed() -> impl Strategy<Value = (Blueprint, Observed)> {
    any_app().prop_flat_map(|blueprint| {
        let observed = any_observed(blueprint.clone());
        (Just(blueprint), observed)
    })
}

fn any_observed(blueprint: Blueprint) -> impl Strategy<Value = Observed> {
    let copies = vec(
        (
            select(NAMES.to_vec()),
            0..3u8,
            any_name(),
            any_state(),
            (any::<bool>(), any_memory()),
        ),
        0..9,
    );
    let network = prop_oneof![
        5 => Just(Some("10.16.0.0/23")),
        1 => Just(Some("10.99.0.0/23")),
        1 => Just(None),
    ];
    let volumes = subsequence(VOLUMES.to_vec(), 0..=3);
    let images = subsequence(NAMES.to_vec(), 0..=5);
    (copies, network, volumes, images).prop_map(move |(copies, network, volumes, images)| {
        let mut containers = BTreeMap::<CopyName, ObservedContainer>::new();
        for (index, (service_name, age, name, state, (earlier, memory))) in
            copies.into_iter().enumerate()
        {
            let wanted = blueprint.containers.get(&service(service_name));
            let mut made = wanted
                .cloned()
                .unwrap_or_else(|| container(service_name, Stage::Service, 0));
            // Of age 0 it is the wanted one.
            made.stop_grace_ms += u32::from(age);
            let hash = if earlier {
                made.hash(&BTreeMap::new())
            } else {
                made.made_from(&BTreeMap::new())
            };
            let real = |name| CopyName::serving(&service(name));
            let spare = |name| CopyName::spare(&service(name), &hash);
            let name = match name {
                Name::Real(other) => real(other),
                Name::Spare(other) => spare(other),
                Name::OwnReal => real(service_name),
                Name::OwnSpare => spare(service_name),
                Name::Foreign(number) => CopyName::Foreign(format!("foreign-{number}")),
            };
            let limits = limits(&Resources {
                memory,
                ..Resources::default()
            });
            let copy = ObservedContainer {
                hash,
                limits: Some(limits),
                ..copy(index, &blueprint, &made, name.clone(), state)
            };
            containers.insert(name, copy);
        }
        let images = images
            .iter()
            .flat_map(|name| (0..2).map(move |v| format!("{name}:{v}")));
        Observed {
            network: network.map(|subnet| Network {
                subnet: subnet.parse().unwrap(),
            }),
            volumes: volumes
                .into_iter()
                .map(|name| VolumeName::new(name).unwrap())
                .collect(),
            containers: containers.into_values().collect(),
            images: images.collect(),
        }
    })
}
