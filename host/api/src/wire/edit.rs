//! Changes by hand to what is deployed.

use super::deploy::name_of;
use doprax_core::name::ServiceName;
use doprax_reconcile::{report, request};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A change by hand to one container of an app. Not printable, because values may be
/// secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct Edit {
    /// The container.
    pub container: ServiceName,
    /// Variables that get a value, or lose theirs.
    #[serde(default)]
    pub env: BTreeMap<String, Option<String>>,
    /// Variables that become what doprax.yaml says: these, or all where the list is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<Vec<String>>,
    /// Who asks for it, for the list of releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

impl From<Edit> for request::Edit {
    fn from(wire: Edit) -> Self {
        let Edit {
            container,
            env,
            reset,
            actor,
        } = wire;
        Self {
            container,
            env,
            reset,
            actor: actor.map(|actor| name_of(&actor)),
        }
    }
}

/// A variable of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVariable {
    /// Its name.
    pub name: String,
    /// Its value; absent where it is masked, and where a person took the variable away.
    pub value: Option<String>,
    /// Whether its value is masked.
    pub masked: bool,
    /// Where it comes from.
    pub from: EnvSource,
    /// Whether doprax.yaml sets it, be it to something else.
    pub in_manifest: bool,
}

impl From<report::Variable> for EnvVariable {
    fn from(variable: report::Variable) -> Self {
        let report::Variable {
            name,
            value,
            masked,
            from,
            in_manifest,
        } = variable;
        Self {
            name,
            value,
            masked,
            from: from.into(),
            in_manifest,
        }
    }
}

/// Where a variable comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnvSource {
    /// doprax.yaml.
    Manifest,
    /// A person set it, or took it away.
    Hand,
    /// The plugin that describes the service.
    Plugin,
    /// The image.
    Image,
    /// The host.
    Host,
}

impl From<report::VariableSource> for EnvSource {
    fn from(source: report::VariableSource) -> Self {
        match source {
            report::VariableSource::Manifest => Self::Manifest,
            report::VariableSource::Hand => Self::Hand,
            report::VariableSource::Plugin => Self::Plugin,
            report::VariableSource::Image => Self::Image,
            report::VariableSource::Host => Self::Host,
        }
    }
}
