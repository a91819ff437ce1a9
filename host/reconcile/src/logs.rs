//! Logs of an app's containers, line by line.

use crate::Error;
use crate::observe::Observer;
use crate::record::{check_selection, record};
use bytes::BytesMut;
use doprax_core::name::{AppName, ServiceName};
use doprax_core::observed::ObservedContainer;
use doprax_engine::{Engine, LogRequest, Output};
use doprax_store::Store;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Longest line that is passed on whole, in bytes; a longer one is cut in pieces.
const MAX_LINE: usize = 256 << 10;

/// Lines of each container that are kept of a deploy that failed, and the bytes of all of
/// them.
const KEPT_LINES: u32 = 1_000;
const KEPT_BYTES: usize = 1 << 20;

/// The kind under which they are kept.
const FAILED: &str = "log of a failed deploy";

/// A line of a container's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// The log of one container, or those of all containers of an app: as they come
/// when followed, else in the order of time. Where none of the app's deploys has
/// succeeded and nothing of it runs: what the containers of the last one printed.
pub(crate) async fn read(
    store: &Store,
    engine: &dyn Engine,
    observer: &Observer,
    app: &AppName,
    container: Option<&ServiceName>,
    request: LogRequest,
) -> Result<BoxStream<'static, LogLine>, Error> {
    let record = record(store, app).await?;
    let observed = observer.look_at(app).await?;
    let mut found = observed.containers;
    if found.is_empty()
        && record.release.is_none()
        && let Some(kept) = failed(store, app).await?
    {
        return Ok(stream::iter(selected(kept, container, request)).boxed());
    }
    if let Some(container) = container {
        found.retain(|candidate| candidate.service == *container);
        if found.is_empty() {
            check_selection(&record, Some(container))?;
        }
    }
    let mut streams = Vec::new();
    for found in found {
        let request = LogRequest {
            timestamps: true,
            ..request
        };
        let output = engine
            .logs(&engine.name_of(app, &found.name), request)
            .await?;
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

/// Keeps what these containers printed, before they are removed because a deploy
/// failed.
pub(crate) async fn keep_failed(
    store: &Store,
    engine: &dyn Engine,
    app: &AppName,
    containers: &[ObservedContainer],
) {
    let request = LogRequest {
        tail: Some(KEPT_LINES),
        timestamps: true,
        ..LogRequest::default()
    };
    let mut kept = Vec::new();
    let mut bytes = 0;
    for found in containers {
        // What cannot be read any more is not missed for a second time.
        let Ok(output) = engine
            .logs(&engine.name_of(app, &found.name), request)
            .await
        else {
            continue;
        };
        let mut printed = lines(found.service.clone(), output);
        while let Some(line) = printed.next().await {
            bytes += line.text.len();
            if bytes > KEPT_BYTES {
                break;
            }
            kept.push(line);
        }
    }
    kept.sort_by(|a, b| a.time.cmp(&b.time));
    let value = serde_json::to_vec(&kept).expect("a line has only string keys");
    let written = store.set_vault_value(FAILED, app.as_str(), &value);
    if let Err(error) = written.await {
        tracing::warn!(%app, %error, "the log of a failed deploy was not kept");
    }
}

/// Forgets what was kept of a deploy that failed.
pub(crate) async fn forget_failed(store: &Store, app: &AppName) {
    let removed = store.remove_vault_value(FAILED, app.as_str());
    if let Err(error) = removed.await {
        tracing::warn!(%app, %error, "the log of a failed deploy was not removed");
    }
}

async fn failed(store: &Store, app: &AppName) -> Result<Option<Vec<LogLine>>, Error> {
    let value = store.vault_value(FAILED, app.as_str()).await?;
    // One of another version is as good as none.
    Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
}

/// The wanted part of what was kept.
fn selected(
    kept: Vec<LogLine>,
    container: Option<&ServiceName>,
    request: LogRequest,
) -> Vec<LogLine> {
    let since = request.since.and_then(|since| {
        let time = OffsetDateTime::from_unix_timestamp(since).ok()?;
        // The time of a line has a fraction before its end.
        let text = time.format(&Rfc3339).ok()?;
        Some(text.trim_end_matches('Z').to_owned())
    });
    let wanted = |line: &LogLine| {
        container.is_none_or(|container| line.container == *container)
            && since.as_ref().is_none_or(|since| line.time >= *since)
    };
    let mut lines: Vec<LogLine> = kept.into_iter().filter(wanted).collect();
    if let Some(tail) = request.tail {
        let mut left: BTreeMap<ServiceName, u32> = BTreeMap::new();
        lines.reverse();
        lines.retain(|line| {
            let left = left.entry(line.container.clone()).or_insert(tail);
            let wanted = *left > 0;
            *left = left.saturating_sub(1);
            wanted
        });
        lines.reverse();
    }
    lines
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

    #[test]
    fn of_what_was_kept_the_wanted_part_is_shown() {
        let line = |container: &str, second: u32| LogLine {
            container: ServiceName::new(container).unwrap(),
            stderr: false,
            time: format!("2026-01-01T00:00:0{second}.5Z"),
            text: second.to_string(),
        };
        let kept = || {
            vec![
                line("main", 1),
                line("redis", 2),
                line("main", 3),
                line("main", 4),
            ]
        };
        let texts = |container: Option<&str>, request: LogRequest| -> String {
            let container = container.map(|name| ServiceName::new(name).unwrap());
            let lines = selected(kept(), container.as_ref(), request);
            lines.into_iter().map(|line| line.text).collect()
        };
        let all = LogRequest::default();
        assert_eq!(texts(None, all), "1234");
        assert_eq!(texts(Some("main"), all), "134");
        let tail = LogRequest {
            tail: Some(1),
            ..all
        };
        assert_eq!(texts(None, tail), "24");
        // 2026-01-01T00:00:03Z
        let since = LogRequest {
            since: Some(1_767_225_603),
            ..all
        };
        assert_eq!(texts(None, since), "34");
    }

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

    #[test]
    fn a_line_without_an_end_is_cut_where_it_is_longer_than_256_kib() {
        let most = 256 << 10;
        let mut buffer = BytesMut::from("x".repeat(most).as_str());
        assert_eq!(take_line(&mut buffer), None);
        buffer.extend_from_slice(b"y");
        assert_eq!(take_line(&mut buffer).unwrap().len(), most + 1);
        assert!(buffer.is_empty());
        buffer.extend_from_slice(b"\na\nb");
        assert_eq!(take_line(&mut buffer).unwrap(), "");
        assert_eq!(take_line(&mut buffer).unwrap(), "a");
        assert_eq!(take_line(&mut buffer), None);
    }

    #[tokio::test]
    async fn what_a_failed_deploy_printed_is_kept_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let shop = AppName::new("shop").unwrap();
        let line = |app: &str| LogLine {
            container: ServiceName::main(),
            stderr: true,
            time: "2026-01-01T00:00:00.5Z".to_owned(),
            text: app.to_owned(),
        };
        let value = serde_json::to_vec(&[line("shop")]).unwrap();
        store.set_vault_value(FAILED, "shop", &value).await.unwrap();
        let kept = failed(&store, &shop).await.unwrap();
        assert_eq!(kept, Some(vec![line("shop")]));
        forget_failed(&store, &AppName::new("blog").unwrap()).await;
        assert!(failed(&store, &shop).await.unwrap().is_some());
        forget_failed(&store, &shop).await;
        assert_eq!(failed(&store, &shop).await.unwrap(), None);
        store
            .set_vault_value(FAILED, "shop", b"another form")
            .await
            .unwrap();
        assert_eq!(failed(&store, &shop).await.unwrap(), None);
    }
}
