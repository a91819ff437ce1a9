//! A certificate with its key as it is held between handshakes: in little memory.
//!
//! What rustls needs of it takes three times as much, and is made at a handshake. A host
//! has many names and serves few of them at a time.

use crate::interner::Interner;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::sync::{Arc, LazyLock};

/// The one crypto provider.
static PROVIDER: LazyLock<CryptoProvider> = LazyLock::new(ring::default_provider);

/// What chains have above their first certificate: the same for all of one CA.
static ABOVE: LazyLock<Interner<[CertificateDer<'static>]>> = LazyLock::new(Interner::new);

/// A certificate with its key, as it is held between handshakes.
#[derive(Debug)]
pub(crate) struct ServedCertificate {
    leaf: CertificateDer<'static>,
    above: Arc<[CertificateDer<'static>]>,
    key: PrivateKeyDer<'static>,
}

impl ServedCertificate {
    /// A chain, the certificate itself first, and its key. One that could not be served
    /// is refused: its chain is empty, or its key cannot be used or is not its own.
    pub(crate) fn new(
        chain: &[CertificateDer<'_>],
        key: &PrivateKeyDer<'_>,
    ) -> Result<Self, rustls::Error> {
        let (leaf, above) = chain
            .split_first()
            .ok_or(rustls::Error::NoCertificatesPresented)?;
        // Copies, as whoever has read them left room to grow.
        let copy = |certificate: &CertificateDer<'_>| certificate.as_ref().to_vec().into();
        let made = Self {
            leaf: copy(leaf),
            above: ABOVE.share(above.iter().map(copy).collect::<Vec<_>>()),
            key: key.clone_key(),
        };
        CertifiedKey::from_der(vec![made.leaf.clone()], key.clone_key(), &PROVIDER)?;
        Ok(made)
    }

    /// The certificate itself.
    pub(crate) fn leaf(&self) -> &CertificateDer<'static> {
        &self.leaf
    }

    pub(crate) fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// What rustls serves of it.
    pub(crate) fn certified(&self) -> Result<CertifiedKey, rustls::Error> {
        let key = PROVIDER
            .key_provider
            .load_private_key(self.key.clone_key())?;
        let chain = std::iter::once(&self.leaf).chain(&*self.above);
        Ok(CertifiedKey::new(chain.cloned().collect(), key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    fn issued() -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["shop.localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        (certificate.der().clone(), key)
    }

    #[test]
    fn what_could_not_be_served_is_refused_at_once() {
        let (leaf, key) = issued();
        let (_, other) = issued();
        let broken = PrivateKeyDer::Pkcs8(b"no key".to_vec().into());
        ServedCertificate::new(&[], &key).unwrap_err();
        ServedCertificate::new(std::slice::from_ref(&leaf), &broken).unwrap_err();
        ServedCertificate::new(std::slice::from_ref(&leaf), &other).unwrap_err();
        ServedCertificate::new(&[leaf], &key).unwrap();
    }

    #[test]
    fn the_whole_chain_is_served_and_what_is_above_is_held_once() {
        let (above, _) = issued();
        let served = [issued(), issued()].map(|(leaf, key)| {
            let served = ServedCertificate::new(&[leaf.clone(), above.clone()], &key).unwrap();
            assert_eq!(served.certified().unwrap().cert, [leaf, above.clone()]);
            served
        });
        assert!(Arc::ptr_eq(&served[0].above, &served[1].above));
    }
}
