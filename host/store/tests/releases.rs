//! Releases through the store's public face: what made them is there, what no kept one
//! needs goes, and a rollback brings values of secrets back.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it finds what it did not expect"
)]

use doprax_core::blueprint::{Blueprint, Container};
use doprax_core::name::{AppName, ServiceName};
use doprax_core::operation::{Operation, OperationKind, OperationState};
use doprax_core::release::{FailedRelease, Origin, Reason, Report};
use doprax_core::secret::SecretName;
use doprax_core::spec::{AppSpec, Drain, MainSpec};
use doprax_store::{Build, NewRelease, Store};
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;

const IMAGE: &str = "sha256:of-main";
const PRINTED: &str = "what-a-build-printed";

struct Stage {
    store: Store,
    folder: TempDir,
    app: AppName,
}

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let app = AppName::new("shop").unwrap();
        let subnet = "10.200.0.0/23".parse().unwrap();
        store.add_app(&app, subnet).await.unwrap();
        Self { store, folder, app }
    }

    fn key(&self) -> SecretName {
        SecretName::variable("KEY")
    }

    /// Gives the secret a value, or drops it.
    async fn set(&self, value: Option<&str>) {
        let changes = BTreeMap::from([(self.key(), value.map(str::to_owned))]);
        self.store
            .change_secrets(&self.app, &changes)
            .await
            .unwrap();
    }

    async fn value(&self) -> Option<String> {
        let secrets = self.store.secrets(&self.app).await.unwrap();
        Some(secrets.get(&self.key())?.value.clone())
    }

    async fn value_at(&self, revision: u64) -> Option<String> {
        let wanted = BTreeMap::from([(self.key(), revision)]);
        let mut found = self.store.secrets_at(&self.app, &wanted).await.unwrap();
        found.remove(&self.key())
    }

    /// Releases with a revision of the secret.
    async fn release(&self, reason: Reason, revision: Option<u64>) -> u64 {
        let blueprint = Blueprint {
            app: self.app.clone(),
            subnet: "10.200.0.0/23".parse().unwrap(),
            volumes: BTreeSet::new(),
            containers: BTreeMap::from([(ServiceName::main(), main_of(IMAGE))]),
            front: None,
            drain: Drain::default(),
            domains: BTreeMap::new(),
            first_domain: None,
            secrets: BTreeMap::new(),
            revisions: revision
                .map(|revision| (self.key(), revision))
                .into_iter()
                .collect(),
            release: None,
            notes: Vec::new(),
        };
        let spec = AppSpec {
            app: self.app.clone(),
            front: None,
            retain: None,
            main: MainSpec::default(),
            services: Default::default(),
            domains: Default::default(),
            secrets: BTreeMap::new(),
        };
        let new = NewRelease {
            manifest: &spec,
            spec: &spec,
            blueprint: &blueprint,
            source: &"a".repeat(64),
            created_ms: 10,
            notes: &[],
            request: &"asked",
            origin: &origin(reason, "op"),
            plugins: &BTreeMap::from([(ServiceName::main(), "digest".to_owned())]),
        };
        self.store.add_release(&self.app, &new).await.unwrap()
    }

    async fn retire(&self, retain: u16) -> BTreeSet<u64> {
        let kept = self.store.retire_releases(&self.app, retain, None);
        kept.await.unwrap().releases
    }
}

/// Main, made of the image with this id.
fn main_of(image: &str) -> Container {
    serde_json::from_value(serde_json::json!({
        "name": "main", "stage": "main", "image": { "pull": { "reference": "shop" } }, "identity": { "id": image },
        "env": {}, "files": [], "mounts": [], "aliases": [], "port_reason": "", "probes": [],
        "ready_timeout_ms": 1, "judged": false, "strategy": "rolling", "resources": {},
        "ulimits": [], "capabilities": [], "stop_grace_ms": 1, "outputs": {},
    }))
    .unwrap()
}

fn origin(reason: Reason, operation: &str) -> Origin {
    Origin {
        reason,
        operation: Some(operation.to_owned()),
        actor: Some("ann@desk".to_owned()),
        commit: Some("0123abc".to_owned()),
        started_ms: Some(7),
    }
}

