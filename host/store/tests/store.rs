//! The store through its public face: what was written is there after it was opened
//! again, and no secret is in its files in clear.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it finds what it did not expect"
)]

use doprax_core::blueprint::{Blueprint, Front, Note};
use doprax_core::domain::{Domain, Domains, host_names};
use doprax_core::name::{AppName, ServiceName, VolumeName};
use doprax_core::neighbour::Known;
use doprax_core::operation::{Operation, OperationKind, OperationState};
use doprax_core::release::{Origin, Reason};
use doprax_core::secret::SecretName;
use doprax_core::spec::{AppSpec, DomainSpec, Drain, EnvValue, MainSpec, Protocol};
use doprax_core::text::Template;
use doprax_store::{Build, Claimed, Ending, EventRecord, NewRelease, OwnedDomain, Store};
use ipnet::Ipv4Net;
use sqlx::Connection as _;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const LITERAL: &str = "literal-password-in-a-manifest";
const VALUE: &str = "value-of-a-generated-secret";

fn shop() -> AppName {
    AppName::new("shop").unwrap()
}

fn spec() -> AppSpec {
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

fn blueprint() -> Blueprint {
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

fn operation(id: &str) -> Operation {
    Operation {
        id: id.to_owned(),
        app: shop(),
        kind: OperationKind::Deploy,
        state: OperationState::Running,
        started_ms: 1,
        ended_ms: None,
    }
}

async fn add_operation(store: &Store, operation: &Operation) {
    let none = BTreeMap::new();
    let added = store.add_operation(operation, &LITERAL, &none);
    added.await.unwrap();
}

fn event(number: u64) -> EventRecord {
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

async fn release(store: &Store) -> u64 {
    release_of(store, BTreeSet::new()).await
}

async fn release_of(store: &Store, volumes: BTreeSet<VolumeName>) -> u64 {
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

fn files_hold(folder: &Path, needle: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        path.is_file()
            && std::fs::read(path)
                .unwrap()
                .windows(needle.len())
                .any(|w| w == needle.as_bytes())
    })
}

#[tokio::test]
async fn an_app_and_its_release_are_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    store
        .add_app(&shop(), "10.200.0.0/23".parse().unwrap())
        .await
        .unwrap();
    store
        .add_app(&shop(), "10.200.2.0/23".parse().unwrap())
        .await
        .unwrap();
    let fresh = store.app(&shop()).await.unwrap().unwrap();
    assert_eq!(fresh.subnet, "10.200.0.0/23".parse().unwrap());
    assert_eq!((fresh.spec, fresh.release), (None, None));

    let mut failed = operation("op-0");
    add_operation(&store, &failed).await;
    failed.state = OperationState::Failed;
    let failure = |error| Ending {
        operation: &failed,
        state: OperationState::Failed,
        ended_ms: 5,
        events: &[],
        error,
    };
    store.end_operation(&failure(Some(VALUE))).await.unwrap();
    // One that says nothing of a failure takes back none.
    store.end_operation(&failure(None)).await.unwrap();
    let fresh = store.app_in_brief(&shop()).await.unwrap().unwrap();
    assert_eq!(fresh.last_error.as_deref(), Some(VALUE));
    assert!(!files_hold(folder.path(), VALUE));
    assert_eq!(release(&store).await, 1);
    assert_eq!(release(&store).await, 2);
    let stopped = BTreeSet::from([ServiceName::main()]);
    store.set_stopped(&shop(), &stopped).await.unwrap();
    store.set_reloads(&shop(), &stopped).await.unwrap();
    store.close().await;

    let store = Store::open(folder.path()).await.unwrap();
    let app = store.app(&shop()).await.unwrap().unwrap();
    assert_eq!(app.spec, Some(spec()));
    assert_eq!(app.manifest, Some(spec()));
    assert_eq!(app.stopped, stopped);
    let request: Option<String> = store.request(&shop()).await.unwrap();
    assert_eq!(request.as_deref(), Some(LITERAL));
    assert_eq!(app.last_error, None);
    assert_eq!(app.notes, ["memlock is left out"]);
    let brief = store.app_in_brief(&shop()).await.unwrap().unwrap();
    assert_eq!((&brief.manifest, &brief.spec), (&None, &None));
    assert_eq!(brief.release, app.release);
    assert_eq!(store.apps().await.unwrap(), [brief]);
    let release = app.release.unwrap();
    assert_eq!((release.number, release.blueprint), (2, blueprint()));
    assert!(!files_hold(folder.path(), LITERAL));

    store.remove_app(&shop(), None).await.unwrap();
    assert_eq!(store.app(&shop()).await.unwrap(), None);
    assert!(store.subnets().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_subnets_of_all_apps_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let subnets = ["10.200.0.0/23", "10.200.2.0/23"].map(|subnet| subnet.parse().unwrap());
    let other = AppName::new("other").unwrap();
    for (app, subnet) in [&shop(), &other].into_iter().zip(subnets) {
        store.add_app(app, subnet).await.unwrap();
    }
    let known =
        async || -> BTreeSet<Ipv4Net> { store.subnets().await.unwrap().into_iter().collect() };
    assert_eq!(known().await, BTreeSet::from(subnets));
    assert_eq!(store.app_names().await.unwrap(), [other.clone(), shop()]);
    let moved = "10.200.4.0/23".parse().unwrap();
    store.set_subnet(&other, moved).await.unwrap();
    assert_eq!(known().await, BTreeSet::from([subnets[0], moved]));
    // What runs is where its app is now.
    release(&store).await;
    store.set_subnet(&shop(), subnets[1]).await.unwrap();
    let app = store.app(&shop()).await.unwrap().unwrap();
    assert_eq!(app.subnet, subnets[1]);
    assert_eq!(app.release.unwrap().blueprint.subnet, subnets[1]);
}

#[tokio::test]
async fn a_volume_of_a_release_is_known_until_it_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let subnet = "10.200.0.0/23".parse().unwrap();
    store.add_app(&shop(), subnet).await.unwrap();
    let [data, uploads] = ["data", "uploads"].map(|name| VolumeName::new(name).unwrap());
    let made = async || store.app(&shop()).await.unwrap().unwrap().made_volumes;
    assert!(made().await.is_empty());
    release_of(&store, BTreeSet::from([data.clone(), uploads.clone()])).await;
    release_of(&store, BTreeSet::new()).await;
    assert_eq!(
        made().await,
        BTreeSet::from([data.clone(), uploads.clone()])
    );
    store.forget_volume(&shop(), &data).await.unwrap();
    assert_eq!(made().await, BTreeSet::from([uploads]));
}

#[tokio::test]
async fn a_failure_is_known_until_something_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let subnet = "10.200.0.0/23".parse().unwrap();
    store.add_app(&shop(), subnet).await.unwrap();
    let fail = async || {
        let ending = Ending {
            operation: &operation("op-1"),
            state: OperationState::Failed,
            ended_ms: 5,
            events: &[],
            error: Some(VALUE),
        };
        store.end_operation(&ending).await.unwrap();
    };
    let last_error = async || store.app(&shop()).await.unwrap().unwrap().last_error;
    fail().await;
    assert_eq!(last_error().await.as_deref(), Some(VALUE));
    store.clear_last_error(&shop()).await.unwrap();
    assert_eq!(last_error().await, None);
    fail().await;
    release(&store).await;
    assert_eq!(last_error().await, None);
}

