//! Keeping in the store what certificates need.

use async_trait::async_trait;
use doprax_certificates::{Kind, Secret, Vault, VaultError};
use doprax_store::Store;
use std::fmt;
use std::sync::Arc;
use tokio::sync::Notify;

/// Keeps in the store what certificates need.
pub(crate) struct StoreVault {
    pub(crate) store: Store,
    /// Notified of every write.
    pub(crate) written: Arc<Notify>,
}

impl fmt::Debug for StoreVault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StoreVault")
    }
}

#[async_trait]
impl Vault for StoreVault {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Secret>, VaultError> {
        let value = self.store.vault_value(kind.as_str(), id).await?;
        Ok(value.map(Secret::new))
    }

    async fn page(&self, kind: Kind, after: &str) -> Result<Vec<(String, Secret)>, VaultError> {
        let values = self.store.vault_page(kind.as_str(), after).await?;
        let secret = |(id, value): (String, Vec<u8>)| (id, Secret::new(value));
        Ok(values.into_iter().map(secret).collect())
    }

    async fn put(&self, kind: Kind, id: &str, value: Secret) -> Result<(), VaultError> {
        let put = self
            .store
            .set_vault_value(kind.as_str(), id, value.expose());
        put.await?;
        self.written.notify_one();
        Ok(())
    }

    async fn remove(&self, kind: Kind, id: &str) -> Result<(), VaultError> {
        self.store.remove_vault_value(kind.as_str(), id).await?;
        self.written.notify_one();
        Ok(())
    }
}
