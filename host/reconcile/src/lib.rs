//! The host: takes wishes, plans, applies, and keeps what runs as it should be.
//!
//! ```text
//! request ─propose→ blueprint ─execute→ engine ─ready→ routes ─publish→ ingress
//! ```
//!
//! Owns the order of things: what is journaled before what, who may work on an app,
//! and when the ingress learns of it. Knows neither HTTP APIs nor terminals.

mod access;
mod certificate;
mod config;
mod control;
mod deploy;
mod doctor;
mod domain;
mod edit;
mod error;
mod events;
mod execute;
mod fresh;
mod guard;
mod health;
mod host;
mod journal;
mod keep;
mod logs;
mod machine;
mod neighbour;
mod probe;
mod propose;
mod queue;
mod ready;
mod release;
mod remove;
mod retire;
mod rollback;
mod routes;
mod secret;
mod seen;
mod source;
mod status;
mod subnet;
mod variable;
mod volume;
mod why;

pub mod report;
pub mod request;

pub use config::Config;
pub use doprax_certificates as certificates;
pub use doprax_engine::{Exec, ExecSession, LogRequest, Output};
pub use doprax_ingress::{AccessRecord, PROMETHEUS_CONTENT_TYPE, limits};
pub use error::{Error, StartError};
pub use events::{After, Told};
pub use host::{Host, Predecessor, docker};
pub use logs::LogLine;