#[tokio::test]
async fn what_proxies_believe_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let subnet = "10.200.0.0/23".parse().unwrap();
    store.add_app(&shop(), subnet).await.unwrap();
    assert_eq!(store.neighbours(&shop()).await.unwrap(), BTreeMap::new());
    let known = BTreeMap::from([(ServiceName::main(), Known::default())]);
    store.set_neighbours(&shop(), &known).await.unwrap();
    let stopped = BTreeSet::from([ServiceName::main()]);
    store.set_reloads(&shop(), &stopped).await.unwrap();
    store.close().await;
    let store = Store::open(folder.path()).await.unwrap();
    assert_eq!(store.neighbours(&shop()).await.unwrap(), known);
    let app = store.app_in_brief(&shop()).await.unwrap().unwrap();
    assert_eq!((app.reloads, app.stopped), (stopped, BTreeSet::new()));
}

#[tokio::test]
async fn what_a_removed_app_ran_is_known_until_it_is_deployed_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let add = async || {
        let subnet = "10.200.0.0/23".parse().unwrap();
        store.add_app(&shop(), subnet).await.unwrap();
    };
    let mut left = blueprint();
    left.notes.push(Note {
        service: None,
        text: LITERAL.to_owned(),
    });
    add().await;
    assert_eq!(store.remains(&shop()).await.unwrap(), None);
    store.remove_app(&shop(), Some(&left)).await.unwrap();
    assert_eq!(store.remains(&shop()).await.unwrap(), Some(left.clone()));
    let other = AppName::new("other").unwrap();
    assert_eq!(store.remains(&other).await.unwrap(), None);
    assert!(!files_hold(folder.path(), LITERAL));

    // A deploy that has not succeeded made no data.
    add().await;
    assert_eq!(store.remains(&shop()).await.unwrap(), Some(left.clone()));
    release(&store).await;
    assert_eq!(store.remains(&shop()).await.unwrap(), None);

    for forgotten in [false, true] {
        store.remove_app(&shop(), Some(&left)).await.unwrap();
        match forgotten {
            true => store.forget_remains(&shop()).await.unwrap(),
            false => store.remove_app(&shop(), None).await.unwrap(),
        }
        assert_eq!(store.remains(&shop()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn secrets_keep_their_values_and_count_their_changes() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let (word, variable) = (SecretName::word("random_1"), SecretName::variable("KEY"));
    let put = async |values: &[(&SecretName, &str)]| {
        let values = values
            .iter()
            .map(|(name, value)| ((*name).clone(), (*value).to_owned()))
            .collect();
        store.put_secrets(&shop(), &values).await.unwrap();
    };
    put(&[(&word, VALUE), (&variable, "one")]).await;
    put(&[(&word, VALUE), (&variable, "two")]).await;
    let secrets = store.secrets(&shop()).await.unwrap();
    assert_eq!(
        (secrets[&word].revision, secrets[&word].value.as_str()),
        (1, VALUE)
    );
    assert_eq!(
        (
            secrets[&variable].revision,
            secrets[&variable].value.as_str()
        ),
        (2, "two")
    );
    assert!(!format!("{secrets:?}").contains(VALUE));
    // What runs may still need the value that it was made with.
    for (revision, value) in [(1, "one"), (2, "two")] {
        let wanted = BTreeMap::from([(variable.clone(), revision)]);
        let found = store.secrets_at(&shop(), &wanted).await.unwrap();
        assert_eq!(
            found,
            BTreeMap::from([(variable.clone(), value.to_owned())])
        );
    }

    // They outlive the app, and go only when nothing of it is left.
    store
        .add_app(&shop(), "10.200.0.0/23".parse().unwrap())
        .await
        .unwrap();
    store.forget_secrets(&shop()).await.unwrap();
    assert_eq!(store.secrets(&shop()).await.unwrap().len(), 2);
    store.remove_app(&shop(), None).await.unwrap();
    assert_eq!(store.secrets(&shop()).await.unwrap().len(), 2);
    assert!(!files_hold(folder.path(), VALUE));
    store.forget_secrets(&shop()).await.unwrap();
    assert!(store.secrets(&shop()).await.unwrap().is_empty());
}

#[tokio::test]
async fn nobody_else_may_read_the_database() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    store
        .add_app(&shop(), "10.200.0.0/23".parse().unwrap())
        .await
        .unwrap();
    let mut seen = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        if file.file_name().to_str().unwrap().starts_with("doprax.db") {
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", file.file_name());
            seen += 1;
        }
    }
    assert_eq!(seen, 3, "the database, its log and its index");
}

