//! The digests that containers bear. Each host has to know those that every earlier one
//! gave: a digest that changes makes every container of every app anew.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use doprax_core::blueprint::{
    Container, Content, Env, File, Image, ImageIdentity, Owner, Runtime, Stage, Tmpfs,
};
use doprax_core::name::{ServiceName, VolumeName};
use doprax_core::probe::{Check, Probe, STEADY_MS};
use doprax_core::resources::Resources;
use doprax_core::secret::SecretName;
use doprax_core::service::Ulimit;
use doprax_core::source::Recipe;
use doprax_core::spec::{Strategy, VolumeMount};
use doprax_core::text::{Part, Text};
use std::collections::{BTreeMap, BTreeSet};

/// A container of which nothing is said.
fn bare() -> Container {
    Container {
        name: ServiceName::main(),
        plugin: None,
        stage: Stage::Main,
        image: Image::Build {
            reference: "doprax/shop/main:1111".to_owned(),
            source: "1".repeat(64),
            recipe: Recipe::default(),
        },
        identity: None,
        env: BTreeMap::new(),
        entrypoint: None,
        command: None,
        user: None,
        files: Vec::new(),
        mounts: Vec::new(),
        aliases: Vec::new(),
        port: None,
        port_reason: String::new(),
        probes: Vec::new(),
        ready_timeout_ms: 0,
        judged: false,
        component: None,
        restart_after: None,
        needs: BTreeSet::new(),
        reload: None,
        strategy: Strategy::Rolling,
        resources: Resources::default(),
        shm_size: None,
        ulimits: Vec::new(),
        capabilities: Vec::new(),
        stop_signal: None,
        stop_grace_ms: 30_000,
        outputs: BTreeMap::new(),
        init: None,
        runtime: Default::default(),
    }
}

/// A container of which everything is said that can be.
fn full() -> Container {
    let text = |text: &str| Text(vec![Part::Literal(text.to_owned())]);
    let secret = Text(vec![
        Part::Literal("x".to_owned()),
        Part::Secret(SecretName::variable("KEY")),
        Part::Encoded(SecretName::word("random_1")),
        Part::Masked("hunter2".to_owned()),
    ]);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let file = |path: &str, content, owner| File {
        path: path.to_owned(),
        mode: 0o640,
        content,
        owner,
    };
    Container {
        name: ServiceName::new("db").unwrap(),
        plugin: Some("mysql".to_owned()),
        stage: Stage::Service,
        image: Image::Pull {
            reference: "mysql:8.4".to_owned(),
        },
        identity: Some(ImageIdentity {
            id: "sha256:abc".to_owned(),
            digest: Some("sha256:def".to_owned()),
            adopted: false,
        }),
        env: BTreeMap::from([
            (
                "A".to_owned(),
                Env {
                    value: text("b"),
                    masked: false,
                },
            ),
            (
                "S".to_owned(),
                Env {
                    value: secret.clone(),
                    masked: true,
                },
            ),
        ]),
        entrypoint: Some(words(&["/entry", "a b"])),
        command: Some(words(&["serve"])),
        user: Some("1000:1000".to_owned()),
        files: vec![
            file("/a", Content::Text(secret), None),
            file(
                "/b",
                Content::Blob {
                    digest: "2".repeat(64),
                    source: "b.conf".to_owned(),
                },
                Some(Owner::Process),
            ),
            file(
                "/c",
                Content::Text(text("c")),
                Some(Owner::Named("web".to_owned())),
            ),
        ],
        mounts: vec![VolumeMount {
            name: VolumeName::new("data").unwrap(),
            path: "/data".to_owned(),
        }],
        aliases: words(&["db", "db.shop.internal"]),
        port: Some(3306),
        port_reason: "port 3306, as plugin mysql says".to_owned(),
        probes: vec![Probe {
            steady_ms: STEADY_MS,
            check: Check::Tcp {
                port: 3306,
                send: None,
            },
            interval_ms: 100,
            timeout_ms: 1000,
        }],
        ready_timeout_ms: 60_000,
        judged: true,
        component: None,
        restart_after: Some(3),
        needs: BTreeSet::from([ServiceName::new("cache").unwrap()]),
        reload: Some(words(&["nginx", "-s", "reload"])),
        strategy: Strategy::Recreate,
        resources: Resources {
            memory: Some(1 << 30),
            millicpus: Some(500),
            disk: Some(1 << 31),
        },
        shm_size: Some(1 << 28),
        ulimits: vec![Ulimit {
            name: "nofile".to_owned(),
            soft: 1024,
            hard: -1,
        }],
        capabilities: words(&["SYS_NICE"]),
        stop_signal: Some("SIGQUIT".to_owned()),
        stop_grace_ms: 60_000,
        outputs: BTreeMap::from([("url".to_owned(), text("mysql://db"))]),
        init: Some(false),
        runtime: Default::default(),
    }
}

