//! Prints how long it takes to assemble and plan an app of 256 containers: first
//! deploy, nothing to do, and a change of each of them.
//!
//! `cargo run --release -p doprax-core --example plan_256`
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a measurement for people"
)]

use doprax_core::assemble::{Facts, Input, MainPorts, assemble};
use doprax_core::blueprint::Blueprint;
use doprax_core::copy::CopyName;
use doprax_core::diff;
use doprax_core::name::{AppName, Instance, PluginName, ServiceName, VolumeName};
use doprax_core::observed::{Network, Observed, ObservedContainer, State};
use doprax_core::plan::Plan;
use doprax_core::planner::{Context, plan};
use doprax_core::service::{
    Audience, CheckTemplate, EnvTemplate, Port, ProbeTemplate, ServiceDescription, Transport,
    VolumeDefault,
};
use doprax_core::source::{Recipe, Source};
use doprax_core::spec::{AppSpec, ContainerSpec, MainSpec, ServiceSpec};
use doprax_core::text::Template;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const ROUNDS: usize = 200;

fn main() {
    let old = app("1");
    let new = app("2");
    let (assembled, before) = measure(|| blueprint(&old));
    let after = blueprint(&new);
    let nothing = Observed::default();
    let running = running(&before);

    println!("{} containers, median of {ROUNDS}", before.containers.len());
    println!("assemble       {assembled:>10.2?}");
    for (name, wanted, observed) in [
        ("first deploy", &before, &nothing),
        ("nothing to do", &before, &running),
        ("all change", &after, &running),
    ] {
        let (planned, steps) = measure(|| to(wanted, observed));
        let (compared, _) = measure(|| diff::diff(Some(&before), wanted, &[], &steps));
        let count = steps.steps.len();
        println!("{name:<14} {planned:>10.2?} plan, {compared:>10.2?} diff, {count} steps");
    }
}

/// The median duration, and the last result.
fn measure<T>(act: impl Fn() -> T) -> (Duration, T) {
    let mut durations: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            std::hint::black_box(act());
            begin.elapsed()
        })
        .collect();
    durations.sort_unstable();
    (durations[ROUNDS / 2], act())
}

fn to(blueprint: &Blueprint, observed: &Observed) -> Plan {
    let stopped = BTreeSet::new();
    plan(
        blueprint,
        observed,
        &Context {
            stopped: &stopped,
            reloads: &stopped,
            made: &BTreeSet::new(),
        },
    )
}

fn service(number: usize) -> ServiceName {
    ServiceName::new(format!("service-{number}")).expect("a label")
}

fn app(version: &str) -> AppSpec {
    let plugin = PluginName::new("redis").expect("a label");
    let services = (0..255).map(|number| {
        let spec = ServiceSpec {
            plugin: plugin.clone(),
            tag: None,
            image: Some(format!("redis:{version}")),
            settings: serde_json::Map::new(),
            port: None,
            container: ContainerSpec::default(),
        };
        (service(number), spec)
    });
    AppSpec {
        app: AppName::new("large").expect("a label"),
        front: None,
        retain: None,
        main: MainSpec::default(),
        services: services.collect(),
        domains: Default::default(),
        secrets: BTreeMap::new(),
    }
}

fn description(name: &ServiceName) -> ServiceDescription {
    let env = (0..10).map(|number| EnvTemplate {
        name: format!("SETTING_{number}"),
        value: Template::literal("a value of the usual length"),
        masked: false,
    });
    ServiceDescription {
        image: "redis:7".to_owned(),
        env: env.collect(),
        entrypoint: None,
        command: None,
        user: None,
        files: Vec::new(),
        volumes: vec![VolumeDefault {
            path: "/data".to_owned(),
            name: VolumeName::new(format!("{name}-data")).expect("a volume's name"),
        }],
        ports: vec![Port {
            number: 6379,
            role: "redis".to_owned(),
            transport: Transport::Tcp,
            tls: false,
            audience: Audience::Containers,
        }],
        probes: vec![ProbeTemplate {
            check: CheckTemplate::Tcp {
                port: 6379,
                send: None,
            },
            interval_ms: 100,
            timeout_ms: 1000,
        }],
        ready_timeout_ms: 60_000,
        alive: None,
        needs: Vec::new(),
        judged: false,
        component: None,
        reload: None,
        after_main: false,
        shm_size: None,
        ulimits: Vec::new(),
        capabilities: Vec::new(),
        stop_signal: None,
        stop_grace_ms: 10_000,
        resources: doprax_core::resources::Resources::default(),
        secrets: Vec::new(),
        given: BTreeMap::new(),
        outputs: Vec::new(),
        notes: Vec::new(),
        init: None,
        runtime: Default::default(),
    }
}

fn blueprint(spec: &AppSpec) -> Blueprint {
    let descriptions = spec
        .services
        .keys()
        .map(|name| (name.clone(), description(name)))
        .collect();
    let source = Source {
        digest: "1".repeat(64),
        recipe: Recipe::default(),
    };
    assemble(&Input {
        instance: &Instance::default(),
        spec,
        descriptions: &descriptions,
        plugin_names: &BTreeMap::new(),
        images: &BTreeMap::new(),
        source: &source,
        main_image: None,
        main_ports: &MainPorts::Known(vec![8000]),
        files: &BTreeMap::new(),
        subnet: "10.16.0.0/23".parse().expect("a subnet"),
        revisions: &BTreeMap::new(),
        disk_limit: false,
        facts: &Facts::default(),
    })
    .expect("nothing is wrong with the app")
}

fn running(blueprint: &Blueprint) -> Observed {
    let copies = blueprint
        .containers
        .values()
        .map(|container| ObservedContainer {
            id: container.name.to_string(),
            name: CopyName::serving(&container.name),
            service: container.name.clone(),
            hash: container.made_from(&blueprint.revisions),
            state: State::Running,
            attached: true,
            address: None,
            created: 0,
            started_ms: None,
            ended_ms: None,
            restarts: 0,
            exit_code: None,
            out_of_memory: false,
            image: container.image.reference().to_owned(),
            limits: None,
            healthcheck: None,
            image_id: String::new(),
        });
    Observed {
        network: Some(Network {
            subnet: blueprint.subnet,
        }),
        volumes: blueprint.volumes.clone(),
        containers: copies.collect(),
        images: BTreeSet::new(),
    }
}
