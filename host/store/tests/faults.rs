//! A disk that takes no more at any write of any operation, and a database that another
//! process has locked: what was acknowledged is in the database for others to see, what
//! was refused is not, and what comes afterwards is written.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it finds what it did not expect"
)]
#![allow(clippy::print_stderr, reason = "says what is skipped")]

use doprax_core::blueprint::Blueprint;
use doprax_core::domain::{Domains, host_names};
use doprax_core::name::{AppName, ServiceName};
use doprax_core::neighbour::Known;
use doprax_core::operation::{Operation, OperationKind, OperationState};
use doprax_core::release::{FailedRelease, Origin, Reason, Report};
use doprax_core::secret::SecretName;
use doprax_core::spec::{AppSpec, DomainSpec, MainSpec};
use doprax_store::{Build, Ending, Error, EventRecord, NewRelease, Store};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, Row as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says to a test that it runs where it may break its surroundings.
const INSIDE: &str = "DOPRAX_STORE_FAULTS";

/// Larger than a page, so that a write has several to write.
const LARGE: usize = 10_000;

/// The operations of the store that write, in an order in which each changes something.
const OPERATIONS: [&str; 26] = [
    "add_app",
    "claim_domains",
    "set_verified",
    "remove_domain",
    "release_domains",
    "put_secrets",
    "change_secrets",
    "add_operation",
    "add_waiting_operation",
    "begin_operation",
    "add_events",
    "end_operation",
    "clear_last_error",
    "put_build",
    "put_blob",
    "add_release",
    "add_failed_release",
    "retire_releases",
    "set_stopped",
    "set_reloads",
    "set_neighbours",
    "set_vault_value",
    "remove_vault_value",
    "remove_app",
    "forget_remains",
    "forget_secrets",
];

async fn carry_out(store: &Store, operation: &str) -> Result<(), Error> {
    let app = AppName::new("shop").unwrap();
    let name = SecretName::variable("KEY");
    let names =
        |name: &str| host_names(&BTreeMap::from([(name.to_owned(), DomainSpec::default())]));
    let all = BTreeSet::from([ServiceName::main()]);
    let journaled = Operation {
        id: "op-1".to_owned(),
        app: app.clone(),
        kind: OperationKind::Deploy,
        state: OperationState::Running,
        started_ms: 1,
        ended_ms: None,
    };
    let events = [1, 2, 3].map(|number| EventRecord {
        number,
        event: "x".repeat(LARGE),
    });
    match operation {
        "add_app" => store.add_app(&app, "10.200.0.0/23".parse().unwrap()).await,
        "claim_domains" => {
            let mut domains = names("a.example");
            domains.extend(names("b.example"));
            store.claim_domains(&app, &domains, false).await?;
            store
                .claim_domains(&app, &names("c.example"), true)
                .await
                .map(drop)
        }
        "set_verified" => store.set_verified("c.example", Some(7)).await,
        "remove_domain" => store.remove_domain(&app, "c.example").await,
        "release_domains" => store.release_domains(&app, &Domains::new()).await,
        "put_secrets" => {
            let values = BTreeMap::from([(name, "x".repeat(LARGE))]);
            store.put_secrets(&app, &values).await
        }
        "change_secrets" => {
            let other = SecretName::variable("OTHER");
            let values = BTreeMap::from([(name, None), (other, Some("x".repeat(LARGE)))]);
            store.change_secrets(&app, &values).await
        }
        "add_operation" => {
            let given = BTreeMap::from([(name, "given".to_owned())]);
            store
                .add_operation(&journaled, &"x".repeat(LARGE), &given)
                .await
        }
        "add_waiting_operation" => {
            let waiting = Operation {
                id: "op-2".to_owned(),
                state: OperationState::Waiting,
                ..journaled
            };
            let given = BTreeMap::from([(name, "x".repeat(LARGE))]);
            store.add_operation(&waiting, &"x", &given).await
        }
        "begin_operation" => {
            let waiting = Operation {
                id: "op-2".to_owned(),
                ..journaled
            };
            store.begin_operation(&waiting, 3).await
        }
        "add_events" => store.add_events("op-1", &events[..2]).await,
        "end_operation" => {
            let ending = Ending {
                operation: &journaled,
                state: OperationState::Failed,
                ended_ms: 5,
                events: &events,
                error: Some("no"),
            };
            store.end_operation(&ending).await
        }
        "clear_last_error" => store.clear_last_error(&app).await,
        "put_build" => {
            let build = Build {
                image: "sha256:1".to_owned(),
                ports: vec![80],
                bases: Default::default(),
            };
            store.put_build(&app, "digest", &build).await
        }
        "put_blob" => store.put_blob("digest", &[7; LARGE]).await,
        "add_release" => {
            let (spec, blueprint) = deployed(&app);
            let new = NewRelease {
                manifest: &spec,
                spec: &spec,
                blueprint: &blueprint,
                source: &"a".repeat(64),
                created_ms: 1,
                notes: &[],
                request: &"x".repeat(LARGE),
                origin: &origin(),
                plugins: &BTreeMap::new(),
            };
            store.add_release(&app, &new).await.map(drop)
        }
        "add_failed_release" => {
            let failed = FailedRelease {
                origin: origin(),
                state: OperationState::Failed,
                source: None,
                ended_ms: 2,
                report: Report {
                    error: "x".repeat(LARGE),
                    ..Report::default()
                },
            };
            store.add_failed_release(&app, &failed).await
        }
        "retire_releases" => store.retire_releases(&app, 1, Some("op-2")).await.map(drop),
        "set_stopped" => store.set_stopped(&app, &all).await,
        "set_reloads" => store.set_reloads(&app, &all).await,
        "set_neighbours" => {
            let known = BTreeMap::from([(ServiceName::main(), Known::default())]);
            store.set_neighbours(&app, &known).await
        }
        "set_vault_value" => store.set_vault_value("key", "a", &[7; LARGE]).await,
        "remove_vault_value" => store.remove_vault_value("key", "a").await,
        "remove_app" => store.remove_app(&app, Some(&deployed(&app).1)).await,
        "forget_remains" => store.forget_remains(&app).await,
        "forget_secrets" => store.forget_secrets(&app).await,
        other => panic!("{other} is no operation"),
    }
}

