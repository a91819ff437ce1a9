//! What Doprax means by an app, and how it gets from what a person wrote to what
//! an engine must do. Pure and synchronous: no clock, no file, no environment, no
//! socket; callers pass in what these would give.
//!
//! ```text
//! doprax.yaml ─manifest→ AppSpec ─merge→ AppSpec
//! AppSpec × ServiceDescription ─blueprint→ Blueprint
//! Blueprint × Observed ─plan→ Plan
//! ```

pub mod assemble;
pub mod blueprint;
pub mod cause;
pub mod caution;
pub mod change;
pub mod copy;
pub mod diagnostic;
pub mod diff;
pub mod dockerfile;
pub mod domain;
pub mod dotenv;
pub mod identity;
pub mod ignore_file;
pub mod manifest;
pub mod merge;
pub mod name;
pub mod neighbour;
pub mod observed;
pub mod operation;
pub mod plan;
pub mod planner;
pub mod probe;
pub mod proposal;
pub mod release;
pub mod resources;
pub mod route;
pub mod schema;
pub mod secret;
pub mod service;
pub mod source;
pub mod spec;
pub mod spelling;
pub mod status;
pub mod subnet;
pub mod text;
pub mod text_file;
pub mod unit;
pub mod yaml;
