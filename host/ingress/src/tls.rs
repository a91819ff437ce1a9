//! TLS from clients: which certificate is served, and who gets none.
//!
//! The name that a client asks for (SNI) is looked at before anything is agreed on. A
//! client that names no host, or one that has no certificate, is refused; it never
//! sees another app's certificate.

use crate::certificates::Certificates;
use crate::host::Host;
use rustls::pki_types::ServerName;
use rustls::server::{
    Acceptor, ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert,
};
use rustls::sign::CertifiedKey;
use rustls::{ConfigBuilder, ServerConfig, WantsVerifier, crypto::ring, version};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

const HTTP_1_0: &[u8] = b"http/1.0";
const HTTP_1: &[u8] = b"http/1.1";
const HTTP_2: &[u8] = b"h2";

/// The protocol of a CA that checks a name (RFC 8737 section 4).
const CHALLENGE: &[u8] = b"acme-tls/1";

/// The alert `unrecognized_name` as a fatal one (RFC 6066 section 3, RFC 8446
/// section 6), in a record of its own; rustls has none for a name without certificate.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// What the TLS connections of an ingress share.
#[derive(Debug)]
pub(crate) struct Tls {
    certificates: Arc<dyn Certificates>,
    serving: Arc<ServerConfig>,
    challenges: Arc<ServerConfig>,
}

/// A connection that is encrypted, for a name that has a certificate.
#[derive(Debug)]
pub(crate) struct Secured {
    /// The client's socket.
    pub(crate) stream: TlsStream<TcpStream>,
    /// What the client was shown.
    pub(crate) shown: Shown,
}

/// What a client was shown.
#[derive(Debug)]
pub(crate) struct Shown {
    name: Box<str>,
    certificate: Arc<CertifiedKey>,
}

impl Tls {
    /// Serves what is in `certificates` at the time of each handshake.
    pub(crate) fn new(certificates: Arc<dyn Certificates>) -> Result<Self, rustls::Error> {
        let served = Served(Arc::clone(&certificates));
        let mut serving = builder()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(served));
        serving.alpn_protocols = [HTTP_2, HTTP_1, HTTP_1_0].map(<[u8]>::to_vec).into();
        // Every suite is a good one; scanners ask for an order of the server's own.
        serving.ignore_client_order = true;
        // All threads open tickets of each other; their key changes every few hours.
        serving.ticketer = ring::Ticketer::new()?;
        serving.session_storage = Arc::new(NoServerSessionStorage {});
        let answers = Answers(Arc::clone(&certificates));
        let mut challenges = builder()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(answers));
        challenges.alpn_protocols = vec![CHALLENGE.to_vec()];
        challenges.session_storage = Arc::new(NoServerSessionStorage {});
        challenges.send_tls13_tickets = 0;
        Ok(Self {
            certificates,
            serving: Arc::new(serving),
            challenges: Arc::new(challenges),
        })
    }

    /// Agrees with a client on keys, within `limit`. Nothing: it was a CA, which has
    /// seen what it wanted, or a client that names no host with a certificate.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        limit: Duration,
    ) -> io::Result<Option<Secured>> {
        let agreed = tokio::time::timeout(limit, self.agree(stream)).await;
        agreed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn agree(&self, stream: TcpStream) -> io::Result<Option<Secured>> {
        let mut start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let hello = start.client_hello();
        let checked = is_challenge(&hello);
        let name = name(&hello).unwrap_or_default();
        let certificate = self.certificates.find(&name).filter(|_| !checked);
        if checked && self.certificates.alpn_answer(&name).is_some() {
            let challenges = Arc::clone(&self.challenges);
            start.into_stream(challenges).await?.shutdown().await?;
            return Ok(None);
        }
        let Some(certificate) = certificate else {
            start.io.write_all(&UNRECOGNIZED_NAME).await?;
            start.io.shutdown().await?;
            return Ok(None);
        };
        let stream = start.into_stream(Arc::clone(&self.serving)).await?;
        let shown = Shown {
            name: name.into_boxed_str(),
            certificate,
        };
        Ok(Some(Secured { stream, shown }))
    }
}

impl Secured {
    /// Whether both sides have agreed on HTTP/2 (RFC 9113 section 3.2).
    pub(crate) fn is_http2(&self) -> bool {
        self.stream.get_ref().1.alpn_protocol() == Some(HTTP_2)
    }
}

impl Shown {
    /// Whether the certificate is one for `host`. A client may use a connection for
    /// every host that its certificate names (RFC 9113 section 9.1.1), and for no other.
    pub(crate) fn covers(&self, host: &Host<'_>) -> bool {
        *self.name == *host.name() || self.names(host.name()).unwrap_or(false)
    }

    fn names(&self, host: &str) -> Option<bool> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = ServerName::try_from(host).ok()?;
        let certificate =
            ParsedCertificate::try_from(self.certificate.end_entity_cert().ok()?).ok()?;
        Some(rustls::client::verify_server_name(&certificate, &host).is_ok())
    }
}

/// Versions 1.2 and 1.3, with the one provider of this program.
fn builder() -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, rustls::Error> {
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
}

/// The name that a client asks for, in lower case.
fn name(hello: &ClientHello<'_>) -> Option<String> {
    let host = Host::parse(hello.server_name()?.as_bytes())?;
    Some(host.name().to_owned())
}

/// A CA offers that protocol and no other (RFC 8737 section 4).
fn is_challenge(hello: &ClientHello<'_>) -> bool {
    hello
        .alpn()
        .is_some_and(|protocols| protocols.eq([CHALLENGE]))
}

/// What is served to visitors.
#[derive(Debug)]
struct Served(Arc<dyn Certificates>);

impl ResolvesServerCert for Served {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.find(&name(&hello)?)
    }
}

/// What is served to a CA.
#[derive(Debug)]
struct Answers(Arc<dyn Certificates>);

impl ResolvesServerCert for Answers {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.alpn_answer(&name(&hello)?)
    }
}
