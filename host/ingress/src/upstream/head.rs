//! Heads: of requests as they are written, of responses as they are read.

use super::decode::Decoder;
use super::exchange::Broken;
use crate::body::RequestBody;
use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use httparse::{ParserConfig, Status};
use hyper::body::Body as _;
use memchr::memchr;
use std::mem::MaybeUninit;

/// Bytes and fields of the head of a response, at most.
const HEAD_BYTES: usize = 128 * 1024;
const HEAD_FIELDS: usize = 128;

/// How the body of a request is delimited (RFC 9112 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes of it are left.
    Length(u64),
    Chunked,
}

/// Writes the head of a request.
pub(super) fn write_request(head: &mut BytesMut, request: &Request<RequestBody>) -> Framing {
    head.extend_from_slice(request.method().as_str().as_bytes());
    head.extend_from_slice(b" ");
    let target = request.uri().path_and_query();
    head.extend_from_slice(target.map_or("/", |target| target.as_str()).as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        // What frames the body is said below.
        if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
            write_field(head, name, value);
        }
    }
    let framing = match request.body().size_hint().exact() {
        Some(length) => {
            if length > 0 || announces_length(request) {
                let length = HeaderValue::from(length);
                write_field(head, &CONTENT_LENGTH, &length);
            }
            Framing::Length(length)
        }
        None => {
            let chunked = HeaderValue::from_static("chunked");
            write_field(head, &TRANSFER_ENCODING, &chunked);
            Framing::Chunked
        }
    };
    head.extend_from_slice(b"\r\n");
    framing
}

/// Whether a request without a body says so (RFC 9110 section 8.6).
fn announces_length(request: &Request<RequestBody>) -> bool {
    let method = request.method();
    let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    expects_body || request.headers().contains_key(CONTENT_LENGTH)
}

/// Writes one field line.
pub(super) fn write_field(out: &mut BytesMut, name: &HeaderName, value: &HeaderValue) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Where the head of a response ends in what has arrived.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// No end is before this.
    searched: usize,
}

/// The head of a response, and what it says about what follows.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: Response<()>,
    pub(super) body: Decoder,
    /// Whether the connection may be used again after it.
    pub(super) keeps: bool,
}

impl Scanner {
    /// Takes a whole head from the start of `arrived`; its fields are put into `fields`,
    /// which are empty and have room. `head_only`: the request was one of HEAD. Returns
    /// nothing while it is incomplete.
    pub(super) fn take(
        &mut self,
        arrived: &mut BytesMut,
        head_only: bool,
        fields: &mut HeaderMap,
    ) -> Result<Option<Head>, Broken> {
        let too_large = Err(Broken::Nonsense("the head of the response is too large"));
        while let Some(at) = memchr(b'\n', &arrived[self.searched..]) {
            let line = self.searched + at + 1;
            if line > HEAD_BYTES {
                return too_large;
            }
            let rest = &arrived[line..];
            let empty = match rest {
                [b'\n', ..] => Some(1),
                [b'\r', b'\n', ..] => Some(2),
                // What is to decide it has not arrived.
                [] | [b'\r'] => break,
                _ => None,
            };
            if let Some(empty) = empty {
                self.searched = 0;
                let head = arrived.split_to(line + empty).freeze();
                return read(&head, head_only, std::mem::take(fields)).map(Some);
            }
            self.searched = line;
        }
        if arrived.len() > HEAD_BYTES {
            return too_large;
        }
        Ok(None)
    }
}

/// Reads a whole head. `headers` are empty, and spare the room for new ones.
fn read(head: &Bytes, head_only: bool, mut headers: HeaderMap) -> Result<Head, Broken> {
    let nonsense = || Broken::Nonsense("the head of the response is none");
    let mut response = httparse::Response::new(&mut []);
    let mut fields = [const { MaybeUninit::uninit() }; HEAD_FIELDS];
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        head,
        &mut fields,
    );
    match parsed {
        Ok(Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Broken::Nonsense("the response has too many fields"));
        }
        _ => return Err(nonsense()),
    }
    let status = response
        .code
        .and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(nonsense)?;
    let old = response.version == Some(0);
    headers.reserve(response.headers.len());
    for field in response.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| nonsense())?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value));
        headers.append(name, value.map_err(|_| nonsense())?);
    }
    let mut keeps = keeps(&headers, old);
    let body = body(&headers, status, head_only, old, &mut keeps)?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = if old {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    };
    *response.headers_mut() = headers;
    Ok(Head {
        response,
        body,
        keeps,
    })
}

/// Whether the connection stays open (RFC 9112 section 9.3).
fn keeps(headers: &HeaderMap, old: bool) -> bool {
    let says = |option: &str| {
        let values = headers.get_all(CONNECTION).iter();
        let mut options = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        options.any(|said| said.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
    };
    if old {
        says("keep-alive")
    } else {
        !says("close")
    }
}

/// How long the body is (RFC 9112 section 6.3).
fn body(
    headers: &HeaderMap,
    status: StatusCode,
    head_only: bool,
    old: bool,
    keeps: &mut bool,
) -> Result<Decoder, Broken> {
    let none = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    if head_only || none || status.is_informational() {
        return Ok(Decoder::empty());
    }
    let lengths = headers.get_all(CONTENT_LENGTH).iter();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(last) = codings.next_back() {
        // Whoever says both, or says it in HTTP/1.0, may have meant something else.
        *keeps &= lengths.count() == 0 && !old;
        let last = last.as_bytes().rsplit(|byte| *byte == b',').next();
        let last = last.unwrap_or_default().trim_ascii();
        return Ok(if last.eq_ignore_ascii_case(b"chunked") {
            Decoder::chunked()
        } else {
            *keeps = false;
            Decoder::until_the_end()
        });
    }
    let mut length = None;
    for value in lengths {
        let digits = value.to_str().ok().filter(|text| !text.starts_with('+'));
        let read = digits.and_then(|text| text.parse().ok());
        if read.is_none() || length.is_some_and(|length| Some(length) != read) {
            return Err(Broken::Nonsense("the response has no clear length"));
        }
        length = read;
    }
    Ok(match length {
        Some(length) => Decoder::length(length),
        None => {
            *keeps = false;
            Decoder::until_the_end()
        }
    })
}
