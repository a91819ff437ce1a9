//! Doprax's binary from end to end: a real engine, real services, the command line and
//! the ingress as their users meet them.
//!
//! Without `DOPRAX_TEST_ENGINE` the tests that need an engine say so and pass; with
//! `DOPRAX_TEST_ALL=1` they fail. `tests/run` sets both, brings the images and builds the
//! binary.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
#![allow(clippy::print_stderr, reason = "says what is skipped")]

mod build;
mod cause;
mod confirm;
mod crash;
mod doctor;
mod domain;
mod drift;
mod events;
mod guestbook;
mod hardening;
mod image;
mod isolation;
mod keys;
mod limits;
mod logs;
mod machine;
mod manifest;
mod merge;
mod operation;
mod queue;
mod quickstart;
mod ready;
mod redeploy;
mod releases;
mod scholar;
mod secret;
mod service;
mod shell;
mod soak;
mod status;
mod tls;
mod upgrade;
mod volume;

use doprax_e2e::{App, Host, engine};

/// A host of the test's own; none where there is no engine to test with.
fn host() -> Option<Host> {
    Some(Host::start(&engine()?))
}

/// A host on which this app was deployed.
#[track_caller]
fn deployed(app: &App) -> Option<Host> {
    let host = host()?;
    host.cli().ok(["up", app.path(), "--yes"]);
    Some(host)
}