#[tokio::test]
async fn a_host_keeps_its_identifier() {
    let folder = tempfile::tempdir().unwrap();
    let first = Store::open(folder.path())
        .await
        .unwrap()
        .host_id()
        .await
        .unwrap();
    let again = Store::open(folder.path())
        .await
        .unwrap()
        .host_id()
        .await
        .unwrap();
    let other = tempfile::tempdir().unwrap();
    let other = Store::open(other.path())
        .await
        .unwrap()
        .host_id()
        .await
        .unwrap();
    assert_eq!((first.len(), &first), (32, &again));
    assert_ne!(first, other);
}

#[tokio::test]
async fn another_key_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let values = BTreeMap::from([(SecretName::word("random"), VALUE.to_owned())]);
    store.put_secrets(&shop(), &values).await.unwrap();
    store.close().await;
    std::fs::remove_file(folder.path().join("secret.key")).unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let error = store.secrets(&shop()).await.unwrap_err();
    assert!(
        matches!(error, doprax_store::Error::Sealed { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn operations_are_journaled_until_they_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let mut one = operation("op-1");
    add_operation(&store, &one).await;
    store
        .add_events("op-1", &[event(1), event(2)])
        .await
        .unwrap();
    store.add_events("op-1", &[event(3)]).await.unwrap();
    store.close().await;
    assert!(!files_hold(folder.path(), LITERAL));
    // What an app prints may be a secret.
    assert!(!files_hold(folder.path(), VALUE));

    let store = Store::open(folder.path()).await.unwrap();
    let unfinished: Vec<(Operation, String)> = store.unfinished().await.unwrap();
    assert_eq!(unfinished, [(one.clone(), LITERAL.to_owned())]);
    assert_eq!(store.events("op-1", 1).await.unwrap(), [event(2), event(3)]);

    let ending = Ending {
        operation: &one,
        state: OperationState::Done,
        ended_ms: 5,
        events: &[event(4)],
        error: None,
    };
    store.end_operation(&ending).await.unwrap();
    assert_eq!(store.events("op-1", 3).await.unwrap(), [event(4)]);
    one.state = OperationState::Done;
    one.ended_ms = Some(5);
    assert_eq!(store.operation("op-1").await.unwrap().as_ref(), Some(&one));
    assert!(store.unfinished::<String>().await.unwrap().is_empty());
    assert_eq!(store.operation("op-2").await.unwrap(), None);

    let two = operation("op-2");
    add_operation(&store, &two).await;
    assert_eq!(store.operations(None).await.unwrap(), [two, one]);
    let other = AppName::new("other").unwrap();
    assert!(store.operations(Some(&other)).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_something_newer_has_followed_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let (old, new) = (operation("old"), operation("new"));
    let other = Operation {
        app: AppName::new("other").unwrap(),
        ..operation("other")
    };
    for operation in [&old, &other, &new] {
        add_operation(&store, operation).await;
    }
    let unfinished = async || -> Vec<Operation> {
        let unfinished = store.unfinished::<String>().await.unwrap();
        unfinished
            .into_iter()
            .map(|(operation, _)| operation)
            .collect()
    };
    assert_eq!(unfinished().await, [other.clone(), new.clone()]);
    let ending = Ending {
        operation: &new,
        state: OperationState::Done,
        ended_ms: 5,
        events: &[],
        error: None,
    };
    store.end_operation(&ending).await.unwrap();
    assert_eq!(unfinished().await, [other]);
    assert_eq!(store.overtaken().await.unwrap(), [old]);
}

#[tokio::test]
async fn what_waits_gives_its_secrets_when_it_begins_and_overtakes_nothing_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let waits = |id: &str| Operation {
        state: OperationState::Waiting,
        ..operation(id)
    };
    let first = operation("first");
    add_operation(&store, &first).await;
    let key = SecretName::variable("KEY");
    let given = BTreeMap::from([(key.clone(), VALUE.to_owned())]);
    for waiting in [waits("given-up"), waits("second")] {
        let added = store.add_operation(&waiting, &LITERAL, &given);
        added.await.unwrap();
    }
    let ended = Ending {
        operation: &waits("given-up"),
        state: OperationState::Cancelled,
        ended_ms: 2,
        events: &[],
        error: None,
    };
    store.end_operation(&ended).await.unwrap();
    // None of those that never began has followed the first.
    store.close().await;
    assert!(!files_hold(folder.path(), VALUE));
    let store = Store::open(folder.path()).await.unwrap();
    let unfinished = async || -> Vec<Operation> {
        let unfinished = store.unfinished::<String>().await.unwrap();
        unfinished.into_iter().map(|(found, _)| found).collect()
    };
    assert_eq!(unfinished().await, [first.clone(), waits("second")]);
    assert!(store.overtaken().await.unwrap().is_empty());
    assert!(store.secrets(&shop()).await.unwrap().is_empty());

    let request = async |id: &str| store.request_of::<String>(id).await.unwrap();
    assert_eq!(request("second").await.as_deref(), Some(LITERAL));
    assert_eq!(request("given-up").await, None);
    store.begin_operation(&waits("second"), 7).await.unwrap();
    assert_eq!(request("second").await.as_deref(), Some(LITERAL));
    let secrets = store.secrets(&shop()).await.unwrap();
    assert_eq!(secrets[&key].value, VALUE);
    let begun = Operation {
        started_ms: 7,
        ..operation("second")
    };
    assert_eq!(unfinished().await, [begun]);
    assert_eq!(store.overtaken().await.unwrap(), [first]);
}

#[tokio::test]
async fn what_waits_is_remembered_however_many_have_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let waiting = Operation {
        state: OperationState::Waiting,
        ..operation("waits")
    };
    add_operation(&store, &waiting).await;
    for number in 0..60 {
        let other = operation(&number.to_string());
        add_operation(&store, &other).await;
        let ending = Ending {
            operation: &other,
            state: OperationState::Done,
            ended_ms: 5,
            events: &[],
            error: None,
        };
        store.end_operation(&ending).await.unwrap();
    }
    let unfinished = store.unfinished::<String>().await.unwrap();
    assert_eq!(unfinished[0].0, waiting);
}

#[tokio::test]
async fn what_older_hosts_left_in_clear_is_read_and_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    store
        .add_app(&shop(), "10.200.0.0/23".parse().unwrap())
        .await
        .unwrap();
    add_operation(&store, &operation("op-1")).await;
    store.close().await;
    let database =
        sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("doprax.db"));
    let mut old = sqlx::SqliteConnection::connect_with(&database)
        .await
        .unwrap();
    for number in 1..=1_200 {
        let event = event(number);
        sqlx::query(
            "INSERT INTO operation_events (operation, number, event) VALUES ('op-1', ?, ?)",
        )
        .bind(event.number as i64)
        .bind(event.event)
        .execute(&mut old)
        .await
        .unwrap();
    }
    sqlx::query("UPDATE apps SET last_error = ?")
        .bind(VALUE)
        .execute(&mut old)
        .await
        .unwrap();
    old.close().await.unwrap();
    assert!(files_hold(folder.path(), VALUE));

    let store = Store::open(folder.path()).await.unwrap();
    let events = store.events("op-1", 0).await.unwrap();
    assert!(events.into_iter().eq((1..=1_200).map(event)));
    let app = store.app_in_brief(&shop()).await.unwrap().unwrap();
    assert_eq!(app.last_error.as_deref(), Some(VALUE));
    assert!(!files_hold(folder.path(), VALUE));
}

