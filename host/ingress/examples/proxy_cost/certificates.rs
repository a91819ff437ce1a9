//! Host names and a certificate for each, with a key on P-256.

use crate::certificate_file;
use rcgen::{CertificateParams, KeyPair};
use std::fs;
use std::path::Path;

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
