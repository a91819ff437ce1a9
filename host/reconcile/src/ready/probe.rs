//! Trying a probe once.

mod network;

use super::Prober;
use crate::container::run_in;
use bytes::BytesMut;
use doprax_core::probe::{Check, Observation, Probe};
use doprax_core::secret::SecretName;
use doprax_core::text::Text;
use doprax_engine::{Exec, Inputs, LogRequest};
use doprax_ingress::ContainerTls;
use futures_util::StreamExt as _;
use hyper::Method;
pub(super) use network::TLS;
use network::{ACCEPT, Request, failed, http, serves, tcp};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Lines of a log that a probe looks at.
const LOG_LINES: u32 = 2_000;

/// A container to try probes on.
pub(crate) struct Subject {
    /// The engine's name for it.
    pub(crate) container: String,
    /// Its address on the app's network.
    pub(crate) address: Ipv4Addr,
    /// The host that a request names where its probe does not say.
    pub(crate) host: String,
    /// Whether the ingress sends requests to it, which is done in HTTP.
    pub(crate) is_front: bool,
    /// Unix time in milliseconds of its latest start.
    pub(crate) started_ms: Option<i64>,
}

impl Prober {
    /// Tries a probe once. That it failed is an observation, not an error. On what is
    /// `steady`, as it serves already, it costs as little as it can.
    pub(crate) async fn try_probe(
        &self,
        probe: &Probe,
        subject: &Subject,
        inputs: &Inputs,
        steady: bool,
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
                Check::Serves { port, tls, host } => {
                    let address = SocketAddr::new(subject.address.into(), *port);
                    if steady {
                        return tcp(address, None).await;
                    }
                    let host = host.as_ref().unwrap_or(&subject.host);
                    serves(address, host, self.tls_if(*tls), limit).await
                }
                Check::Http {
                    port,
                    tls,
                    path,
                    host,
                    headers,
                    status,
                } => {
                    let asked = Request {
                        method: Method::GET,
                        tls: self.tls_if(*tls),
                        path,
                        host: host.as_ref().unwrap_or(&subject.host),
                        headers,
                    };
                    let address = SocketAddr::new(subject.address.into(), *port);
                    http(address, &asked, status).await
                }
                Check::Exec { command, env, user } => {
                    let exec = Exec {
                        command: command.clone(),
                        user: user.clone(),
                        ..Exec::default()
                    };
                    self.exec_probe(subject, exec, env, inputs).await
                }
                // It said so once.
                Check::Log { .. } if steady => Observation {
                    passed: true,
                    status: None,
                    output: String::new(),
                },
                Check::Log { contains } => self.log_probe(subject, contains).await,
            }
        };
        // Silence has a meaning of its own to one of the checks, which ends by itself.
        let longest = match probe.check {
            Check::Serves { .. } => limit + 2 * ACCEPT,
            _ => limit,
        };
        match tokio::time::timeout(longest, tried).await {
            Ok(observation) => observation,
            Err(_) => failed(format!("no answer within {} ms", probe.timeout_ms)),
        }
    }

    fn tls_if(&self, tls: bool) -> Option<&ContainerTls> {
        tls.then(|| self.ingress.container_tls())
    }

    async fn exec_probe(
        &self,
        subject: &Subject,
        exec: Exec,
        env: &[(String, Text)],
        inputs: &Inputs,
    ) -> Observation {
        let value = |name: &SecretName| inputs.secrets.get(name).map(String::as_str);
        let mut filled = Vec::new();
        for (name, text) in env {
            match text.fill(value) {
                Ok(text) => filled.push((name.clone(), text)),
                Err(secret) => return failed(format!("no value for {secret}")),
            }
        }
        let exec = Exec {
            env: filled,
            ..exec
        };
        self.observe_command(&subject.container, &exec).await
    }

    /// Tries a command in a container once.
    pub(crate) async fn try_command(
        &self,
        container: &str,
        command: &[String],
        limit: Duration,
    ) -> Observation {
        let exec = Exec {
            command: command.to_vec(),
            ..Exec::default()
        };
        match tokio::time::timeout(limit, self.observe_command(container, &exec)).await {
            Ok(observation) => observation,
            Err(_) => failed(format!("no end within {} ms", limit.as_millis())),
        }
    }

    async fn observe_command(&self, container: &str, exec: &Exec) -> Observation {
        match run_in(self.engine.as_ref(), container, exec).await {
            Ok(ran) => Observation {
                passed: ran.exit_code == 0,
                status: i32::try_from(ran.exit_code).ok(),
                output: ran.output,
            },
            Err(error) => failed(error),
        }
    }

    async fn log_probe(&self, subject: &Subject, contains: &str) -> Observation {
        let request = LogRequest {
            since: subject.started_ms.map(|ms| ms / 1000),
            tail: Some(LOG_LINES),
            ..LogRequest::default()
        };
        let mut logs = match self.engine.logs(&subject.container, request).await {
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
}
