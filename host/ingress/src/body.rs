//! The two bodies that pass through, and when each ends.

mod request;
mod response;

pub(crate) use request::{Progress, RequestBody, Stalled};
pub(crate) use response::ResponseBody;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
