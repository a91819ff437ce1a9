//! One request: whom it is for, how it is rewritten, who answers.

use crate::access::{self, AccessRecord};
use crate::account::Account;
use crate::backend::Flight;
use crate::body::{self, ContainerBody, Incoming, RequestBody, ResponseBody};
use crate::fields::{self, Origin};
use crate::gate::Facts;
use crate::host::Host;
use crate::interim::Interim;
use crate::limiter::Admission;
use crate::local::Local;
use crate::multiplexed;
use crate::page::{Format, Page};
use crate::redirect::Base;
use crate::refusal::Refusal;
use crate::table::{Answer, Found, Options};
use crate::tls::Shown;
use crate::tunnel::{self, Quiet};
use crate::upstream;
use crate::wire::Wire;
use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, STRICT_TRANSPORT_SECURITY,
};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::upgrade::OnUpgrade;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Where a CA looks for the answer to its challenge (RFC 8555 section 8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// Where a request goes.
enum Leg {
    /// Nowhere: the ingress has answered it.
    Answered(Box<Response<ResponseBody>>),
    Container {
        /// What it names as its host.
        host: HeaderValue,
        flight: Flight,
        address: SocketAddr,
    },
}

/// A request, and whom to tell what comes before its answer.
struct Asked {
    request: Request<Incoming>,
    interim: Option<Arc<Interim>>,
}

/// A client's connection, as its requests need to know it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) local: Arc<Local>,
    pub(crate) wire: Wire,
    pub(crate) origin: Origin,
    /// Connections to containers that are for it alone.
    pub(crate) own: upstream::Own,
    /// What it was shown if the connection is encrypted.
    pub(crate) shown: Option<Shown>,
    pub(crate) admission: Arc<Admission>,
}

