//! The body of a response on its way to a client.

use super::{BoxError, ContainerBody};
use crate::account::Account;
use crate::backend::Flight;
use crate::gate::Deadline;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// The body of a response on its way to the client.
pub(crate) struct ResponseBody {
    content: Content,
    /// Closed when the body is dropped, which is when the request has ended.
    account: Option<Account>,
}

enum Content {
    /// What the ingress says itself, or nothing.
    Page(Bytes),
    /// A container's, as it arrives.
    Streamed {
        body: ContainerBody,
        /// Held until the body is dropped.
        #[expect(dead_code, reason = "it is there to be counted")]
        flight: Flight,
        quiet: Deadline,
        limit: Duration,
        broken: Option<BoxError>,
    },
}

impl ResponseBody {
    /// No body.
    pub(crate) fn empty() -> Self {
        Self::page(Bytes::new())
    }

    /// What the ingress says itself.
    pub(crate) fn page(page: Bytes) -> Self {
        Self {
            content: Content::Page(page),
            account: None,
        }
    }

    /// The body of a container's response. Cut off if nothing comes for `limit`.
    pub(crate) fn streamed(body: ContainerBody, flight: Flight, limit: Duration) -> Self {
        let content = Content::Streamed {
            body,
            flight,
            quiet: Deadline::default(),
            limit,
            broken: None,
        };
        Self {
            content,
            account: None,
        }
    }

    /// Keeps the account open until the body has been sent.
    pub(crate) fn accounted(self, account: Account) -> Self {
        Self {
            account: Some(account),
            ..self
        }
    }
}

impl Content {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Page(page) => {
                let page = std::mem::take(page);
                Poll::Ready((!page.is_empty()).then(|| Ok(Frame::data(page))))
            }
            Self::Streamed {
                body,
                quiet,
                limit,
                broken,
                ..
            } => {
                if let Some(error) = broken.take() {
                    return Poll::Ready(Some(Err(error)));
                }
                match body.poll_frame(cx) {
                    Poll::Ready(Some(Err(error))) => {
                        // What came before it is sent first.
                        *broken = Some(error);
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                    Poll::Ready(frame) => {
                        quiet.clear();
                        Poll::Ready(frame)
                    }
                    Poll::Pending => {
                        if quiet.passed(cx, *limit) {
                            Poll::Ready(Some(Err("the container stopped sending".into())))
                        } else {
                            Poll::Pending
                        }
                    }
                }
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let body = self.get_mut();
        let frame = body.content.poll(cx);
        if let (Poll::Ready(Some(frame)), Some(account)) = (&frame, &mut body.account) {
            match frame {
                Ok(frame) => account.sent(frame.data_ref().map_or(0, Bytes::len)),
                Err(error) => account.broke(&**error),
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Page(page) => page.is_empty(),
            Content::Streamed { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Page(page) => SizeHint::with_exact(page.len() as u64),
            Content::Streamed { body, .. } => body.size_hint(),
        }
    }
}
