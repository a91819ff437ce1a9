//! The two bodies that pass through, when each ends, and how one is sent again.

mod arriving;
mod container;
mod frames;
mod incoming;
mod request;
mod response;
mod rewind;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use arriving::decline;
pub(crate) use container::ContainerBody;
pub(crate) use frames::Frames;
pub(crate) use incoming::Incoming;
pub(crate) use request::{Progress, RequestBody};
pub(crate) use response::ResponseBody;
pub(crate) use rewind::Tape;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
