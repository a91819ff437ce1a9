//! Certificates that tests serve, and answers to CAs.

use doprax_ingress::{Certificates, CertifiedKey};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

type ByName<T> = Mutex<HashMap<String, T>>;

#[derive(Debug, Default)]
pub struct Served {
    certificates: ByName<Arc<CertifiedKey>>,
    http_answers: ByName<Arc<str>>,
    alpn_answers: ByName<Arc<CertifiedKey>>,
}

impl Served {
    pub fn serve(&self, name: &str, certificate: &Arc<CertifiedKey>) {
        insert(&self.certificates, name, Arc::clone(certificate));
    }

    pub fn withdraw(&self, name: &str) {
        self.certificates.lock().unwrap().remove(name);
    }

    pub fn answer_http(&self, token: &str, authorization: &str) {
        insert(&self.http_answers, token, authorization.into());
    }

    pub fn withdraw_http(&self, token: &str) {
        self.http_answers.lock().unwrap().remove(token);
    }

    pub fn answer_alpn(&self, name: &str, certificate: &Arc<CertifiedKey>) {
        insert(&self.alpn_answers, name, Arc::clone(certificate));
    }

    pub fn withdraw_alpn(&self, name: &str) {
        self.alpn_answers.lock().unwrap().remove(name);
    }
}

impl Certificates for Served {
    fn serves(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.certificates.lock().unwrap().get(name).cloned()
    }

    fn http_answer(&self, token: &str) -> Option<Arc<str>> {
        self.http_answers.lock().unwrap().get(token).cloned()
    }

    fn alpn_answer(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.alpn_answers.lock().unwrap().get(name).cloned()
    }
}

fn insert<T>(map: &ByName<T>, name: &str, value: T) {
    map.lock().unwrap().insert(name.to_owned(), value);
}
