//! The two bodies that pass through, and when each ends.

mod container;
mod request;
mod response;

pub(crate) use container::ContainerBody;
pub(crate) use request::{Progress, RequestBody, Stalled};
pub(crate) use response::ResponseBody;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
