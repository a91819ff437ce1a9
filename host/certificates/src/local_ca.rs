//! A CA of the host's own, for names that no public CA can serve.
//!
//! Its root is constrained to names that are reserved for private use: whoever trusts
//! it, and whoever steals its key, can impersonate no site on the internet by it.

use crate::certificate::{Certificate, Record, new_key};
use crate::vault::{self, Kind, Vault};
use crate::{Error, Names};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, SystemTime};
use x509_parser::pem::parse_x509_pem;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const ROOT_LIFETIME: Duration = DAY.saturating_mul(3650);
const LEAF_LIFETIME: Duration = DAY.saturating_mul(90);

/// Clocks of clients may be behind.
const BEFORE: Duration = Duration::from_secs(60 * 60);

/// Names at and below these are in nobody's public DNS: RFC 6761 (`localhost`, `test`),
/// RFC 6762 (`local`, and appendix G for what networks use privately), RFC 8375
/// (`home.arpa`), ICANN's resolution 2024.07.29.06 (`internal`).
const PRIVATE: [&str; 10] = [
    "localhost",
    "internal",
    "local",
    "test",
    "home.arpa",
    "lan",
    "home",
    "corp",
    "intranet",
    "private",
];

/// What the vault keeps.
const ROOT: &str = "root";

/// A CA of the host's own, for names that are reserved for private use.
pub struct LocalCa {
    issuer: Issuer<'static, KeyPair>,
    root: String,
    name: String,
}

#[derive(Serialize, Deserialize)]
struct Root {
    /// Its common name, which no other root has.
    name: String,
    certificate: String,
    key: String,
}

impl LocalCa {
    /// Takes the root from the vault; makes one if there is none, or if it would end
    /// before a certificate of today.
    pub async fn open(vault: &dyn Vault, now: SystemTime) -> Result<Self, Error> {
        if let Some(root) = vault::load::<Root>(vault, Kind::LocalCa, ROOT).await?
            && root.lasts_until(now + LEAF_LIFETIME)
        {
            return Self::of(root);
        }
        let root = Root::make(now)?;
        vault::save(vault, Kind::LocalCa, ROOT, &root).await?;
        Self::of(root)
    }

    /// The root certificate in PEM, for those who should trust it.
    pub fn root_pem(&self) -> &str {
        &self.root
    }

    /// Whether each of the names is reserved for private use.
    pub fn may_issue(names: &Names) -> bool {
        names.iter().all(is_private)
    }

    /// Whether a certificate is from this root.
    pub(crate) fn has_issued(&self, certificate: &Certificate) -> bool {
        *certificate.issuer == self.name
    }

    /// Issues a certificate. A client refuses it if [`Self::may_issue`] says no.
    pub(crate) fn issue(&self, names: &Names, now: SystemTime) -> Result<Record, Error> {
        let failed = |source| Error::Make {
            what: "certificate of the local CA",
            source,
        };
        let san: Vec<_> = names.iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(san).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        params.not_before = (now - BEFORE).into();
        params.not_after = (now + LEAF_LIFETIME - BEFORE).into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = new_key()?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Record {
            chain: certificate.pem(),
            key: key.serialize_pem(),
            directory: None,
        })
    }

    fn of(root: Root) -> Result<Self, Error> {
        let failed = |source| Error::Make {
            what: "local CA of its root",
            source,
        };
        let key = KeyPair::from_pem(&root.key).map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(&root.certificate, key).map_err(failed)?;
        Ok(Self {
            issuer,
            root: root.certificate,
            name: root.name,
        })
    }
}

impl fmt::Debug for LocalCa {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LocalCa").finish_non_exhaustive()
    }
}