impl Client {
    /// Answers a request; never fails, for there is a page for every failure.
    /// `interim` is told what comes before the answer, if the client can be told.
    pub(crate) async fn answer(
        &self,
        mut request: Request<Incoming>,
        interim: Option<Arc<Interim>>,
    ) -> Response<ResponseBody> {
        let format = Format::of(request.headers());
        let mut account = self.account(&request);
        let mut hsts = None;
        // Of what is declined below nothing more is read.
        let mut unread = !request.body().is_end_stream();
        let answer = match self.route(&mut request, &mut account, &mut hsts) {
            Ok(Leg::Container {
                host,
                flight,
                address,
            }) => {
                let asked = Asked {
                    request,
                    interim: interim.clone(),
                };
                self.forward(asked, &host, flight, address, &account, &mut unread)
                    .await
            }
            Ok(Leg::Answered(response)) => {
                self.decline(request);
                Ok(*response)
            }
            Err(page) => {
                self.decline(request);
                Err(page)
            }
        };
        let mut response = answer.unwrap_or_else(|page| page.response(format, &mut account));
        if let Some(interim) = interim {
            interim.end();
        }
        account.answered(response.status().as_u16());
        if let Some(hsts) = hsts {
            let fields = response.headers_mut();
            fields.insert(STRICT_TRANSPORT_SECURITY, hsts);
        }
        if let Wire::Http2 = self.wire {
            // Frames say what this field says (RFC 9113 section 8.2.2).
            response.headers_mut().remove(CONNECTION);
        } else if (unread || self.local.stopping.is_patient())
            && response.status() != StatusCode::SWITCHING_PROTOCOLS
        {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response.map(|body| body.accounted(account))
    }

    /// Nobody wants what comes of this request.
    fn decline(&self, request: Request<Incoming>) {
        if let Wire::Http2 = self.wire {
            body::decline(request.into_body());
        }
    }

    fn account(&self, request: &Request<Incoming>) -> Account {
        let recorded = self.local.shared.records.wants(request.headers());
        let record = recorded.then(|| {
            // What is refused before it was read has nothing to say.
            let read = self.wire.refusal().is_none();
            let said = |text: &str| if read { text.to_owned() } else { String::new() };
            Box::new(AccessRecord {
                method: said(access::cut_method(request.method().as_str())),
                path: said(access::cut_path(request.uri().path())),
                ..self.record(request.version(), request.headers())
            })
        });
        Account::new(&self.local.ledger, record)
    }

    /// A record of a request of which no more is known.
    fn record(&self, version: Version, headers: &HeaderMap) -> AccessRecord {
        AccessRecord {
            time: SystemTime::now(),
            app: None,
            host: String::new(),
            method: String::new(),
            path: String::new(),
            protocol: match version {
                Version::HTTP_2 => "HTTP/2.0",
                Version::HTTP_10 => "HTTP/1.0",
                _ => "HTTP/1.1",
            },
            secure: self.shown.is_some(),
            status: None,
            bytes: 0,
            duration: Duration::ZERO,
            client: self.origin.client(headers),
            request_id: None,
            error: None,
        }
    }

    /// Counts and records a request by HTTP/2 that was refused before anybody here could
    /// read it, as one that was answered with `status`.
    pub(crate) fn refused_below(&self, status: StatusCode, why: &str) {
        let none = HeaderMap::new();
        tracing::debug!(client = %self.origin.client(&none), why, "a request was refused");
        let recorded = self.local.shared.records.wants(&none);
        let record = recorded.then(|| {
            Box::new(AccessRecord {
                error: Some(why.to_owned()),
                ..self.record(Version::HTTP_2, &none)
            })
        });
        Account::new(&self.local.ledger, record).answered(status.as_u16());
    }

    fn route(
        &self,
        request: &mut Request<Incoming>,
        account: &mut Account,
        hsts: &mut Option<HeaderValue>,
    ) -> Result<Leg, Page> {
        if let Some(refusal) = self.wire.refusal() {
            return Err(Page::refused(refusal));
        }
        if let Wire::Http1(_) = self.wire {
            fields::complete_path(request.uri_mut());
        }
        let host = self.wire.host(request).map_err(Page::refused)?;
        if let Wire::Http2 = self.wire {
            fields::join_cookies(request.headers_mut());
            let limits = &self.local.shared.config.limits;
            let target = request.uri().path_and_query();
            let target = target.map_or(0, |target| target.as_str().len());
            let bytes = fields::bytes(request.headers()) + target;
            if request.headers().len() > limits.head_fields || bytes > limits.head_bytes {
                return Err(Page::refused(Refusal::HeadTooLarge));
            }
        }
        if let Some(answer) = self.challenge(request.uri().path()) {
            return Ok(Leg::Answered(Box::new(answer)));
        }
        let name = Host::parse(host.as_bytes());
        let name = name.ok_or_else(|| Page::refused(Refusal::InvalidHost))?;
        account.is_at(name.name());
        if self
            .shown
            .as_ref()
            .is_some_and(|shown| !shown.covers(&name))
        {
            return Err(Page::refused(Refusal::Misdirected));
        }
        let found = self.local.shared.table.find(&name);
        let Found { answer, options } = found.ok_or_else(|| Page::unknown(name.name()))?;
        let backend = match &answer {
            Answer::Container(flight) => flight.backend(),
            Answer::Idle(backend) => backend,
        };
        account.is_for(&backend.app, &backend.counters);
        if self.shown.is_some() {
            *hsts = options.as_ref().and_then(|options| options.hsts.clone());
        }
        if let Some(elsewhere) = self.elsewhere(request, &host, &name, options.as_deref())
            && let Some(redirect) = elsewhere.response(request.uri())
        {
            return Ok(Leg::Answered(Box::new(redirect)));
        }
        let flight = match answer {
            Answer::Container(flight) => flight,
            Answer::Idle(backend) => return Err(Page::idle(&backend.app, &backend.target)),
        };
        let Some(address) = flight.backend().target.address() else {
            return Err(Page::idle(&flight.backend().app, &flight.backend().target));
        };
        Ok(Leg::Container {
            host,
            flight,
            address,
        })
    }

    /// Where the request is to be made instead: at the name that stands for this one,
    /// and by HTTPS as soon as that has a certificate.
    fn elsewhere<'a>(
        &self,
        request: &Request<Incoming>,
        host: &HeaderValue,
        name: &'a Host<'_>,
        options: Option<&'a Options>,
    ) -> Option<Base<'a>> {
        let shared = &self.local.shared;
        let other = options.and_then(|options| options.redirect_to.as_deref());
        let host_name = other.unwrap_or(name.name());
        let ours = self.shown.is_some();
        let secure = ours || self.origin.got_by_https(request.headers());
        // A CA may ask an app as well, and does so by HTTP.
        let turns_secure = !secure
            && shared.https_port.is_some()
            && !options.is_some_and(|options| options.keep_http)
            && !request.uri().path().starts_with(CHALLENGES)
            && shared.certificates.serves(host_name);
        if other.is_none() && !turns_secure {
            return None;
        }
        let port = if ours || turns_secure {
            shared.https_port
        } else if secure {
            // At which port the proxy in front is reached is not known here.
            None
        } else {
            Host::port(host.as_bytes())
        };
        Some(Base {
            https: secure || turns_secure,
            host: host_name,
            port,
        })
    }

    /// What a CA is told that checks a name by HTTP (RFC 8555 section 8.3).
    fn challenge(&self, path: &str) -> Option<Response<ResponseBody>> {
        let token = path.strip_prefix(CHALLENGES)?;
        let answer = self.local.shared.certificates.http_answer(token)?;
        let answer = Bytes::copy_from_slice(answer.as_bytes());
        let mut response = Response::new(ResponseBody::page(answer));
        let kind = HeaderValue::from_static("application/octet-stream");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        Some(response)
    }

    async fn forward(
        &self,
        asked: Asked,
        host: &HeaderValue,
        flight: Flight,
        address: SocketAddr,
        account: &Account,
        unread: &mut bool,
    ) -> Result<Response<ResponseBody>, Page> {
        let limits = &self.local.shared.config.limits;
        let Asked {
            mut request,
            interim,
        } = asked;
        let grpc = matches!(self.wire, Wire::Http2) && fields::is_grpc(request.headers());
        let tunnel = self.rewrite(&mut request, host, interim.is_some());
        let stall = match self.wire {
            // The gate measures it.
            Wire::Http1(_) => None,
            // Streams of calls may be silent in both directions.
            Wire::Http2 if grpc => Some(limits.quiet_timeout),
            Wire::Http2 => Some(limits.stall_timeout),
        };
        let mut request = request.map(|incoming| RequestBody::new(incoming, stall, account));
        let progress = request.body().progress();
        let answer = if grpc {
            let scheme = if flight.backend().target.is_tls() {
                Scheme::HTTPS
            } else {
                Scheme::HTTP
            };
            make_http2(&mut request, host, scheme);
            // Most requests are none, and should not have to find room for it.
            let Local {
                multiplexed: pool,
                upstream,
                ..
            } = &*self.local;
            let sent = multiplexed::send(pool, upstream, &flight, address, request, interim);
            Box::pin(sent).await
        } else {
            let now = account.start();
            let leaving = self.local.stopping.is_patient();
            upstream::send(&self.own, &flight, address, request, interim, now, leaving).await
        };
        // The connection ends with the response unless the rest of the request can be read.
        *unread = progress
            .as_ref()
            .is_some_and(|progress| !progress.has_ended());
        let mut response = match answer {
            Ok(answer) => answer,
            Err(failure) => {
                // A client that sends a malformed body, or not all of it, or not in time,
                // breaks the connection to the container; that is not the container's fault.
                let body = progress.and_then(|progress| progress.failure());
                return Err(match self.wire.refusal().or(body) {
                    Some(refusal) => Page::refused(refusal),
                    None => failed(&flight, &failure, account),
                });
            }
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let protocol = fields::strip_hop_by_hop(response.headers_mut());
            let (parts, body) = response.into_parts();
            let container = match body {
                ContainerBody::Http1(exchange) => exchange.into_tunnel(),
                ContainerBody::Http2(_) => None,
            };
            let (Some((client, facts)), Some(protocol), Some(container)) =
                (tunnel, protocol, container)
            else {
                tracing::debug!(app = %flight.backend().app, "switched protocols unasked");
                account.upstream_error();
                let page = Page::no_response(&flight.backend().app, false);
                return Err(page.because("it switched protocols unasked".to_owned()));
            };
            let mut response = Response::from_parts(parts, ResponseBody::empty());
            fields::set_upgrade(response.headers_mut(), protocol);
            facts.begin_tunnel();
            let admission = Arc::clone(&self.admission);
            let quiet = Quiet {
                open: limits.quiet_timeout,
                closing: limits.stall_timeout,
            };
            self.local
                .tasks
                .spawn(tunnel::run(client, container, quiet, flight, admission));
            return Ok(response);
        }
        let protocol = fields::strip_hop_by_hop(response.headers_mut());
        if let (StatusCode::UPGRADE_REQUIRED, Wire::Http1(_), Some(protocol)) =
            (response.status(), &self.wire, protocol)
        {
            // It says to which protocol (RFC 9110 section 15.5.22).
            fields::set_upgrade(response.headers_mut(), protocol);
        }
        if matches!(
            response.status(),
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        ) {
            // There are clients that wait for as much, and HTTP/2 calls it malformed.
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        *response.version_mut() = Version::HTTP_11;
        Ok(response.map(|body| ResponseBody::streamed(body, flight, limits.quiet_timeout)))
    }

    /// Makes the request one of the ingress. Returns the client's side of a tunnel if
    /// the request offers to become one. With `continues`, the client can be told to go on.
    fn rewrite(
        &self,
        request: &mut Request<Incoming>,
        host: &HeaderValue,
        continues: bool,
    ) -> Option<(OnUpgrade, &Facts)> {
        let claims = self.wire.claims(request.headers());
        let protocol = fields::strip_hop_by_hop(request.headers_mut());
        if request.body().is_end_stream() || !continues {
            // The ingress has met the expectation itself.
            request.headers_mut().remove(EXPECT);
        }
        self.origin.write(request.headers_mut(), host, claims);
        *request.version_mut() = Version::HTTP_11;
        if request.uri().authority().is_some() {
            let path = request.uri().path_and_query().cloned();
            let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
            *request.uri_mut() = Uri::from(path);
            request.headers_mut().insert(HOST, host.clone());
        }
        let facts = self.wire.upgrade()?;
        // HTTP/2 in the place of a tunnel would pass by everything that this crate does.
        let protocol = protocol.filter(|name| !name.as_bytes().starts_with(b"h2"))?;
        fields::set_upgrade(request.headers_mut(), protocol);
        Some((hyper::upgrade::on(request), facts))
    }
}

/// The page for a container that gave no response.
fn failed(flight: &Flight, failure: &upstream::Failure, account: &Account) -> Page {
    let backend = flight.backend();
    tracing::debug!(app = %backend.app, target = ?backend.target, error = ?failure, "no response");
    account.upstream_error();
    let page = Page::no_response(&backend.app, failure.is_timeout());
    page.because(failure.chain())
}

/// Makes a request one of HTTP/2, which names the host in its target and has no
/// fields for the connection (RFC 9113 sections 8.2.2 and 8.3.1).
fn make_http2(request: &mut Request<RequestBody>, host: &HeaderValue, scheme: Scheme) {
    let path = request.uri().path_and_query().cloned();
    let target = Uri::builder()
        .scheme(scheme)
        .authority(host.as_bytes())
        .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(CONNECTION);
    // A host that makes no URL stays a field.
    if let Ok(target) = target.build() {
        *request.uri_mut() = target;
        request.headers_mut().remove(HOST);
    }
}
