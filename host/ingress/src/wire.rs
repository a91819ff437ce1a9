//! How the requests of a connection come in, as far as answering them depends on it.

use crate::fields;
use crate::gate::Facts;
use crate::refusal::Refusal;
use http::header::{CONTENT_LENGTH, HOST};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use std::sync::Arc;

/// How the requests of a connection come in.
#[derive(Debug)]
pub(crate) enum Wire {
    /// One after the other, past a gate that knows some facts about each.
    Http1(Arc<Facts>),
    /// In frames, whose meaning leaves no room for doubt.
    Http2,
}

/// Marks a request by HTTP/2 whose scheme is empty. Its target has it only beside an
/// authority.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoScheme;

impl Wire {
    /// Why the request that is being served is refused; a later part of its body may
    /// be the reason.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Http1(facts) => facts.refusal(),
            Self::Http2 => None,
        }
    }

    /// The facts of a request that asks for another protocol. HTTP/2 has no such
    /// requests (RFC 9113 section 8.6).
    pub(crate) fn upgrade(&self) -> Option<&Facts> {
        match self {
            Self::Http1(facts) if facts.upgrade() => Some(facts),
            Self::Http1(_) | Self::Http2 => None,
        }
    }

    /// Whether the request may say on whose behalf it was sent.
    pub(crate) fn claims(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Http1(facts) => facts.forwarded(),
            Self::Http2 => fields::has_claims(headers),
        }
    }

    /// The host of a request that is meant for a server like this one, as its `Host`
    /// field would say it.
    pub(crate) fn host<B>(&self, request: &Request<B>) -> Result<HeaderValue, Refusal> {
        if request.method() == Method::CONNECT {
            return Err(Refusal::Connect);
        }
        let host = match self {
            Self::Http1(_) => http1_host(request.uri(), request.headers())?,
            Self::Http2 => http2_host(request)?,
        };
        let target = request.uri().path_and_query();
        let target = target.map_or("/", PathAndQuery::as_str);
        if target.starts_with('/') || (target == "*" && request.method() == Method::OPTIONS) {
            Ok(host)
        } else {
            Err(Refusal::Target)
        }
    }
}

/// The gate has seen to it that there is one `Host` field. A target that is a whole URL
/// has to name the same host (RFC 9112 section 3.2.2).
fn http1_host(uri: &Uri, headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
    let host = headers.get(HOST).ok_or(Refusal::NoHost)?;
    if let Some(authority) = uri.authority() {
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(Refusal::Target);
        }
        check_same(authority, host)?;
    }
    Ok(host.clone())
}

/// The authority stands for the `Host` field, which may be there as well if it says
/// the same (RFC 9113 section 8.3.1). What is passed on as HTTP/1 must not have
/// two lengths.
fn http2_host<B>(request: &Request<B>) -> Result<HeaderValue, Refusal> {
    let (uri, headers) = (request.uri(), request.headers());
    if let Some(refusal) = fields::malformed(headers) {
        return Err(refusal);
    }
    if request.extensions().get::<NoScheme>().is_some() {
        return Err(Refusal::Scheme);
    }
    if headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(Refusal::ContentLength);
    }
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::SeveralHosts);
    }
    match (uri.authority(), host) {
        (None, None) => Err(Refusal::NoHost),
        (None, Some(host)) => Ok(host.clone()),
        (Some(authority), host) => {
            if let Some(host) = host {
                check_same(authority, host)?;
            }
            HeaderValue::from_str(authority.as_str()).map_err(|_| Refusal::InvalidHost)
        }
    }
}

fn check_same(authority: &Authority, host: &HeaderValue) -> Result<(), Refusal> {
    let authority = authority.as_str().as_bytes();
    if authority.eq_ignore_ascii_case(host.as_bytes()) {
        Ok(())
    } else {
        Err(Refusal::HostMismatch)
    }
}
