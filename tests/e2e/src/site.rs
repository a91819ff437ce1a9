//! An app as its visitors see it: requests to the ingress under the app's host name.

use crate::open::{Endless, WebSocket};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

/// Longest time of one request.
const LIMIT: Duration = Duration::from_secs(30);

/// A host name at an address.
#[derive(Debug, Clone)]
pub struct Site {
    address: SocketAddr,
    host: String,
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header field, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Panics unless the status is this one.
    #[track_caller]
    pub fn with_status(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }
}

impl Site {
    /// The name `host` at `address`.
    pub fn new(address: SocketAddr, host: &str) -> Self {
        Self {
            address,
            host: host.to_owned(),
        }
    }

    /// Another name at the same address.
    pub fn named(&self, host: &str) -> Self {
        Self::new(self.address, host)
    }

    /// The `Host` field that a browser sends.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.address.port())
    }

    /// A request to be sent with [`Self::send`].
    pub fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.authority())
    }

    /// Sends a request on a connection of its own.
    pub fn send(&self, request: Request<Full<Bytes>>) -> io::Result<Response> {
        block_on(async {
            let mut connection = Connection::open(self.address).await?;
            connection.send(request).await
        })
    }

    /// GETs a path; panics where no answer comes.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.try_get(path)
            .unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// GETs a path.
    pub fn try_get(&self, path: &str) -> io::Result<Response> {
        self.send(self.request("GET", path).body(Full::default()).unwrap())
    }

    /// Waits until a path answers 200, and returns the answer.
    #[track_caller]
    pub fn wait_until_ok(&self, path: &str, seconds: u64) -> Response {
        crate::wait_for(
            &format!("200 from {path} of {}", self.host),
            seconds,
            || {
                self.try_get(path)
                    .ok()
                    .filter(|response| response.status == StatusCode::OK)
            },
        )
    }

    /// POSTs a body.
    #[track_caller]
    pub fn post(&self, path: &str, kind: &str, body: impl Into<Bytes>) -> Response {
        let request = self
            .request("POST", path)
            .header(header::CONTENT_TYPE, kind);
        let request = request.body(Full::new(body.into())).unwrap();
        self.send(request)
            .unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// POSTs a form, with fields that need no escapes.
    #[track_caller]
    pub fn post_form(&self, path: &str, form: &str) -> Response {
        self.post(path, "application/x-www-form-urlencoded", form.to_owned())
    }

    /// GETs a path, and returns the pieces of its body with the time from the request's
    /// beginning to each.
    #[track_caller]
    pub fn stream(&self, path: &str) -> Vec<(Duration, Bytes)> {
        let request = self.request("GET", path).body(Full::default()).unwrap();
        let pieces: io::Result<_> = block_on(async {
            let mut connection = Connection::open(self.address).await?;
            let begin = Instant::now();
            let response = connection
                .sender
                .send_request(request)
                .await
                .map_err(io::Error::other)?;
            let mut body = response.into_body();
            let mut pieces = Vec::new();
            while let Some(frame) = body.frame().await {
                if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
                    pieces.push((begin.elapsed(), data));
                }
            }
            Ok(pieces)
        });
        pieces.unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// Opens a WebSocket, sends each message, and returns what came back for each.
    #[track_caller]
    pub fn echo(&self, path: &str, messages: &[Message]) -> Vec<Message> {
        let url = format!("ws://{}{path}", self.authority());
        let echoed: Result<_, tokio_tungstenite::tungstenite::Error> = block_on(async {
            let stream = TcpStream::connect(self.address).await?;
            let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await?;
            let mut echoed = Vec::new();
            for message in messages {
                socket.send(message.clone()).await?;
                match socket.next().await {
                    Some(message) => echoed.push(message?),
                    None => break,
                }
            }
            socket.close(None).await?;
            Ok(echoed)
        });
        echoed.unwrap_or_else(|error| panic!("WebSocket {path}: {error}"))
    }

    /// Opens a WebSocket that stays open.
    #[track_caller]
    pub fn open_websocket(&self, path: &str) -> WebSocket {
        WebSocket::open(self, path)
    }

    /// GETs a path whose answer does not end.
    #[track_caller]
    pub fn open_endless(&self, path: &str) -> Endless {
        Endless::open(self, path)
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Runs to the end on a runtime of its own.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// A connection to the ingress.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        // How it ended is seen by who sends.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender })
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> io::Result<Response> {
        let exchange = async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Response {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        match tokio::time::timeout(LIMIT, exchange).await {
            Ok(response) => response.map_err(io::Error::other),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}
