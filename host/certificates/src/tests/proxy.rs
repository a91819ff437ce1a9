//! Stands between an issuer and Pebble: counts, and does what Pebble cannot.
//!
//! Pebble has no rate limits, never stalls and never breaks off; only something in
//! front of it can show what an issuer does then. What is not interfered with goes to
//! the real Pebble.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fmt;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Certificate and key of servers on loopback, and the root that they are trusted by.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(crate) root: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Tls {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let names = ["127.0.0.1", "localhost"].map(str::to_owned);
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Self {
            root,
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn client(&self) -> HttpsClient {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.root.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .build();
        Client::builder(TokioExecutor::new()).build(connector)
    }

    fn acceptor(&self) -> TlsAcceptor {
        let chain = vec![CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

pub(crate) type HttpsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// What is done with a request.
pub(crate) enum Verdict {
    /// It goes to Pebble and its answer back.
    Pass,
    /// This is answered; Pebble sees nothing.
    Answer(Response<Full<Bytes>>),
    /// Nothing is answered, and Pebble sees nothing.
    Stall,
    /// Pebble sees it; nothing is answered.
    StallAfter,
    /// The connection is closed; Pebble sees nothing.
    Close,
    /// Pebble sees it; the connection is closed instead of an answer.
    CloseAfter,
    /// Pebble sees it; the first half of its answer goes back as if it were all.
    Halve,
}

type Rule = Box<dyn FnMut(&str) -> Verdict + Send>;

/// What is known of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// `POST /order-plz`.
    pub(crate) request: String,
    /// The status that Pebble answered with.
    pub(crate) status: u16,
    /// What was signed and sent, if anything.
    pub(crate) payload: String,
}

/// A proxy that runs until this is dropped.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

struct Shared {
    to: AtomicU16,
    client: HttpsClient,
    rule: Mutex<Rule>,
    exchanges: Mutex<Vec<Exchange>>,
}

impl Proxy {
    pub(crate) async fn start(to: u16, tls: &Tls) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            to: AtomicU16::new(to),
            client: tls.client(),
            rule: Mutex::new(Box::new(|_| Verdict::Pass)),
            exchanges: Mutex::default(),
        });
        let mut task = JoinSet::new();
        task.spawn(accept(listener, tls.acceptor(), Arc::clone(&shared)));
        Self {
            port,
            shared,
            _task: task,
        }
    }

    pub(crate) fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// Decides what is done with each request, `METHOD /path`, from now on.
    pub(crate) fn rule(&self, rule: impl FnMut(&str) -> Verdict + Send + 'static) {
        *self.shared.rule.lock().unwrap() = Box::new(rule);
    }

    /// Requests that Pebble has answered, so far.
    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.shared.exchanges.lock().unwrap().clone()
    }

    /// How many of Pebble's answers were to this and had this status.
    pub(crate) fn count(&self, request: &str, status: u16) -> usize {
        let exchanges = self.exchanges();
        let wanted = |found: &&Exchange| found.request == request && found.status == status;
        exchanges.iter().filter(wanted).count()
    }

    /// Orders that Pebble has made.
    pub(crate) fn orders(&self) -> usize {
        self.count("POST /order-plz", 201)
    }

    /// Sends what comes from now on to another Pebble.
    pub(crate) fn redirect(&self, to: u16) {
        self.shared.to.store(to, Ordering::Relaxed);
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.exchanges()).finish()
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(|request| shared.handle(request));
            // Errors are what the rules are for.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Shared {
    async fn handle(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, std::io::Error> {
        let name = format!("{} {}", request.method(), request.uri().path());
        let verdict = (*self.rule.lock().unwrap())(&name);
        match verdict {
            Verdict::Answer(response) => return Ok(response),
            Verdict::Stall => std::future::pending().await,
            Verdict::Close => return Err(std::io::ErrorKind::ConnectionReset.into()),
            _ => {}
        }
        let mut response = self.forward(name, request).await?;
        match verdict {
            Verdict::StallAfter => std::future::pending().await,
            Verdict::CloseAfter => Err(std::io::ErrorKind::ConnectionReset.into()),
            Verdict::Halve => {
                let body = response.body_mut().collect().await.unwrap().to_bytes();
                *response.body_mut() = Full::new(body.slice(..body.len() / 2));
                response.headers_mut().remove(http::header::CONTENT_LENGTH);
                Ok(response)
            }
            _ => Ok(response),
        }
    }

    /// The host stays what the client wrote, so that Pebble's URLs lead back here.
    async fn forward(
        &self,
        name: String,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, std::io::Error> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let to = self.to.load(Ordering::Relaxed);
        head.uri = format!("https://127.0.0.1:{to}{path}").parse().unwrap();
        let body = body.collect().await.map_err(std::io::Error::other)?;
        let body = body.to_bytes();
        let payload = payload(&body);
        let request = Request::from_parts(head, Full::new(body));
        let answered = self.client.request(request).await;
        let (mut head, body) = answered.map_err(std::io::Error::other)?.into_parts();
        let body = body.collect().await.map_err(std::io::Error::other)?;
        head.headers.remove(http::header::TRANSFER_ENCODING);
        self.exchanges.lock().unwrap().push(Exchange {
            request: name,
            status: head.status.as_u16(),
            payload,
        });
        Ok(Response::from_parts(head, Full::new(body.to_bytes())))
    }
}

/// What is in a JWS (RFC 7515).
fn payload(body: &[u8]) -> String {
    let parsed: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let encoded = parsed["payload"].as_str().unwrap_or_default();
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(encoded).unwrap_or_default();
    String::from_utf8_lossy(&decoded).into_owned()
}
