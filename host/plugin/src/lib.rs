//! Plugins: load them, cache their compiled code, call them within limits.
//!
//! The only crate that speaks to wasmtime, and the only one that knows the types of
//! the contract in `wit/`: everything comes in and goes out in the words of
//! `doprax-core`. Built-in plugins and files go through the same door.
//!
//! A call takes some tens of microseconds and never waits for anything, so it may be
//! made from asynchronous code; a hostile plugin can hold a call up for as long as
//! [`Limits::wall_clock`] allows.

mod answer;
mod bindings;
mod builtin;
mod cache;
mod call;
mod components;
mod contract_name;
mod error;
mod image;
mod imports;
mod info;
mod limits;
mod load;
mod metadata;
mod plugins;
mod reason;
mod request;
mod runtime;
mod value;
mod wasi;
mod watch;

pub use builtin::BUILTIN;
pub use error::{DescribeError, Error, Exceeded};
pub use info::{Footprint, Grants, Link, PluginInfo, Source};
pub use limits::Limits;
pub use plugins::{Earlier, Plugins, inspect};
pub use reason::Reason;
