//! One file per command: what may be typed after its name, and what it does.

pub(crate) mod apps;
pub(crate) mod ca;
pub(crate) mod certs;
pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod control;
pub(crate) mod doctor;
pub(crate) mod domain;
pub(crate) mod env;
pub(crate) mod events;
pub(crate) mod logs;
pub(crate) mod operation;
pub(crate) mod plan;
pub(crate) mod plugin;
pub(crate) mod quickstart;
pub(crate) mod releases;
pub(crate) mod remove;
pub(crate) mod rollback;
pub(crate) mod schema;
pub(crate) mod secret;
pub(crate) mod serve;
pub(crate) mod shell;
pub(crate) mod status;
pub(crate) mod up;
pub(crate) mod volume;
