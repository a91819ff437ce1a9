//! The plugins that are part of the host, compiled by this crate's build script.

include!(concat!(env!("OUT_DIR"), "/builtin.rs"));
