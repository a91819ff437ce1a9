//! The store through its public face: what was written is there after it was opened
//! again, and no secret is in its files in clear.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it finds what it did not expect"
)]

mod app;
mod domain;
mod folder;
mod operation;
mod secret;
mod sources;
mod stage;
mod vault;
