//! Values that an app's manifest takes from outside, kept with the app.

use crate::Error;
use doprax_core::name::AppName;
use doprax_core::secret::SecretName;
use doprax_store::Store;
use std::collections::BTreeMap;

/// Keeps values for the manifest's variables with an app, or drops them; used from
/// the next deploy on. The app need not exist yet. One that the current release
/// was made with cannot be dropped: a lost container is made anew with it.
pub(crate) async fn set(
    store: &Store,
    app: &AppName,
    values: BTreeMap<String, Option<String>>,
) -> Result<(), Error> {
    let record = store.app(app).await?;
    let release = record.as_ref().and_then(|record| record.release.as_ref());
    let in_use = release.map(|release| &release.blueprint.revisions);
    let mut changes = BTreeMap::new();
    for (name, value) in values {
        let secret = SecretName::variable(&name);
        let used = in_use.is_some_and(|revisions| revisions.contains_key(&secret));
        if value.is_none() && used {
            return Err(Error::VariableInUse {
                app: app.clone(),
                name,
            });
        }
        changes.insert(secret, value);
    }
    Ok(store.change_secrets(app, &changes).await?)
}

/// The names of the variables that an app has values for.
pub(crate) async fn names(store: &Store, app: &AppName) -> Result<Vec<String>, Error> {
    let secrets = store.secrets(app).await?;
    Ok(secrets
        .keys()
        .filter_map(|name| name.as_variable())
        .map(str::to_owned)
        .collect())
}
