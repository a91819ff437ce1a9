//! State folders that earlier builds have left: what was remembered is read, and nothing
//! that runs is made anew. Each format that was ever released has a folder in `states/`.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it finds what it did not expect"
)]

use doprax_core::copy::CopyName;
use doprax_core::name::{AppName, Instance, ServiceName, VolumeName};
use doprax_core::observed::{Network, Observed, ObservedContainer, State};
use doprax_core::operation::OperationState;
use doprax_core::planner::{self, Context};
use doprax_core::release::blobs;
use doprax_core::secret::SecretName;
use doprax_store::{Error, Store};
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const FIRST: &str = "0.1.0-e34e789";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/states")
        .join(name)
}

/// A copy of a state folder, for a host to open.
fn state_of(name: &str) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => copy(&entry.path(), &to),
                false => drop(std::fs::copy(entry.path(), to).unwrap()),
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture(name).join("state"), folder.path());
    folder
}

async fn database(folder: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.join("doprax.db"));
    SqliteConnection::connect_with(&options).await.unwrap()
}

async fn format_of(folder: &Path) -> i64 {
    let mut database = database(folder).await;
    let format = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
        .fetch_one(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    format
}

fn app() -> AppName {
    AppName::new("fixture").unwrap()
}

/// What the engine said when the state folder was left.
fn observed(name: &str) -> Observed {
    let read = |file: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(fixture(name).join(file)).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let container = |found: &Value| {
        let labels = &found["Config"]["Labels"];
        let networks = found["NetworkSettings"]["Networks"].as_object().unwrap();
        let network = networks.values().next().unwrap();
        assert_eq!(found["State"]["Status"], "running");
        let service = ServiceName::new(text(&labels["doprax.service"])).unwrap();
        let domain = Instance::named(app()).domain(&app());
        assert_eq!(text(&found["Name"]), format!("/{service}.{domain}"));
        ObservedContainer {
            id: text(&found["Id"]),
            name: CopyName::serving(&service),
            service,
            hash: text(&labels["doprax.hash"]),
            state: State::Running,
            attached: true,
            address: network["IPAddress"].as_str().unwrap().parse().ok(),
            created: 0,
            started_ms: None,
            ended_ms: None,
            restarts: 0,
            exit_code: None,
            out_of_memory: false,
            image: text(&found["Config"]["Image"]),
            image_id: text(&found["Image"]),
            limits: None,
            healthcheck: None,
        }
    };
    let subnet = text(&read("network.json")[0]["IPAM"]["Config"][0]["Subnet"]);
    Observed {
        network: Some(Network {
            subnet: subnet.parse().unwrap(),
        }),
        volumes: read("volume.json")
            .iter()
            .map(|found| VolumeName::new(text(&found["Labels"]["doprax.volume"])).unwrap())
            .collect(),
        containers: read("container.json").iter().map(container).collect(),
        images: BTreeSet::new(),
    }
}

#[tokio::test]
async fn what_the_first_build_remembered_is_read() {
    let folder = state_of(FIRST);
    let store = Store::open(folder.path()).await.unwrap();
    assert_eq!(
        store.host_id().await.unwrap(),
        "28864aea6d9f576f32fe77ea0dbd93d0"
    );
    assert_eq!(store.app_names().await.unwrap(), [app()]);
    let record = store.app(&app()).await.unwrap().unwrap();
    assert_eq!(record.subnet, "10.16.4.0/23".parse().unwrap());
    let (manifest, spec) = (record.manifest.unwrap(), record.spec.unwrap());
    assert!(!manifest.main.container.env.contains_key("ADDED"));
    assert!(spec.main.container.env.contains_key("ADDED"));
    let release = record.release.unwrap();
    assert_eq!(release.number, 3);
    let names: Vec<&str> = release
        .blueprint
        .containers
        .keys()
        .map(ServiceName::as_str)
        .collect();
    assert_eq!(names, ["main", "mysql", "nginx", "redis"]);
    let request: Value = store.request(&app()).await.unwrap().unwrap();
    assert_eq!(
        request["manifest"],
        std::fs::read_to_string(fixture(FIRST).join("app/doprax.yaml")).unwrap()
    );

    let secrets = store.secrets(&app()).await.unwrap();
    let key = SecretName::variable("API_KEY");
    assert_eq!(
        (secrets[&key].revision, secrets[&key].value.as_str()),
        (2, "second")
    );
    assert_eq!(secrets.len(), 4);
    let made_with = store.secrets_at(&app(), &release.blueprint.revisions).await;
    let made_with = made_with.unwrap();
    assert_eq!(made_with[&key], "first");
    assert_eq!(made_with.len(), 4);

    let domains = store.domains(None).await.unwrap();
    let domains: Vec<&str> = domains.iter().map(|owned| owned.name.as_str()).collect();
    assert_eq!(domains, ["shop.example.com", "www.shop.example.com"]);
    let operations = store.operations(Some(&app())).await.unwrap();
    assert_eq!(operations.len(), 3);
    for operation in operations {
        assert_eq!(operation.state, OperationState::Done);
        let events = store.events(&operation.id, 0).await.unwrap();
        assert!(events.last().unwrap().event.contains(r#""event":"done""#));
    }
    assert!(store.source_path(&release.source).exists());

    // One can go back only to what was kept whole.
    let releases = store.releases(&app()).await.unwrap();
    let releases: Vec<(u64, bool)> = releases
        .iter()
        .map(|entry| (entry.number, entry.complete))
        .collect();
    assert_eq!(releases, [(3, true), (2, false), (1, false)]);
    let current = store.release::<Value>(&app(), 3).await.unwrap().unwrap();
    assert_eq!(current.made_of.unwrap().spec, spec);
    let kept = store.retire_releases(&app(), 10, None).await.unwrap();
    assert_eq!(kept.releases, BTreeSet::from([1, 2, 3]));
    assert_eq!(store.secrets(&app()).await.unwrap(), secrets);
    let files: Vec<&str> = blobs(&release.blueprint).collect();
    assert_eq!(files.len(), 1);
    assert!(store.blob(files[0]).await.unwrap().is_some());
}

#[tokio::test]
async fn what_runs_of_the_first_build_is_left_alone() {
    let folder = state_of(FIRST);
    let store = Store::open(folder.path()).await.unwrap();
    let record = store.app(&app()).await.unwrap().unwrap();
    let blueprint = record.release.unwrap().blueprint;
    let context = Context {
        stopped: &record.stopped,
        reloads: &record.reloads,
        made: &record.made_volumes,
    };
    let mut observed = observed(FIRST);
    let plan = planner::plan(&blueprint, &observed, &context);
    assert!(plan.steps.is_empty(), "{plan:#?}");

    // The digests are what is compared: another one, and the container is made anew.
    observed.containers[0].hash = "0".repeat(64);
    let plan = planner::plan(&blueprint, &observed, &context);
    assert!(!plan.steps.is_empty());
}

#[tokio::test]
async fn a_copy_is_kept_before_a_newer_format() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = state_of(FIRST);
    assert_eq!(format_of(folder.path()).await, 3);
    let kept = folder.path().join("doprax.db.format-3");
    std::fs::write(&kept, "of an earlier try").unwrap();
    Store::open(folder.path()).await.unwrap().close().await;
    let known = format_of(folder.path()).await;
    assert!(known > 3);
    let mode = std::fs::metadata(&kept).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // With the copy in its place the folder is what it was.
    let other = tempfile::tempdir().unwrap();
    for (from, to) in [
        ("doprax.db.format-3", "doprax.db"),
        ("secret.key", "secret.key"),
    ] {
        std::fs::copy(folder.path().join(from), other.path().join(to)).unwrap();
    }
    assert_eq!(format_of(other.path()).await, 3);
    let store = Store::open(other.path()).await.unwrap();
    assert_eq!(store.secrets(&app()).await.unwrap().len(), 4);
    // What apps printed stood in clear in that format; it is in no copy.
    let operations = store.operations(None).await.unwrap();
    let events = store.events(&operations[0].id, 0).await.unwrap();
    assert!(events.iter().all(|event| event.event.is_empty()));

    // Opened again, there is nothing to copy.
    let names = |folder: &Path| -> BTreeSet<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let name = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
        entries.map(|entry| name(entry.unwrap())).collect()
    };
    let before = names(folder.path());
    Store::open(folder.path()).await.unwrap().close().await;
    assert_eq!(names(folder.path()), before);
    assert!(!before.contains(&format!("doprax.db.format-{known}")));
}

#[tokio::test]
async fn a_database_of_which_no_copy_can_be_kept_stays_as_it_is() {
    let folder = state_of(FIRST);
    let in_the_way = folder.path().join("doprax.db.format-3.new");
    std::fs::create_dir(&in_the_way).unwrap();
    let error = Store::open(folder.path()).await.err().unwrap();
    assert!(matches!(error, Error::Folder { .. }), "{error}");
    assert_eq!(format_of(folder.path()).await, 3);
    std::fs::remove_dir(&in_the_way).unwrap();
    Store::open(folder.path()).await.unwrap();
}

#[tokio::test]
async fn what_a_newer_host_has_written_is_refused() {
    let folder = state_of(FIRST);
    Store::open(folder.path()).await.unwrap().close().await;
    let known = format_of(folder.path()).await;
    let mut newer = database(folder.path()).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'to come', 1, x'', 0)",
    )
    .execute(&mut newer)
    .await
    .unwrap();
    newer.close().await.unwrap();
    let error = Store::open(folder.path()).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "a newer doprax has written the state in {}: its format is 9999, and this one knows \
             formats up to {known}",
            folder.path().display()
        )
    );
    assert_eq!(format_of(folder.path()).await, 9999);
}

#[tokio::test]
async fn values_of_the_first_build_are_counted_on() {
    let folder = state_of(FIRST);
    let store = Store::open(folder.path()).await.unwrap();
    let key = SecretName::variable("API_KEY");
    let values = BTreeMap::from([(key.clone(), "third".to_owned())]);
    store.put_secrets(&app(), &values).await.unwrap();
    let secrets = store.secrets(&app()).await.unwrap();
    assert_eq!(
        (secrets[&key].revision, secrets[&key].value.as_str()),
        (3, "third")
    );
}
