//! The host names that apps have beside their free subdomains: who has which, and
//! whether they lead here.
//!
//! A name is served from the moment it belongs to an app. That it leads here is found
//! out from the servers of its zone, and decides only whether public CAs are asked for it.

use crate::certificate::is_private;
use crate::journal::now_ms;
use crate::report::{DnsRecord, DomainStatus, Verification};
use crate::{Error, Host};
use doprax_core::change::{Changed, DomainChange};
use doprax_core::domain::{Domain, Domains, ascii, host_names, is_within, objection};
use doprax_core::name::AppName;
use doprax_core::spec::DomainSpec;
use doprax_store::{Claimed, OwnedDomain};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks at domains that do not lead here yet; longer with every look, up to
/// half an hour.
const VERIFY: Duration = Duration::from_secs(15);
const MOST_DOUBLINGS: u32 = 7;

/// Where a name leads by the word of its own servers.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// To this host and nowhere else.
    Here,
    /// Elsewhere too, or nowhere.
    Elsewhere,
    /// Somewhere, and this host knows no address of itself.
    Unknown,
}

impl Place {
    fn of(found: &BTreeSet<IpAddr>, expected: &BTreeSet<IpAddr>) -> Self {
        if found.is_empty() {
            Self::Elsewhere
        } else if expected.is_empty() {
            Self::Unknown
        } else if found.is_subset(expected) {
            Self::Here
        } else {
            Self::Elsewhere
        }
    }
}

impl Host {
    /// The host names of one app, or of all.
    pub async fn domains(&self, app: Option<&AppName>) -> Result<Vec<DomainStatus>, Error> {
        if let Some(app) = app {
            self.record(app).await?;
        }
        let domains = self.store().domains(app).await?;
        Ok(domains
            .into_iter()
            .map(|domain| self.status_of(domain))
            .collect())
    }

    /// Gives an app a host name, with `www` also the name with `www.` before it, that
    /// sends on to it. Returns them with the DNS records that they need.
    pub async fn add_domain(
        &self,
        app: &AppName,
        name: &str,
        spec: DomainSpec,
    ) -> Result<Vec<DomainStatus>, Error> {
        self.record(app).await?;
        let name = &ascii(name);
        if let Some((message, help)) = objection(name, "") {
            return Err(Error::Domain { message, help });
        }
        let names = host_names(&BTreeMap::from([(name.clone(), spec)]));
        self.claim(app, &names, true).await?;
        self.renew_domains(app).await?;
        let domains = self.store().domains(Some(app)).await?;
        let added = domains.into_iter().filter(|d| names.contains_key(&d.name));
        Ok(added.map(|domain| self.status_of(domain)).collect())
    }

    /// Takes from an app a host name that was added by hand.
    pub async fn remove_domain(&self, app: &AppName, name: &str) -> Result<(), Error> {
        let name = &ascii(name);
        let record = self.record(app).await?;
        let domains = self.store().domains(Some(app)).await?;
        if !domains.iter().any(|domain| domain.name == *name) {
            return Err(self.no_domain(app, name, &domains));
        }
        let release = record.release.as_ref();
        if release.is_some_and(|release| release.blueprint.domains.contains_key(name)) {
            return Err(Error::DomainInUse {
                app: app.clone(),
                name: name.to_owned(),
            });
        }
        self.store().remove_domain(app, name).await?;
        self.renew_domains(app).await
    }

    /// Asks where an app's host names lead: one with its `www.`, or all.
    pub async fn verify_domains(
        &self,
        app: &AppName,
        name: Option<&str>,
    ) -> Result<Vec<Verification>, Error> {
        self.record(app).await?;
        let name = name.map(ascii);
        let name = name.as_deref();
        let domains = self.store().domains(Some(app)).await?;
        let wanted = |owned: &OwnedDomain| {
            name.is_none_or(|name| {
                owned.name == name || owned.domain.redirect_to.as_deref() == Some(name)
            })
        };
        let found: Vec<&OwnedDomain> = domains.iter().filter(|domain| wanted(domain)).collect();
        if let (true, Some(name)) = (found.is_empty(), name) {
            return Err(self.no_domain(app, name, &domains));
        }
        let checks = found.into_iter().map(|domain| self.verify(domain));
        let verifications = futures_util::future::try_join_all(checks).await?;
        self.ask_for(&verifications).await?;
        Ok(verifications)
    }

