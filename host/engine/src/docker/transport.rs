//! Connections to the engine: one per request, as the engine's own client does it,
//! opened when a request needs it. So nothing has to be repaired when the engine
//! was away, and dropping an answer closes the connection, by which the engine
//! knows that a build or a log is no longer wanted.
//!
//! Bollard logs what it sends and receives. What holds secrets (a container's
//! creation and inspection, a command's creation, files) therefore goes past it, by
//! [`Transport::post_json`], [`Transport::get_json`] and streamed bodies.

use super::failure::Failure;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// The newest API version that is asked for: the newest one that is tested.
const NEWEST: ApiVersion = ApiVersion {
    major: 1,
    minor: 51,
};

/// The oldest API version that has all that is used (`one-shot` of stats).
const OLDEST: ApiVersion = ApiVersion {
    major: 1,
    minor: 41,
};

/// How long opening a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the first exchange with an engine may take.
const NEGOTIATE: Duration = Duration::from_secs(30);

/// Status that stands for the engine's 304, "already so": bollard takes a 304 for
/// success and would hide it. No engine answers with it.
pub(super) const ALREADY: StatusCode = StatusCode::IM_A_TEAPOT;

/// A version of the engine's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// A version as constants name it.
    pub(super) const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// The version in a text such as `1.41`.
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    }
}

impl std::fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Where the engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Endpoint {
    Unix(PathBuf),
    Tcp(String),
}

/// A way to the engine. Clones share what was negotiated.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    endpoint: Arc<Endpoint>,
    version: Arc<Mutex<Option<ApiVersion>>>,
    /// Ends every connection of a [`Session`].
    end: Option<CancellationToken>,
}

/// A [`Transport`] whose connections all end when it is dropped, those that someone
/// still holds included. Bollard never closes the ones that it opens for BuildKit.
pub(super) struct Session {
    transport: Transport,
    _end: DropGuard,
}

impl Session {
    /// The bollard client that sends through this session.
    pub(super) fn client(&self) -> bollard::Docker {
        self.transport.client()
    }
}

impl Transport {
    /// A way to `unix:///path` or `tcp://host:port`; a bare path is a Unix socket.
    pub(super) fn new(address: &str) -> Self {
        let endpoint = match address.split_once("://") {
            Some(("tcp" | "http", host)) => Endpoint::Tcp(host.trim_end_matches('/').to_owned()),
            Some((_, path)) => Endpoint::Unix(PathBuf::from(path)),
            None => Endpoint::Unix(PathBuf::from(address)),
        };
        Self {
            endpoint: Arc::new(endpoint),
            version: Arc::default(),
            end: None,
        }
    }

    /// The same way, with connections that end with the session.
    pub(super) fn session(&self) -> Session {
        let end = CancellationToken::new();
        let transport = Self {
            end: Some(end.clone()),
            ..self.clone()
        };
        Session {
            transport,
            _end: end.drop_guard(),
        }
    }

    /// Whether the engine is on this machine.
    pub(super) fn is_local(&self) -> bool {
        matches!(*self.endpoint, Endpoint::Unix(_))
    }

    /// The version of the API that is spoken: the engine's, but at most [`NEWEST`].
    /// Found out once, and again after the engine was away.
    pub(super) async fn version(&self) -> Result<ApiVersion, Failure> {
        if let Some(version) = *self.known() {
            return Ok(version);
        }
        let ping = Request::get("/_ping")
            .body(Full::<Bytes>::default())
            .map_err(Failure::other)?;
        let exchange = tokio::time::timeout(NEGOTIATE, self.exchange(ping));
        let response = exchange.await.map_err(|_| Failure::timeout(NEGOTIATE))??;
        let offered = response
            .headers()
            .get("api-version")
            .and_then(|value| value.to_str().ok())
            .and_then(ApiVersion::parse);
        match offered {
            Some(offered) if offered >= OLDEST => {
                let version = offered.min(NEWEST);
                *self.known() = Some(version);
                Ok(version)
            }
            Some(offered) => Err(Failure::other(TooOld { offered })),
            None => Err(Failure::away(NotAnEngine)),
        }
    }

