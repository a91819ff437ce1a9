//! What only a real engine can show: names, isolation, limits, files as a process
//! sees them, and an engine that goes away.

pub(crate) mod container;
pub(crate) mod engine;
pub(crate) mod files;
pub(crate) mod image;
pub(crate) mod network;
pub(crate) mod process;
pub(crate) mod volume;

use crate::stage::{DEBIAN, container};
use doprax_core::blueprint::Container;

/// The address of the engine; these tests run only where there is one.
fn address() -> String {
    std::env::var("DOPRAX_TEST_ENGINE").unwrap()
}

/// A container that does nothing for as long as it runs.
fn idle(name: &str) -> Container {
    let mut idle = container(name, DEBIAN);
    idle.command = Some(["sleep", "infinity"].map(str::to_owned).to_vec());
    idle.stop_grace_ms = 0;
    idle
}