    /// Has CAs asked for the names that lead here, and no more for those that have moved
    /// away. After all of them were looked at: a domain and its `www.` share one
    /// certificate.
    async fn ask_for(&self, verifications: &[Verification]) -> Result<(), Error> {
        if verifications.is_empty() {
            return Ok(());
        }
        self.renew_wishes().await?;
        for found in verifications.iter().filter(|found| found.verified) {
            self.retry_certificate(&found.name);
        }
        Ok(())
    }

    async fn verify(&self, domain: &OwnedDomain) -> Result<Verification, Error> {
        let expected: BTreeSet<IpAddr> = self.config().addresses.iter().copied().collect();
        let mut verification = Verification {
            name: domain.name.clone(),
            verified: false,
            found: Vec::new(),
            expected: expected.iter().copied().collect(),
            servers_of: None,
            problem: None,
        };
        let answer = match doprax_dns::resolve(&domain.name, self.config().dns).await {
            Ok(answer) => answer,
            Err(error) => {
                verification.problem = Some(crate::error::chain(&error));
                return Ok(verification);
            }
        };
        match Place::of(&answer.addresses, &expected) {
            Place::Here => {
                verification.verified = true;
                let now = Some(now_ms());
                self.store().set_verified(&domain.name, now).await?;
                if domain.verified_ms.is_none() {
                    self.tell_of_domain(domain, DomainChange::Verified);
                }
            }
            Place::Elsewhere if domain.verified_ms.is_some() => {
                tracing::warn!(domain = domain.name, "no longer leads here");
                self.store().set_verified(&domain.name, None).await?;
                self.tell_of_domain(domain, DomainChange::Lost);
            }
            Place::Elsewhere | Place::Unknown => {}
        }
        verification.found = answer.addresses.into_iter().collect();
        verification.servers_of = Some(answer.zone);
        Ok(verification)
    }

    fn tell_of_domain(&self, domain: &OwnedDomain, change: DomainChange) {
        let name = domain.name.clone();
        let what = Changed::Domain { name, change };
        self.events.tell(Some(&domain.app), what);
    }

    /// Verifies every domain that was not seen to lead here yet, again and again, so that
    /// it gets its certificate without anybody asking. Runs until the host ends.
    pub(crate) async fn keep_verifying(self: Arc<Self>) {
        if self.config().certificates.cas.is_empty() {
            return;
        }
        let ending = self.ending().clone();
        let mut tries = BTreeMap::new();
        let verifying = async {
            loop {
                if let Err(error) = self.verify_pending(&mut tries).await {
                    tracing::warn!(error = %error.chain(), "domains were not verified");
                }
                tokio::time::sleep(VERIFY).await;
            }
        };
        ending.run_until_cancelled(verifying).await;
    }

    /// `tries` counts how often each name was looked at, and in how many turns it is
    /// again.
    async fn verify_pending(&self, tries: &mut BTreeMap<String, (u32, u32)>) -> Result<(), Error> {
        let domains = self.store().domains(None).await?;
        let pending =
            |domain: &OwnedDomain| domain.verified_ms.is_none() && !is_private(&domain.name);
        let pending: Vec<OwnedDomain> = domains.into_iter().filter(pending).collect();
        tries.retain(|name, _| pending.iter().any(|domain| domain.name == *name));
        let mut verifications = Vec::new();
        for domain in pending {
            let (tried, wait) = tries.entry(domain.name.clone()).or_default();
            if *wait > 0 {
                *wait -= 1;
                continue;
            }
            *wait = (1 << (*tried).min(MOST_DOUBLINGS)) - 1;
            *tried += 1;
            let verification = self.verify(&domain).await?;
            if verification.verified {
                tracing::info!(domain = domain.name, "leads here");
            }
            verifications.push(verification);
        }
        self.ask_for(&verifications).await
    }

