//! Header fields that end here, and those that say on whose behalf a request comes.

use crate::refusal::Refusal;
use crate::token::is_token;
use http::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, COOKIE, DATE, EXPECT, EXPIRES, Entry, FORWARDED, HOST, HeaderName, LOCATION,
    MAX_FORWARDS, PRAGMA, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, RANGE, RETRY_AFTER, SET_COOKIE,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VARY, WWW_AUTHENTICATE,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Uri};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// CGI programs find it in their environment as `HTTP_PROXY`, and take it for the proxy that
/// they are to use.
const PROXY: HeaderName = HeaderName::from_static("proxy");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Removes the fields that concern only this connection (RFC 9110 section 7.6.1), and
/// `Proxy`, which no client has a use for, and
/// returns the protocol that the message offers or accepts to switch to.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let mut said = headers.get_all(CONNECTION).iter();
    // Most say no more than this.
    if said.all(|value| value == "keep-alive" || value == "close") {
        headers.remove(CONNECTION);
    }
    if !headers.keys().any(is_hop_by_hop) {
        return None;
    }
    let mut switches = false;
    if let Entry::Occupied(connection) = headers.entry(CONNECTION) {
        let (_, values) = connection.remove_entry_mult();
        let values: Vec<HeaderValue> = values.collect();
        for option in values.iter().flat_map(options) {
            switches |= option.eq_ignore_ascii_case("upgrade");
            // Neither belongs to a connection, whatever the sender says.
            let kept = |name: &HeaderName| *name == HOST || *name == CONTENT_LENGTH;
            match HeaderName::from_bytes(option.as_bytes()) {
                Ok(UPGRADE | TE) => {}
                Ok(name) if !kept(&name) => drop(headers.remove(name)),
                _ => {}
            }
        }
    }
    headers.remove(KEEP_ALIVE);
    headers.remove(PROXY);
    headers.remove(PROXY_CONNECTION);
    if headers.remove(TRANSFER_ENCODING).is_some() {
        headers.remove(CONTENT_LENGTH);
    }
    if let Some(te) = headers.remove(TE)
        && options(&te).any(|coding| coding.eq_ignore_ascii_case("trailers"))
    {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    headers.remove(UPGRADE).filter(|_| switches)
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Makes the message offer or accept to switch to `protocol`.
pub(crate) fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

fn options(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value
        .to_str()
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

/// On whose behalf the requests of a connection come.
#[derive(Debug)]
pub(crate) struct Origin {
    address: IpAddr,
    address_value: HeaderValue,
    trusted: bool,
    protocol: &'static str,
    /// The last request's host with the `Forwarded` field for it. Most connections
    /// ask for one host only.
    last: Mutex<Option<(HeaderValue, HeaderValue)>>,
}

impl Origin {
    /// Of a client at `address`, which is believed if `trusted`, on a connection that
    /// is encrypted if `secure`.
    pub(crate) fn new(address: IpAddr, trusted: bool, secure: bool) -> Self {
        let address = address.to_canonical();
        let address_value = HeaderValue::from_str(&address.to_string())
            .expect("an IP address consists of visible characters");
        Self {
            address,
            address_value,
            trusted,
            protocol: if secure { "https" } else { "http" },
            last: Mutex::default(),
        }
    }

    /// The address of the client: the last one that a proxy which is believed names, if
    /// it is one that does.
    pub(crate) fn client(&self, headers: &HeaderMap) -> IpAddr {
        let named = || {
            let last = headers.get_all(X_FORWARDED_FOR).iter().next_back()?;
            options(last).last()?.parse().ok()
        };
        let named = self.trusted.then(named).flatten();
        named.unwrap_or(self.address)
    }

    /// Whether a proxy that is believed got the request by HTTPS.
    pub(crate) fn got_by_https(&self, headers: &HeaderMap) -> bool {
        let protocol = headers.get(X_FORWARDED_PROTO);
        self.trusted && protocol.is_some_and(|protocol| protocol == "https")
    }

    /// Writes `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` (RFC 7239). With
    /// `claims`, the client may have said something of this itself. What a
    /// stranger says there, or in fields that servers take for these, is dropped; what
    /// a trusted proxy says is added to.
    pub(crate) fn write(&self, headers: &mut HeaderMap, host: &HeaderValue, claims: bool) {
        let mut forwarded = self.forwarded(host);
        let mut chain = self.address_value.clone();
        if claims {
            if self.trusted {
                chain = appended(headers, &X_FORWARDED_FOR, chain);
                forwarded = appended(headers, &FORWARDED, forwarded);
            } else {
                remove_claims(headers);
            }
        }
        headers.insert(X_FORWARDED_FOR, chain);
        headers.insert(FORWARDED, forwarded);
        if !self.trusted || !headers.contains_key(X_FORWARDED_PROTO) {
            headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(self.protocol));
        }
        if !self.trusted || !headers.contains_key(X_FORWARDED_HOST) {
            headers.insert(X_FORWARDED_HOST, host.clone());
        }
    }

    fn forwarded(&self, host: &HeaderValue) -> HeaderValue {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, forwarded)) = &*last
            && known == host
        {
            return forwarded.clone();
        }
        let node = match self.address {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("\"[{v6}]\""),
        };
        let name = host.to_str().unwrap_or_default();
        let protocol = self.protocol;
        let text = format!("for={node};host=\"{name}\";proto={protocol}");
        let forwarded = HeaderValue::from_str(&text)
            .expect("hosts and addresses consist of visible characters");
        *last = Some((host.clone(), forwarded.clone()));
        forwarded
    }
}

