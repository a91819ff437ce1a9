//! TLS with containers that speak nothing else.
//!
//! Who signed a container's certificate is not asked, nor what it names: nobody but the app's
//! own containers and the host is on its network, and images bring certificates that they
//! have made themselves.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, version};
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How TLS is spoken with containers.
#[derive(Clone)]
pub struct ContainerTls {
    http1: TlsConnector,
    http2: TlsConnector,
}

impl std::fmt::Debug for ContainerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContainerTls")
    }
}

impl ContainerTls {
    /// Versions 1.2 and 1.3.
    pub fn new() -> Result<Self, rustls::Error> {
        Ok(Self {
            http1: connector(b"http/1.1")?,
            http2: connector(b"h2")?,
        })
    }

    /// Agrees with the container at the other end of `stream` on keys, and on HTTP/1.1
    /// (RFC 7301) unless it has no word for that.
    pub async fn http1(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        agree(&self.http1, stream).await
    }

    /// The same for HTTP/2.
    pub(crate) async fn http2(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        agree(&self.http2, stream).await
    }
}

async fn agree(connector: &TlsConnector, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    // An address is never sent as a name (RFC 6066 section 3): one connection is for all
    // names of an app.
    let name = ServerName::from(stream.peer_addr()?.ip());
    connector.connect(name, stream).await
}

fn connector(protocol: &[u8]) -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let anyone = Arc::new(Anyone(Arc::clone(&provider)));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(anyone)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Takes every certificate.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    /// Says nothing where nobody is known, and old certificates cannot be read for it.
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
