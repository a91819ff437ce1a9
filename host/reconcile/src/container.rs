//! What one container says of itself, and what is run in it.

use crate::Error;
use bytes::BytesMut;
use doprax_core::copy::CopyName;
use doprax_core::name::AppName;
use doprax_core::observed::ObservedContainer;
use doprax_engine::{Engine, Exec, LogRequest};
use futures_util::StreamExt as _;

/// Bytes of an answer that are kept: enough for a cluster's health.
pub(crate) const MAX_OUTPUT: usize = 64 << 10;

/// What came of a command in a container.
pub(crate) struct Ran {
    pub(crate) exit_code: i64,
    pub(crate) output: String,
}

/// A container that there has to be.
pub(crate) async fn find(
    engine: &dyn Engine,
    app: &AppName,
    copy: &CopyName,
) -> Result<ObservedContainer, Error> {
    engine.container(app, copy).await?.ok_or_else(|| {
        doprax_engine::Error::NoContainer {
            container: engine.name_of(app, copy),
        }
        .into()
    })
}

/// The last lines of a container's log; none where it cannot be read.
pub(crate) async fn last_lines(engine: &dyn Engine, container: &str, count: u32) -> Vec<String> {
    let request = LogRequest {
        tail: Some(count),
        ..LogRequest::default()
    };
    let Ok(mut logs) = engine.logs(container, request).await else {
        return Vec::new();
    };
    let mut text = BytesMut::new();
    while let Some(Ok(piece)) = logs.next().await {
        text.extend_from_slice(&piece.bytes);
        if text.len() > 64 << 10 {
            break;
        }
    }
    String::from_utf8_lossy(&text)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Runs a command in a container to its end.
pub(crate) async fn run_in(
    engine: &dyn Engine,
    container: &str,
    exec: &Exec,
) -> Result<Ran, doprax_engine::Error> {
    let mut session = engine.exec(container, exec).await?;
    let mut output = Vec::new();
    while let Some(piece) = session.output.next().await {
        let piece = piece?;
        let room = MAX_OUTPUT - output.len();
        output.extend_from_slice(&piece.bytes[..piece.bytes.len().min(room)]);
    }
    let exit_code = engine.exec_exit_code(&session.id).await?;
    Ok(Ran {
        exit_code,
        output: String::from_utf8_lossy(&output).into_owned(),
    })
}
