//! Values of secrets: each change counted, kept for as long as something may need it.

use crate::stage::{VALUE, files_hold, shop};
use doprax_core::secret::SecretName;
use doprax_store::Store;
use std::collections::BTreeMap;

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
