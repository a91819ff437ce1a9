//! Changes by hand to what is deployed.

use doprax_core::name::ServiceName;
use doprax_reconcile::request;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A change by hand to one container of an app. Not printable, because values may be
/// secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct Edit {
    /// The container.
    pub container: ServiceName,
    /// Variables that get a value, or lose theirs.
    pub env: BTreeMap<String, Option<String>>,
}

impl From<Edit> for request::Edit {
    fn from(wire: Edit) -> Self {
        let Edit { container, env } = wire;
        Self { container, env }
    }
}

/// A variable of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVariable {
    /// Its name.
    pub name: String,
    /// Its value; absent where it is masked.
    pub value: Option<String>,
}
