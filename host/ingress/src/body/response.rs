//! The body of a response on its way to a client.

use super::BoxError;
use crate::account::Account;
use crate::backend::Flight;
use crate::gate::Deadline;
use crate::http2;
use crate::upstream::Lease;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

pin_project! {
    /// The body of a response on its way to the client.
    pub(crate) struct ResponseBody {
        #[pin]
        content: Content,
        // Closed when the body is dropped, which is when the request has ended.
        account: Option<Account>,
    }
}

pin_project! {
    #[project = ContentProjection]
    enum Content {
        /// What the ingress says itself, or nothing.
        Page { page: Bytes },
        /// A container's, as it arrives.
        Streamed {
            #[pin]
            incoming: Incoming,
            // Given back to the pool as soon as the body has been read.
            lease: Option<Lease>,
            // Held until the body is dropped.
            flight: Flight,
            quiet: Deadline,
            limit: Duration,
        },
    }
}

impl ResponseBody {
    /// No body.
    pub(crate) fn empty() -> Self {
        Self::page(Bytes::new())
    }

    /// What the ingress says itself.
    pub(crate) fn page(page: Bytes) -> Self {
        Self {
            content: Content::Page { page },
            account: None,
        }
    }

    /// The body of a container's response. Cut off if nothing comes for `limit`.
    pub(crate) fn streamed(
        incoming: Incoming,
        lease: Lease,
        flight: Flight,
        limit: Duration,
    ) -> Self {
        let mut lease = Some(lease);
        if incoming.is_end_stream() {
            give_back(&mut lease);
        }
        let content = Content::Streamed {
            incoming,
            lease,
            flight,
            quiet: Deadline::default(),
            limit,
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

fn give_back(lease: &mut Option<Lease>) {
    if let Some(lease) = lease.take() {
        lease.give_back();
    }
}

impl Content {
    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project() {
            ContentProjection::Page { page } => {
                http2::note_given();
                let page = std::mem::take(page);
                Poll::Ready((!page.is_empty()).then(|| Ok(Frame::data(page))))
            }
            ContentProjection::Streamed {
                mut incoming,
                lease,
                quiet,
                limit,
                ..
            } => {
                let Poll::Ready(frame) = incoming.as_mut().poll_frame(cx) else {
                    http2::note_waiting();
                    return if quiet.passed(cx, *limit) {
                        Poll::Ready(Some(Err("the container stopped sending".into())))
                    } else {
                        Poll::Pending
                    };
                };
                quiet.clear();
                match frame {
                    Some(Ok(frame)) => {
                        // hyper does not ask again once the announced length is there.
                        if incoming.is_end_stream() {
                            give_back(lease);
                        }
                        http2::note_given();
                        Poll::Ready(Some(Ok(frame)))
                    }
                    Some(Err(error)) => {
                        *lease = None;
                        Poll::Ready(Some(Err(error.into())))
                    }
                    None => {
                        give_back(lease);
                        Poll::Ready(None)
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
        let body = self.project();
        let frame = body.content.poll(cx);
        if let (Poll::Ready(Some(frame)), Some(account)) = (&frame, body.account) {
            match frame {
                Ok(frame) => account.sent(frame.data_ref().map_or(0, Bytes::len)),
                Err(error) => account.broke(&**error),
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Page { page } => page.is_empty(),
            Content::Streamed { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Page { page } => SizeHint::with_exact(page.len() as u64),
            Content::Streamed { incoming, .. } => incoming.size_hint(),
        }
    }
}
