//! Which names get certificates, and where what these need is kept.
//!
//! Every app's free subdomain gets one, and every domain that was seen to lead here: a
//! CA would refuse the others and count it. Names that are reserved for private use get
//! theirs from the host's own CA at once. A domain and its `www.` share one.

mod shown;
mod told;
mod vault;

use crate::{Config, Error, StartError};
use doprax_certificates::{
    CertificateStatus, Challenge, Issuer, LocalCa, Names, Policy, Served, SystemClock,
};
use doprax_core::name::AppName;
use doprax_store::{OwnedDomain, Store};
pub(crate) use shown::Shown;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
pub(crate) use told::tell;
use vault::StoreVault;

/// Keeps a certificate for every name that should have one.
pub(crate) struct Certificates {
    store: Store,
    base_domain: String,
    /// Absent where nothing is served by HTTPS.
    issuing: Option<Issuing>,
}

struct Issuing {
    issuer: Issuer,
    served: Arc<Served>,
    /// Whether a wildcard for all free subdomains can be proven.
    wildcard: bool,
    wanted: Mutex<BTreeSet<Names>>,
    /// Notified when something of a certificate was written down, or is wanted otherwise.
    written: Arc<Notify>,
}

impl Certificates {
    /// Goes on with what the store has, and keeps in `served` what there is to serve.
    pub(crate) async fn start(
        config: &Config,
        store: &Store,
        served: Arc<Served>,
    ) -> Result<Self, StartError> {
        let issuing = match config.https.is_empty() {
            true => None,
            false => Some(Issuing::start(&config.certificates, store, served).await?),
        };
        Ok(Self {
            store: store.clone(),
            base_domain: config.base_domain.clone(),
            issuing,
        })
    }

    /// Asks no CA any more.
    pub(crate) fn end(&self) {
        if let Some(issuing) = &self.issuing {
            issuing.issuer.end();
        }
    }

    /// Whether names get certificates at all.
    pub(crate) fn are_issued(&self) -> bool {
        self.issuing.is_some()
    }

    /// Whether a certificate is served for a host name.
    pub(crate) fn serves(&self, name: &str) -> bool {
        let issuing = self.issuing.as_ref();
        issuing.is_some_and(|issuing| issuing.served.serves(name))
    }

    /// How things stand with every certificate.
    pub(crate) fn status(&self) -> Vec<CertificateStatus> {
        self.issuing
            .as_ref()
            .map(Issuing::status)
            .unwrap_or_default()
    }

    /// The certificate of the host's own CA, in PEM; none where nothing is served by
    /// HTTPS.
    pub(crate) fn local_ca(&self) -> Option<String> {
        let issuing = self.issuing.as_ref()?;
        Some(issuing.issuer.local_ca().root_pem().to_owned())
    }

    /// Sees to it that every name that should have a certificate has one, after apps or
    /// domains have changed.
    pub(crate) async fn renew(&self) -> Result<(), Error> {
        let Some(issuing) = &self.issuing else {
            return Ok(());
        };
        let (apps, domains) = tokio::try_join!(self.store.app_names(), self.store.domains(None))?;
        let base = &self.base_domain;
        let mut sets = BTreeSet::new();
        let free = |app: &AppName| Names::new([format!("{app}.{base}")]).ok();
        let wildcard = Names::new([format!("*.{base}")]).ok();
        match wildcard.filter(|names| issuing.wildcard && !LocalCa::may_issue(names)) {
            Some(wildcard) => drop(sets.insert(wildcard)),
            None => sets.extend(apps.iter().filter_map(free)),
        }
        sets.extend(domain_sets(&domains));
        issuing.want_only(sets);
        Ok(())
    }

    /// Has CAs be asked again for a name that they refused before.
    pub(crate) fn retry(&self, name: &str) {
        if let Some(issuing) = &self.issuing {
            for names in issuing.issuer.status().into_iter().map(|s| s.names) {
                if names.contains(name) {
                    issuing.issuer.retry(&names);
                }
            }
        }
    }
}

impl Issuing {
    async fn start(
        policy: &Policy,
        store: &Store,
        served: Arc<Served>,
    ) -> Result<Self, StartError> {
        let written = Arc::<Notify>::default();
        let vault = StoreVault {
            store: store.clone(),
            written: Arc::clone(&written),
        };
        let (vault, clock) = (Arc::new(vault), Arc::new(SystemClock));
        let issuer = Issuer::start(policy.clone(), vault, Arc::clone(&served), clock);
        let mut challenges = policy.challenges.iter();
        Ok(Self {
            issuer: issuer.await?,
            served,
            wildcard: challenges.any(|challenge| matches!(challenge, Challenge::Dns01(_))),
            wanted: Mutex::default(),
            written,
        })
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
    fn status(&self) -> Vec<CertificateStatus> {
        let wanted = self.wanted();
        let mut status = self.issuer.status();
        status.retain(|status| wanted.contains(&status.names));
        status
    }

    fn wanted(&self) -> MutexGuard<'_, BTreeSet<Names>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_ingress::Certificates as _;
    use std::time::Duration;

    #[tokio::test]
    async fn the_ingress_finds_what_is_issued_and_takes_it_for_no_answer_to_a_ca() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let served = Arc::<Served>::default();
        let shown = Shown(Arc::clone(&served));
        let issuing = Issuing::start(&Policy::default(), &store, served).await;
        let certificates = Certificates {
            store,
            base_domain: "localhost".to_owned(),
            issuing: Some(issuing.unwrap()),
        };
        let name = "shop.localhost";
        assert!(!shown.serves(name) && shown.find(name).is_none());
        let issuing = certificates.issuing.as_ref().unwrap();
        issuing.want_only([Names::new([name]).unwrap()].into());
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
