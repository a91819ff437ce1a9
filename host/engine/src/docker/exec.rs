//! Commands in running containers.

use super::demux::Demux;
use super::transport::ApiVersion;
use super::{CHANGE, Docker, Failure, LOOK};
use crate::{Error, Exec, ExecSession, Output};
use bollard::models::{ExecConfig, IdResponse};
use bollard::query_parameters::ResizeExecOptionsBuilder;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::Request;
use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio_util::codec::FramedRead;
use tokio_util::io::ReaderStream;

/// The first version that takes a terminal's size with the command.
const SIZED: ApiVersion = ApiVersion::new(1, 42);

/// Pause between two tries. The engine knows a moment later than its client that a
/// command has begun or ended.
const POLL: Duration = Duration::from_millis(10);

/// How often a new command is told the size of its terminal.
const RESIZES: usize = 50;

impl Docker {
    /// Starts a command and connects to it.
    pub(super) async fn start_exec(
        &self,
        container: &str,
        exec: &Exec,
    ) -> Result<ExecSession, Error> {
        let size = exec
            .terminal
            .map(|(columns, rows)| vec![usize::from(rows), usize::from(columns)]);
        let config = ExecConfig {
            attach_stdin: Some(exec.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(exec.terminal.is_some()),
            console_size: size.clone(),
            env: Some(
                exec.env
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect(),
            ),
            cmd: Some(exec.command.clone()),
            user: exec.user.clone(),
            ..ExecConfig::default()
        };
        let failed = |failure| self.container_error(failure, "run a command in", container);
        let path = format!("/containers/{container}/exec");
        let created = self.transport.post_json::<IdResponse>(&path, &config);
        let id = self.within(CHANGE, created).await.map_err(failed)?.id;
        let start = serde_json::json!({
            "Detach": false,
            "Tty": exec.terminal.is_some(),
            "ConsoleSize": size,
        });
        let request = Request::post(format!("/exec/{id}/start"))
            .header(CONTENT_TYPE, "application/json")
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "tcp")
            .body(Full::new(Bytes::from(start.to_string())))
            .map_err(|error| failed(Failure::other(error)))?;
        let answer = self
            .within(CHANGE, self.transport.send(request))
            .await
            .map_err(failed)?;
        let upgraded = hyper::upgrade::on(answer)
            .await
            .map_err(|e| failed(Failure::away(e)))?;
        let (output, input) = tokio::io::split(TokioIo::new(upgraded));

        let address = self.address.clone();
        let action = format!("read from a command in {container}");
        let broken = move |error: std::io::Error| Failure::away(error).error(&address, &*action);
        let output: BoxStream<'static, Result<Output, Error>> = match exec.terminal {
            None => FramedRead::new(output, Demux).map_err(broken).boxed(),
            Some((columns, rows)) => {
                let version = self.transport.version().await.map_err(failed)?;
                if version < SIZED {
                    tokio::spawn(self.clone().resize_soon(id.clone(), columns, rows));
                }
                ReaderStream::new(output)
                    .map_ok(|bytes| Output {
                        stderr: false,
                        bytes,
                    })
                    .map_err(broken)
                    .boxed()
            }
        };
        Ok(ExecSession {
            id,
            output,
            input: Box::pin(input),
        })
    }

    /// Tells a new command's terminal its size. The engine answered before it started
    /// the command, and refuses until it has.
    async fn resize_soon(self, id: String, columns: u16, rows: u16) {
        for _ in 0..RESIZES {
            if self.resize_exec(&id, columns, rows).await.is_ok() {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
        tracing::debug!(id, "a command ended before its terminal had a size");
    }

    /// Tells a command's terminal its size.
    pub(super) async fn resize_exec(&self, id: &str, columns: u16, rows: u16) -> Result<(), Error> {
        let options = ResizeExecOptionsBuilder::default()
            .w(columns.into())
            .h(rows.into())
            .build();
        self.within(LOOK, self.client.resize_exec(id, options))
            .await
            .map_err(|failure| self.error(failure, "change the size of a terminal"))
    }

    /// The exit code of a command, once it has ended.
    pub(super) async fn find_exit_code(&self, id: &str) -> Result<i64, Error> {
        let ended = async {
            loop {
                let found = self.client.inspect_exec(id).await.map_err(Failure::from)?;
                if let (Some(false), Some(code)) = (found.running, found.exit_code) {
                    return Ok::<_, Failure>(code);
                }
                tokio::time::sleep(POLL).await;
            }
        };
        self.within(LOOK, ended)
            .await
            .map_err(|failure| self.error(failure, "find the exit code of a command"))
    }
}
