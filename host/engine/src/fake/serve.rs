//! What containers of the engine in memory listen on: each port that their image exposes,
//! at their address, where that is one of the loopback network. There every address can
//! be bound, and dialled as a container's is.

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, body};
use hyper_util::rt::TokioIo;
use ipnet::Ipv4Net;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, mpsc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{AbortHandle, JoinSet};

/// Pools of this prefix length are told apart in these networks of 127.0.0.0/8.
const POOL_PREFIX: u8 = 20;
const POOLS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(127, 64, 0, 0), 10);

/// Whoever listens here, at the first address of a pool, has the pool.
const POOL_PORT: u16 = 47_001;

/// Containers serve whatever becomes of the host and its runtime.
pub(super) static SERVERS: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    runtime.expect("a runtime for the containers in memory can be built")
});

/// Addresses that no other engine in memory on this machine gives its containers.
pub(super) struct Pool {
    pub(super) net: Ipv4Net,
    _held: TcpListener,
}

impl Pool {
    /// A pool that nobody has.
    pub(super) fn take() -> Self {
        let pools = POOLS.subnets(POOL_PREFIX).into_iter().flatten();
        let free = pools.into_iter().find_map(|net| {
            let held = TcpListener::bind((net.network(), POOL_PORT)).ok()?;
            Some(Self { net, _held: held })
        });
        free.expect("some of a thousand pools is free")
    }
}

/// What is answered to a request.
#[derive(Clone)]
pub(super) enum Answer {
    /// This text.
    Text(Bytes),
    /// What is answered there, as far as the container knows where.
    Upstream(Upstream),
}

/// The requests to a container.
#[derive(Clone, Default)]
pub(super) struct Requests(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    answered: usize,
    /// How many of those that come fail.
    failing: usize,
}

impl Requests {
    /// How many were answered, well or not.
    pub(super) fn answered(&self) -> usize {
        self.lock().answered
    }

    /// Has the next ones fail.
    pub(super) fn fail(&self, next: usize) {
        self.lock().failing = next;
    }

    /// Counts one. Returns whether it fails.
    fn count(&self) -> bool {
        let mut counts = self.lock();
        counts.answered += 1;
        let fails = counts.failing > 0;
        counts.failing -= usize::from(fails);
        fails
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a proxy believes to find what it stands in front of.
#[derive(Clone, Default)]
pub(super) struct Upstream(Arc<Mutex<Option<SocketAddr>>>);

impl Upstream {
    pub(super) fn set(&self, address: Option<SocketAddr>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    async fn ask(&self) -> io::Result<Bytes> {
        let address = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let address = address.ok_or(io::ErrorKind::HostUnreachable)?;
        let mut stream = TcpStream::connect(address).await?;
        let asked = b"GET / HTTP/1.1\r\nHost: upstream\r\nConnection: close\r\n\r\n";
        stream.write_all(asked).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let body = answer
            .split_once("\r\n\r\n")
            .map(|(_, body)| body.to_owned());
        let body = body.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(body.into())
    }
}

/// The open ports of a container that runs.
pub(super) struct Listening {
    ports: Vec<Port>,
    answer: Answer,
    requests: Requests,
}

struct Port {
    /// Open for as long as the container runs or is paused.
    socket: TcpListener,
    server: Option<Server>,
}

/// Accepts connections until it is dropped.
struct Server {
    task: AbortHandle,
    /// Disconnected once the task has closed its sockets.
    ended: mpsc::Receiver<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        // Nothing is ever sent.
        let _ = self.ended.recv();
    }
}

impl Listening {
    /// Opens these ports at an address. Every request is answered with `answer` unless it is
    /// to fail, and Redis' `PING` as Redis answers it.
    pub(super) fn open(
        address: Ipv4Addr,
        ports: &[u16],
        answer: Answer,
        requests: Requests,
    ) -> io::Result<Self> {
        let ports = if address.is_loopback() { ports } else { &[] };
        let sockets = ports.iter().map(|port| {
            let socket = TcpListener::bind((address, *port))?;
            socket.set_nonblocking(true)?;
            Ok(Port {
                socket,
                server: None,
            })
        });
        let mut listening = Self {
            ports: sockets.collect::<io::Result<_>>()?,
            answer,
            requests,
        };
        listening.go_on()?;
        Ok(listening)
    }

    /// Accepts connections and answers nothing, as a process that is suspended.
    pub(super) fn pause(&mut self) {
        for port in &mut self.ports {
            port.server = None;
        }
    }

    /// Answers again.
    pub(super) fn go_on(&mut self) -> io::Result<()> {
        for port in &mut self.ports {
            port.server = Some(Server::start(
                port.socket.try_clone()?,
                &self.answer,
                &self.requests,
            )?);
        }
        Ok(())
    }

    /// Cuts every connection, as the end of a process does.
    pub(super) fn begin_anew(&mut self) -> io::Result<()> {
        self.pause();
        self.go_on()
    }
}

impl Server {
    fn start(socket: TcpListener, answer: &Answer, requests: &Requests) -> io::Result<Self> {
        let (ends, ended) = mpsc::channel();
        let (answer, requests) = (answer.clone(), requests.clone());
        let runtime = SERVERS.enter();
        let socket = tokio::net::TcpListener::from_std(socket)?;
        drop(runtime);
        let task = SERVERS.spawn(async move {
            // Dropped in this order.
            let (mut connections, socket, _ends) = (JoinSet::new(), socket, ends);
            loop {
                if let Ok((stream, _)) = socket.accept().await {
                    connections.spawn(serve(stream, answer.clone(), requests.clone()));
                }
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            task: task.abort_handle(),
            ended,
        })
    }
}

async fn serve(mut stream: TcpStream, answer: Answer, requests: Requests) {
    let mut first = [0; 4];
    if stream.peek(&mut first).await.is_ok() && first == *b"PING" {
        // Whoever asked sees how it went.
        let _ = async {
            stream.read_exact(&mut [0; 6]).await?;
            stream.write_all(b"+PONG\r\n").await
        }
        .await;
        return;
    }
    let answer = service_fn(|_: Request<body::Incoming>| async {
        let mut response = Response::new(Full::default());
        if requests.count() {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return Ok::<_, Infallible>(response);
        }
        let found = match &answer {
            Answer::Text(text) => Ok(text.clone()),
            Answer::Upstream(upstream) => upstream.ask().await,
        };
        match found {
            Ok(text) => *response.body_mut() = Full::new(text),
            Err(_) => *response.status_mut() = StatusCode::BAD_GATEWAY,
        }
        Ok(response)
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
    // A client that goes away harms nobody.
    let _ = connection.await;
}
