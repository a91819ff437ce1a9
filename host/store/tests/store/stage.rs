//! What the tests store: an app, its operations, its releases.

use doprax_core::blueprint::{Blueprint, Front};
use doprax_core::name::{AppName, ServiceName, VolumeName};
use doprax_core::operation::{Operation, OperationKind, OperationState};
use doprax_core::release::{Origin, Reason};
use doprax_core::spec::{AppSpec, Drain, EnvValue, MainSpec, Protocol};
use doprax_core::text::Template;
use doprax_store::{EventRecord, NewRelease, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub(crate) const LITERAL: &str = "literal-password-in-a-manifest";

pub(crate) const VALUE: &str = "value-of-a-generated-secret";

pub(crate) fn shop() -> AppName {
    AppName::new("shop").unwrap()
}

pub(crate) fn spec() -> AppSpec {
    let mut main = MainSpec::default();
    let value = EnvValue {
        value: Template::literal(LITERAL),
        masked: true,
    };
    main.container.env.insert("DB_PASS".to_owned(), value);
    AppSpec {
        app: shop(),
        front: None,
        retain: None,
        main,
        services: Default::default(),
        domains: Default::default(),
        secrets: BTreeMap::new(),
    }
}

pub(crate) fn blueprint() -> Blueprint {
    Blueprint {
        app: shop(),
        subnet: "10.200.0.0/23".parse().unwrap(),
        volumes: BTreeSet::new(),
        containers: BTreeMap::new(),
        front: Some(Front {
            service: ServiceName::main(),
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

pub(crate) fn operation(id: &str) -> Operation {
    Operation {
        id: id.to_owned(),
        app: shop(),
        kind: OperationKind::Deploy,
        state: OperationState::Running,
        started_ms: 1,
        ended_ms: None,
    }
}

pub(crate) async fn add_operation(store: &Store, operation: &Operation) {
    let none = BTreeMap::new();
    let added = store.add_operation(operation, &LITERAL, &none);
    added.await.unwrap();
}

pub(crate) fn event(number: u64) -> EventRecord {
    EventRecord {
        number,
        event: format!("{{\"n\":{number},\"line\":\"{VALUE}\"}}"),
    }
}

fn origin(reason: Reason) -> Origin {
    Origin {
        reason,
        operation: Some("op-1".to_owned()),
        actor: Some("ann@desk".to_owned()),
        commit: Some("0123abc".to_owned()),
        started_ms: Some(1),
    }
}

pub(crate) async fn release(store: &Store) -> u64 {
    release_of(store, BTreeSet::new()).await
}

pub(crate) async fn release_of(store: &Store, volumes: BTreeSet<VolumeName>) -> u64 {
    let blueprint = Blueprint {
        volumes,
        ..blueprint()
    };
    let new = NewRelease {
        manifest: &spec(),
        spec: &spec(),
        blueprint: &blueprint,
        source: &"a".repeat(64),
        created_ms: 1_700_000_000_000,
        notes: &["memlock is left out".to_owned()],
        request: &LITERAL,
        origin: &origin(Reason::Deploy),
        plugins: &BTreeMap::new(),
    };
    store.add_release(&shop(), &new).await.unwrap()
}

pub(crate) fn files_hold(folder: &Path, needle: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        path.is_file()
            && std::fs::read(path)
                .unwrap()
                .windows(needle.len())
                .any(|w| w == needle.as_bytes())
    })
}
