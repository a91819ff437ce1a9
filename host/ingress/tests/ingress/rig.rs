//! An ingress with one app in front of a real hyper server, and clients.

use crate::served::Served;
use bytes::Bytes;
use doprax_core::name::AppName;
use doprax_core::route::{Route, Routes, Target};
use doprax_ingress::{Config, DrainLimits, Ingress, Limits, Start};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Longer than anything here may take; a wait that gets so far has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub type AnyBody = UnsyncBoxBody<Bytes, Infallible>;

pub fn app() -> AppName {
    AppName::new("shop").unwrap()
}

pub fn routes(target: Target) -> Routes {
    [("shop.localhost".to_owned(), Route::new(app(), target))].into()
}

/// Waits for a condition that some other task brings about.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, wait).await.is_ok(),
        "in vain: {what}"
    );
}

pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("in vain: {what}"))
}

/// Limits on time, each twice the one before.
pub fn growing(first: Duration) -> impl Iterator<Item = Duration> {
    (0..7).map(move |doubled| first * (1 << doubled))
}

/// Something that a test does again and again, well within a limit, if the machine lets it:
/// where it does not, nothing can be said of the limit, and a longer one is to be tried.
pub struct Pace {
    limit: Duration,
    last: Instant,
    kept: bool,
}

impl Pace {
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            last: Instant::now(),
            kept: true,
        }
    }

    /// Waits for a quarter of the limit.
    pub async fn step(&mut self) {
        tokio::time::sleep_until(self.last + self.limit / 4).await;
        self.note();
    }

    /// Whether no step, the last one included, came later than half of the limit.
    pub fn was_kept(&mut self) -> bool {
        self.note();
        self.kept
    }

    fn note(&mut self) {
        let now = Instant::now();
        self.kept &= now - self.last < self.limit / 2;
        self.last = now;
    }
}

/// An ingress.
pub struct Rig {
    pub ingress: Ingress,
    pub address: SocketAddr,
    pub https: SocketAddr,
    pub certificates: Arc<Served>,
}

impl Rig {
    pub fn new(target: Target) -> Self {
        Self::with(target, |_| {})
    }

    pub fn with(target: Target, limit: impl FnOnce(&mut Limits)) -> Self {
        Self::of(target, |config| limit(&mut config.limits))
    }

    pub fn of(target: Target, configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(vec!["127.0.0.1:0".parse().unwrap()]);
        config.https = config.http.clone();
        config.threads = NonZeroUsize::new(2).unwrap();
        configure(&mut config);
        let certificates = Arc::<Served>::default();
        let start = Start {
            routes: routes(target),
            certificates: Arc::clone(&certificates) as _,
            ..Start::default()
        };
        let ingress = Ingress::start_with(config, start).unwrap();
        let address = ingress.addresses()[0];
        let https = ingress.https_addresses()[0];
        Self {
            ingress,
            address,
            https,
            certificates,
        }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What has not ended after so long a drain.
    pub async fn drain(&self, limit: Duration) -> usize {
        let limits = DrainLimits {
            requests: limit,
            upgraded: limit,
        };
        let left = self.ingress.drain(&app(), limits).await;
        left.requests + left.upgraded
    }

    /// Everything that comes back for these bytes until the connection is closed.
    pub async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        read_all(stream).await
    }

    /// The response to one request with `Connection: close`.
    pub async fn get(&self, host: &str, path: &str, more: &str) -> String {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n");
        self.exchange(request.as_bytes()).await
    }

    /// A client that keeps its connection.
    pub async fn client<B>(&self) -> hyper::client::conn::http1::SendRequest<B>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = TokioIo::new(self.connect().await);
        let (sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        sender
    }
}

/// Why connections came to nothing, one by one.
pub fn refused(rig: &Rig) -> Vec<&'static str> {
    let counted = rig.ingress.metrics().refused_connections;
    let each = doprax_ingress::REFUSALS.into_iter().zip(counted);
    each.flat_map(|(reason, count)| vec![reason; count as usize])
        .collect()
}

/// A place in which nobody listens, and nobody else comes to listen for as long as what
/// is returned is kept. A port that was given up is soon another test's.
pub fn nobody() -> (TcpSocket, Target) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let target = Target::Address(socket.local_addr().unwrap());
    (socket, target)
}

pub async fn read_all(mut stream: impl AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    let end = soon("the end of the connection", stream.read_to_end(&mut bytes)).await;
    end.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&bytes)));
    String::from_utf8_lossy(&bytes).into_owned()
}

pub fn request<B>(method: &str, path: &str, body: B) -> Request<B> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "shop.localhost")
        .body(body)
        .unwrap()
}

pub fn empty() -> Full<Bytes> {
    Full::default()
}

pub fn text(text: impl Into<Bytes>) -> AnyBody {
    any(Full::new(text.into()))
}

pub fn any(body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static) -> AnyBody {
    BodyExt::boxed_unsync(body)
}

/// A body that is whatever the sender of a channel sends.
pub struct Fed(pub tokio::sync::mpsc::Receiver<Frame<Bytes>>);

impl Body for Fed {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

/// A server in a container's place. Ends with its last handle.
pub struct Origin {
    pub address: SocketAddr,
    /// Connections it has accepted.
    pub accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Origin {
    pub fn target(&self) -> Target {
        Target::Address(self.address)
    }

    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// A hyper server.
    pub async fn new<F, R>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
        R: Future<Output = Response<AnyBody>> + Send + 'static,
    {
        Self::raw(move |stream| {
            let answer = answer.clone();
            async move {
                let service = service_fn(move |request| {
                    let answer = answer(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades()
                    .await;
            }
        })
        .await
    }

    /// A server that does with each connection what it is told.
    pub async fn raw<F, R>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                connections.spawn(serve(stream));
            }
        });
        Self {
            address,
            accepted,
            task,
        }
    }

    /// A server that says what it was asked.
    pub async fn echo() -> Self {
        Self::new(echo).await
    }
}

async fn echo(request: Request<Incoming>) -> Response<AnyBody> {
    let mut lines = vec![format!("{} {}", request.method(), request.uri())];
    for (name, value) in request.headers() {
        lines.push(format!(
            "{name}: {}",
            String::from_utf8_lossy(value.as_bytes())
        ));
    }
    match request.into_body().collect().await {
        Ok(body) => lines.push(format!("body: {}", body.to_bytes().len())),
        Err(error) => lines.push(format!("broken body: {error}")),
    }
    Response::new(text(lines.join("\n")))
}

/// Reads the head of a request or response and whatever came with it.
pub async fn read_head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = async {
        while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                break;
            }
        }
    };
    soon("a head", read).await;
    String::from_utf8_lossy(&bytes).into_owned()
}
