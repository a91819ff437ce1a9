//! The host: takes requests, plans, applies, and keeps what runs as it should be.
//!
//! ```text
//! request ─propose→ blueprint ─execute→ engine ─ready→ routes ─publish→ ingress
//! ```
//!
//! Owns the order of things: what is journaled before what, who may work on an app,
//! and when the ingress learns of it. Knows neither HTTP APIs nor terminals.
//!
//! [`Host`] holds the parts; [`start`] makes them, each of those that were made before it.

mod access;
mod apps;
mod certificate;
mod clock;
mod config;
mod container;
mod deploy;
mod doctor;
mod domains;
mod error;
mod events;
mod health;
mod host;
mod journal;
mod keep;
mod logs;
mod metrics;
mod network;
mod observe;
mod operations;
mod parts;
mod propose;
mod ready;
mod record;
mod releases;
mod repairs;
mod retiring;
mod routes;
mod run;
mod source;
mod start;
mod status;
mod takeover;
mod variable;
mod volume;
mod volumes;

pub mod report;
pub mod request;

pub use clock::Clock;
pub use config::{Config, Remedies};
pub use domains::AppDomains;
pub use doprax_certificates as certificates;
pub use doprax_engine::{Error as EngineError, Foreign};
pub use doprax_engine::{Exec, ExecSession, LogRequest, Output};
pub use doprax_ingress::{AccessRecord, PROMETHEUS_CONTENT_TYPE, limits};
pub use error::{Error, StartError};
pub use events::{After, Told};
pub use host::Host;
pub use logs::LogLine;
pub use operations::Operations;
pub use parts::{Connect, Parts, Resolve};
pub use status::Statuses;
pub use takeover::Predecessor;
pub use volumes::Volumes;
