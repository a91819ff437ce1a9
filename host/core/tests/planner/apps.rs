//! Blueprints to plan with.

use doprax_core::blueprint::{Blueprint, Container, Env, Front, Image, Stage};
use doprax_core::copy::CopyName;
use doprax_core::name::{AppName, ServiceName, VolumeName};
use doprax_core::observed::{Limits, Observed, ObservedContainer, State};
use doprax_core::resources::Resources;
use doprax_core::source::Recipe;
use doprax_core::spec::{Drain, Protocol, Strategy, VolumeMount};
use doprax_core::text::Text;
use std::collections::BTreeMap;

pub(crate) fn service(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

/// A container that differs from others of its name by `version` only.
pub(crate) fn container(name: &str, stage: Stage, version: u8) -> Container {
    let reference = format!("{name}:{version}");
    Container {
        name: service(name),
        plugin: None,
        stage,
        image: match stage {
            Stage::Main => Image::Build {
                reference,
                source: version.to_string(),
                recipe: Recipe::default(),
            },
            Stage::Service | Stage::Front => Image::Pull { reference },
        },
        identity: None,
        env: BTreeMap::from([(
            "VERSION".to_owned(),
            Env {
                value: Text::literal(version.to_string()),
                masked: false,
            },
        )]),
        entrypoint: None,
        command: None,
        user: None,
        files: Vec::new(),
        mounts: Vec::new(),
        aliases: vec![name.to_owned()],
        port: Some(80),
        port_reason: String::new(),
        probes: Vec::new(),
        ready_timeout_ms: 1000,
        judged: false,
        component: None,
        restart_after: None,
        needs: Default::default(),
        reload: None,
        strategy: if stage == Stage::Service {
            Strategy::Recreate
        } else {
            Strategy::Rolling
        },
        resources: Resources::default(),
        shm_size: None,
        ulimits: Vec::new(),
        capabilities: Vec::new(),
        stop_signal: None,
        // None is what a container gets of which nothing is known.
        stop_grace_ms: match stage {
            Stage::Service => 20_000,
            Stage::Main => 40_000,
            Stage::Front => 5_000,
        },
        outputs: BTreeMap::new(),
        init: None,
        runtime: Default::default(),
    }
}

pub(crate) fn with_volume(mut container: Container, volume: &str) -> Container {
    let name = VolumeName::new(volume).unwrap();
    container.mounts.push(VolumeMount {
        name,
        path: format!("/{volume}"),
    });
    container
}

pub(crate) fn with_reload(mut container: Container) -> Container {
    container.reload = Some(vec!["reload".to_owned()]);
    container
}

pub(crate) fn recreated(mut container: Container) -> Container {
    container.strategy = Strategy::Recreate;
    container
}

pub(crate) fn app(containers: impl IntoIterator<Item = Container>, front: &str) -> Blueprint {
    let containers: BTreeMap<_, _> = containers
        .into_iter()
        .map(|container| (container.name.clone(), container))
        .collect();
    Blueprint {
        app: AppName::new("shop").unwrap(),
        subnet: "10.16.0.0/23".parse().unwrap(),
        volumes: containers
            .values()
            .flat_map(|c| &c.mounts)
            .map(|m| m.name.clone())
            .collect(),
        containers,
        front: Some(Front {
            service: service(front),
            port: 80,
            protocol: Protocol::default(),
            reason: String::new(),
        }),
        drain: Drain::default(),
        domains: BTreeMap::new(),
        first_domain: None,
        secrets: BTreeMap::new(),
        revisions: BTreeMap::new(),
        release: None,
        notes: Vec::new(),
    }
}

/// What the engine holds when the app runs as the blueprint says.
pub(crate) fn running(blueprint: &Blueprint) -> Observed {
    let copies = blueprint.containers.values().enumerate();
    Observed {
        network: Some(doprax_core::observed::Network {
            subnet: blueprint.subnet,
        }),
        volumes: blueprint.volumes.clone(),
        containers: copies
            .map(|(index, container)| {
                let name = CopyName::serving(&container.name);
                copy(index, blueprint, container, name, State::Running)
            })
            .collect(),
        images: blueprint
            .containers
            .values()
            .map(|c| c.image.reference().to_owned())
            .collect(),
    }
}

/// What a copy of the app of these tests is called.
pub(crate) fn called(copy: &CopyName) -> String {
    match copy {
        CopyName::Serving(service) => format!("{service}.shop.internal"),
        CopyName::Spare(service, digits) => format!("{service}_{digits}.shop.internal"),
        CopyName::Foreign(name) => name.clone(),
    }
}

pub(crate) fn copy(
    index: usize,
    blueprint: &Blueprint,
    container: &Container,
    name: CopyName,
    state: State,
) -> ObservedContainer {
    ObservedContainer {
        id: format!("old-{index}"),
        name,
        service: container.name.clone(),
        hash: container.made_from(&blueprint.revisions),
        state,
        attached: true,
        address: None,
        created: 0,
        started_ms: None,
        ended_ms: None,
        restarts: 0,
        exit_code: None,
        out_of_memory: false,
        image: container.image.reference().to_owned(),
        limits: Some(limits(&container.resources)),
        healthcheck: None,
        image_id: String::new(),
    }
}

/// What the engine says of a container with these limits.
pub(crate) fn limits(resources: &Resources) -> Limits {
    Limits {
        memory: resources.memory,
        millicpus: resources.millicpus,
        machine_millicpus: 2000,
        usual: true,
    }
}

pub(crate) fn with_memory(mut container: Container, memory: u64) -> Container {
    container.resources.memory = Some(memory);
    container
}
