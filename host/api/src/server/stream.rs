//! Streams of JSON values, one a line (NDJSON), and how many of them there may be.

use super::problem::Problem;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use serde::Serialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A response that sends each value when it comes.
pub(super) fn ndjson<T: Serialize>(values: impl Stream<Item = T> + Send + 'static) -> Response {
    let lines = values.map(|value| {
        let mut line = serde_json::to_vec(&value)
            .expect("wire types have only string keys, so they serialize");
        line.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(line))
    });
    let headers = [
        (CONTENT_TYPE, "application/x-ndjson"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, Body::from_stream(lines)).into_response()
}

/// The right to one stream, for as long as any copy of it lives.
#[derive(Clone)]
pub(super) struct StreamPermit(
    #[expect(dead_code, reason = "it counts by living")] Arc<OwnedSemaphorePermit>,
);

/// Refuses a stream beyond the most that there may be, so that connections are left for
/// those who want to end something.
pub(super) async fn limit(
    State(streams): State<Arc<Semaphore>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Ok(permit) = streams.try_acquire_owned() else {
        let problem = Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many logs, operations, events and shells are being followed at this time",
        );
        return Err(problem.help("end some of them, or try again in a moment"));
    };
    let permit = StreamPermit(Arc::new(permit));
    request.extensions_mut().insert(permit.clone());
    let response = next.run(request).await;
    Ok(response.map(|body| {
        Body::new(Held {
            body,
            _permit: permit,
        })
    }))
}

/// A body that holds a permit.
struct Held {
    body: Body,
    _permit: StreamPermit,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
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
    use axum::routing::get;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    #[tokio::test]
    async fn one_stream_too_many_is_refused_until_another_ends() {
        let endless = || async { ndjson(futures_util::stream::pending::<u8>()) };
        let router = Router::new()
            .route("/", get(endless))
            .route_layer(from_fn_with_state(Arc::new(Semaphore::new(1)), limit));
        let service = TowerToHyperService::new(router);
        let ask = async || {
            service
                .call(Request::new(Body::empty()))
                .await
                .map(|answer| (answer.status(), answer))
        };
        let (status, first) = ask().await.unwrap_or_else(|never| match never {});
        assert_eq!(status, StatusCode::OK);
        let (status, _) = ask().await.unwrap_or_else(|never| match never {});
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        drop(first);
        let (status, _) = ask().await.unwrap_or_else(|never| match never {});
        assert_eq!(status, StatusCode::OK);
    }
}
