//! What an author writes.

use crate::{Diagnostic, Metadata, Observation, Request, Service, Target, Verdict};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// A kind of service.
pub trait Plugin {
    /// What a user may choose. The doc comments of the fields are what users read.
    type Settings: DeserializeOwned + JsonSchema;

    /// What the plugin is. The schema of the settings is added to it.
    fn metadata() -> Metadata;

    /// What the service of this request is made of, or what is wrong with the
    /// request. The same request must give the same answer.
    fn plan(request: &Request, settings: Self::Settings) -> Result<Service, Vec<Diagnostic>>;
}

/// A plugin that judges what its probes saw, for services whose answer says more
/// than that they answer. Exported by `export!(Type: judge)`.
pub trait Judge: Plugin {
    /// Judges one round of probes: one observation for each probe that was tried, in
    /// the order of [`Service::probes`]. A round ends at the first probe that does
    /// not pass by its own rule.
    fn judge(service: &str, observations: &[Observation]) -> Verdict;
}

/// A plugin whose service must be told when a container that it depends on has
/// moved. Exported by `export!(Type: reload)`.
pub trait Reload: Plugin {
    /// The command, run in the container, that makes the service look again. It ends
    /// when no request that comes later goes where requests went before.
    fn command(target: &Target) -> Option<Vec<String>>;
}
