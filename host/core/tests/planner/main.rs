//! Planning, against an engine that is reduced to what planning relies on.
#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod apps;
mod arbitrary;
mod examples;
mod properties;
mod releases;
mod sim;
mod status;