fn origin() -> Origin {
    Origin {
        reason: Reason::Deploy,
        operation: Some("op-1".to_owned()),
        actor: None,
        commit: None,
        started_ms: Some(1),
    }
}

fn deployed(app: &AppName) -> (AppSpec, Blueprint) {
    let spec = AppSpec {
        app: app.clone(),
        front: None,
        retain: None,
        main: MainSpec::default(),
        services: Default::default(),
        domains: Default::default(),
        secrets: BTreeMap::new(),
    };
    let blueprint = serde_json::json!({
        "app": app, "subnet": "10.200.0.0/23", "volumes": [], "containers": {}, "front": null,
        "domains": {}, "secrets": {}, "revisions": {}, "notes": [],
    });
    let blueprint = serde_json::from_value(blueprint).unwrap();
    (spec, blueprint)
}

async fn connect(folder: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.join("doprax.db"));
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// What others see in the database: all that was committed.
async fn seen(folder: &Path) -> Vec<String> {
    let mut connection = connect(folder).await;
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let tables = sqlx::query(tables)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let mut seen = Vec::new();
    for table in tables {
        let table: String = table.get("name");
        let columns = sqlx::query("SELECT name FROM pragma_table_info(?)")
            .bind(&table)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let quoted = columns.iter().map(|column| {
            let name: String = column.get("name");
            format!("quote(\"{name}\")")
        });
        let row = quoted.collect::<Vec<_>>().join(" || ' ' || ");
        let query = sqlx::AssertSqlSafe(format!("SELECT {row} AS line FROM \"{table}\""));
        let rows = sqlx::query(query).fetch_all(&mut connection).await.unwrap();
        seen.extend(
            rows.iter()
                .map(|row| format!("{table} {}", row.get::<String, _>("line"))),
        );
    }
    connection.close().await.unwrap();
    seen
}