#[tokio::test]
async fn builds_and_files_are_kept_by_their_digest() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let build = Build {
        image: "sha256:1".to_owned(),
        ports: vec![80, 8000],
        bases: BTreeMap::from([("debian:12".to_owned(), "sha256:2".to_owned())]),
    };
    store.put_build(&shop(), "a", &build).await.unwrap();
    assert_eq!(store.build(&shop(), "a").await.unwrap(), Some(build));
    assert_eq!(store.build(&shop(), "b").await.unwrap(), None);
    store.put_blob("d", LITERAL.as_bytes()).await.unwrap();
    assert_eq!(store.blob("d").await.unwrap().unwrap(), LITERAL.as_bytes());
    assert_eq!(store.blob("e").await.unwrap(), None);
    assert!(!files_hold(folder.path(), LITERAL));

    let [kept, dropped, new] = ["a", "b", "c"].map(|letter| letter.repeat(64));
    for digest in [&kept, &dropped, &new] {
        std::fs::write(store.source_path(digest), b"tar").unwrap();
    }
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3_600);
    for digest in [&kept, &dropped] {
        let path = store.source_path(digest);
        let file = std::fs::File::options().append(true).open(path).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    let keep = std::slice::from_ref(&kept);
    store.prune_sources(keep).await.unwrap();
    let is_there = |digest: &String| store.source_path(digest).exists();
    assert_eq!([&kept, &dropped, &new].map(is_there), [true, false, true]);
    // One that a deploy failed with goes at once.
    for digest in [&kept, &new] {
        store.remove_source(digest, keep).await.unwrap();
    }
    assert_eq!([&kept, &new].map(is_there), [true, false]);
}