    /// Gives an app names, or says which of them it cannot have.
    pub(crate) async fn claim(
        &self,
        app: &AppName,
        names: &Domains,
        by_hand: bool,
    ) -> Result<(), Error> {
        self.check_domains(names)?;
        match self.store().claim_domains(app, names, by_hand).await? {
            Claimed::All => Ok(()),
            Claimed::Taken { name, app } => Err(Error::DomainTaken { name, app }),
        }
    }

    /// Refuses names that another app has, without taking them.
    pub(crate) async fn check_free(&self, app: &AppName, names: &Domains) -> Result<(), Error> {
        self.check_domains(names)?;
        if names.is_empty() {
            return Ok(());
        }
        let taken = self.store().domains(None).await?;
        let taken = taken
            .into_iter()
            .find(|domain| domain.app != *app && names.contains_key(&domain.name));
        match taken {
            None => Ok(()),
            Some(OwnedDomain { name, app, .. }) => Err(Error::DomainTaken { name, app }),
        }
    }

    /// Names below the base domain are the apps' free ones.
    fn check_domains(&self, names: &Domains) -> Result<(), Error> {
        let base = &self.config().base_domain;
        match names.keys().find(|name| is_within(name, base)) {
            None => Ok(()),
            Some(name) => Err(Error::Domain {
                message: format!(
                    "{name} is within {base}, whose names are given to apps by their own names"
                ),
                help: format!(
                    "name the app so that its address is the wanted one (APP.{base}), or use another domain"
                ),
            }),
        }
    }

    /// Has the ingress know an app's host names as they are now, and CAs asked for them.
    pub(crate) async fn renew_domains(&self, app: &AppName) -> Result<(), Error> {
        let domains = self.domains_of(app).await?;
        self.set_domains(app, domains);
        self.renew_wishes().await
    }

    /// Every host name of an app beside its free subdomain.
    async fn domains_of(&self, app: &AppName) -> Result<Domains, Error> {
        let domains = self.store().domains(Some(app)).await?;
        let pairs = domains.into_iter().map(|owned| (owned.name, owned.domain));
        Ok(pairs.collect())
    }

    fn no_domain(&self, app: &AppName, name: &str, known: &[OwnedDomain]) -> Error {
        Error::NoDomain {
            app: app.clone(),
            name: name.to_owned(),
            known: known.iter().map(|domain| domain.name.clone()).collect(),
        }
    }

    fn status_of(&self, domain: OwnedDomain) -> DomainStatus {
        let OwnedDomain {
            name,
            app,
            domain: Domain { redirect_to, hsts },
            by_hand,
            verified_ms,
        } = domain;
        let addresses = self.config().addresses.iter();
        let records = addresses.map(|address| DnsRecord {
            kind: if address.is_ipv4() { "A" } else { "AAAA" },
            name: name.clone(),
            value: address.to_string(),
        });
        DomainStatus {
            private: is_private(&name),
            records: records.collect(),
            name,
            app,
            redirect_to,
            hsts,
            by_hand,
            verified_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_here_if_all_its_addresses_are_of_this_host() {
        let addresses = |all: &[&str]| -> BTreeSet<IpAddr> {
            all.iter().map(|address| address.parse().unwrap()).collect()
        };
        let own = ["192.0.2.10", "2001:db8::10"];
        let cases: [(&[&str], &[&str], Place); 7] = [
            (&own[..1], &own[..], Place::Here),
            (&own, &own, Place::Here),
            (&["192.0.2.7"], &own, Place::Elsewhere),
            (&["192.0.2.7", "192.0.2.10"], &own, Place::Elsewhere),
            (&[], &own, Place::Elsewhere),
            (&[], &[], Place::Elsewhere),
            (&["192.0.2.7"], &[], Place::Unknown),
        ];
        for (found, expected, place) in cases {
            let found = addresses(found);
            assert_eq!(Place::of(&found, &addresses(expected)), place, "{found:?}");
        }
    }
}
