//! Heads: of requests as they are written, of responses as they are read.

use super::decode::Decoder;
use super::error::Broken;
use crate::body::RequestBody;
use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use httparse::{ParserConfig, Status};
use hyper::body::Body as _;
use hyper::ext::ReasonPhrase;
use memchr::memchr;
use std::borrow::Cow;
use std::mem::MaybeUninit;

/// Bytes and fields of the head of a response, at most, and the fields that most make do
/// with.
const HEAD_BYTES: usize = 128 * 1024;
const HEAD_FIELDS: usize = 1024;
const USUAL_FIELDS: usize = 128;

/// Bytes that are shown of a line that was not understood.
const SHOWN_BYTES: usize = 60;

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
        let too_large = Err(Broken::nonsense("the head of the response is too large"));
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
    let nonsense = || Broken::Nonsense(fault(head));
    let mut usual = [const { MaybeUninit::uninit() }; USUAL_FIELDS];
    let mut many = Vec::new();
    let mut response = httparse::Response::new(&mut []);
    let config = lenient();
    let mut parsed = config.parse_response_with_uninit_headers(&mut response, head, &mut usual);
    if parsed == Err(httparse::Error::TooManyHeaders) {
        many.resize(HEAD_FIELDS, MaybeUninit::uninit());
        parsed = config.parse_response_with_uninit_headers(&mut response, head, &mut many);
    }
    match parsed {
        Ok(Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Broken::nonsense("the response has too many fields"));
        }
        _ => return Err(nonsense()),
    }
    let status = response
        .code
        .and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(nonsense)?;
    let old = response.version == Some(0);
    let reason = response.reason;
    headers.reserve(response.headers.len());
    for field in response.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| nonsense())?;
        let value = if memchr(b'\n', field.value).is_some() {
            HeaderValue::from_bytes(&unfolded(field.value))
        } else {
            HeaderValue::from_maybe_shared(head.slice_ref(field.value))
        };
        headers.append(name, value.map_err(|_| nonsense())?);
    }
    let mut keeps = keeps(&headers, old);
    let body = body(&mut headers, status, head_only, old, &mut keeps)?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = if old {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    };
    *response.headers_mut() = headers;
    if let Some(reason) = reason.filter(|reason| Some(*reason) != status.canonical_reason())
        && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
    {
        response.extensions_mut().insert(reason);
    }
    Ok(Head {
        response,
        body,
        keeps,
    })
}

/// What old servers write and everybody reads: blanks before a colon, which a proxy has to
/// remove (RFC 9112 section 5.1), and fields that go on in a second line.
fn lenient() -> ParserConfig {
    let mut config = ParserConfig::default();
    config
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true);
    config
}

/// A value of several lines in one (RFC 9112 section 5.2).
fn unfolded(value: &[u8]) -> Vec<u8> {
    let blank = |byte: &u8| {
        if matches!(byte, b'\r' | b'\n') {
            b' '
        } else {
            *byte
        }
    };
    value.iter().map(blank).collect()
}

/// What is wrong with a head that was not understood, for whoever reads the log.
fn fault(head: &[u8]) -> Cow<'static, str> {
    let lines = head.split(|byte| *byte == b'\n');
    let mut lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().unwrap_or_default();
    if httparse::Response::new(&mut [])
        .parse(&[first, b"\r\n\r\n"].concat())
        .is_err()
    {
        return format!("the response begins with {}", shown(first)).into();
    }
    for line in lines.filter(|line| !line.starts_with(b" ") && !line.starts_with(b"\t")) {
        let field = [line, b"\r\n\r\n"].concat();
        let mut fields = [httparse::EMPTY_HEADER];
        let line = shown(line);
        match httparse::parse_headers(&field, &mut fields) {
            Ok(_) => {}
            Err(httparse::Error::HeaderName) => {
                return format!("the response has a field with a malformed name: {line}").into();
            }
            Err(_) => {
                return format!("a field of the response has a malformed value: {line}").into();
            }
        }
    }
    "the head of the response is malformed".into()
}

/// The beginning of a line, quoted.
fn shown(line: &[u8]) -> String {
    let (line, more) = match line.get(..SHOWN_BYTES) {
        Some(beginning) if beginning.len() < line.len() => (beginning, "…"),
        _ => (line, ""),
    };
    format!("\"{}{more}\"", line.escape_ascii())
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

/// Whether the body comes in chunks. Another coding would have to be undone: the client was
/// not asked whether it can (RFC 9112 section 7.4), and does not get to read of it.
fn is_chunked(headers: &HeaderMap) -> Result<bool, Broken> {
    let lists = headers.get_all(TRANSFER_ENCODING).iter();
    let codings = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
    // No coding, by an old name (RFC 2616 section 3.6).
    let none = |coding: &[u8]| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity");
    let mut codings = codings
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !none(coding));
    match (codings.next(), codings.next()) {
        (None, _) => Ok(false),
        (Some(only), None) if only.eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err(Broken::nonsense(
            "the response has a Transfer-Encoding other than chunked",
        )),
    }
}

/// How long the body is (RFC 9112 section 6.3). A length that is said several times is said
/// once from then on.
fn body(
    headers: &mut HeaderMap,
    status: StatusCode,
    head_only: bool,
    old: bool,
    keeps: &mut bool,
) -> Result<Decoder, Broken> {
    let chunked = is_chunked(headers)?;
    let length = if chunked { None } else { length(headers)? };
    if status == StatusCode::NO_CONTENT && (chunked || length.is_some_and(|length| length > 0)) {
        // It may send what it announces.
        *keeps = false;
    }
    let none = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    if head_only || none || status.is_informational() {
        return Ok(Decoder::empty());
    }
    if chunked {
        // Whoever says both, or says it in HTTP/1.0, may have meant something else.
        *keeps &= !headers.contains_key(CONTENT_LENGTH) && !old;
        return Ok(Decoder::chunked());
    }
    Ok(match length {
        Some(length) => Decoder::length(length),
        None => {
            *keeps = false;
            Decoder::until_the_end()
        }
    })
}

/// The length that a response says it has.
fn length(headers: &mut HeaderMap) -> Result<Option<u64>, Broken> {
    let values = headers.get_all(CONTENT_LENGTH).iter();
    let mut lengths = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let Some(first) = lengths.next() else {
        return Ok(None);
    };
    let unclear = || Broken::nonsense("the response has no clear Content-Length");
    let length = decimal(first).ok_or_else(unclear)?;
    let mut several = false;
    for other in lengths {
        several = true;
        if decimal(other) != Some(length) {
            return Err(unclear());
        }
    }
    if several {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(Some(length))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let digits = digits.trim_ascii();
    let all = digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| all)?;
    text.parse().ok()
}
