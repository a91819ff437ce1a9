//! The certificates that are served, and what is answered to a CA that checks a name.
//!
//! Read for every handshake without a lock; written seldom. Where certificates come
//! from is not known here.

pub(crate) mod certificate;

use arc_swap::{ArcSwap, ArcSwapOption};
use certificate::ServedCertificate;
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

type ByName<T> = ArcSwap<HashMap<Arc<str>, T>>;

/// Whoever adds a name copies the part that it belongs to, one of so many.
const PARTS: usize = 128;

/// How many certificates are held as rustls takes them, of those that were served last.
const READY: usize = 1024;

/// The certificates that are served, and what is answered to a CA that checks a name.
#[derive(Debug)]
pub struct Served {
    /// Chooses parts and places.
    hasher: RandomState,
    served: Box<[ByName<Arc<ServedCertificate>>]>,
    /// Each in its place, which it shares with others.
    ready: Box<[ArcSwapOption<Ready>]>,
    http_answers: ByName<Arc<str>>,
    alpn_answers: ByName<Arc<CertifiedKey>>,
}

/// A certificate as rustls takes it.
#[derive(Debug)]
struct Ready {
    of: Arc<ServedCertificate>,
    key: Arc<CertifiedKey>,
}

impl Default for Served {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            served: (0..PARTS).map(|_| ByName::default()).collect(),
            ready: (0..READY).map(|_| ArcSwapOption::empty()).collect(),
            http_answers: ByName::default(),
            alpn_answers: ByName::default(),
        }
    }
}

impl Served {
    /// Serves each of these for its name, in the place of what was served for it. A
    /// name `*.example.com` is for every name one label below, after exact names.
    /// Names are in lower case and ASCII.
    pub(crate) fn serve(
        &self,
        certificates: impl IntoIterator<Item = (impl Into<Arc<str>>, Arc<ServedCertificate>)>,
    ) {
        let mut by_part: HashMap<usize, Vec<_>> = HashMap::new();
        for (name, certificate) in certificates {
            let name = name.into();
            let part = by_part.entry(self.part(&name)).or_default();
            part.push((name, certificate));
        }
        for (part, new) in by_part {
            self.served[part].rcu(|served| {
                let mut served = HashMap::clone(served);
                served.extend(new.iter().cloned());
                served
            });
        }
    }

    /// Serves nothing for this name any more.
    pub(crate) fn withdraw(&self, name: &str) {
        remove(&self.served[self.part(name)], name);
    }

    /// Whether something is served for a server name in lower case.
    pub fn serves(&self, name: &str) -> bool {
        self.held(name).is_some()
    }

    /// What is served for a server name in lower case.
    pub fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        // One that cannot be made ready was refused when it was new.
        self.ready(&self.held(name)?).ok()
    }

    /// The same as it is held.
    pub(crate) fn held(&self, name: &str) -> Option<Arc<ServedCertificate>> {
        let find = |name: &str| self.served[self.part(name)].load().get(name).cloned();
        find(name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            find(&format!("*.{parent}"))
        })
    }

    /// A certificate as rustls takes it.
    fn ready(
        &self,
        certificate: &Arc<ServedCertificate>,
    ) -> Result<Arc<CertifiedKey>, rustls::Error> {
        let place = self.hasher.hash_one(Arc::as_ptr(certificate)) as usize % READY;
        let place = &self.ready[place];
        if let Some(ready) = &*place.load()
            && Arc::ptr_eq(&ready.of, certificate)
        {
            return Ok(Arc::clone(&ready.key));
        }
        let key = Arc::new(certificate.certified()?);
        place.store(Some(Arc::new(Ready {
            of: Arc::clone(certificate),
            key: Arc::clone(&key),
        })));
        Ok(key)
    }

    fn part(&self, name: &str) -> usize {
        self.hasher.hash_one(name) as usize % PARTS
    }

    /// Answers `authorization` to requests for the token's path, by HTTP (RFC 8555
    /// section 8.3), until it is withdrawn.
    pub(crate) fn answer_http(&self, token: &str, authorization: &str) {
        insert(&self.http_answers, token, Arc::from(authorization));
    }

    /// Answers no more by HTTP.
    pub(crate) fn withdraw_http(&self, token: &str) {
        remove(&self.http_answers, token);
    }

    /// What the token's path answers.
    pub fn http_answer(&self, token: &str) -> Option<Arc<str>> {
        self.http_answers.load().get(token).cloned()
    }

    /// Answers with this certificate where a client asks for the protocol
    /// `acme-tls/1` (RFC 8737), until it is withdrawn.
    pub(crate) fn answer_alpn(&self, name: &str, key: Arc<CertifiedKey>) {
        insert(&self.alpn_answers, name, key);
    }

    /// Answers no more to `acme-tls/1`.
    pub(crate) fn withdraw_alpn(&self, name: &str) {
        remove(&self.alpn_answers, name);
    }

    /// The certificate for a client that asks for `acme-tls/1`.
    pub fn alpn_answer(&self, name: &str) -> Option<Arc<CertifiedKey>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::new_key;
    use rcgen::CertificateParams;
    use rustls::pki_types::PrivateKeyDer;

    fn certificate() -> Arc<ServedCertificate> {
        let key = new_key().unwrap();
        let params = CertificateParams::new(Vec::new()).unwrap();
        let leaf = params.self_signed(&key).unwrap().der().clone();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Arc::new(ServedCertificate::new(&[leaf], &key).unwrap())
    }

    #[test]
    fn many_names_are_found_each_with_its_own() {
        let certificates = Served::default();
        let both = [certificate(), certificate()];
        let names = |number: usize| (format!("shop-{number}.test"), Arc::clone(&both[number % 2]));
        certificates.serve((0..1000).map(names));
        certificates.serve([("*.shops.test", Arc::clone(&both[0]))]);
        certificates.serve([("one.shops.test", Arc::clone(&both[1]))]);
        for number in 0..1000 {
            let found = certificates.held(&format!("shop-{number}.test")).unwrap();
            assert!(Arc::ptr_eq(&found, &both[number % 2]), "{number}");
        }
        let found = |name| certificates.held(name);
        assert!(Arc::ptr_eq(&found("two.shops.test").unwrap(), &both[0]));
        assert!(Arc::ptr_eq(&found("one.shops.test").unwrap(), &both[1]));
        assert!(found("a.two.shops.test").is_none());
        certificates.withdraw("one.shops.test");
        assert!(Arc::ptr_eq(&found("one.shops.test").unwrap(), &both[0]));
        certificates.withdraw("shop-1.test");
        assert!(found("shop-1.test").is_none());
        assert!(found("shop-3.test").is_some());
    }

    #[test]
    fn a_certificate_is_read_once_and_never_taken_for_another() {
        let certificates = Served::default();
        // Far more than there are places.
        let all: Vec<_> = (0..2 * READY).map(|_| certificate()).collect();
        for one in &all {
            let ready = certificates.ready(one).unwrap();
            assert_eq!(ready.cert, [one.leaf().clone()]);
            assert!(Arc::ptr_eq(&ready, &certificates.ready(one).unwrap()));
        }
        let held = certificates
            .ready
            .iter()
            .filter(|place| place.load().is_some());
        assert!(held.count() > READY / 2);
    }
}