#[tokio::test]
async fn a_release_has_all_that_made_it() {
    let stage = Stage::new().await;
    stage.set(Some("one")).await;
    stage.release(Reason::Deploy, Some(1)).await;
    stage.release(Reason::Rollback { to: 1 }, Some(1)).await;
    let releases = stage.store.releases(&stage.app).await.unwrap();
    let numbers: Vec<u64> = releases.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, [2, 1]);
    assert_eq!(releases[0].origin, origin(Reason::Rollback { to: 1 }, "op"));
    let found = stage.store.release::<String>(&stage.app, 1).await.unwrap();
    let found = found.unwrap();
    assert_eq!(found.entry, releases[1]);
    assert!(found.entry.complete);
    assert_eq!(found.plugins[&ServiceName::main()], "digest");
    assert_eq!(found.blueprint.revisions[&stage.key()], 1);
    let made_of = found.made_of.unwrap();
    assert_eq!(
        (made_of.manifest.app, made_of.request.as_str()),
        (stage.app.clone(), "asked")
    );
    for none in [0, 3, u64::MAX] {
        let found = stage.store.release::<String>(&stage.app, none).await;
        assert!(found.unwrap().is_none(), "{none}");
    }
}

#[tokio::test]
async fn the_components_that_releases_need_are_known() {
    let stage = Stage::new().await;
    assert!(stage.store.components().await.unwrap().is_empty());
    stage.release(Reason::Deploy, None).await;
    let needed = stage.store.components().await.unwrap();
    assert_eq!(needed, BTreeSet::from(["digest".to_owned()]));
}

#[tokio::test]
async fn values_go_with_the_last_release_that_needs_them() {
    let stage = Stage::new().await;
    for (revision, value) in [(1, "one"), (2, "two"), (3, "three")] {
        stage.set(Some(value)).await;
        stage.release(Reason::Deploy, Some(revision)).await;
    }
    stage.set(Some("four")).await;
    assert_eq!(stage.retire(2).await, BTreeSet::from([2, 3]));
    let mut found = Vec::new();
    for revision in 1..=4 {
        found.push(stage.value_at(revision).await.is_some());
    }
    assert_eq!(found, [false, true, true, true]);
    let releases = stage.store.releases(&stage.app).await.unwrap();
    assert_eq!(releases.len(), 2);
    // The current release is kept however few are.
    assert_eq!(stage.retire(0).await, BTreeSet::from([3]));
    assert_eq!(stage.value_at(2).await, None);
    assert_eq!(stage.value().await.as_deref(), Some("four"));
}

#[tokio::test]
async fn a_rollback_makes_earlier_values_the_present_ones() {
    let stage = Stage::new().await;
    stage.set(Some("one")).await;
    stage.release(Reason::Deploy, Some(1)).await;
    stage.set(Some("two")).await;
    stage.release(Reason::Deploy, Some(2)).await;
    stage.release(Reason::Rollback { to: 1 }, Some(1)).await;
    assert_eq!(stage.value().await.as_deref(), Some("one"));
    stage.retire(1).await;
    // No value gets a number that another had.
    stage.set(Some("three")).await;
    let secrets = stage.store.secrets(&stage.app).await.unwrap();
    let key = &secrets[&stage.key()];
    assert_eq!((key.revision, key.newest), (3, 3));
    // What was set for the next deploy stays so.
    stage.release(Reason::Rollback { to: 1 }, Some(1)).await;
    assert_eq!(stage.value().await.as_deref(), Some("three"));
    assert_eq!(stage.value_at(1).await.as_deref(), Some("one"));
}

#[tokio::test]
async fn a_value_that_was_dropped_comes_back_with_its_release() {
    let stage = Stage::new().await;
    stage.set(Some("one")).await;
    stage.release(Reason::Deploy, Some(1)).await;
    stage.release(Reason::Deploy, None).await;
    stage.set(None).await;
    assert_eq!(stage.value().await, None);
    assert_eq!(stage.value_at(1).await.as_deref(), Some("one"));
    stage.release(Reason::Rollback { to: 1 }, Some(1)).await;
    assert_eq!(stage.value().await.as_deref(), Some("one"));

    // Where no release needs it, it is gone.
    stage.release(Reason::Deploy, None).await;
    stage.retire(1).await;
    stage.set(None).await;
    assert_eq!(stage.value_at(1).await, None);
}

