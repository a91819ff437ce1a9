//! A command in a container over a WebSocket; the protocol is in
//! [`crate::wire::ExecRequest`]'s module.
//!
//! Input and output go their own ways, so that a command that does not read cannot
//! stop what it prints. A client that goes away ends the command's input.

use super::problem::{Problem, failure_of};
use super::stream::StreamPermit;
use crate::wire::{ExecInput, ExecOutput, ExecRequest, Failure, TerminalSize};
use axum::Extension;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::{BufMut as _, Bytes, BytesMut};
use doprax_core::name::AppName;
use doprax_engine::Exec;
use doprax_reconcile::Host;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

/// Largest message in bytes, one way and the other.
const MAX_MESSAGE: usize = 1 << 20;
/// How long the first message may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn exec(
    State(host): State<Arc<Host>>,
    Path(app): Path<String>,
    Extension(permit): Extension<StreamPermit>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let app = AppName::new(app)?;
    Ok(upgrade
        .max_message_size(MAX_MESSAGE)
        .on_upgrade(move |socket| async move {
            if let Err(error) = run(&host, &app, socket).await {
                tracing::debug!(%error, %app, "the connection of a command broke");
            }
            drop(permit);
        }))
}

async fn run(host: &Host, app: &AppName, mut socket: WebSocket) -> Result<(), axum::Error> {
    let first = tokio::time::timeout(REQUEST_TIMEOUT, socket.recv()).await;
    let Ok(Some(Ok(Message::Text(text)))) = first else {
        return tell(
            &mut socket,
            &failed("the first message must be the request, as text"),
        )
        .await;
    };
    let request: ExecRequest = match serde_json::from_str(&text) {
        Ok(request) => request,
        Err(error) => {
            return tell(
                &mut socket,
                &failed(format!("the request is not understood: {error}")),
            )
            .await;
        }
    };
    let exec = Exec {
        command: request.command,
        env: request.env,
        user: None,
        terminal: request.terminal.map(|size| (size.columns, size.rows)),
        stdin: request.stdin,
    };
    let session = match host.exec(app, &request.container, &exec).await {
        Ok(session) => session,
        Err(error) => {
            return tell(
                &mut socket,
                &ExecOutput::Failed(failure_of(&error, host.config().remedies)),
            )
            .await;
        }
    };
    let id = session.id;
    let (mut sender, receiver) = socket.split();
    tell(&mut sender, &ExecOutput::Started).await?;
    let last = tokio::select! {
        last = send_output(host, &id, session.output, &mut sender) => last?,
        () = receive_input(host, &id, session.input, receiver) => return Ok(()),
    };
    tell(&mut sender, &last).await?;
    sender.close().await
}

fn failed(error: impl Into<String>) -> ExecOutput {
    ExecOutput::Failed(Failure {
        error: error.into(),
        ..Failure::default()
    })
}

async fn tell<S>(sender: &mut S, message: &ExecOutput) -> Result<(), axum::Error>
where
    S: futures_util::Sink<Message, Error = axum::Error> + Unpin,
{
    let text = serde_json::to_string(message)
        .expect("wire types have only string keys, so they serialize");
    sender.send(Message::Text(text.into())).await
}

/// Sends what the command prints; returns how it ended.
async fn send_output(
    host: &Host,
    id: &str,
    mut output: futures_util::stream::BoxStream<
        'static,
        Result<doprax_engine::Output, doprax_engine::Error>,
    >,
    sender: &mut SplitSink<WebSocket, Message>,
) -> Result<ExecOutput, axum::Error> {
    while let Some(piece) = output.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => return Ok(ExecOutput::Failed(Failure::from_error(&error))),
        };
        for part in piece.bytes.chunks(MAX_MESSAGE / 2) {
            sender
                .send(Message::Binary(framed(piece.stderr, part)))
                .await?;
        }
    }
    Ok(match host.exec_exit_code(id).await {
        Ok(code) => ExecOutput::Exit(code),
        Err(error) => ExecOutput::Failed(failure_of(&error, host.config().remedies)),
    })
}

fn framed(stderr: bool, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(bytes.len() + 1);
    frame.put_u8(if stderr {
        crate::wire::STDERR
    } else {
        crate::wire::STDOUT
    });
    frame.put_slice(bytes);
    frame.freeze()
}

/// Hands on what the client sends. Returns when the client is gone.
async fn receive_input(
    host: &Host,
    id: &str,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    mut receiver: SplitStream<WebSocket>,
) {
    let mut input = Some(input);
    while let Some(Ok(message)) = receiver.next().await {
        match message {
            Message::Binary(bytes) => {
                // A command that closed its input goes on without it.
                if let Some(open) = &mut input
                    && (open.write_all(&bytes).await.is_err() || open.flush().await.is_err())
                {
                    input = None;
                }
            }
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(ExecInput::Resize(TerminalSize { columns, rows })) => {
                    if let Err(error) = host.exec_resize(id, columns, rows).await {
                        tracing::debug!(%error, "a terminal was not resized");
                    }
                }
                Ok(ExecInput::Eof) => {
                    if let Some(mut open) = input.take() {
                        // The command may have ended already.
                        let _ = open.shutdown().await;
                    }
                }
                Err(error) => tracing::debug!(%error, "a message is not understood"),
            },
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => break,
        }
    }
    if let Some(mut open) = input {
        let _ = open.shutdown().await;
    }
}
