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
mod cli;
mod dns;
mod docker;
mod host;
mod load;
mod open;
mod pebble;
mod program;
#[path = "../../required.rs"]
mod required;
mod secure;
mod site;
mod terminal;
mod wait;

pub use app::App;
pub use cli::{Cli, Invocation, Outcome, Running};
pub use dns::Dns;
pub use docker::Docker;
pub use host::{Host, Setup};
pub use load::{Load, Tally};
pub use open::{Endless, WebSocket};
pub use pebble::Pebble;
pub use program::Program;
pub use secure::{Secure, secure};
pub use site::{Response, Site};
pub use terminal::Terminal;
pub use wait::{stays, wait_for};

use std::path::PathBuf;

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

/// The binary under test: `DOPRAX_BINARY`, else the one of this build.
pub fn binary() -> PathBuf {
    let binary = match std::env::var_os("DOPRAX_BINARY") {
        Some(path) => PathBuf::from(path),
        None => {
            // target/release/deps/e2e-… → target/release/doprax
            let program = std::env::current_exe().unwrap();
            let folder = program
                .ancestors()
                .find(|folder| folder.join("doprax").is_file());
            folder
                .map(|folder| folder.join("doprax"))
                .unwrap_or_default()
        }
    };
    assert!(
        binary.is_file(),
        "there is no built binary: `cargo build --release`, or name one in DOPRAX_BINARY"
    );
    binary
}
