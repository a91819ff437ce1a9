//! Logs of an app's containers, line by line.

use crate::{Error, Host};
use bytes::BytesMut;
use doprax_core::name::{AppName, ServiceName};
use doprax_engine::{LogRequest, Output};
use futures_util::stream::{self, BoxStream, StreamExt as _};

/// Longest line that is passed on whole, in bytes; a longer one is cut in pieces.
const MAX_LINE: usize = 256 << 10;

/// A line of a container's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The container that printed it.
    pub container: ServiceName,
    /// Whether it came by standard error.
    pub stderr: bool,
    /// When it was printed (RFC 3339, nanoseconds).
    pub time: String,
    /// The line, without its line break; what is not UTF-8 is replaced.
    pub text: String,
}

impl Host {
    /// The log of one container, or those of all containers of an app: as they come
    /// when followed, else in the order of time.
    pub async fn logs(
        &self,
        app: &AppName,
        container: Option<&ServiceName>,
        request: LogRequest,
    ) -> Result<BoxStream<'static, LogLine>, Error> {
        let record = self.record(app).await?;
        let observed = self.engine().observe(app).await?;
        let mut found = observed.containers;
        if let Some(container) = container {
            found.retain(|candidate| candidate.service == *container);
            if found.is_empty() {
                self.check_selection(&record, Some(container))?;
            }
        }
        let mut streams = Vec::new();
        for found in found {
            let request = LogRequest {
                timestamps: true,
                ..request
            };
            let output = self.engine().logs(&found.name, request).await?;
            streams.push(lines(found.service, output));
        }
        if request.follow {
            return Ok(stream::select_all(streams).boxed());
        }
        let mut all = Vec::new();
        for stream in streams {
            all.extend(stream.collect::<Vec<_>>().await);
        }
        all.sort_by(|a, b| a.time.cmp(&b.time));
        Ok(stream::iter(all).boxed())
    }
}

/// Cuts what a container printed into lines.
fn lines(
    container: ServiceName,
    output: BoxStream<'static, Result<Output, doprax_engine::Error>>,
) -> BoxStream<'static, LogLine> {
    // One buffer for each stream: their pieces are mixed, their lines must not be.
    let buffers = [BytesMut::new(), BytesMut::new()];
    let state = (container, output, buffers, false);
    stream::unfold(
        state,
        |(container, mut output, mut buffers, ended)| async move {
            if ended {
                return None;
            }
            let mut lines = Vec::new();
            let mut ended = true;
            if let Some(Ok(piece)) = output.next().await {
                ended = false;
                let buffer = &mut buffers[usize::from(piece.stderr)];
                buffer.extend_from_slice(&piece.bytes);
                while let Some(line) = take_line(buffer) {
                    lines.push(line_of(&container, piece.stderr, &line));
                }
            } else {
                for (stderr, buffer) in [false, true].into_iter().zip(&buffers) {
                    if !buffer.is_empty() {
                        lines.push(line_of(&container, stderr, buffer));
                    }
                }
            }
            Some((stream::iter(lines), (container, output, buffers, ended)))
        },
    )
    .flatten()
    .boxed()
}

/// The next whole line of the buffer, without its line break.
fn take_line(buffer: &mut BytesMut) -> Option<BytesMut> {
    match buffer.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            let mut line = buffer.split_to(end + 1);
            line.truncate(end);
            Some(line)
        }
        None if buffer.len() > MAX_LINE => Some(buffer.split()),
        None => None,
    }
}

fn line_of(container: &ServiceName, stderr: bool, line: &[u8]) -> LogLine {
    let text = String::from_utf8_lossy(line);
    let text = text.strip_suffix('\r').unwrap_or(&text);
    let (time, text) = text.split_once(' ').unwrap_or((text, ""));
    LogLine {
        container: container.clone(),
        stderr,
        time: time.to_owned(),
        text: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn cuts_lines_of_mixed_streams() {
        let piece = |stderr, text: &'static str| {
            Ok(Output {
                stderr,
                bytes: text.into(),
            })
        };
        let output = stream::iter([
            piece(false, "t1 hel"),
            piece(true, "t2 err"),
            piece(false, "lo\r\nt3 "),
            piece(true, "or\n"),
            piece(false, "last"),
        ]);
        let seen: Vec<_> = lines(ServiceName::main(), output.boxed())
            .map(|line| (line.stderr, line.time, line.text))
            .collect()
            .await;
        let line = |stderr, time: &str, text: &str| (stderr, time.to_owned(), text.to_owned());
        assert_eq!(
            seen,
            [
                line(false, "t1", "hello"),
                line(true, "t2", "error"),
                line(false, "t3", "last")
            ]
        );
    }
}
