//! One request and its response on a connection to a container.
//!
//! Until there is a response, whoever waits for it moves the request on as well. A
//! container that stops listening in the middle of an upload is heard out: the answer may
//! be there.

use super::decode::Decoder;
use super::error::{Broken, Failure};
use super::head::{Head, Scanner};
use super::patience::{Patience, WANTED, answered};
use super::pool::{Link, Owner};
use super::shared::Upstream;
use super::stream::{Receiving, Stream};
use super::upload::Upload;
use crate::backend::Generation;
use crate::body::{BoxError, RequestBody};
use crate::gate::Deadline;
use crate::interim::Interim;
use bytes::{Bytes, BytesMut};
use http::header::CONNECTION;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::{Frame, SizeHint};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio_util::io::poll_read_buf;

/// Room for the head of a response and a small body.
const HEAD_READ: usize = 8 * 1024;
/// With less room than that, more is made before something is read.
const LEAST_READ: usize = 4 * 1024;

/// Where a connection is kept once the exchange is over.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) upstream: Arc<Upstream>,
    /// For whom the request is.
    pub(super) owner: Owner,
    pub(super) address: SocketAddr,
    pub(super) generation: Generation,
}

/// One request and its response.
#[derive(Debug)]
pub(crate) struct Exchange {
    home: Home,
    socket: Socket,
    /// Until there is a response.
    upload: Option<Upload>,
    patience: Patience,
    head_only: bool,
    /// Empty: the room of the request's fields, for those of the response.
    fields: HeaderMap,
    scanner: Scanner,
    arrived: BytesMut,
    body: Decoder,
    keeps: bool,
    /// See [`Link::owned`].
    owned: bool,
    /// For how long a container is waited for to say that it wants the body.
    wanted: Deadline,
    /// Whom to tell what comes before the answer.
    interim: Option<Arc<Interim>>,
}

/// What the response arrives by.
#[derive(Debug)]
enum Socket {
    /// Nothing: it has not begun, or is over.
    None,
    Whole(Stream),
    /// A task of its own sends the rest of the request by the other half.
    Half(Receiving),
}

impl Exchange {
    /// A request that is to be sent.
    pub(super) fn new(
        home: Home,
        request: Request<RequestBody>,
        interim: Option<Arc<Interim>>,
    ) -> Self {
        let closes = request.headers().get(CONNECTION);
        let limit = home.upstream.response_timeout;
        let keeps = closes.is_none_or(|option| option != "close");
        let head_only = request.method() == Method::HEAD;
        let owned = head_only || !matches!(request.body(), RequestBody::Empty);
        let (upload, mut fields) = Upload::new(request, &home.upstream.pool.writing);
        fields.clear();
        Self {
            home,
            patience: Patience::new(limit, upload.body.progress()),
            socket: Socket::None,
            keeps,
            owned,
            wanted: Deadline::default(),
            interim,
            head_only,
            fields,
            upload: Some(upload),
            scanner: Scanner::default(),
            arrived: BytesMut::new(),
            body: Decoder::empty(),
        }
    }

    /// Sends it by this connection; a second time only after [`Broken::may_repeat`].
    pub(super) fn begin(&mut self, link: Link) {
        self.socket = Socket::Whole(link.stream);
        self.owned |= link.owned;
        self.patience.deadline = link.deadline;
        if let Some(upload) = &mut self.upload {
            upload.rewind();
        }
    }

