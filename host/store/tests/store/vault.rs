//! What certificates need.

use crate::stage::{VALUE, files_hold};
use doprax_store::Store;

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
