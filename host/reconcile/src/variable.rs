//! Values that an app's manifest takes from outside, kept with the app.

use crate::{Error, Host};
use doprax_core::name::AppName;
use doprax_core::secret::SecretName;
use std::collections::BTreeMap;

impl Host {
    /// Keeps values for the manifest's variables with an app, or drops them; used from
    /// the next deploy on. The app need not exist yet.
    pub async fn set_variables(
        &self,
        app: &AppName,
        values: BTreeMap<String, Option<String>>,
    ) -> Result<(), Error> {
        let mut given = BTreeMap::new();
        for (name, value) in values {
            let secret = SecretName::variable(&name);
            match value {
                Some(value) => {
                    given.insert(secret, value);
                }
                None => self.store().remove_secret(app, &secret).await?,
            }
        }
        Ok(self.store().put_secrets(app, &given).await?)
    }

    /// The names of the variables that an app has values for.
    pub async fn variables(&self, app: &AppName) -> Result<Vec<String>, Error> {
        let secrets = self.store().secrets(app).await?;
        Ok(secrets
            .keys()
            .filter_map(|name| name.as_variable())
            .map(str::to_owned)
            .collect())
    }
}
