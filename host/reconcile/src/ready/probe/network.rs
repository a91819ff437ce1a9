//! What a port answers: nothing, a byte, HTTP or TLS.

use crate::container::MAX_OUTPUT;
use crate::error::chain;
use bytes::Bytes;
use doprax_core::probe::Observation;
use doprax_ingress::ContainerTls;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Method;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a port may take to accept a connection.
pub(super) const ACCEPT: Duration = Duration::from_secs(5);

/// What is observed of a port that speaks TLS.
pub(in crate::ready) const TLS: &str = "TLS";

/// The least beginning of a handshake that a server answers (RFC 5246 section 7.4.1.2): one
/// that it does not like it refuses with an alert, which says as much.
const CLIENT_HELLO: [u8; 50] = {
    let mut hello = [0; 50];
    // A record of a handshake, of 45 bytes.
    (hello[0], hello[1], hello[2], hello[4]) = (0x16, 3, 1, 45);
    // A client's hello of 41 bytes, for TLS 1.2. 32 bytes that should be random follow,
    // and no session.
    (hello[5], hello[8], hello[9], hello[10]) = (1, 41, 3, 3);
    // ECDHE_RSA_WITH_AES_128_GCM_SHA256; no compression.
    (hello[45], hello[46], hello[47], hello[48]) = (2, 0xc0, 0x2f, 1);
    hello
};

/// What failed for this reason.
pub(super) fn failed(reason: impl std::fmt::Display) -> Observation {
    Observation {
        passed: false,
        status: None,
        output: reason.to_string(),
    }
}

pub(super) async fn tcp(address: SocketAddr, send: Option<&str>) -> Observation {
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

/// A request for a path.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// How TLS is spoken, if it is.
    pub(super) tls: Option<&'a ContainerTls>,
    pub(super) path: &'a str,
    pub(super) host: &'a str,
    pub(super) headers: &'a BTreeMap<String, String>,
}

/// Why there is no answer.
enum Unanswered {
    /// Nothing accepts connections.
    Refused(std::io::Error),
    /// No TLS comes about.
    NoTls(std::io::Error),
    /// What came, or that the connection was closed, is no answer in HTTP.
    Other(String),
}

impl Unanswered {
    fn other(error: impl std::error::Error) -> Self {
        Self::Other(chain(&error))
    }
}

/// Status and the beginning of the body of an answer; of the body nothing where only the
/// head is wanted.
async fn request(
    address: SocketAddr,
    request: &Request<'_>,
    wants_body: bool,
) -> Result<(u16, Bytes), Unanswered> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(Unanswered::Refused)?;
    let Some(tls) = request.tls else {
        return exchange(stream, request, wants_body).await;
    };
    let stream = tls.http1(stream).await.map_err(Unanswered::NoTls)?;
    exchange(stream, request, wants_body).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &Request<'_>,
    wants_body: bool,
) -> Result<(u16, Bytes), Unanswered> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(Unanswered::other)?;
    let mut asked = hyper::Request::builder()
        .method(request.method.clone())
        .uri(request.path)
        .header(hyper::header::HOST, request.host)
        .header(hyper::header::USER_AGENT, "doprax-probe");
    for (name, value) in request.headers {
        asked = asked.header(name, value);
    }
    let asked = asked
        .body(Empty::<Bytes>::new())
        .map_err(Unanswered::other)?;
    let answer = async {
        let response = sender
            .send_request(asked)
            .await
            .map_err(Unanswered::other)?;
        let status = response.status().as_u16();
        if !wants_body {
            return Ok((status, Bytes::new()));
        }
        let body = Limited::new(response.into_body(), MAX_OUTPUT)
            .collect()
            .await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        Ok((status, body))
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => {
            ended.map_err(Unanswered::other)?;
            answer.await
        }
    }
}

pub(super) async fn http(
    address: SocketAddr,
    asked: &Request<'_>,
    good: &[(u16, u16)],
) -> Observation {
    match request(address, asked, true).await {
        Ok((status, body)) => Observation {
            passed: match good {
                [] => status < 400,
                good => good
                    .iter()
                    .any(|(from, to)| (*from..=*to).contains(&status)),
            },
            status: Some(status.into()),
            output: String::from_utf8_lossy(&body).into_owned(),
        },
        Err(Unanswered::Refused(error)) => failed(error),
        Err(Unanswered::NoTls(error)) => failed(no_tls(&error)),
        Err(Unanswered::Other(text)) => failed(text),
    }
}

fn no_tls(error: &std::io::Error) -> String {
    format!("it speaks no TLS, which `protocol: https` says it does: {error}")
}

/// Whether the port answers: in HTTP with any status, else in TLS, else in another
/// protocol; with `tls` inside of that. One that is silent for as long as `limit` is taken for one that waits for
/// more than a request.
pub(super) async fn serves(
    address: SocketAddr,
    host: &str,
    tls: Option<&ContainerTls>,
    limit: Duration,
) -> Observation {
    let end = Instant::now() + limit;
    match tokio::time::timeout(ACCEPT, TcpStream::connect(address)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return failed(error),
        Err(_) => return failed(format!("no connection within {} s", ACCEPT.as_secs())),
    }
    let headers = BTreeMap::new();
    // The server itself is asked, not a page of the app, which may count its visits
    // (RFC 9110 section 9.3.7). What it answers does not matter.
    let asked = Request {
        method: Method::OPTIONS,
        tls,
        path: "*",
        host,
        headers: &headers,
    };
    let speaks = |protocol: &str| Observation {
        passed: true,
        status: None,
        output: protocol.to_owned(),
    };
    let rest = end.saturating_duration_since(Instant::now());
    match tokio::time::timeout(rest, request(address, &asked, false)).await {
        // Servers that expect TLS say so in HTTP.
        Ok(Ok((400, _))) if tls.is_none() && speaks_tls(address).await.unwrap_or(false) => {
            return speaks(TLS);
        }
        Ok(Ok((status, _))) => {
            return Observation {
                status: Some(status.into()),
                ..speaks("HTTP")
            };
        }
        Ok(Err(Unanswered::Refused(error))) => return failed(error),
        Ok(Err(Unanswered::NoTls(error))) => return failed(no_tls(&error)),
        Ok(Err(Unanswered::Other(_))) if tls.is_some() => return speaks("another protocol"),
        // The server may have ended before it could answer.
        Ok(Err(Unanswered::Other(_))) => {}
        Err(_) => return speaks("nothing"),
    }
    match tokio::time::timeout(ACCEPT, speaks_tls(address)).await {
        Ok(Ok(true)) => speaks(TLS),
        Ok(Ok(false)) | Err(_) => speaks("another protocol"),
        Ok(Err(error)) => failed(error),
    }
}

/// Whether a server answers the beginning of a TLS handshake: with one of its own, or by
/// refusing this one.
async fn speaks_tls(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let mut answer = [0; 2];
    let exchanged = async {
        stream.write_all(&CLIENT_HELLO).await?;
        stream.read_exact(&mut answer).await
    };
    // A server of another protocol may just hang up.
    Ok(exchanged.await.is_ok() && matches!(answer, [0x15 | 0x16, 0x03]))
}