#[tokio::test]
async fn builds_are_remembered_while_a_release_keeps_their_image_and_else_the_latest() {
    let stage = Stage::new().await;
    stage.release(Reason::Deploy, None).await;
    let build = |image: &str| Build {
        image: image.to_owned(),
        ports: Vec::new(),
        bases: BTreeMap::new(),
    };
    let put = async |source: &str, image: &str| {
        let build = build(image);
        let put = stage.store.put_build(&stage.app, source, &build);
        put.await.unwrap();
    };
    put("kept", IMAGE).await;
    for number in 0..40 {
        put(&number.to_string(), &format!("sha256:{number}")).await;
    }
    stage.retire(10).await;
    let mut left = Vec::new();
    for source in (0..40).map(|number| number.to_string()) {
        left.extend(stage.store.build(&stage.app, &source).await.unwrap());
    }
    let latest = (8..40).map(|number| build(&format!("sha256:{number}")));
    assert!(left.into_iter().eq(latest));
    let kept = stage.store.build(&stage.app, "kept").await.unwrap();
    assert_eq!(kept, Some(build(IMAGE)));
}

#[tokio::test]
async fn files_go_when_no_release_needs_them_and_none_is_under_way() {
    let stage = Stage::new().await;
    let operation = Operation {
        id: "other".to_owned(),
        app: AppName::new("other").unwrap(),
        kind: OperationKind::Deploy,
        state: OperationState::Running,
        started_ms: 1,
        ended_ms: None,
    };
    let none = BTreeMap::new();
    stage
        .store
        .add_operation(&operation, &"", &none)
        .await
        .unwrap();
    stage.store.put_blob("d", b"a file").await.unwrap();
    stage.release(Reason::Deploy, None).await;
    stage.retire(1).await;
    assert!(stage.store.blob("d").await.unwrap().is_some());
    let retired = stage.store.retire_releases(&stage.app, 1, Some("other"));
    retired.await.unwrap();
    assert!(stage.store.blob("d").await.unwrap().is_none());
}

#[tokio::test]
async fn deploys_that_failed_are_listed_and_bounded() {
    let stage = Stage::new().await;
    let add = async |operation: &str, ended_ms: i64| {
        let failed = FailedRelease {
            origin: origin(Reason::Edit, operation),
            state: OperationState::Cancelled,
            source: Some("a".repeat(64)),
            ended_ms,
            report: Report {
                error: "no".to_owned(),
                help: Some("try".to_owned()),
                log: Vec::new(),
                build: vec![PRINTED.to_owned()],
            },
        };
        stage
            .store
            .add_failed_release(&stage.app, &failed)
            .await
            .unwrap();
        failed
    };
    let first = add("op-1", 9).await;
    let found = stage.store.failed_releases(&stage.app).await.unwrap();
    assert_eq!(found, [first]);
    for entry in std::fs::read_dir(stage.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(path).unwrap();
            let mut windows = bytes.windows(PRINTED.len());
            assert!(!windows.any(|found| found == PRINTED.as_bytes()));
        }
    }
    // One from before the oldest release that is kept goes; so do those beyond the bound.
    stage.release(Reason::Deploy, None).await;
    for number in 2..=5 {
        add(&format!("op-{number}"), 10 + number).await;
    }
    let left = async || -> Vec<String> {
        let found = stage.store.failed_releases(&stage.app).await.unwrap();
        found
            .into_iter()
            .filter_map(|failed| failed.origin.operation)
            .collect()
    };
    assert_eq!(left().await.len(), 5);
    stage.retire(9).await;
    assert_eq!(left().await, ["op-5", "op-4", "op-3", "op-2"]);
    stage.retire(3).await;
    assert_eq!(left().await, ["op-5", "op-4", "op-3"]);
    // An app that is not remembered has none, and they go with it.
    stage.store.remove_app(&stage.app, None).await.unwrap();
    assert!(left().await.is_empty());
    add("op-6", 20).await;
    assert!(left().await.is_empty());
}
