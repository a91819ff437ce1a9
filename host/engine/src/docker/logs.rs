//! What containers printed.

use super::demux::demux_body;
use super::{Docker, Failure, LOOK};
use crate::{Error, LogRequest, Output};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

impl Docker {
    /// A container's log.
    pub(super) async fn open_logs(
        &self,
        container: &str,
        request: LogRequest,
    ) -> Result<BoxStream<'static, Result<Output, Error>>, Error> {
        let tail = request
            .tail
            .map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let path = format!(
            "/containers/{container}/logs?stdout=true&stderr=true&follow={}&timestamps={}&tail={tail}&since={}",
            request.follow,
            request.timestamps,
            request.since.unwrap_or_default(),
        );
        let answer = self
            .within(LOOK, self.transport.get(&path))
            .await
            .map_err(|failure| self.container_error(failure, "read the log of", container))?;
        let address = self.address.clone();
        let action = format!("read the log of {container}");
        let broken = move |error| Failure::away(error).error(&address, &*action);
        Ok(demux_body(answer.into_body()).map_err(broken).boxed())
    }
}

/// Unix time in nanoseconds of a time as the engine writes it; negative for the year
/// 1 that stands for "never".
pub(super) fn unix_nanos(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos()).ok()
}

#[cfg(test)]
mod tests {
    use super::unix_nanos;

    #[test]
    fn times_have_nanoseconds_and_never_is_none() {
        assert_eq!(unix_nanos("1970-01-01T00:00:01.5Z"), Some(1_500_000_000));
        assert!(unix_nanos("0001-01-01T00:00:00Z").is_none_or(|nanos| nanos < 0));
    }
}