impl Root {
    fn make(now: SystemTime) -> Result<Self, Error> {
        let failed = |source| Error::Make {
            what: "root of the local CA",
            source,
        };
        let key = new_key()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        // Several hosts' roots in one trust store should be told apart.
        let mark = key.public_key_raw().iter().rev().take(4);
        let mark: String = mark.map(|byte| format!("{byte:02x}")).collect();
        let name = format!("Doprax local CA {mark}");
        params
            .distinguished_name
            .push(DnType::CommonName, name.as_str());
        params.not_before = (now - BEFORE).into();
        params.not_after = (now + ROOT_LIFETIME).into();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: PRIVATE
                .map(|name| GeneralSubtree::DnsName(name.to_owned()))
                .to_vec(),
            excluded_subtrees: Vec::new(),
        });
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self {
            name,
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// A root that cannot be read lasts for ever: it is for a person to remove it, not
    /// for the host to replace what others trust.
    fn lasts_until(&self, time: SystemTime) -> bool {
        let seconds = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        parse_x509_pem(self.certificate.as_bytes())
            .ok()
            .and_then(|(_, pem)| {
                let certificate = pem.parse_x509().ok()?;
                Some(certificate.validity().not_after.timestamp())
            })
            .is_none_or(|end| u64::try_from(end).is_ok_and(|end| end > seconds))
    }
}

fn is_private(name: &str) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    PRIVATE.iter().any(|suffix| {
        name.strip_suffix(suffix)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::MemoryVault;
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use std::sync::Arc;

    fn names(names: &[&str]) -> Names {
        Names::new(names.iter().copied()).unwrap()
    }

    /// What a client that trusts the root says of a certificate, at a time.
    fn verify(ca: &LocalCa, record: &Record, name: &str, now: SystemTime) -> Result<(), String> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(ca.root_pem().as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
        let leaf = CertificateDer::from_pem_slice(record.chain.as_bytes()).unwrap();
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        verifier
            .verify_server_cert(
                &leaf,
                &[],
                &ServerName::try_from(name.to_owned()).unwrap(),
                &[],
                UnixTime::since_unix_epoch(since),
            )
            .map(drop)
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_client_that_trusts_the_root_trusts_its_certificates() {
        let now = SystemTime::now();
        let ca = LocalCa::open(&MemoryVault::default(), now).await.unwrap();
        let other = LocalCa::open(&MemoryVault::default(), now).await.unwrap();
        for name in [
            "shop.localhost",
            "localhost",
            "a.b.internal",
            "printer.home.arpa",
        ] {
            let record = ca.issue(&names(&[name]), now).unwrap();
            verify(&ca, &record, name, now).unwrap();
            verify(&ca, &record, name, now + 89 * DAY).unwrap();
            verify(&ca, &record, name, now + 91 * DAY).unwrap_err();
            verify(&ca, &record, "other.localhost", now).unwrap_err();
            let certificate = Certificate::parse(&names(&[name]), record).unwrap();
            let lifetime = certificate.not_after.duration_since(certificate.not_before);
            assert!(lifetime.unwrap() <= 90 * DAY + Duration::from_secs(1));
            assert!(certificate.issuer.starts_with("Doprax local CA "));
            assert!(ca.has_issued(&certificate));
            assert!(!other.has_issued(&certificate));
        }
    }

    #[tokio::test]
    async fn a_stolen_key_impersonates_no_public_site() {
        let now = SystemTime::now();
        let ca = LocalCa::open(&MemoryVault::default(), now).await.unwrap();
        for name in ["example.com", "localhost.example.com", "notlocalhost"] {
            assert!(!LocalCa::may_issue(&names(&[name])), "{name}");
            let record = ca.issue(&names(&[name]), now).unwrap();
            let refused = verify(&ca, &record, name, now).unwrap_err();
            assert!(refused.contains("NameConstraint"), "{refused}");
        }
    }

    #[tokio::test]
    async fn the_root_stays_until_a_certificate_would_outlive_it() {
        let vault = MemoryVault::default();
        let now = SystemTime::now();
        let root = |at| {
            let vault = vault.clone();
            async move {
                let ca = LocalCa::open(&vault, at).await.unwrap();
                ca.root_pem().to_owned()
            }
        };
        let first = root(now).await;
        assert_eq!(root(now + 3559 * DAY).await, first);
        assert_ne!(root(now + 3561 * DAY).await, first);
    }
}