    /// Waits for the head of the response, as long as the container may take.
    pub(super) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Result<Response<()>, Broken>, Failure>> {
        let head = self.poll_head(cx);
        self.patience.wait(cx, head)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Broken>> {
        loop {
            if let (Socket::Whole(stream), Some(upload)) = (&mut self.socket, &mut self.upload)
                && let Poll::Ready(Err(error)) = upload.poll(cx, stream)
            {
                return Poll::Ready(Err(Broken::Body(error)));
            }
            if let Some(head) = self.next_head()? {
                let switches = head.response.status() == StatusCode::SWITCHING_PROTOCOLS;
                if head.response.status().is_informational() && !switches {
                    if self.tell(head.response) {
                        // It is written while this task waits.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    continue;
                }
                self.body = head.body;
                self.keeps &= head.keeps;
                self.end_upload();
                if self.body.is_done() && !switches {
                    self.go_home();
                }
                return Poll::Ready(Ok(head.response));
            }
            if let Some(upload) = &mut self.upload
                && upload.is_waiting()
                && self.wanted.passed(cx, WANTED)
            {
                // Old servers say nothing.
                upload.held = false;
                continue;
            }
            let unsent = self.upload.as_ref().is_some_and(|upload| upload.unsent);
            match ready!(self.poll_read(cx, HEAD_READ)) {
                Ok(0) if self.arrived.is_empty() => {
                    return Poll::Ready(Err(Broken::Closed { unsent }));
                }
                Ok(0) => return Poll::Ready(Err(Broken::Ended)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(Broken::Failed { unsent, error })),
            }
        }
    }

    /// Takes what the container says before its answer. Returns whether the client is told.
    fn tell(&mut self, response: Response<()>) -> bool {
        if response.status() == StatusCode::CONTINUE {
            // The client hears of it as soon as its body is asked for.
            if let Some(upload) = &mut self.upload {
                upload.held = false;
            }
            return false;
        }
        let Some(interim) = &self.interim else {
            return false;
        };
        interim.pass(response);
        true
    }

    fn next_head(&mut self) -> Result<Option<Head>, Broken> {
        self.scanner
            .take(&mut self.arrived, self.head_only, &mut self.fields)
    }

    /// Waits for the next part of the response's body.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(self.poll_part(cx));
        if self.body.is_done() {
            self.go_home();
        }
        Poll::Ready(frame.map_err(BoxError::from).transpose())
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Broken>> {
        loop {
            let part = self.body.take(&mut self.arrived)?;
            if part.is_some() || self.body.is_done() {
                return Poll::Ready(Ok(part));
            }
            match ready!(self.poll_read(cx, self.body.wants())) {
                Ok(0) => self.body.end()?,
                Ok(_) => {}
                Err(error) => {
                    let unsent = false;
                    return Poll::Ready(Err(Broken::Failed { unsent, error }));
                }
            }
        }
    }

    /// Whether there is no more of the body.
    pub(crate) fn is_done(&self) -> bool {
        self.body.is_done()
    }

    /// How much of the body is left.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    /// The connection of a request that was answered by switching protocols, and what
    /// has arrived of the other one; none if the request was not sent to its end.
    pub(crate) fn into_tunnel(mut self) -> Option<(Stream, Bytes)> {
        match self.socket {
            Socket::Whole(stream) => Some((stream, self.arrived.split().freeze())),
            Socket::None | Socket::Half(_) => None,
        }
    }

    /// There is a response: what is left of the request goes on beside it. A client may
    /// send all before it reads, and a container answer before it has read all.
    fn end_upload(&mut self) {
        let Some(mut upload) = self.upload.take() else {
            return;
        };
        self.keeps &= !upload.deaf;
        if upload.is_over() {
            return;
        }
        self.keeps = false;
        // It does not want the body.
        if upload.is_waiting() {
            return;
        }
        if let Socket::Whole(stream) = std::mem::replace(&mut self.socket, Socket::None) {
            let (receiving, mut sending) = stream.split();
            self.socket = Socket::Half(receiving);
            let progress = upload.body.progress();
            let limit = self.home.upstream.response_timeout;
            tokio::spawn(async move {
                let sent = poll_fn(|cx| upload.poll(cx, &mut sending));
                let sent = answered(limit, progress, sent).await;
                // Else the container sees the request broken off.
                match sent {
                    Ok(Ok(())) => sending.forget(),
                    _ => sending.end().await,
                }
            });
        }
    }

    /// Keeps the connection for the next request if it can be.
    fn go_home(&mut self) {
        let clean = self.arrived.is_empty();
        // What was read last is kept by whoever got it.
        self.arrived = BytesMut::new();
        let socket = std::mem::replace(&mut self.socket, Socket::None);
        if let Socket::Whole(mut stream) = socket
            && clean
            && self.keeps
            && !stream.is_unread()
        {
            let home = &self.home;
            let mut deadline = std::mem::take(&mut self.patience.deadline);
            deadline.clear();
            let link = Link {
                stream,
                deadline,
                owned: self.owned,
            };
            let pool = &home.upstream.pool;
            pool.put(home.owner, home.address, home.generation, link);
        }
    }

    /// Reads what there is. No room is made before something has arrived, and what is
    /// small shares its room with what arrives after it from others.
    fn poll_read(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        if let Socket::Whole(stream) = &mut self.socket {
            ready!(stream.poll_read_ready(cx))?;
            if self.arrived.is_empty() && room <= HEAD_READ {
                let mut room = self
                    .home
                    .upstream
                    .pool
                    .reading
                    .with(LEAST_READ, 4 * LEAST_READ);
                let read = ready!(poll_read_buf(Pin::new(stream), cx, &mut *room))?;
                self.arrived = room.split();
                return Poll::Ready(Ok(read));
            }
        }
        if self.arrived.capacity() - self.arrived.len() < room.min(LEAST_READ) {
            self.arrived.reserve(room);
        }
        match &mut self.socket {
            Socket::Whole(stream) => poll_read_buf(Pin::new(stream), cx, &mut self.arrived),
            Socket::Half(half) => poll_read_buf(Pin::new(half), cx, &mut self.arrived),
            Socket::None => Poll::Ready(Ok(0)),
        }
    }
}
