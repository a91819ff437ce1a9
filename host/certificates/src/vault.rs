//! What must outlive the process, and who keeps it.

use crate::Error;
use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

/// Keeps what must outlive the process. Values hold private keys: the implementor
/// seals them. What `put` has returned from is there after a power failure.
#[async_trait]
pub trait Vault: fmt::Debug + Send + Sync + 'static {
    /// The value of this kind and id.
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Secret>, VaultError>;

    /// The next values of this kind in the order of their ids, with these: some of those
    /// whose ids come after `after`, and none only if there are no more.
    async fn page(&self, kind: Kind, after: &str) -> Result<Vec<(String, Secret)>, VaultError>;

    /// Keeps a value in the place of the one there was, in one step.
    async fn put(&self, kind: Kind, id: &str, value: Secret) -> Result<(), VaultError>;

    /// Removes a value; there may be none.
    async fn remove(&self, kind: Kind, id: &str) -> Result<(), VaultError>;
}

/// Whatever went wrong inside a vault.
pub type VaultError = Box<dyn std::error::Error + Send + Sync>;

/// What a value in the vault is. An id is unique within its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An account's key; the id is the CA's directory.
    Account,
    /// A certificate with its key; the id is its names.
    Certificate,
    /// An order in progress with its key; the id is its names and the CA's directory.
    Order,
    /// When names are tried again or renewed; the id is the names.
    Schedule,
    /// What has been asked of a CA lately; the id is the CA's directory.
    Limits,
    /// The local CA's root with its key.
    LocalCa,
}

impl Kind {
    /// A short name that never changes, for stores that keep kinds as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Certificate => "certificate",
            Self::Order => "order",
            Self::Schedule => "schedule",
            Self::Limits => "limits",
            Self::LocalCa => "local-ca",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Bytes that are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for whoever seals or uses them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

/// Reads a record.
pub(crate) async fn load<T: DeserializeOwned>(
    vault: &dyn Vault,
    kind: Kind,
    id: &str,
) -> Result<Option<T>, Error> {
    let value = vault.get(kind, id).await.map_err(|source| Error::Vault {
        action: "read",
        kind,
        id: id.to_owned(),
        source,
    })?;
    value.map(|value| parse(kind, id, &value)).transpose()
}

/// Reads every record of a kind that can be read, one after the other; says in the log
/// which cannot.
pub(crate) async fn each<T: DeserializeOwned>(
    vault: &dyn Vault,
    kind: Kind,
    mut take: impl FnMut(String, T),
) -> Result<(), Error> {
    let mut last = String::new();
    loop {
        let page = vault.page(kind, &last).await;
        let page = page.map_err(|source| Error::Vault {
            action: "read",
            kind,
            id: format!("after {last}"),
            source,
        })?;
        let Some((id, _)) = page.last() else {
            return Ok(());
        };
        last.clone_from(id);
        for (id, value) in page {
            match parse(kind, &id, &value) {
                Ok(record) => take(id, record),
                Err(error) => tracing::warn!(%error, "skipping what cannot be read"),
            }
        }
    }
}

/// Writes a record.
pub(crate) async fn save<T: Serialize + Sync>(
    vault: &dyn Vault,
    kind: Kind,
    id: &str,
    record: &T,
) -> Result<(), Error> {
    let failed = |source: VaultError| Error::Vault {
        action: "write",
        kind,
        id: id.to_owned(),
        source,
    };
    let bytes = serde_json::to_vec(record).map_err(|error| failed(error.into()))?;
    vault
        .put(kind, id, Secret::new(bytes))
        .await
        .map_err(failed)
}

/// Removes a record.
pub(crate) async fn remove(vault: &dyn Vault, kind: Kind, id: &str) -> Result<(), Error> {
    vault.remove(kind, id).await.map_err(|source| Error::Vault {
        action: "remove",
        kind,
        id: id.to_owned(),
        source,
    })
}

fn parse<T: DeserializeOwned>(kind: Kind, id: &str, value: &Secret) -> Result<T, Error> {
    serde_json::from_slice(value.expose()).map_err(|error| Error::Vault {
        action: "understand",
        kind,
        id: id.to_owned(),
        source: error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(..)");
    }
}
