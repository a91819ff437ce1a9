//! What every engine does, written once.

pub(crate) mod container;
pub(crate) mod engine;
pub(crate) mod image;
pub(crate) mod network;
pub(crate) mod process;
pub(crate) mod volume;
