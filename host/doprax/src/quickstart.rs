//! What `doprax quickstart` brings along: an engine where there is none, images where
//! no registry can be reached, and a guestbook to deploy.
//!
//! Plain functions, one for each thing that changes the machine. They ask nothing and
//! decide nothing: the caller looks ([`engine::state`], [`images::find`]), asks the
//! person, and acts ([`engine::install`], [`engine::start`], [`images::build`]).
//! Commands are run by argument vectors; what they print goes to the caller line by
//! line.
//!
//! ```text
//! engine::state ─Missing→ install ─NotRunning→ start ─Answers→
//! images::find ─none→ build → app::write → `doprax up`
//! ```

pub(crate) mod app;
pub(crate) mod engine;
mod error;
pub(crate) mod images;
mod run;

pub(crate) use error::Error;

/// Receives what happens, a line at a time.
pub(crate) type Progress<'a> = &'a dyn Fn(&str);
