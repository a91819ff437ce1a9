//! How much of requests' bodies is in memory at one time.
//!
//! A body that is read as a whole, to its 64 MiB, is held until its request is answered. The
//! sum of them is bounded; the beginning of each does not count, so that requests which end
//! something, and have small bodies or none, are never among those that find no room.

use super::problem::Problem;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::{Buf as _, Bytes};
use http::StatusCode;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// Bytes of all bodies together, at most: four of the largest.
pub(super) const MAX_BODIES: usize = 256 << 20;
/// Bytes of each body that do not count. As many connections as there may be hold no more
/// than 64 MiB of them.
const UNCOUNTED: usize = 64 << 10;

/// There is no room for more of a body.
#[derive(Debug, thiserror::Error)]
#[error("too many large requests are being read at this time")]
struct NoRoom;

/// The room for bodies.
pub(super) struct Budget {
    free: AtomicUsize,
}

/// What one request has taken of it; given back when it is dropped.
struct Share {
    budget: Arc<Budget>,
    /// Bytes that have arrived.
    arrived: AtomicUsize,
    refused: AtomicBool,
}

impl Budget {
    /// Room for so many bytes.
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            free: AtomicUsize::new(bytes),
        })
    }

    fn take(&self, bytes: usize) -> bool {
        let less = |free: usize| free.checked_sub(bytes);
        let free = &self.free;
        free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}

impl Share {
    /// More has arrived. Returns whether there is room for it.
    fn add(&self, bytes: usize) -> bool {
        let before = self.arrived.load(Ordering::Relaxed);
        let more = counted(before + bytes) - counted(before);
        let taken = self.budget.take(more);
        if taken {
            self.arrived.store(before + bytes, Ordering::Relaxed);
        } else {
            self.refused.store(true, Ordering::Relaxed);
        }
        taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let taken = counted(*self.arrived.get_mut());
        self.budget.free.fetch_add(taken, Ordering::Relaxed);
    }
}

fn counted(bytes: usize) -> usize {
    bytes.saturating_sub(UNCOUNTED)
}

/// Has the bodies of requests take room, and refuses those for which there is none.
pub(super) async fn limit(
    State(budget): State<Arc<Budget>>,
    request: Request,
    next: Next,
) -> Response {
    let share = Arc::new(Share {
        budget,
        arrived: AtomicUsize::new(0),
        refused: AtomicBool::new(false),
    });
    let body_share = Arc::clone(&share);
    let request = request.map(|body| {
        Body::new(Counted {
            body,
            share: body_share,
        })
    });
    let response = next.run(request).await;
    if !share.refused.load(Ordering::Relaxed) {
        return response;
    }
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, NoRoom.to_string())
        .help("try again in a moment")
        .into_response()
}

/// A body that takes room.
struct Counted {
    body: Body,
    share: Arc<Share>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
            && !self.share.add(data.remaining())
        {
            return Poll::Ready(Some(Err(NoRoom.into())));
        }
        frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use tokio::sync::Semaphore;

    const ROOM: usize = 100_000;

    /// Reads bodies, and answers while it is told to.
    fn reading(answers: &Arc<Semaphore>, read: &Arc<Semaphore>) -> TowerToHyperService<Router> {
        let (answers, read) = (Arc::clone(answers), Arc::clone(read));
        let read = move |body: Bytes| {
            let (answers, read) = (Arc::clone(&answers), Arc::clone(&read));
            async move {
                read.add_permits(1);
                answers.acquire().await.unwrap().forget();
                body.len().to_string()
            }
        };
        let router = Router::new()
            .route("/", post(read))
            .layer(from_fn_with_state(Budget::new(ROOM), limit));
        TowerToHyperService::new(router)
    }

    fn request(bytes: usize) -> Request {
        let body = Body::from(vec![b'x'; bytes]);
        Request::post("/").body(body).unwrap()
    }

    #[tokio::test]
    async fn large_bodies_have_so_much_room_and_small_ones_always_pass() {
        let (answers, read) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let service = reading(&answers, &read);
        let held = tokio::spawn(service.call(request(UNCOUNTED + ROOM)));
        read.acquire().await.unwrap().forget();
        // It is read, and held while it is not answered.
        let refused = service.call(request(UNCOUNTED + 1)).await.unwrap();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        let small = tokio::spawn(service.call(request(UNCOUNTED)));
        read.acquire().await.unwrap().forget();
        answers.add_permits(2);
        assert_eq!(held.await.unwrap().unwrap().status(), StatusCode::OK);
        assert_eq!(small.await.unwrap().unwrap().status(), StatusCode::OK);
        // Everything is given back, by the refused as well.
        answers.add_permits(1);
        let again = service.call(request(UNCOUNTED + ROOM)).await.unwrap();
        assert_eq!(again.status(), StatusCode::OK);
    }
}
