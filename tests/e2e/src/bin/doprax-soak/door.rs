//! The ingress as clients reach it: by HTTP/1.1 in the clear, by HTTP/2 inside TLS.

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// The addresses of an ingress, and the CA that vouches for it.
#[derive(Clone)]
pub(crate) struct Door {
    http: SocketAddr,
    https: SocketAddr,
    tls: TlsConnector,
}

impl Door {
    /// The ingress with these ports on loopback, whose CA's certificate is `ca` (PEM).
    pub(crate) fn new(http: u16, https: u16, ca: &str) -> Self {
        let ca = CertificateDer::from_pem_slice(ca.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(ca).unwrap();
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            http: loopback(http),
            https: loopback(https),
            tls: TlsConnector::from(Arc::new(config)),
        }
    }

    /// Opens a plain connection.
    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.http).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Opens a connection for requests to an app.
    pub(crate) async fn open(&self, app: &str, protocol: Protocol) -> io::Result<Connection> {
        match protocol {
            Protocol::Http1 => {
                let stream = TokioIo::new(self.connect().await?);
                let (sender, connection) = http1::handshake(stream).await.map_err(whole)?;
                // How it ended is seen by who sends.
                tokio::spawn(async move { drop(connection.await) });
                Ok(Connection::Http1(sender))
            }
            Protocol::Http2 => {
                let stream = TcpStream::connect(self.https).await?;
                stream.set_nodelay(true)?;
                let name = ServerName::try_from(host(app)).map_err(io::Error::other)?;
                let stream = TokioIo::new(self.tls.connect(name, stream).await?);
                let handshake = http2::handshake(TokioExecutor::new(), stream).await;
                let (sender, connection) = handshake.map_err(whole)?;
                tokio::spawn(async move { drop(connection.await) });
                Ok(Connection::Http2(sender))
            }
        }
    }

    /// The `Host` field for an app.
    pub(crate) fn authority(&self, app: &str) -> String {
        format!("{}:{}", host(app), self.http.port())
    }

    /// A request to an app.
    pub(crate) fn request(
        &self,
        app: &str,
        protocol: Protocol,
        method: &str,
        path: &str,
        body: Body,
    ) -> Request<Body> {
        let request = Request::builder().method(method);
        let request = match protocol {
            Protocol::Http1 => request.uri(path).header(header::HOST, self.authority(app)),
            Protocol::Http2 => {
                request.uri(format!("https://{}:{}{path}", host(app), self.https.port()))
            }
        };
        request.body(body).unwrap()
    }
}

fn host(app: &str) -> String {
    format!("{app}.localhost")
}

/// A connection that takes requests.
pub(crate) enum Connection {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Connection {
    /// Whether no more requests can be sent: the other side has closed it while no
    /// request was under way.
    pub(crate) async fn is_closed(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_err(),
            Self::Http2(sender) => sender.ready().await.is_err(),
        }
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(&mut self, request: Request<Body>) -> io::Result<Response<Incoming>> {
        let sent = match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        };
        sent.map_err(whole)
    }
}

/// An error with its causes, which hyper does not print.
pub(crate) fn whole(error: hyper::Error) -> io::Error {
    let mut text = error.to_string();
    let mut refused = false;
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        let http2 = error.downcast_ref::<h2::Error>();
        refused |= http2.is_some_and(|error| error.is_remote() && error.is_go_away());
        source = error.source();
    }
    let kind = match refused {
        true => REFUSED,
        false => io::ErrorKind::Other,
    };
    io::Error::new(kind, text)
}

/// A request that is known not to have been looked at, because the other side was about to
/// close the connection. Every client of HTTP/2 sends it again (RFC 9113 section 8.7): the
/// request and the word that the connection closes may always pass each other.
const REFUSED: io::ErrorKind = io::ErrorKind::ConnectionAborted;

/// Whether the request is to be sent again.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    error.kind() == REFUSED
}