    /// Sends a request for a path of the API (without its version) and returns the
    /// answer if it is one of success.
    pub(super) async fn send<B>(&self, request: Request<B>) -> Result<Response<Incoming>, Failure>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let response = self.versioned(request).await?;
        let status = response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(Failure::away)?
            .to_bytes();
        #[derive(serde::Deserialize)]
        struct Refusal {
            message: String,
        }
        let message = serde_json::from_slice(&body).map_or_else(
            |_| String::from_utf8_lossy(&body).into_owned(),
            |r: Refusal| r.message,
        );
        Err(Failure::Refused {
            status: status.as_u16(),
            message,
        })
    }

    /// Sends `GET path`.
    pub(super) async fn get(&self, path: &str) -> Result<Response<Incoming>, Failure> {
        let request = Request::builder()
            .method(Method::GET)
            .uri(path)
            .body(Full::<Bytes>::default())
            .map_err(Failure::other)?;
        self.send(request).await
    }

    /// Sends `GET path` and reads the answer.
    pub(super) async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        read_json(self.get(path).await?).await
    }

    /// Sends `POST path` with a body and reads the answer.
    pub(super) async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(Failure::other)?;
        let request = Request::post(path)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::<Bytes>::from(body))
            .map_err(Failure::other)?;
        read_json(self.send(request).await?).await
    }

    /// The bollard client that sends through this transport.
    pub(super) fn client(&self) -> bollard::Docker {
        let transport = self.clone();
        let send = move |request: bollard::BollardRequest| {
            let transport = transport.clone();
            async move {
                let answer = transport.versioned(request).await;
                answer.map_err(|failure| bollard::errors::Error::IOError {
                    err: io::Error::other(failure),
                })
            }
        };
        // Bollard's own timeout would end builds; each call here has its own.
        bollard::Docker::connect_with_custom_transport(
            send,
            Some("http://engine"),
            u64::MAX,
            bollard::API_DEFAULT_VERSION,
        )
        .expect("a custom transport is only stored, so it cannot fail")
    }

    async fn versioned<B>(&self, mut request: Request<B>) -> Result<Response<Incoming>, Failure>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let version = self.version().await?;
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        *request.uri_mut() = format!("/v{version}{path}")
            .parse::<Uri>()
            .map_err(Failure::other)?;
        let mut response = self.exchange(request).await?;
        if response.status() == StatusCode::NOT_MODIFIED {
            *response.status_mut() = ALREADY;
        }
        Ok(response)
    }

    async fn exchange<B>(&self, mut request: Request<B>) -> Result<Response<Incoming>, Failure>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        request
            .headers_mut()
            .insert(http::header::HOST, HeaderValue::from_static("engine"));
        let sent = async {
            let stream = TokioIo::new(self.connect().await?);
            let (mut sender, connection) =
                http1::handshake(stream).await.map_err(io::Error::other)?;
            tokio::spawn(connection.with_upgrades());
            sender.send_request(request).await.map_err(io::Error::other)
        };
        sent.await.map_err(|error| {
            // The engine that comes back may be another version.
            *self.known() = None;
            Failure::away(error)
        })
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let connect = async {
            Ok::<_, io::Error>(match &*self.endpoint {
                Endpoint::Unix(path) => {
                    Box::new(UnixStream::connect(path).await?) as Box<dyn Stream>
                }
                Endpoint::Tcp(host) => Box::new(TcpStream::connect(host).await?),
            })
        };
        let stream = match tokio::time::timeout(CONNECT, connect).await {
            Ok(stream) => stream?,
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        };
        Ok(match &self.end {
            None => stream,
            Some(end) => Box::new(Ending {
                stream,
                end: Box::pin(end.clone().cancelled_owned()),
            }),
        })
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<ApiVersion>> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read_json<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<T, Failure> {
    let body = answer.into_body().collect().await.map_err(Failure::away)?;
    serde_json::from_slice(&body.to_bytes()).map_err(Failure::other)
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that is at its end once its session is.
struct Ending {
    stream: Box<dyn Stream>,
    end: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl AsyncRead for Ending {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Ending {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Something answers that is no container engine.
#[derive(Debug, thiserror::Error)]
#[error("what listens there is not a container engine")]
struct NotAnEngine;

/// The engine is older than what is supported.
#[derive(Debug, thiserror::Error)]
#[error("the engine speaks API {offered}; at least {OLDEST} (Docker 20.10) is needed")]
struct TooOld {
    offered: ApiVersion,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_socket_or_a_host() {
        let cases = [
            (
                "unix:///var/run/docker.sock",
                Endpoint::Unix("/var/run/docker.sock".into()),
            ),
            (
                "/run/docker.sock",
                Endpoint::Unix("/run/docker.sock".into()),
            ),
            ("tcp://10.0.0.1:2375", Endpoint::Tcp("10.0.0.1:2375".into())),
            (
                "http://10.0.0.1:2375/",
                Endpoint::Tcp("10.0.0.1:2375".into()),
            ),
        ];
        for (address, expected) in cases {
            assert_eq!(*Transport::new(address).endpoint, expected, "{address}");
        }
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(ApiVersion::parse("1.9") < ApiVersion::parse("1.41"));
        assert_eq!(ApiVersion::parse("1.51"), Some(NEWEST));
        assert_eq!(ApiVersion::parse("one"), None);
    }
}