#[tokio::test]
async fn the_archive_of_a_release_stays_while_the_release_does() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let subnet = "10.200.0.0/23".parse().unwrap();
    store.add_app(&shop(), subnet).await.unwrap();
    release(&store).await;
    let path = store.source_path(&"a".repeat(64));
    let foreign = folder.path().join("sources/notes.tar");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3_600);
    for path in [&path, &foreign] {
        let file = std::fs::File::create(path).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    let tidy = async || {
        store.prune_sources(&[]).await.unwrap();
        let digest = "a".repeat(64);
        store.remove_source(&digest, &[]).await.unwrap();
        path.exists()
    };
    assert!(tidy().await);
    store.remove_app(&shop(), None).await.unwrap();
    assert!(!tidy().await);
    // What is no archive is not the store's to remove.
    assert!(foreign.exists());
    // What cannot be removed is said.
    std::fs::create_dir(&path).unwrap();
    let refused = store.remove_source(&"a".repeat(64), &[]).await;
    let error = refused.unwrap_err();
    assert!(
        matches!(error, doprax_store::Error::Folder { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn an_image_has_the_name_of_the_first_source_that_gave_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    for (source, image) in [("b", "sha256:1"), ("a", "sha256:1"), ("c", "sha256:2")] {
        let build = Build {
            image: image.to_owned(),
            ports: Vec::new(),
            bases: BTreeMap::new(),
        };
        store.put_build(&shop(), source, &build).await.unwrap();
    }
    let first = async |image: &str| store.first_source(&shop(), image).await.unwrap();
    assert_eq!(first("sha256:1").await.as_deref(), Some("b"));
    assert_eq!(first("sha256:2").await.as_deref(), Some("c"));
    assert_eq!(first("sha256:3").await, None);
}

#[tokio::test]
async fn a_closed_store_answers_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let other = store.clone();
    store.close().await;
    assert!(other.apps().await.is_err());
    assert!(other.put_blob("d", b"x").await.is_err());
}

#[tokio::test]
async fn what_was_half_received_goes_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    // As a process leaves it that is killed.
    let (_, draft) = store.source_draft().unwrap().keep().unwrap();
    store.close().await;
    assert!(draft.exists());
    Store::open(folder.path()).await.unwrap();
    assert!(!draft.exists());
}

#[tokio::test]
async fn a_domain_belongs_to_one_app() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let other = AppName::new("other").unwrap();
    for (app, subnet) in [(shop(), "10.200.0.0/23"), (other.clone(), "10.200.2.0/23")] {
        store.add_app(&app, subnet.parse().unwrap()).await.unwrap();
    }
    let names = |names: &[&str]| -> Domains {
        let pairs = names
            .iter()
            .map(|name| (name.to_string(), Domain::default()));
        pairs.collect()
    };
    let listed = || async {
        let domains = store.domains(None).await.unwrap();
        let text = |d: OwnedDomain| {
            format!(
                "{} {} {}",
                d.name,
                d.app,
                if d.by_hand { "hand" } else { "file" }
            )
        };
        domains.into_iter().map(text).collect::<Vec<_>>()
    };
    let www = Domains::from([
        ("a.com".to_owned(), Domain::default()),
        (
            "www.a.com".to_owned(),
            Domain {
                redirect_to: Some("a.com".to_owned()),
                hsts: true,
            },
        ),
    ]);
    for _ in 0..2 {
        let claimed = store.claim_domains(&shop(), &www, true).await.unwrap();
        assert_eq!(claimed, Claimed::All);
    }
    let wanted = names(&["0.com", "a.com"]);
    let claimed = store.claim_domains(&other, &wanted, false);
    let taken = Claimed::Taken {
        name: "a.com".to_owned(),
        app: shop(),
    };
    assert_eq!(claimed.await.unwrap(), taken);
    assert_eq!(listed().await, ["a.com shop hand", "www.a.com shop hand"]);

    // What the manifest names comes and goes; what a person added stays.
    let both = names(&["a.com", "b.com", "c.com"]);
    store.claim_domains(&shop(), &both, false).await.unwrap();
    store.set_verified("b.com", Some(7)).await.unwrap();
    store
        .release_domains(&shop(), &names(&["b.com"]))
        .await
        .unwrap();
    assert_eq!(
        listed().await,
        ["a.com shop hand", "b.com shop file", "www.a.com shop hand"]
    );
    let found = store.domains(Some(&shop())).await.unwrap();
    assert_eq!(found[1].verified_ms, Some(7));
    assert_eq!(found[0].domain, Domain::default());
    assert_eq!(found[2].domain, www["www.a.com"]);
    assert!(store.domains(Some(&other)).await.unwrap().is_empty());

    store.set_verified("b.com", None).await.unwrap();
    let found = store.domains(Some(&shop())).await.unwrap();
    assert_eq!(found[1].verified_ms, None);
    store.remove_domain(&shop(), "b.com").await.unwrap();
    assert_eq!(listed().await.len(), 2);
    store.remove_app(&shop(), None).await.unwrap();
    assert!(listed().await.is_empty());
}

