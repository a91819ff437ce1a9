//! One client connection, from accept to close.

use crate::body::Incoming;
use crate::fields::Origin;
use crate::gate::{Facts, Gate};
use crate::http2;
use crate::limiter::{Admission, Refused};
use crate::local::Local;
use crate::proxy::Client;
use crate::proxy_header::{self, Source};
use crate::tls::{Secured, Shown, Tls};
use crate::upstream::Own;
use crate::wire::Wire;
use http::{Request, Version};
use hyper::server::conn::http1::{self, Parts};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Room for a head of the largest size and the first bytes after it.
const BUFFER_RESERVE: usize = 8 * 1024;

/// A connection that has been accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) peer: SocketAddr,
    pub(crate) admission: Admission,
    pub(crate) local: Arc<Local>,
}

impl Accepted {
    /// Serves the requests of the connection until either side closes it, or, once the
    /// thread is to stop, until the request that is being served has ended.
    pub(crate) async fn serve(self, mut stream: TcpStream) {
        if let Some(accepted) = self.identified(&mut stream).await {
            let peer = accepted.peer;
            if let Some((stream, client)) = accepted.http1(stream, None).await {
                // Most clients here speak HTTP/1; their tasks are to be small.
                Box::pin(http2(stream, peer, client)).await;
            }
        }
    }

    /// The same inside TLS.
    pub(crate) async fn serve_encrypted(self, mut stream: TcpStream, tls: Arc<Tls>) {
        if let Some(accepted) = self.identified(&mut stream).await {
            accepted.encrypted(stream, &tls).await;
        }
    }

    /// With the client behind a load balancer in the balancer's place.
    async fn identified(mut self, stream: &mut TcpStream) -> Option<Self> {
        let peer = self.peer;
        let config = &self.local.shared.config;
        let address = peer.ip().to_canonical();
        if !config
            .proxy_protocol
            .iter()
            .any(|net| net.contains(&address))
        {
            return Some(self);
        }
        let read = timeout(config.limits.handshake_timeout, proxy_header::read(stream)).await;
        match read.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(Source::Client(client)) => {
                self.admission = self.admission.of(client.ip())?;
                self.peer = client;
                Some(self)
            }
            Ok(Source::Balancer) => Some(self),
            Err(error) => {
                tracing::debug!(%peer, %error, "a balancer does not say for whom it connects");
                self.local.shared.limiter.note(Refused::ProxyHeader);
                None
            }
        }
    }

    async fn encrypted(self, stream: TcpStream, tls: &Tls) {
        let limit = self.local.shared.config.limits.handshake_timeout;
        match tls.accept(stream, limit).await {
            Ok(Some(secured)) if secured.is_http2() => {
                let Secured { stream, shown } = secured;
                let peer = self.peer;
                http2(stream, peer, self.client(Wire::Http2, Some(shown))).await;
            }
            Ok(Some(Secured { stream, shown })) => {
                self.http1(stream, Some(shown)).await;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(peer = %self.peer, %error, "no TLS with a client");
                self.local.shared.limiter.note(Refused::Tls);
            }
        }
    }

    /// Returns what is left to be served if the client begins with HTTP/2, which it may
    /// only where nothing was shown: in TLS the two sides agree (RFC 9113 section 3).
    async fn http1<S>(self, stream: S, shown: Option<Shown>) -> Option<(Gate<S>, Arc<Client>)>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let local = Arc::clone(&self.local);
        let peer = self.peer;
        let limits = &local.shared.config.limits;
        let facts = Arc::new(Facts::default());
        let gate = Gate::new(stream, Arc::clone(&facts), limits, shown.is_none());
        let stopping = local.stopping.is_set();
        let mut builder = http1::Builder::new();
        builder
            .half_close(true)
            // A connection that was accepted during a stop gets its one answer. One that
            // says itself that it is the last may become a tunnel instead; hyper's may not.
            .keep_alive(!stopping || local.stopping.is_patient())
            // The gate measures time, and bounds what hyper sees.
            .header_read_timeout(None)
            .max_headers(limits.head_fields)
            .max_buf_size(limits.head_bytes + BUFFER_RESERVE);
        let client = self.client(Wire::Http1(Arc::clone(&facts)), shown);
        let answering = Arc::clone(&client);
        let seen = Arc::clone(&facts);
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let client = Arc::clone(&answering);
            // HTTP/1.0 knows of no answers before the answer.
            let told = request.version() == Version::HTTP_11;
            let interim = told.then(|| Arc::clone(facts.interim()));
            async move {
                let request = request.map(Incoming::Http1);
                Ok::<_, Infallible>(client.answer(request, interim).await)
            }
        });
        let mut connection = builder
            .serve_connection(TokioIo::new(gate), service)
            .with_upgrades();
        let mut stop = pin!(local.stopping.wait());
        let mut told = stopping;
        let mut asked = false;
        let ended = poll_fn(|cx| {
            // The wait is polled once to leave its waker, then only when it is over: every
            // byte of every request comes by here.
            if !told && (!asked || local.stopping.is_set()) {
                asked = true;
                if stop.as_mut().poll(cx).is_ready() {
                    told = true;
                    if !local.stopping.is_patient() {
                        Pin::new(&mut connection).graceful_shutdown();
                    }
                }
            }
            Pin::new(&mut connection).poll(cx)
        })
        .await;
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a client's connection broke");
        }
        if !seen.http2() {
            return None;
        }
        let Parts { io, service, .. } = connection.into_parts()?;
        drop(service);
        let client = Client {
            wire: Wire::Http2,
            ..Arc::into_inner(client)?
        };
        Some((io.into_inner().into_tunnel(), Arc::new(client)))
    }

    fn client(self, wire: Wire, shown: Option<Shown>) -> Arc<Client> {
        let trusted = &self.local.shared.config.trusted_proxies;
        let address = self.peer.ip().to_canonical();
        let trusted = trusted.iter().any(|net| net.contains(&address));
        Arc::new(Client {
            origin: Origin::new(address, trusted, shown.is_some()),
            own: Own::new(&self.local.upstream),
            local: self.local,
            wire,
            shown,
            admission: Arc::new(self.admission),
        })
    }
}

async fn http2<S>(stream: S, peer: SocketAddr, client: Arc<Client>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if let Err(error) = http2::serve(stream, client).await {
        tracing::debug!(%peer, ?error, "a client's connection broke");
    }
}
