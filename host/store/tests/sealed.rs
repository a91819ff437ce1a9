//! Sealed values through the store's public face: what was sealed for one place opens in no
//! other.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it finds what it did not expect"
)]

use doprax_core::blueprint::Blueprint;
use doprax_core::name::AppName;
use doprax_core::operation::{Operation, OperationKind, OperationState};
use doprax_core::release::{FailedRelease, Origin, Reason, Report};
use doprax_core::secret::SecretName;
use doprax_core::spec::{AppSpec, Drain, MainSpec};
use doprax_store::{Ending, Error, EventRecord, NewRelease, Store};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn app(name: &str) -> AppName {
    AppName::new(name).unwrap()
}

fn key() -> SecretName {
    SecretName::variable("KEY")
}

fn operation(id: &str, app: &AppName) -> Operation {
    Operation {
        id: id.to_owned(),
        app: app.clone(),
        kind: OperationKind::Deploy,
        state: OperationState::Running,
        started_ms: 1,
        ended_ms: None,
    }
}

fn blueprint(app: &AppName) -> Blueprint {
    Blueprint {
        app: app.clone(),
        subnet: "10.200.0.0/23".parse().unwrap(),
        volumes: BTreeSet::new(),
        containers: BTreeMap::new(),
        front: None,
        drain: Drain::default(),
        domains: BTreeMap::new(),
        first_domain: None,
        secrets: BTreeMap::new(),
        revisions: BTreeMap::new(),
        release: None,
        notes: Vec::new(),
    }
}

/// Gives an app one row in every table.
async fn fill(store: &Store, app: &AppName) {
    let origin = Origin {
        reason: Reason::Deploy,
        operation: Some(app.to_string()),
        actor: None,
        commit: None,
        started_ms: None,
    };
    let spec = AppSpec {
        app: app.clone(),
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
        blueprint: &blueprint(app),
        source: &"a".repeat(64),
        created_ms: 1,
        notes: &[],
        request: &"asked",
        origin: &origin,
        plugins: &BTreeMap::new(),
    };
    let failed = FailedRelease {
        origin: origin.clone(),
        state: OperationState::Failed,
        source: None,
        ended_ms: 2,
        report: Report::default(),
    };
    store.add_release(app, &new).await.unwrap();
    store.add_failed_release(app, &failed).await.unwrap();
    let given = BTreeMap::from([(key(), app.to_string())]);
    store.put_secrets(app, &given).await.unwrap();

    let ends = operation(&format!("{app}-ends"), app);
    let waits = Operation {
        state: OperationState::Waiting,
        ..operation(&format!("{app}-waits"), app)
    };
    let none = BTreeMap::new();
    store.add_operation(&ends, &"asked", &none).await.unwrap();
    let event = EventRecord {
        number: 1,
        event: "printed".to_owned(),
    };
    let ending = Ending {
        operation: &ends,
        state: OperationState::Failed,
        ended_ms: 3,
        events: &[event],
        error: Some("failed"),
    };
    store.end_operation(&ending).await.unwrap();
    store.add_operation(&waits, &"asked", &given).await.unwrap();

    store.put_blob(app.as_str(), b"a file").await.unwrap();
    let set = store.set_vault_value("kind", app.as_str(), b"value");
    set.await.unwrap();
    let gone = AppName::new(format!("{app}-gone")).unwrap();
    let left = blueprint(&gone);
    store.remove_app(&gone, Some(&left)).await.unwrap();
}

/// Reads what a sealed column holds of an app. Nothing where the column is unknown.
async fn read(store: &Store, column: &str, app: &AppName) -> Option<Result<(), Error>> {
    let waits = format!("{app}-waits");
    let gone = AppName::new(format!("{app}-gone")).unwrap();
    Some(match column {
        "apps.sealed_last_error" => store.app(app).await.map(drop),
        "releases.sealed_blueprint" => store.app_in_brief(app).await.map(drop),
        "releases.sealed_manifest" | "releases.sealed_spec" => store.app(app).await.map(drop),
        "releases.sealed_request" => store.request::<String>(app).await.map(drop),
        "failed_releases.sealed_report" => store.failed_releases(app).await.map(drop),
        "secrets.sealed_value" => store.secrets(app).await.map(drop),
        "operations.sealed_request" => store.request_of::<String>(&waits).await.map(drop),
        "operations.sealed_given" => {
            let waiting = operation(&waits, app);
            store.begin_operation(&waiting, 1).await
        }
        "operation_events.sealed_event" => {
            let ended = format!("{app}-ends");
            store.events(&ended, 0).await.map(drop)
        }
        "blobs.sealed_content" => store.blob(app.as_str()).await.map(drop),
        "vault.sealed_value" => store.vault_value("kind", app.as_str()).await.map(drop),
        "remains.sealed_blueprint" => store.remains(&gone).await.map(drop),
        _ => return None,
    })
}

async fn database(folder: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.join("doprax.db"));
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// The sealed columns of all tables, `table.column`, and a column that tells rows apart.
async fn sealed_columns(database: &mut SqliteConnection) -> Vec<(String, String, String)> {
    let query = "SELECT tables.name, columns.name,
            (SELECT name FROM pragma_table_info(tables.name) WHERE pk = 1)
        FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
        WHERE tables.type = 'table' AND columns.name LIKE 'sealed%' ORDER BY 1, 2";
    sqlx::query_as(query).fetch_all(database).await.unwrap()
}

/// Puts what each of two apps has in a column in the place of the other's.
async fn swap(database: &mut SqliteConnection, table: &str, column: &str, id: &str) {
    let query = AssertSqlSafe(format!("SELECT {id}, {column} FROM {table}"));
    let rows: Vec<(String, Option<Vec<u8>>)> = sqlx::query_as(query)
        .fetch_all(&mut *database)
        .await
        .unwrap();
    assert!(rows.len() >= 2, "{table}.{column}");
    for (from, value) in rows {
        let to = match from.strip_prefix("one") {
            Some(rest) => format!("two{rest}"),
            None => from.replacen("two", "one", 1),
        };
        let query = AssertSqlSafe(format!("UPDATE {table} SET {column} = ? WHERE {id} = ?"));
        let query = sqlx::query(query).bind(value).bind(to);
        query.execute(&mut *database).await.unwrap();
    }
}

#[tokio::test]
async fn nothing_that_is_sealed_for_one_app_opens_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let (one, two) = (app("one"), app("two"));
    for (app, subnet) in [(&one, "10.200.0.0/23"), (&two, "10.200.2.0/23")] {
        store.add_app(app, subnet.parse().unwrap()).await.unwrap();
        fill(&store, app).await;
    }
    let mut database = database(folder.path()).await;
    let columns = sealed_columns(&mut database).await;
    assert_eq!(columns.len(), 13, "{columns:?}");
    for (table, column, id) in columns {
        // The key of the vault begins with what both have.
        let id = if table == "vault" { "id" } else { &id };
        let name = format!("{table}.{column}");
        if name != "operations.sealed_given" {
            read(&store, &name, &one).await.unwrap().unwrap();
        }
        swap(&mut database, &table, &column, id).await;
        for app in [&one, &two] {
            match read(&store, &name, app).await.unwrap() {
                Err(Error::Sealed { what }) => assert!(what.contains(app.as_str()), "{what}"),
                other => panic!("{name} of {app}: {other:?}"),
            }
        }
        swap(&mut database, &table, &column, id).await;
        read(&store, &name, &one).await.unwrap().unwrap();
    }
}
