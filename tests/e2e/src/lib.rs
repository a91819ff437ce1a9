//! Runs the built binary as a person would: a host of its own on a real engine, the
//! command line, apps in folders, and requests through the ingress.
//!
//! It knows the binary from outside only: its arguments, what it prints, and the labels
//! on the engine's objects. No crate of the host is linked.
//!
//! A check that does not hold panics with everything that helps to see why.
#![allow(clippy::unwrap_used, reason = "a harness ends a test by panicking")]
#![allow(clippy::print_stderr, reason = "what a failed test shows")]

mod app;
mod binary;
mod cli;
mod dns;
mod docker;
mod host;
mod load;
mod open;
mod pebble;
mod program;
mod registry;
#[path = "../../required.rs"]
mod required;
mod secure;
mod site;
mod terminal;
mod wait;

pub use app::App;
pub use binary::binary;
pub use cli::{Cli, Invocation, Outcome, Running};
pub use dns::Dns;
pub use docker::Docker;
pub use host::{Host, Setup};
pub use load::{Load, Tally};
pub use open::{Endless, WebSocket};
pub use pebble::Pebble;
pub use program::Program;
pub use registry::Registry;
pub use secure::{Secure, secure};
pub use site::{Response, Site};
pub use terminal::Terminal;
pub use wait::{stays, wait_for};

/// The engine that the tests use, from `DOPRAX_TEST_ENGINE`: `unix:///var/run/docker.sock`.
/// Where it is not set, says that the test is skipped.
pub fn engine() -> Option<String> {
    let engine = required::required("DOPRAX_TEST_ENGINE")?;
    Some(engine.into_string().unwrap())
}

/// Says of the test of this thread that it does not run, and why.
pub fn skipped(why: &str) {
    required::skipped(why);
}
