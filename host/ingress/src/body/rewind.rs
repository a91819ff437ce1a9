//! The body of a request that can be sent again from its beginning, as long as little of
//! it has been sent.

use super::{BoxError, RequestBody};
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// Bytes that are remembered, at most. A container that has not looked at a request gives
/// no room for more than it does at the beginning, which is 64 KiB where it does not say
/// otherwise (RFC 9113 section 6.9.2).
const REMEMBERED_BYTES: usize = 128 * 1024;

/// A body, for each time that it is sent.
#[derive(Debug)]
pub(crate) struct Tape(Arc<Mutex<Recording>>);

struct Recording {
    body: RequestBody,
    /// What was sent, from the beginning.
    sent: Vec<Piece>,
    /// Bytes that were sent.
    bytes: usize,
    /// Whether that is all that was sent.
    complete: bool,
    /// The time that it is sent at this moment.
    turn: usize,
}

#[derive(Clone)]
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// A body that is sent for the first time, or once more.
#[derive(Debug)]
pub(crate) struct Rewound {
    recording: Arc<Mutex<Recording>>,
    turn: usize,
    /// Pieces that have been sent this time.
    at: usize,
}

/// It is being sent once more.
#[derive(Debug, thiserror::Error)]
#[error("the body is sent elsewhere")]
struct Superseded;

impl Tape {
    /// A body, and how it is sent the first time.
    pub(crate) fn new(body: RequestBody) -> (Self, Rewound) {
        let recording = Arc::new(Mutex::new(Recording {
            body,
            sent: Vec::new(),
            bytes: 0,
            complete: true,
            turn: 0,
        }));
        let first = Rewound {
            recording: Arc::clone(&recording),
            turn: 0,
            at: 0,
        };
        (Self(recording), first)
    }

    /// The body once more, if all that was sent of it is remembered.
    pub(crate) fn rewind(&self) -> Option<Rewound> {
        let mut recording = lock(&self.0);
        if !recording.complete {
            return None;
        }
        recording.turn += 1;
        Some(Rewound {
            recording: Arc::clone(&self.0),
            turn: recording.turn,
            at: 0,
        })
    }

    /// It need not be sent again.
    pub(crate) fn forget(self) {
        let mut recording = lock(&self.0);
        recording.complete = false;
        // Later, some of it may still have to be sent.
        if recording.turn == 0 {
            recording.sent = Vec::new();
        }
    }
}

impl Recording {
    fn remember(&mut self, frame: &Frame<Bytes>) {
        if !self.complete {
            return;
        }
        self.bytes += frame.data_ref().map_or(0, Bytes::len);
        if self.bytes > REMEMBERED_BYTES {
            self.complete = false;
            self.sent = Vec::new();
        } else if let Some(data) = frame.data_ref() {
            self.sent.push(Piece::Data(data.clone()));
        } else if let Some(trailers) = frame.trailers_ref() {
            self.sent.push(Piece::Trailers(trailers.clone()));
        }
    }

    /// What was sent before and is still to come.
    fn rest(&self, at: usize) -> &[Piece] {
        self.sent.get(at..).unwrap_or_default()
    }
}

impl Body for Rewound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let mut recording = lock(&this.recording);
        if recording.turn != this.turn {
            return Poll::Ready(Some(Err(Superseded.into())));
        }
        if let Some(piece) = recording.rest(this.at).first().cloned() {
            this.at += 1;
            return Poll::Ready(Some(Ok(piece.into())));
        }
        let frame = Pin::new(&mut recording.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            recording.remember(frame);
            this.at += 1;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        let recording = lock(&self.recording);
        recording.rest(self.at).is_empty() && recording.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let recording = lock(&self.recording);
        let pieces = recording.rest(self.at).iter();
        let before: u64 = pieces.map(Piece::bytes).sum();
        let after = recording.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(before + after.lower());
        if let Some(upper) = after.upper() {
            hint.set_upper(before + upper);
        }
        hint
    }
}

impl Piece {
    fn bytes(&self) -> u64 {
        match self {
            Self::Data(data) => data.len() as u64,
            Self::Trailers(_) => 0,
        }
    }
}

impl From<Piece> for Frame<Bytes> {
    fn from(piece: Piece) -> Self {
        match piece {
            Piece::Data(data) => Self::data(data),
            Piece::Trailers(trailers) => Self::trailers(trailers),
        }
    }
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut about = f.debug_struct("Recording");
        about.field("bytes", &self.bytes).field("turn", &self.turn);
        about.finish_non_exhaustive()
    }
}

fn lock(recording: &Mutex<Recording>) -> MutexGuard<'_, Recording> {
    // A body that panicked is not polled again.
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}
