//! Trying a probe once.

use crate::Host;
use bytes::{Bytes, BytesMut};
use doprax_core::probe::{Check, Observation, Probe};
use doprax_core::secret::SecretName;
use doprax_core::text::Text;
use doprax_engine::{Exec, LogRequest, Material};
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Bytes of an answer that are kept: enough for a cluster's health.
const MAX_OUTPUT: usize = 64 << 10;

/// Lines of a log that a probe looks at.
const LOG_LINES: u32 = 2_000;

/// A container to try probes on.
pub(crate) struct Subject<'a> {
    /// The engine's name for it.
    pub(crate) container: &'a str,
    /// Its address on the app's network.
    pub(crate) address: Ipv4Addr,
    /// Unix time in milliseconds of its latest start.
    pub(crate) started_ms: Option<i64>,
}

/// What came of a command in a container.
pub(crate) struct Ran {
    pub(crate) exit_code: i64,
    pub(crate) output: String,
}

fn failed(reason: impl std::fmt::Display) -> Observation {
    Observation {
        passed: false,
        status: None,
        output: reason.to_string(),
    }
}

impl Host {
    /// Tries a probe once. That it failed is an observation, not an error.
    pub(crate) async fn try_probe(
        &self,
        probe: &Probe,
        subject: &Subject<'_>,
        material: &Material,
    ) -> Observation {
        let limit = Duration::from_millis(probe.timeout_ms.into());
        let tried = async {
            match &probe.check {
                Check::Tcp { port, send } => {
                    tcp(
                        SocketAddr::new(subject.address.into(), *port),
                        send.as_deref(),
                    )
                    .await
                }
                Check::Http { port, path } => {
                    http(SocketAddr::new(subject.address.into(), *port), path).await
                }
                Check::Exec { command, env } => {
                    self.exec_probe(subject, command, env, material).await
                }
                Check::Log { contains } => self.log_probe(subject, contains).await,
            }
        };
        match tokio::time::timeout(limit, tried).await {
            Ok(observation) => observation,
            Err(_) => failed(format!("no answer within {} ms", probe.timeout_ms)),
        }
    }

    async fn exec_probe(
        &self,
        subject: &Subject<'_>,
        command: &[String],
        env: &[(String, Text)],
        material: &Material,
    ) -> Observation {
        let value = |name: &SecretName| material.secrets.get(name).map(String::as_str);
        let mut filled = Vec::new();
        for (name, text) in env {
            match text.fill(value) {
                Ok(text) => filled.push((name.clone(), text)),
                Err(secret) => return failed(format!("no value for {secret}")),
            }
        }
        let exec = Exec {
            command: command.to_vec(),
            env: filled,
            ..Exec::default()
        };
        match self.run_in(subject.container, &exec).await {
            Ok(ran) => Observation {
                passed: ran.exit_code == 0,
                status: i32::try_from(ran.exit_code).ok(),
                output: ran.output,
            },
            Err(error) => failed(error),
        }
    }

    async fn log_probe(&self, subject: &Subject<'_>, contains: &str) -> Observation {
        let request = LogRequest {
            since: subject.started_ms.map(|ms| ms / 1000),
            tail: Some(LOG_LINES),
            ..LogRequest::default()
        };
        let mut logs = match self.engine().logs(subject.container, request).await {
            Ok(logs) => logs,
            Err(error) => return failed(error),
        };
        let mut text = BytesMut::new();
        while let Some(Ok(piece)) = logs.next().await {
            text.extend_from_slice(&piece.bytes);
            if text.len() > 4 << 20 {
                break;
            }
        }
        let text = String::from_utf8_lossy(&text);
        let passed = text.contains(contains);
        Observation {
            passed,
            status: None,
            output: format!("{contains:?} in its log: {passed}"),
        }
    }

    /// Runs a command in a container to its end.
    pub(crate) async fn run_in(
        &self,
        container: &str,
        exec: &Exec,
    ) -> Result<Ran, doprax_engine::Error> {
        let mut session = self.engine().exec(container, exec).await?;
        let mut output = Vec::new();
        while let Some(piece) = session.output.next().await {
            let piece = piece?;
            let room = MAX_OUTPUT - output.len();
            output.extend_from_slice(&piece.bytes[..piece.bytes.len().min(room)]);
        }
        let exit_code = self.engine().exec_exit_code(&session.id).await?;
        Ok(Ran {
            exit_code,
            output: String::from_utf8_lossy(&output).into_owned(),
        })
    }
}

async fn tcp(address: SocketAddr, send: Option<&str>) -> Observation {
    let tried = async {
        let mut stream = TcpStream::connect(address).await?;
        let mut answer = Vec::new();
        if let Some(text) = send {
            stream.write_all(text.as_bytes()).await?;
            let mut buffer = vec![0; MAX_OUTPUT];
            let length = stream.read(&mut buffer).await?;
            answer.extend_from_slice(&buffer[..length]);
        }
        std::io::Result::Ok(answer)
    };
    match tried.await {
        Ok(answer) => Observation {
            passed: send.is_none() || !answer.is_empty(),
            status: None,
            output: String::from_utf8_lossy(&answer).into_owned(),
        },
        Err(error) => failed(error),
    }
}

async fn http(address: SocketAddr, path: &str) -> Observation {
    let tried = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = hyper::Request::get(path)
            .header(hyper::header::HOST, address.to_string())
            .header(hyper::header::USER_AGENT, "doprax-probe")
            .body(Empty::<Bytes>::new())?;
        let answer = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_OUTPUT)
                .collect()
                .await;
            let body = body.map(|body| body.to_bytes()).unwrap_or_default();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((status, body))
        };
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            ended = connection => {
                ended?;
                answer.await
            }
        }
    };
    match tried.await {
        Ok((status, body)) => Observation {
            passed: status.as_u16() < 400,
            status: Some(status.as_u16().into()),
            output: String::from_utf8_lossy(&body).into_owned(),
        },
        Err(error) => failed(error),
    }
}