#[tokio::test]
async fn adding_a_domain_again_takes_nothing_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let subnet = "10.200.0.0/23".parse().unwrap();
    store.add_app(&shop(), subnet).await.unwrap();
    let claim = async |name: &str, www: bool, hsts: bool, by_hand: bool| {
        let spec = DomainSpec { www, hsts };
        let names = host_names(&BTreeMap::from([(name.to_owned(), spec)]));
        let claimed = store.claim_domains(&shop(), &names, by_hand).await.unwrap();
        assert_eq!(claimed, Claimed::All);
        let domains = store.domains(None).await.unwrap();
        let text = |d: OwnedDomain| {
            let hsts = if d.domain.hsts { " hsts" } else { "" };
            let to = d.domain.redirect_to.map(|to| format!(" to {to}"));
            format!("{}{hsts}{}", d.name, to.unwrap_or_default())
        };
        domains.into_iter().map(text).collect::<Vec<_>>()
    };
    let (hand, file) = (true, false);
    let both = ["a.test hsts", "www.a.test hsts to a.test"];
    assert_eq!(claim("a.test", true, true, hand).await, both);
    assert_eq!(claim("a.test", false, false, hand).await, both);
    assert_eq!(claim("a.test", true, false, hand).await, both);
    assert_eq!(claim("www.a.test", false, false, hand).await, both);
    // A deploy takes nothing from what a person added.
    assert_eq!(claim("a.test", true, false, file).await, both);
    store.remove_domain(&shop(), "a.test").await.unwrap();
    let plain = ["a.test", "www.a.test to a.test"];
    assert_eq!(claim("a.test", true, false, hand).await, plain);
    assert_eq!(claim("a.test", true, true, hand).await, both);
    store.remove_domain(&shop(), "a.test").await.unwrap();

    // What only the manifest names is as the manifest has it.
    assert_eq!(claim("b.test", false, true, file).await, ["b.test hsts"]);
    assert_eq!(claim("b.test", false, false, file).await, ["b.test"]);
    assert_eq!(claim("b.test", false, true, file).await, ["b.test hsts"]);
    assert_eq!(claim("b.test", false, false, hand).await, ["b.test hsts"]);
}

