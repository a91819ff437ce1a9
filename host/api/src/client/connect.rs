//! One connection, one request.

use super::{Address, Body, ClientError};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A byte stream to a host.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection to the host at `address`.
pub(super) async fn open(address: &Address) -> Result<Box<dyn Stream>, ClientError> {
    let connecting = async {
        Ok::<Box<dyn Stream>, io::Error>(match address {
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Address::Tcp(authority) => {
                let stream = TcpStream::connect(authority).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        })
    };
    tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|source| ClientError::Unreachable {
            address: address.clone(),
            source,
        })
}

/// What the request's `Host` is.
pub(super) fn authority(address: &Address) -> &str {
    match address {
        Address::Unix(_) => "localhost",
        Address::Tcp(authority) => authority,
    }
}

/// Sends one request and returns the head of its answer.
pub(super) async fn request(
    address: &Address,
    token: Option<&str>,
    method: Method,
    path: &str,
    body: Body,
) -> Result<Response<Incoming>, ClientError> {
    let broken = |error: Box<dyn std::error::Error + Send + Sync>| ClientError::Broken {
        address: address.clone(),
        source: error,
    };
    let stream = open(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(Box::new(error)))?;
    // Ends with the answer's body; how it ends is seen there.
    tokio::spawn(async move { drop(connection.await) });
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::HOST, authority(address))
        .header(http::header::CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request
        .body(body)
        .map_err(|error| broken(Box::new(error)))?;
    sender
        .send_request(request)
        .await
        .map_err(|error| broken(Box::new(error)))
}
