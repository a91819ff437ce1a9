//! Which names get certificates, and where what these need is kept.
//!
//! Every app's free subdomain gets one, and every domain that was seen to lead here: a
//! CA would refuse the others and count it. Names that are reserved for private use get
//! theirs from the host's own CA at once. A domain and its `www.` share one.

use crate::{Error, Host};
use async_trait::async_trait;
use doprax_certificates::{
    CertificateStatus, Challenge, Issuer, Kind, LocalCa, Names, Secret, Served, Vault, VaultError,
};
use doprax_core::name::AppName;
use doprax_ingress::CertifiedKey;
use doprax_store::{OwnedDomain, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Keeps a certificate for every name that should have one.
#[derive(Debug)]
pub(crate) struct Certificates {
    issuer: Issuer,
    served: Arc<Served>,
    /// Whether a wildcard for all free subdomains can be proven.
    wildcard: bool,
    wanted: Mutex<BTreeSet<Names>>,
    written: Arc<Notify>,
}

impl Certificates {
    /// `served` is the issuer's, and `written` the vault's.
    pub(crate) fn new(
        issuer: Issuer,
        served: Arc<Served>,
        challenges: &[Challenge],
        written: Arc<Notify>,
    ) -> Self {
        Self {
            written,
            issuer,
            served,
            wildcard: challenges
                .iter()
                .any(|challenge| matches!(challenge, Challenge::Dns01(_))),
            wanted: Mutex::default(),
        }
    }

    /// Notified when something of a certificate was written down, or is wanted otherwise.
    pub(crate) fn written(&self) -> Arc<Notify> {
        Arc::clone(&self.written)
    }

    /// Whether a certificate is served for a host name.
    pub(crate) fn serves(&self, name: &str) -> bool {
        self.served.serves(name)
    }

    /// Asks no CA any more.
    pub(crate) fn end(&self) {
        self.issuer.end();
    }

    /// Sees to it that these sets of names, and no others, have a certificate.
    fn want_only(&self, sets: BTreeSet<Names>) {
        let mut wanted = self.wanted();
        for names in wanted.difference(&sets) {
            // The host's own CA issues another at once; any other counts them.
            if LocalCa::may_issue(names) {
                self.issuer.forget(names);
            } else {
                self.issuer.rest(names);
            }
        }
        self.issuer.want(sets.difference(&wanted).cloned());
        *wanted = sets;
        self.written.notify_one();
    }

    /// How things stand with what is wanted.
    pub(crate) fn status(&self) -> Vec<CertificateStatus> {
        let wanted = self.wanted();
        let mut status = self.issuer.status();
        status.retain(|status| wanted.contains(&status.names));
        status
    }

    fn wanted(&self) -> MutexGuard<'_, BTreeSet<Names>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host {
    /// How things stand with every certificate.
    pub fn certificates(&self) -> Vec<CertificateStatus> {
        self.certificates_kept()
            .map(Certificates::status)
            .unwrap_or_default()
    }

    /// The certificate of the host's own CA, in PEM; none where nothing is served by
    /// HTTPS.
    pub fn local_ca(&self) -> Option<String> {
        let certificates = self.certificates_kept()?;
        Some(certificates.issuer.local_ca().root_pem().to_owned())
    }

    /// Sees to it that every name that should have a certificate has one, after apps or
    /// domains have changed.
    pub(crate) async fn renew_wishes(&self) -> Result<(), Error> {
        let Some(certificates) = self.certificates_kept() else {
            return Ok(());
        };
        let (apps, domains) =
            tokio::try_join!(self.store().app_names(), self.store().domains(None))?;
        let base = &self.config().base_domain;
        let mut sets = BTreeSet::new();
        let free = |app: &AppName| Names::new([format!("{app}.{base}")]).ok();
        let wildcard = Names::new([format!("*.{base}")]).ok();
        match wildcard.filter(|names| certificates.wildcard && !LocalCa::may_issue(names)) {
            Some(wildcard) => drop(sets.insert(wildcard)),
            None => sets.extend(apps.iter().filter_map(free)),
        }
        sets.extend(domain_sets(&domains));
        certificates.want_only(sets);
        Ok(())
    }

    /// Has CAs be asked again for a name that they refused before.
    pub(crate) fn retry_certificate(&self, name: &str) {
        if let Some(certificates) = self.certificates_kept() {
            for names in certificates.issuer.status().into_iter().map(|s| s.names) {
                if names.contains(name) {
                    certificates.issuer.retry(&names);
                }
            }
        }
    }
}

/// One set for each domain with the `www.` that sends on to it.
fn domain_sets(domains: &[OwnedDomain]) -> impl Iterator<Item = Names> {
    let heads = domains.iter().filter(|d| d.domain.redirect_to.is_none());
    let mut sets: BTreeMap<&String, Vec<&str>> = heads.map(|d| (&d.name, Vec::new())).collect();
    for owned in domains {
        let head = owned.domain.redirect_to.as_ref().unwrap_or(&owned.name);
        if let Some(set) = sets.get_mut(head)
            && (owned.verified_ms.is_some() || is_private(&owned.name))
        {
            set.push(&owned.name);
        }
    }
    sets.into_values().filter_map(|set| Names::new(set).ok())
}

/// Whether a name is reserved for private use: no public CA can serve it.
pub(crate) fn is_private(name: &str) -> bool {
    Names::new([name]).is_ok_and(|names| LocalCa::may_issue(&names))
}

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

/// Keeps in the store what certificates need.
pub(crate) struct StoreVault {
    pub(crate) store: Store,
    /// Notified of every write.
    pub(crate) written: Arc<Notify>,
}

impl fmt::Debug for StoreVault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StoreVault")
    }
}

