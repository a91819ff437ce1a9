//! A source folder, as a deploy needs it: the manifest, the config files that it names, the
//! Dockerfile, and everything around that which `.dockerignore` leaves.
//!
//! ```text
//! folder ─Source→ manifest ─Context→ Dockerfile ─Tree→ digest, archive
//!                    └─config_files→ config files
//! ```
//!
//! Nothing is read from outside the folder, wherever links in it may point, and nothing
//! stands in the place of a file that would make a reader wait (`regular`). What a person
//! is told to do about an [`Error`] is not known here.

mod commit;
mod config_file;
mod context;
mod dockerfile;
mod error;
mod folder;
mod pack;
pub mod regular;
mod tree;

pub use commit::commit;
pub use config_file::{ConfigFile, config_files};
pub use context::Context;
pub use error::{Error, Result};
pub use folder::{MANIFEST, Source, read_manifest};
pub use pack::pack;
pub use tree::Tree;
