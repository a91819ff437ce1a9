//! What the ingress asks about certificates. Where they come from is not known here.

use rustls::sign::CertifiedKey;
use std::fmt::Debug;
use std::sync::Arc;

/// Which certificate is served for a name, and what is answered to a CA that checks one.
/// Asked by every thread, for every handshake: an answer must not wait.
pub trait Certificates: Debug + Send + Sync {
    /// Whether a certificate is served for a server name in lower case.
    fn serves(&self, name: &str) -> bool;

    /// What is served for a server name in lower case.
    fn find(&self, name: &str) -> Option<Arc<CertifiedKey>>;

    /// What is answered to requests for the token's path (RFC 8555 section 8.3).
    fn http_answer(&self, token: &str) -> Option<Arc<str>>;

    /// What is shown for a name to a client that asks for the protocol `acme-tls/1`
    /// (RFC 8737).
    fn alpn_answer(&self, name: &str) -> Option<Arc<CertifiedKey>>;
}

/// Serves nothing.
#[derive(Debug)]
pub(crate) struct NoCertificates;

impl Certificates for NoCertificates {
    fn serves(&self, _: &str) -> bool {
        false
    }

    fn find(&self, _: &str) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn http_answer(&self, _: &str) -> Option<Arc<str>> {
        None
    }

    fn alpn_answer(&self, _: &str) -> Option<Arc<CertifiedKey>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_certificates_nothing_is_answered() {
        assert!(!NoCertificates.serves("shop.localhost"));
        assert!(NoCertificates.find("shop.localhost").is_none());
        assert_eq!(NoCertificates.http_answer("token"), None);
        assert!(NoCertificates.alpn_answer("shop.localhost").is_none());
    }
}
