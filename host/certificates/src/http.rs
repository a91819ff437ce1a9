//! HTTPS to a CA, within bounds, and what the ACME library does not pass on.
//!
//! instant-acme hands over problems without the `Retry-After` beside them, and an
//! order's `Location` only if all of the answer was good. Both are noted here as
//! answers pass by.

use crate::Error;
use crate::error::problem_type;
use bytes::Bytes;
use http::Request;
use http::header::{self, HeaderValue, LINK, LOCATION, RETRY_AFTER};
use http::response::Parts;
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Which software asks (RFC 8555 section 6.1).
const USER_AGENT: &str = concat!("doprax/", env!("CARGO_PKG_VERSION"), " instant-acme");

/// Bound on a request with its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Bound on an answer's body; chains have some 10 KB.
const MOST_BYTES: usize = 1 << 20;

/// Attempts with a fresh nonce each. The library makes three in one of these.
const NONCE_ATTEMPTS: u32 = 10;

tokio::task_local! {
    static SEEN: RefCell<Seen>;
}

/// What the last answer of a call was.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) location: Option<String>,
    /// The next page of a list (RFC 8288).
    pub(crate) next: Option<String>,
    pub(crate) body: Bytes,
}

/// Asks the CA, again if it only refused a nonce (RFC 8555 section 6.5): gives the
/// result and what was [`Seen`]. A macro, because the expression is evaluated for every
/// attempt and its future borrows; of a closure that lends, the compiler cannot tell
/// that the future is `Send`.
macro_rules! call {
    ($request:expr) => {{
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (result, seen) = $crate::http::watch($request).await;
            if !$crate::http::should_repeat(&result, attempts) {
                break (result, seen);
            }
        }
    }};
}

pub(crate) use call;

/// Notes what the last answer was while a request is made.
pub(crate) async fn watch<T>(
    request: impl Future<Output = Result<T, instant_acme::Error>>,
) -> (Result<T, instant_acme::Error>, Seen) {
    SEEN.scope(RefCell::default(), async {
        let result = request.await;
        (result, SEEN.with(|seen| seen.borrow().clone()))
    })
    .await
}

pub(crate) fn should_repeat<T>(result: &Result<T, instant_acme::Error>, attempts: u32) -> bool {
    let Err(instant_acme::Error::Api(problem)) = result else {
        return false;
    };
    problem_type(problem) == Some("badNonce") && attempts < NONCE_ATTEMPTS
}

/// A client that trusts one CA's server.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
}

impl Http {
    /// Trusts these roots in PEM, or those of the machine.
    pub(crate) fn new(directory: &str, roots: Option<&str>) -> Result<Self, Error> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Roots {
            directory: directory.to_owned(),
            source,
        };
        let builder =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| failed(error.into()))?;
        let builder = match roots {
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                    let certificate = certificate.map_err(|error| failed(error.into()))?;
                    roots
                        .add(certificate)
                        .map_err(|error| failed(error.into()))?;
                }
                builder.with_root_certificates(roots)
            }
            None => builder
                .with_native_roots()
                .map_err(|error| failed(error.into()))?,
        };
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(builder.with_no_client_auth())
            .https_only()
            .enable_http1()
            .build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
        })
    }
}

impl HttpClient for Http {
    fn request(
        &self,
        mut request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let agent = HeaderValue::from_static(USER_AGENT);
        request.headers_mut().insert(header::USER_AGENT, agent);
        let response = self.client.request(request);
        Box::pin(async move {
            let whole = async {
                let (parts, body) = response
                    .await
                    .map_err(|error| instant_acme::Error::Other(error.into()))?
                    .into_parts();
                let body = Limited::new(body, MOST_BYTES)
                    .collect()
                    .await
                    .map_err(instant_acme::Error::Other)?
                    .to_bytes();
                note(&parts, &body);
                Ok(BytesResponse {
                    parts,
                    body: Box::new(body),
                })
            };
            tokio::time::timeout(REQUEST_TIMEOUT, whole)
                .await
                .unwrap_or_else(|elapsed| Err(instant_acme::Error::Other(elapsed.into())))
        })
    }
}

fn note(head: &Parts, body: &Bytes) {
    let text = |name| head.headers.get(name)?.to_str().ok();
    let links = head.headers.get_all(LINK).iter();
    let seen = Seen {
        status: Some(head.status.as_u16()),
        retry_after: text(RETRY_AFTER).and_then(|text| retry_after(text, SystemTime::now())),
        location: text(LOCATION).map(str::to_owned),
        next: links.filter_map(|link| next(link.to_str().ok()?)).next(),
        body: body.clone(),
    };
    // Outside of a call nobody asks.
    let _ = SEEN.try_with(|cell| cell.replace(seen));
}

/// The target of a link whose relation is `next`.
fn next(link: &str) -> Option<String> {
    let (target, relation) = link.split_once(';')?;
    let is_next = relation.trim() == r#"rel="next""#;
    let target = target.trim().strip_prefix('<')?.strip_suffix('>')?;
    is_next.then(|| target.to_owned())
}

/// Seconds, or a date (RFC 9110 section 10.2.3).
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = OffsetDateTime::parse(text.trim(), &Rfc2822).ok()?;
    Some(
        SystemTime::from(date)
            .duration_since(now)
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_one_link_of_several() {
        assert_eq!(
            next(r#"<https://ca/orders/page/2>;rel="next""#).as_deref(),
            Some("https://ca/orders/page/2")
        );
        assert_eq!(next(r#"<https://ca/dir>;rel="index""#), None);
        assert_eq!(next("nonsense"), None);
    }

    #[test]
    fn retry_after_in_seconds_or_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(
                retry_after(text, now),
                seconds.map(Duration::from_secs),
                "{text}"
            );
        }
    }
}