#[async_trait]
impl Vault for StoreVault {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Secret>, VaultError> {
        let value = self.store.vault_value(kind.as_str(), id).await?;
        Ok(value.map(Secret::new))
    }

    async fn page(&self, kind: Kind, after: &str) -> Result<Vec<(String, Secret)>, VaultError> {
        let values = self.store.vault_page(kind.as_str(), after).await?;
        let secret = |(id, value): (String, Vec<u8>)| (id, Secret::new(value));
        Ok(values.into_iter().map(secret).collect())
    }

    async fn put(&self, kind: Kind, id: &str, value: Secret) -> Result<(), VaultError> {
        let put = self
            .store
            .set_vault_value(kind.as_str(), id, value.expose());
        put.await?;
        self.written.notify_one();
        Ok(())
    }

    async fn remove(&self, kind: Kind, id: &str) -> Result<(), VaultError> {
        self.store.remove_vault_value(kind.as_str(), id).await?;
        self.written.notify_one();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_certificates::{Policy, SystemClock};
    use doprax_ingress::Certificates as _;
    use std::time::Duration;

    #[tokio::test]
    async fn the_ingress_finds_what_is_issued_and_takes_it_for_no_answer_to_a_ca() {
        let folder = tempfile::tempdir().unwrap();
        let written = Arc::<Notify>::default();
        let vault = StoreVault {
            store: Store::open(folder.path()).await.unwrap(),
            written: Arc::clone(&written),
        };
        let served = Arc::<Served>::default();
        let shown = Shown(Arc::clone(&served));
        let (vault, clock) = (Arc::new(vault), Arc::new(SystemClock));
        let issuer = Issuer::start(Policy::default(), vault, Arc::clone(&served), clock);
        let issuer = issuer.await.unwrap();
        let certificates = Certificates::new(issuer, served, &[], written);
        let name = "shop.localhost";
        assert!(!shown.serves(name) && shown.find(name).is_none());
        certificates.want_only([Names::new([name]).unwrap()].into());
        let issued = async {
            while !shown.serves(name) {
                tokio::task::yield_now().await;
            }
        };
        let issued = tokio::time::timeout(Duration::from_secs(60), issued);
        issued.await.expect("it is issued");
        assert!(certificates.serves(name) && shown.find(name).is_some());
        assert!(shown.alpn_answer(name).is_none() && shown.http_answer(name).is_none());
    }
}
