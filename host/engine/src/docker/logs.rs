//! What containers printed.

use super::demux::{Frames, demux_body};
use super::{Docker, Failure, LOOK};
use crate::{Error, LogRequest, Output};
use bytes::Bytes;
use doprax_core::observed::State;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How often a followed container that stopped is looked for.
const POLL: Duration = Duration::from_millis(250);

/// Which part of a log the engine is asked for.
struct Part {
    /// Unix time in nanoseconds of the first line.
    since: i64,
    tail: Option<u32>,
    follow: bool,
    timestamps: bool,
}

impl Docker {
    /// A container's log.
    pub(super) async fn open_logs(
        &self,
        container: &str,
        request: LogRequest,
    ) -> Result<BoxStream<'static, Result<Output, Error>>, Error> {
        let failed = |failure| self.container_error(failure, "read the log of", container);
        let part = Part {
            since: request
                .since
                .unwrap_or_default()
                .saturating_mul(1_000_000_000),
            tail: request.tail,
            follow: request.follow,
            timestamps: request.timestamps || request.follow,
        };
        let broken = self.broken_log(container);
        if !request.follow {
            let log = self.open_part(container, &part).await.map_err(failed)?;
            return Ok(log.map_err(broken).boxed());
        }
        // By id: while it is followed, a deploy may give its name to another one.
        let found = self
            .inspect(container)
            .await
            .map_err(failed)?
            .and_then(|found| found.id);
        let id = found.ok_or_else(|| Error::NoContainer {
            container: container.to_owned(),
        })?;
        let log = self.open_part(&id, &part).await.map_err(failed)?;
        Ok(self
            .clone()
            .follow(id, log, part, request.timestamps, broken)
            .boxed())
    }

    /// The log from now until the container is removed. The engine ends it when the
    /// container stops; so it is opened again, behind the last line that was seen,
    /// once the container runs again.
    fn follow(
        self,
        id: String,
        mut log: Frames,
        mut part: Part,
        timestamps: bool,
        broken: impl Fn(std::io::Error) -> Error,
    ) -> impl futures_util::Stream<Item = Result<Output, Error>> {
        async_stream::try_stream! {
            loop {
                while let Some(frame) = log.next().await {
                    let frame = frame.map_err(&broken)?;
                    let (time, text) = split_time(&frame.bytes);
                    if let Some(nanos) = time {
                        part.since = nanos + 1;
                        part.tail = None;
                    }
                    yield if timestamps { frame } else { Output { bytes: text, ..frame } };
                }
                if !self.await_running(&id).await? {
                    return;
                }
                log = match self.open_part(&id, &part).await {
                    Ok(log) => log,
                    Err(failure) if failure.is_no_container() => return,
                    Err(failure) => Err(self.error(failure, "follow a log"))?,
                };
            }
        }
    }

    /// Waits until the container runs; whether it does before it is removed.
    async fn await_running(&self, id: &str) -> Result<bool, Error> {
        loop {
            tokio::time::sleep(POLL).await;
            match self.observe_container(id).await? {
                None => return Ok(false),
                Some(found) if found.state == State::Running => return Ok(true),
                Some(_) => {}
            }
        }
    }

    async fn open_part(&self, container: &str, part: &Part) -> Result<Frames, Failure> {
        let tail = part
            .tail
            .map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let path = format!(
            "/containers/{container}/logs?stdout=true&stderr=true&follow={}&timestamps={}&tail={tail}&since={}.{:09}",
            part.follow,
            part.timestamps,
            part.since.div_euclid(1_000_000_000),
            part.since.rem_euclid(1_000_000_000),
        );
        let answer = self.within(LOOK, self.transport.get(&path)).await?;
        Ok(demux_body(answer.into_body()))
    }

    fn broken_log(&self, container: &str) -> impl Fn(std::io::Error) -> Error + Send + 'static {
        let address = self.address.clone();
        let action = format!("read the log of {container}");
        move |error| Failure::away(error).error(&address, &*action)
    }
}

/// The time before a line, in Unix nanoseconds, and the line.
fn split_time(line: &Bytes) -> (Option<i64>, Bytes) {
    let space = line.iter().position(|&byte| byte == b' ');
    let time = space.and_then(|at| unix_nanos(str::from_utf8(&line[..at]).ok()?));
    match (time, space) {
        (Some(time), Some(at)) => (Some(time), line.slice(at + 1..)),
        _ => (None, line.clone()),
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
    use super::*;

    #[test]
    fn times_have_nanoseconds_and_never_is_none() {
        assert_eq!(unix_nanos("1970-01-01T00:00:01.5Z"), Some(1_500_000_000));
        assert!(unix_nanos("0001-01-01T00:00:00Z").is_none_or(|nanos| nanos < 0));
    }

    #[test]
    fn a_line_comes_apart_at_its_first_blank() {
        let line = Bytes::from_static(b"1970-01-01T00:00:01.000000002Z two words\n");
        assert_eq!(
            split_time(&line),
            (Some(1_000_000_002), Bytes::from_static(b"two words\n"))
        );
        let line = Bytes::from_static(b"no time");
        assert_eq!(split_time(&line), (None, line));
    }
}