#[tokio::test]
async fn what_certificates_need_is_sealed_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    for value in ["first", VALUE] {
        store
            .set_vault_value("order", "a.com", value.as_bytes())
            .await
            .unwrap();
    }
    store.set_vault_value("other", "a.com", b"x").await.unwrap();
    store.close().await;
    assert!(!files_hold(folder.path(), VALUE));
    let store = Store::open(folder.path()).await.unwrap();
    let found = store.vault_value("order", "a.com").await.unwrap();
    assert_eq!(found.as_deref(), Some(VALUE.as_bytes()));
    let all = store.vault_page("order", "").await.unwrap();
    assert_eq!(all, [("a.com".to_owned(), VALUE.as_bytes().to_vec())]);
    assert_eq!(store.vault_page("order", "a.com").await.unwrap(), []);
    store.remove_vault_value("order", "a.com").await.unwrap();
    store.remove_vault_value("order", "a.com").await.unwrap();
    assert_eq!(store.vault_value("order", "a.com").await.unwrap(), None);
}

#[tokio::test]
async fn pages_of_what_certificates_need_miss_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let ids: Vec<String> = (0..600).map(|number| format!("{number:03}.com")).collect();
    for id in &ids {
        let set = store.set_vault_value("order", id, id.as_bytes());
        set.await.unwrap();
    }
    store
        .set_vault_value("other", "001.com", b"x")
        .await
        .unwrap();
    let mut found: Vec<String> = Vec::new();
    loop {
        let after = found.last().cloned().unwrap_or_default();
        let page = store.vault_page("order", &after).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.iter().all(|(id, value)| id.as_bytes() == value));
        found.extend(page.into_iter().map(|(id, _)| id));
    }
    assert_eq!(found, ids);
}
