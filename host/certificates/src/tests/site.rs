//! What a CA sees when it checks names: ports 80 and 443 of the host.

use crate::served::Served;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Answers from certificates, on two ports of loopback. A stand-in for the listeners
/// of the ingress: a CA under test checks ports that this process is given.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) http_port: u16,
    pub(crate) tls_port: u16,
    _tasks: JoinSet<()>,
}

impl Site {
    pub(crate) async fn start(certificates: Arc<Served>) -> Self {
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (http_port, tls_port) = (
            http.local_addr().unwrap().port(),
            tls.local_addr().unwrap().port(),
        );
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_http(http, Arc::clone(&certificates)));
        tasks.spawn(serve_tls(tls, certificates));
        Self {
            http_port,
            tls_port,
            _tasks: tasks,
        }
    }
}

async fn serve_http(listener: TcpListener, certificates: Arc<Served>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let certificates = Arc::clone(&certificates);
        tokio::spawn(async move {
            let service = service_fn(|request: Request<_>| {
                let found = request
                    .uri()
                    .path()
                    .strip_prefix("/.well-known/acme-challenge/")
                    .and_then(|token| certificates.http_answer(token));
                async move {
                    let mut response = Response::new(Full::<bytes::Bytes>::from(
                        found.as_deref().unwrap_or_default().to_owned(),
                    ));
                    if found.is_none() {
                        *response.status_mut() = StatusCode::NOT_FOUND;
                    }
                    Ok::<_, Infallible>(response)
                }
            });
            // A client that goes away is its own affair.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn serve_tls(listener: TcpListener, certificates: Arc<Served>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Resolver(certificates)));
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        // RFC 8737: nothing is said after the handshake.
        tokio::spawn(async move { drop(acceptor.accept(stream).await) });
    }
}

#[derive(Debug)]
struct Resolver(Arc<Served>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?;
        let mut protocols = hello.alpn()?;
        if protocols.any(|protocol| protocol == b"acme-tls/1") {
            self.0.alpn_answer(name)
        } else {
            self.0.find(name)
        }
    }
}
