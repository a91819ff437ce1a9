//! By which connection a request is sent.

use super::*;
use crate::backend::{Backend, Generation};
use crate::container_tls::ContainerTls;
use crate::limits::Limits;
use crate::metrics::Counters;
use doprax_core::name::AppName;
use doprax_core::route::Target;
use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// What a container saw of a request.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// The number of the connection that it came by, from 1.
    connection: usize,
    /// Whether the request said that it is the last.
    last: bool,
}

/// Answers each request with what it saw of it.
async fn container() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for connection in 1.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while stream
                    .read_buf(&mut head)
                    .await
                    .is_ok_and(|bytes| bytes > 0)
                {
                    if head.ends_with(b"\r\n\r\n") {
                        let text = String::from_utf8_lossy(&head).into_owned();
                        let last = text.contains("connection: close\r\n");
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nseen: {connection} {last}\r\n\r\n"
                        );
                        stream.write_all(answer.as_bytes()).await.unwrap();
                        head.clear();
                    }
                }
            });
        }
    });
    address
}

/// A client's connection, and the app that it asks.
pub(super) struct Asking {
    own: Own,
    app: Arc<Backend>,
}

impl Asking {
    /// Of this container, whose kept connections are safe from `settled` on.
    pub(super) fn of(container: SocketAddr, settled: Instant) -> Self {
        let tls = ContainerTls::new().unwrap();
        let upstream = Arc::new(Upstream::new(&Limits::default(), tls));
        let target = Target::Address(container);
        let generation = Generation { number: 1, settled };
        let app = AppName::new("shop").unwrap();
        Self {
            own: Own::new(&upstream),
            app: Backend::new(app, target, generation, Arc::new(Counters::new(1))),
        }
    }

    /// Sends a request at this moment, by a thread that may be leaving.
    pub(super) async fn send(
        &self,
        request: Request<RequestBody>,
        now: Instant,
        leaving: bool,
    ) -> Response<ContainerBody> {
        let flight = self.app.enter().unwrap();
        let address = self.app.target.address().unwrap();
        let answer = send(&self.own, &flight, address, request, None, now, leaving);
        answer.await.unwrap()
    }

    async fn ask(&self, method: Method, now: Instant, leaving: bool) -> Seen {
        let request = Request::builder().method(method).uri("/");
        let request = request.body(RequestBody::Empty).unwrap();
        let answer = self.send(request, now, leaving).await;
        let seen = answer.headers()["seen"].to_str().unwrap();
        let (connection, last) = seen.split_once(' ').unwrap();
        Seen {
            connection: connection.parse().unwrap(),
            last: last.parse().unwrap(),
        }
    }
}

/// Servers close what rests for longer, and nobody knows then whether they have read it.
#[tokio::test]
async fn what_must_not_be_sent_twice_goes_by_no_connection_that_has_rested() {
    let begin = Instant::now();
    let asking = Asking::of(container().await, begin);
    let kept = |connection| Seen {
        connection,
        last: false,
    };
    assert_eq!(asking.ask(Method::GET, begin, false).await, kept(1));
    let rested = Instant::now();
    let long = rested + RECENT + Duration::from_millis(1);
    // Whatever can be sent once more may find a connection closed.
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        assert_eq!(asking.ask(method, long, false).await, kept(1));
    }
    let long = Instant::now() + RECENT + Duration::from_millis(1);
    assert_eq!(asking.ask(Method::POST, long, false).await, kept(2));
    // That one has not rested yet.
    let soon = Instant::now() + RECENT / 2;
    assert_eq!(asking.ask(Method::PATCH, soon, false).await, kept(2));
}

/// The kernel keeps as much again for itself (socket(7)).
#[tokio::test]
async fn a_container_may_send_so_much_before_it_is_read() {
    let stream = connect(container().await).await.unwrap();
    let room = socket2::SockRef::from(&stream).recv_buffer_size().unwrap();
    assert_eq!(room, 2 * 131_072);
    assert!(stream.nodelay().unwrap());
}

/// Else than by what can be sent once more.
#[tokio::test]
async fn no_connection_is_trusted_that_a_container_may_be_about_to_close() {
    let settled = Instant::now() + Duration::from_secs(3600);
    let before = settled - Duration::from_nanos(1);
    for (now, leaving, trusted) in [
        (before, false, false),
        (settled, true, false),
        (settled, false, true),
    ] {
        let asking = Asking::of(container().await, settled);
        let asked = async |method| asking.ask(method, now, leaving).await;
        let first = Seen {
            connection: 1,
            last: !trusted,
        };
        assert_eq!(asked(Method::POST).await, first);
    }
}
