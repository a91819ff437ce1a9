//! Host names and a certificate for each, with a key on P-256.

use crate::certificate_file;
use doprax_ingress::{Certificates, CertifiedKey};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// The host name with this number. The first is the one that clients connect to by name.
pub(crate) fn host(number: usize) -> String {
    match number {
        0 => "localhost".to_owned(),
        _ => format!("name-{number}.bench.test"),
    }
}

/// Writes a certificate of its own for each of so many names.
pub(crate) fn write_certificates(folder: &Path, names: usize) {
    fs::create_dir_all(folder.join("certificates")).unwrap();
    for number in 0..names {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host(number)]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let text = format!("{}{}", certificate.pem(), key.serialize_pem());
        fs::write(certificate_file(folder, number), text).unwrap();
    }
}

/// Those certificates, ready to be served; no CA is answered.
#[derive(Debug)]
pub(crate) struct Served(HashMap<String, Arc<CertifiedKey>>);

impl Served {
    /// Reads the certificate of each of so many names.
    pub(crate) fn read(folder: &Path, names: usize) -> Self {
        let read = |number| (host(number), Arc::new(certificate(folder, number)));
        Self((0..names).map(read).collect())
    }
}

impl Certificates for Served {
    fn serves(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.0.get(name).cloned()
    }

    fn http_answer(&self, _: &str) -> Option<Arc<str>> {
        None
    }

    fn alpn_answer(&self, _: &str) -> Option<Arc<CertifiedKey>> {
        None
    }
}

fn certificate(folder: &Path, number: usize) -> CertifiedKey {
    let file = certificate_file(folder, number);
    let key = PrivateKeyDer::from_pem_file(&file).unwrap();
    let chain = vec![CertificateDer::from_pem_file(&file).unwrap()];
    CertifiedKey::from_der(chain, key, &ring::default_provider()).unwrap()
}
