//! What the ingress finds of certificates.

use doprax_certificates::Served;
use doprax_ingress::CertifiedKey;
use std::sync::Arc;

/// What the ingress finds of certificates and of answers to CAs.
#[derive(Debug)]
pub(crate) struct Shown(pub(crate) Arc<Served>);

impl doprax_ingress::Certificates for Shown {
    fn serves(&self, name: &str) -> bool {
        self.0.serves(name)
    }

    fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.0.find(name)
    }

    fn http_answer(&self, token: &str) -> Option<Arc<str>> {
        self.0.http_answer(token)
    }

    fn alpn_answer(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.0.alpn_answer(name)
    }
}
