//! Write a Doprax plugin: one kind of service in one short file.
//!
//! A plugin is a settings struct, a type that implements [`Plugin`], and one line
//! that exports it. It turns a [`Request`] and the user's settings into a
//! [`Service`]: image, environment, volumes, ports, probes. It computes and never
//! acts: it has no files, no sockets, no clock, and sees no secret.
//!
//! ```
//! use doprax_sdk::{Diagnostic, Metadata, Plugin, Probe, Request, Service};
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//!
//! /// Settings of a Memcached service.
//! #[derive(Deserialize, JsonSchema)]
//! pub struct Settings {
//!     /// Memory for items, in MiB.
//!     #[serde(default = "sixty_four")]
//!     memory: u32,
//! }
//!
//! fn sixty_four() -> u32 {
//!     64
//! }
//!
//! /// Memcached, by its official image <https://hub.docker.com/_/memcached>.
//! pub struct Memcached;
//!
//! impl Plugin for Memcached {
//!     type Settings = Settings;
//!
//!     fn metadata() -> Metadata {
//!         Metadata::new("memcached", "Memcached", "A cache in memory.", "0.1.0")
//!             .versions(["1.6"])
//!             .image("docker.io/library/memcached")
//!     }
//!
//!     fn plan(request: &Request, settings: Settings) -> Result<Service, Vec<Diagnostic>> {
//!         if settings.memory == 0 {
//!             return Err(vec![Diagnostic::at(["memory"], "must be at least 1")]);
//!         }
//!         Ok(Service::new(request.image_of("memcached", "1.6"))
//!             .command(["memcached", "-m", &settings.memory.to_string()])
//!             .port(11211, "memcached")
//!             .probe(Probe::tcp(11211).send("version\r\n")))
//!     }
//! }
//!
//! doprax_sdk::export!(Memcached);
//! # fn main() {
//! # let service = doprax_sdk::testing::plan::<Memcached>(r#"{"memory": "128"}"#).unwrap();
//! # assert_eq!(service.command.unwrap()[2], "128");
//! # }
//! ```
//!
//! Built with `cargo build --release --target wasm32-wasip2`, the crate (of type
//! `cdylib`) is a plugin that a host loads.

mod bindings;
mod diagnostic;
mod export;
mod json;
mod metadata;
mod plugin;
mod probe;
mod request;
mod service;
mod settings;
mod size;
pub mod testing;
mod text;

pub use bindings::judge::exports::doprax::plugin::judge::{Observation, Verdict};
pub use bindings::plugin::exports::doprax::plugin::service::{
    App, Audience, Capability, Check, Derivation, DerivedSecret, Diagnostic, Encoding, EnvEntry,
    ExecCheck, ExecEnv, File, FileOwner, Footprint, Grants, Header, HttpCheck, Link, Liveness,
    Metadata, Mount, Neighbour, Output, OutputOf, Part, PortEntry, Probe, RandomBytes, Request,
    Resources, Secret, SecretSource, Service, Signal, StatusRange, Sysctl, SysctlName, TcpCheck,
    Text, Tmpfs, Transport, Ulimit, UlimitKind, Volume,
};
pub use bindings::reload::exports::doprax::plugin::reload::Target;
pub use metadata::build;
pub use plugin::{Judge, Plugin, Reload};
pub use settings::parse as settings;
pub use size::ByteSize;

#[doc(hidden)]
pub use bindings::{judge, plugin as plugin_world, reload};
#[doc(hidden)]
pub use export::{Adapter, Built};

/// The examples of the author's guide, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/plugins.md")]
mod guide {}
