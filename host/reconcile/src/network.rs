//! The networks of apps: their subnets, and what keeps containers from the machine.

pub(crate) mod guard;
pub(crate) mod machine;
pub(crate) mod subnet;