/// The values of a field joined with one more, as one list.
fn appended(headers: &HeaderMap, name: &HeaderName, more: HeaderValue) -> HeaderValue {
    let values = headers.get_all(name).iter().chain([&more]);
    let joined = values
        .map(HeaderValue::as_bytes)
        .collect::<Vec<_>>()
        .join(&b", "[..]);
    HeaderValue::from_bytes(&joined).unwrap_or(more)
}

/// Whether there are fields that say on whose behalf a request comes, or names that
/// some servers take for such fields.
pub(crate) fn has_claims(headers: &HeaderMap) -> bool {
    let mut names = headers.keys().map(HeaderName::as_str);
    names.any(|name| is_claim(name) || name.contains('_'))
}

/// Bytes that fields take, as HTTP/1 writes them.
pub(crate) fn bytes(headers: &HeaderMap) -> usize {
    let field = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    headers.iter().map(field).sum()
}

/// Gives a whole URL the path that it leaves out before its query (RFC 9112 section 3.2.2).
pub(crate) fn complete_path(uri: &mut Uri) {
    let Some(query) = uri.path_and_query().map(PathAndQuery::as_str) else {
        return;
    };
    if uri.authority().is_some() && query.starts_with('?') {
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = PathAndQuery::from_maybe_shared(format!("/{query}")).ok();
        if let Ok(complete) = Uri::from_parts(parts) {
            *uri = complete;
        }
    }
}

/// What is malformed about fields that came by HTTP/2 (RFC 9113 section 8.2.1).
pub(crate) fn malformed(headers: &HeaderMap) -> Option<Refusal> {
    headers.iter().find_map(|(name, value)| {
        let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        let value = value.as_bytes();
        if !is_token(name.as_str().as_bytes()) {
            Some(Refusal::FieldName)
        } else if blank(value.first()) || blank(value.last()) {
            Some(Refusal::FieldValue)
        } else {
            None
        }
    })
}

/// Drops what may not come after a body.
pub(crate) fn retain_trailers(trailers: &mut HeaderMap) {
    let barred = |name: &&HeaderName| !may_trail(name);
    let barred: Vec<HeaderName> = trailers.keys().filter(barred).cloned().collect();
    for name in barred {
        trailers.remove(name);
    }
}

/// Whether a field may come after a body (RFC 9110 section 6.5.1): what frames or routes
/// a message, or says who sends it, may not. Some servers make one list of both.
pub(crate) fn may_trail(name: &HeaderName) -> bool {
    const NEVER: [HeaderName; 30] = [
        AGE,
        AUTHORIZATION,
        CACHE_CONTROL,
        CONNECTION,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_TYPE,
        COOKIE,
        DATE,
        EXPECT,
        EXPIRES,
        HOST,
        KEEP_ALIVE,
        LOCATION,
        MAX_FORWARDS,
        PRAGMA,
        PROXY,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        PROXY_CONNECTION,
        RANGE,
        RETRY_AFTER,
        SET_COOKIE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
        VARY,
        WWW_AUTHENTICATE,
    ];
    !NEVER.contains(name) && !is_claim(&name.as_str().replace('_', "-"))
}

fn is_claim(name: &str) -> bool {
    name == "forwarded" || name == "x-real-ip" || name.starts_with("x-forwarded-")
}

/// Whether the message is one of gRPC (gRPC over HTTP/2, "Requests"); `grpc-web` is
/// made for servers that speak HTTP/1.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = kind.and_then(|kind| kind.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Whether a client waits to be told that its body is wanted (RFC 9110 section 10.1.1).
pub(crate) fn expects_continue(headers: &HeaderMap) -> bool {
    let expectation = headers.get(EXPECT).map(HeaderValue::as_bytes);
    expectation.is_some_and(|expectation| expectation.eq_ignore_ascii_case(b"100-continue"))
}

/// Makes one field of the parts that HTTP/2 may cut it into (RFC 9113 section 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    if crumbs.nth(1).is_none() {
        return;
    }
    let crumbs = headers.get_all(COOKIE).iter();
    let crumbs: Vec<&[u8]> = crumbs.map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

fn remove_claims(headers: &mut HeaderMap) {
    let claimed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_claim(&name.as_str().replace('_', "-")))
        .cloned()
        .collect();
    for name in claimed {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests;