/// Has the next write find nothing of its log on the disk.
async fn empty_log(folder: &Path) {
    let mut connection = connect(folder).await;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// Something that takes this many more pieces of what is written, or everything.
trait Fault {
    fn leave(&mut self, pieces: Option<u64>);
}

/// Carries out every operation with ever more room, until there is enough.
async fn survive(folder: &Path, fault: &mut impl Fault) {
    fault.leave(None);
    let store = Store::open(folder).await.unwrap();
    let mut refusals = 0;
    for operation in OPERATIONS {
        let refused = refusals;
        for pieces in 0.. {
            assert!(pieces < 200, "{operation} is refused with all room");
            empty_log(folder).await;
            let before = seen(folder).await;
            fault.leave(Some(pieces));
            let result = carry_out(&store, operation).await;
            fault.leave(None);
            let after = seen(folder).await;
            if result.is_ok() {
                assert_ne!(before, after, "{operation} is acknowledged and not written");
                break;
            }
            refusals += 1;
            // Only what takes two transactions may have done the first.
            if operation != "claim_domains" {
                assert_eq!(before, after, "{operation} is refused and written");
            }
            // What comes afterwards, to be seen by others.
            let id = format!("{operation} {pieces}");
            store.set_vault_value("probe", &id, b"x").await.unwrap();
            let found = seen(folder).await;
            let probe = format!("vault 'probe' '{id}'");
            assert!(
                found.iter().any(|line| line.starts_with(&probe)),
                "{operation}: lost"
            );
        }
        assert!(refusals > refused, "{operation} was never refused");
    }
    store.close().await;
    let again = Store::open(folder).await.unwrap();
    let probe = again.vault_value("probe", "add_app 0").await.unwrap();
    assert!(probe.is_some());
    again.close().await;
}

/// A disk of its own, filled but for some pages.
struct Disk(PathBuf);

impl Fault for Disk {
    fn leave(&mut self, pieces: Option<u64>) {
        let filler = self.0.join("filler");
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(&filler)
            .unwrap();
        let Some(pages) = pieces else {
            return file.set_len(0).unwrap();
        };
        while file.write(&[0; 4096]).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(pages * 4096)).unwrap();
    }
}

/// Files that cannot be longer: the system says of it that writing failed.
struct Length;

impl Fault for Length {
    fn leave(&mut self, pieces: Option<u64>) {
        let limit = getrlimit(Resource::Fsize);
        // So that each head and each body of a page of the log is a write that fails.
        let current = pieces.map(|pieces| pieces * 2_048);
        setrlimit(Resource::Fsize, Rlimit { current, ..limit }).unwrap();
    }
}

/// Runs a test of this file again, by what is given before it. Returns whether that
/// could be had here.
fn run_inside(before: &[&str], test: &str) -> bool {
    let here = std::env::current_exe().unwrap();
    let ran = Command::new(before[0])
        .args(&before[1..])
        .arg(&here)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(INSIDE, "yes")
        .output();
    let Ok(ran) = ran else { return false };
    let said =
        String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    if !said.contains(INSIDE) {
        eprintln!("SKIPPED {test}: {before:?} is not possible here\n{said}");
        return false;
    }
    assert!(ran.status.success(), "{said}");
    true
}

/// Whether this is run by a test above and could prepare itself, which it says.
fn is_inside(prepare: impl Fn() -> bool) -> bool {
    let inside = std::env::var_os(INSIDE).is_some() && prepare();
    if inside {
        eprintln!("{INSIDE}");
    }
    inside
}

#[test]
fn nothing_is_lost_on_a_full_disk() {
    let unshare = ["unshare", "--map-root-user", "--mount"];
    run_inside(&unshare, "inside_on_a_full_disk");
}

#[tokio::test]
#[ignore = "run by nothing_is_lost_on_a_full_disk"]
async fn inside_on_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mount = || {
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "none"])
            .arg(folder.path())
            .status()
    };
    if !is_inside(|| mount().is_ok_and(|status| status.success())) {
        return;
    }
    let mut disk = Disk(folder.path().to_owned());
    survive(folder.path(), &mut disk).await;

    // A start says why it is none.
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    disk.leave(Some(0));
    for state in [folder.path(), &other] {
        let error = Store::open(state).await.err().unwrap();
        assert!(error.is_full(), "{error:?}");
        assert!(error.to_string().contains("is full"), "{error}");
    }
    disk.leave(None);
    Store::open(folder.path()).await.unwrap();
}

#[test]
fn nothing_is_lost_where_writing_fails() {
    let ignore = ["env", "--ignore-signal=XFSZ"];
    run_inside(&ignore, "inside_where_writing_fails");
}

#[tokio::test]
#[ignore = "run by nothing_is_lost_where_writing_fails"]
async fn inside_where_writing_fails() {
    if is_inside(|| true) {
        let folder = tempfile::tempdir().unwrap();
        survive(folder.path(), &mut Length).await;
    }
}

#[tokio::test]
async fn nothing_is_lost_where_the_database_is_locked() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let mut other = connect(folder.path()).await;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let before = seen(folder.path()).await;
    carry_out(&store, "put_secrets").await.unwrap_err();
    assert_eq!(before, seen(folder.path()).await);
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    carry_out(&store, "put_secrets").await.unwrap();
    assert_ne!(before, seen(folder.path()).await);
}
