//! The certificates that are served, and what is answered to a CA that checks a name.
//!
//! Read for every handshake without a lock; written seldom. Where certificates come
//! from is not known here.

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;

type ByName<T> = ArcSwap<HashMap<Arc<str>, T>>;

/// The certificates that are served, and what is answered to a CA that checks a name.
#[derive(Debug, Default)]
pub struct Certificates {
    served: ByName<Arc<CertifiedKey>>,
    http_answers: ByName<Arc<str>>,
    alpn_answers: ByName<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Serves each of these for its name, in the place of what was served for it. A
    /// name `*.example.com` is for every name one label below, after exact names.
    /// Names are in lower case and ASCII.
    pub fn serve(&self, certificates: impl IntoIterator<Item = (String, Arc<CertifiedKey>)>) {
        let new: Vec<_> = certificates
            .into_iter()
            .map(|(name, key)| (Arc::from(name), key))
            .collect();
        self.served.rcu(|served| {
            let mut served = HashMap::clone(served);
            served.extend(new.iter().cloned());
            served
        });
    }

    /// Serves nothing for this name any more.
    pub fn withdraw(&self, name: &str) {
        remove(&self.served, name);
    }

    /// What is served for a server name in lower case.
    pub fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let served = self.served.load();
        if let Some(key) = served.get(name) {
            return Some(Arc::clone(key));
        }
        let (_, parent) = name.split_once('.')?;
        served.get(format!("*.{parent}").as_str()).map(Arc::clone)
    }

    /// Answers `authorization` to requests for the token's path, by HTTP (RFC 8555
    /// section 8.3), until it is withdrawn.
    pub fn answer_http(&self, token: &str, authorization: &str) {
        insert(&self.http_answers, token, Arc::from(authorization));
    }

    /// Answers no more by HTTP.
    pub fn withdraw_http(&self, token: &str) {
        remove(&self.http_answers, token);
    }

    /// What the token's path answers.
    pub(crate) fn http_answer(&self, token: &str) -> Option<Arc<str>> {
        self.http_answers.load().get(token).cloned()
    }

    /// Answers with this certificate where a client asks for the protocol
    /// `acme-tls/1` (RFC 8737), until it is withdrawn.
    pub fn answer_alpn(&self, name: &str, key: Arc<CertifiedKey>) {
        insert(&self.alpn_answers, name, key);
    }

    /// Answers no more to `acme-tls/1`.
    pub fn withdraw_alpn(&self, name: &str) {
        remove(&self.alpn_answers, name);
    }

    /// The certificate for a client that asks for `acme-tls/1`.
    pub(crate) fn alpn_answer(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.alpn_answers.load().get(name).cloned()
    }
}

fn insert<T: Clone>(map: &ByName<T>, name: &str, value: T) {
    map.rcu(|old| {
        let mut new = HashMap::clone(old);
        new.insert(Arc::from(name), value.clone());
        new
    });
}

fn remove<T: Clone>(map: &ByName<T>, name: &str) {
    if map.load().contains_key(name) {
        map.rcu(|old| {
            let mut new = HashMap::clone(old);
            new.remove(name);
            new
        });
    }
}
