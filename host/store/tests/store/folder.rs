//! The state folder: who may read it, the host's identifier, the key, what is left in it.

use crate::stage::{VALUE, add_operation, event, files_hold, operation, shop};
use doprax_core::secret::SecretName;
use doprax_store::Store;
use sqlx::Connection as _;
use std::collections::BTreeMap;

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
