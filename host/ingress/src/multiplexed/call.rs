//! A request on connections that others share, until its response begins.

use super::upload::Upload;
use crate::body::{BoxError, RequestBody};
use crate::interim::Interim;
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::{Request, Response, StatusCode, request};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the container gave up the request")]
    Stream(#[source] h2::Error),
    #[error("the body of the request broke off")]
    Body(#[source] BoxError),
}

/// A request, and what has come of it.
#[derive(Debug)]
pub(super) struct Call {
    head: request::Parts,
    upload: Upload,
    /// Whom to tell what comes before the answer.
    interim: Option<Arc<Interim>>,
    /// Whether something has come before the answer.
    heard: bool,
}

impl Call {
    /// A request that is to be sent.
    pub(super) fn new(request: Request<RequestBody>, interim: Option<Arc<Interim>>) -> Self {
        let (head, body) = request.into_parts();
        Self {
            head,
            upload: Upload::new(body),
            interim,
            heard: false,
        }
    }

    /// Sends it by this connection; a second time only after [`Self::rewind`].
    pub(super) fn begin(
        &mut self,
        mut sender: SendRequest<Bytes>,
    ) -> Result<ResponseFuture, Broken> {
        let request = Request::from_parts(self.head.clone(), ());
        let whole = self.upload.is_empty();
        let (response, stream) = sender
            .send_request(request, whole)
            .map_err(Broken::Stream)?;
        if !whole {
            self.upload.begin(stream, &self.head.headers);
        }
        Ok(response)
    }

    /// Waits for the head of the response.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        response: &mut ResponseFuture,
    ) -> Poll<Result<Response<RecvStream>, Broken>> {
        loop {
            if let Poll::Ready(Err(error)) = self.upload.poll(cx) {
                return Poll::Ready(Err(Broken::Body(error)));
            }
            let (mut told, mut wanted) = (false, false);
            while let Poll::Ready(Some(Ok(before))) = response.poll_informational(cx) {
                self.heard = true;
                match (before.status(), &self.interim) {
                    // The client hears of it as soon as its body is asked for.
                    (StatusCode::CONTINUE, _) => wanted |= self.upload.release(),
                    // There is none (RFC 9113 section 8.6).
                    (StatusCode::SWITCHING_PROTOCOLS, _) | (_, None) => {}
                    (_, Some(interim)) => {
                        interim.pass(before);
                        told = true;
                    }
                }
            }
            if wanted || self.upload.has_waited(cx) {
                continue;
            }
            if told {
                // It is written while this task waits.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let head = ready!(Pin::new(response).poll(cx));
            return Poll::Ready(head.map_err(Broken::Stream));
        }
    }

    /// What is left of the request once there is a response. A client may send all before
    /// it reads, and a container answer before it has read all.
    pub(super) fn into_rest(self) -> Option<Upload> {
        self.upload.into_rest()
    }

    /// Whether it may be sent once more after it `broke`, and all that was sent of it is
    /// remembered: nobody has looked at it.
    pub(super) fn rewind(&mut self, broke: &Broken) -> bool {
        let unseen = match broke {
            // Who says something has looked at it, whatever comes after that.
            Broken::Stream(error) => !self.heard && is_refusal(error),
            Broken::Body(_) => false,
        };
        unseen && self.upload.rewind()
    }
}

/// Whether the container has not looked at the request for which it gave this error.
fn is_refusal(error: &h2::Error) -> bool {
    // Those that it has looked at get no error from its going away.
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    error.is_remote() && (error.is_go_away() || refused)
}
