//! A certificate with its key, as it is kept and as it is served.

use crate::interner::Interner;
use crate::served::certificate::ServedCertificate;
use crate::{Error, Names};
use instant_acme::CertificateIdentifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

/// Names of CAs, and where their directories are.
static CAS: LazyLock<Interner<str>> = LazyLock::new(Interner::new);

/// A certificate as the vault keeps it. Holds the key: no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The chain in PEM, the certificate itself first.
    pub(crate) chain: String,
    /// The private key in PEM.
    pub(crate) key: String,
    /// Directory of the CA; none: the local CA.
    pub(crate) directory: Option<String>,
}

/// A certificate that can be served.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) not_before: SystemTime,
    /// The first moment at which it is not valid any more.
    pub(crate) not_after: SystemTime,
    /// Who issued it, as people read it.
    pub(crate) issuer: Arc<str>,
    /// Directory of the CA; none: the local CA.
    pub(crate) directory: Option<Arc<str>>,
    pub(crate) served: Arc<ServedCertificate>,
}

impl Certificate {
    /// Understands a record; refuses what would not be good to serve for these names.
    pub(crate) fn parse(names: &Names, record: Record) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Certificate {
            names: names.to_string(),
            reason,
        };
        let chain = CertificateDer::pem_slice_iter(record.chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| refuse(format!("its chain is broken: {error}")))?;
        let key = PrivateKeyDer::from_pem_slice(record.key.as_bytes())
            .map_err(|error| refuse(format!("its key is broken: {error}")))?;
        let leaf = chain
            .first()
            .ok_or_else(|| refuse("its chain is empty".to_owned()))?;
        let (_, parsed) = X509Certificate::from_der(leaf)
            .map_err(|error| refuse(format!("it is broken: {error}")))?;
        let covered = dns_names(&parsed);
        if let Some(name) = names.iter().find(|name| !covered.contains(name)) {
            return Err(refuse(format!("it is not for {name}")));
        }
        let not_before = system_time(parsed.validity.not_before);
        let not_after = system_time(parsed.validity.not_after) + Duration::from_secs(1);
        let issuer = CAS.share(issuer(&parsed));
        let served = ServedCertificate::new(&chain, &key)
            .map_err(|error| refuse(format!("its key does not fit: {error}")))?;
        Ok(Self {
            not_before,
            not_after,
            issuer,
            directory: record.directory.map(|directory| CAS.share(directory)),
            served: Arc::new(served),
        })
    }

    /// What is served for each of the names.
    pub(crate) fn by_name(
        &self,
        names: &Names,
    ) -> impl Iterator<Item = (Arc<str>, Arc<ServedCertificate>)> {
        let served = |name| (name, Arc::clone(&self.served));
        names.shared().map(served)
    }

    /// What the CA's renewal information is asked by (RFC 9773 section 4.1).
    pub(crate) fn identifier(&self) -> Option<CertificateIdentifier<'static>> {
        let identifier = CertificateIdentifier::try_from(self.served.leaf()).ok()?;
        Some(identifier.into_owned())
    }

    pub(crate) fn is_valid(&self, now: SystemTime) -> bool {
        now < self.not_after
    }
}

/// What rustls serves, of a certificate and key that were just made here. That they fit
/// is not checked: the check refuses extensions that only a CA needs to know.
pub(crate) fn certified(
    certificate: CertificateDer<'static>,
    key: &rcgen::KeyPair,
) -> Result<CertifiedKey, rustls::Error> {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let key = rustls::crypto::ring::sign::any_ecdsa_type(&key)?;
    Ok(CertifiedKey::new(vec![certificate], key))
}

/// A new ECDSA P-256 key.
pub(crate) fn new_key() -> Result<rcgen::KeyPair, Error> {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|source| Error::Make {
        what: "key",
        source,
    })
}

fn dns_names<'a>(certificate: &'a X509Certificate<'_>) -> Vec<&'a str> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        })
        .collect()
}

fn issuer(certificate: &X509Certificate<'_>) -> String {
    let name = certificate.issuer();
    let organization = name
        .iter_organization()
        .next()
        .and_then(|value| value.as_str().ok());
    let common = name
        .iter_common_name()
        .next()
        .and_then(|value| value.as_str().ok());
    match (organization, common) {
        (Some(organization), Some(common)) => format!("{organization} {common}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => name.to_string(),
    }
}

fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