fn revisions() -> BTreeMap<SecretName, u64> {
    BTreeMap::from([
        (SecretName::variable("KEY"), 2),
        (SecretName::variable("UNUSED"), 9),
    ])
}

#[test]
fn digests_are_what_they_always_were() {
    let none = BTreeMap::new();
    let (bare, full) = (bare(), full());
    let digests = [
        bare.made_from(&none),
        bare.hash(&none),
        full.made_from(&revisions()),
        full.hash(&revisions()),
    ];
    // These are on containers that run: a change of any is a mistake, whatever was added.
    assert_eq!(
        digests,
        [
            "25546e0923f688eb3f1bb28a2cb004623f27c2cd878b09744af381b2818dea7e",
            "25546e0923f688eb3f1bb28a2cb004623f27c2cd878b09744af381b2818dea7e",
            "0bd9dffa3e47dc32d0cfc1efdf0b9a55c95031c306ae88f56373b15848a4d034",
            "39aa0e282a5a5a3dcbf8c4ebc31ce07e4a2f7df04b239884597ace518e534306",
        ]
    );
}

#[test]
fn what_the_host_does_with_a_container_is_no_part_of_what_it_is() {
    let revisions = revisions();
    let digest = full().made_from(&revisions);
    let mut other = full();
    other.stage = Stage::Front;
    other.probes = Vec::new();
    other.port = None;
    other.strategy = Strategy::Rolling;
    other.judged = false;
    other.restart_after = None;
    other.needs = BTreeSet::new();
    other.reload = None;
    other.outputs = BTreeMap::new();
    other.resources.memory = None;
    assert_eq!(other.made_from(&revisions), digest);
    // Whose value is another is another, and so is what is made of another image.
    let newer = BTreeMap::from([(SecretName::variable("KEY"), 3)]);
    assert_ne!(full().made_from(&newer), digest);
    other.identity = None;
    assert_ne!(other.made_from(&revisions), digest);
}

#[test]
fn how_its_process_runs_is_part_of_what_it_is() {
    type Change = fn(&mut Runtime);
    let changes: [Change; 7] = [
        |runtime| runtime.working_directory = Some("/srv".to_owned()),
        |runtime| runtime.groups = vec!["tty".to_owned()],
        |runtime| {
            let folder = Tmpfs {
                size: 4096,
                mode: 0o755,
            };
            runtime.tmpfs.insert("/run".to_owned(), folder);
        },
        |runtime| {
            let name = "net.core.somaxconn".to_owned();
            runtime.sysctls.insert(name, "1024".to_owned());
        },
        |runtime| runtime.read_only_root = true,
        |runtime| {
            runtime.read_only.insert("/data".to_owned());
        },
        |runtime| {
            let owner = "999".to_owned();
            runtime.owners.insert("/data".to_owned(), owner);
        },
    ];
    let digests = changes.map(|change| {
        let mut container = bare();
        change(&mut container.runtime);
        container.made_from(&BTreeMap::new())
    });
    let own = bare().made_from(&BTreeMap::new());
    let all: BTreeSet<&String> = digests.iter().chain([&own]).collect();
    assert_eq!(all.len(), 8);
}
