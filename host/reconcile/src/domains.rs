//! The host names that apps have beside their free subdomains: who has which, and
//! whether they lead here.
//!
//! A name is served from the moment it belongs to an app. That it leads here is found
//! out from the servers of its zone, and decides only whether public CAs are asked for it.

use crate::certificate::{Certificates, is_private};
use crate::clock::now_ms;
use crate::events::Events;
use crate::record::record;
use crate::report::{DnsRecord, DomainStatus, Verification};
use crate::routes::RouteTable;
use crate::{Config, Error, Resolve};
use doprax_core::change::{Changed, DomainChange};
use doprax_core::domain::{Domain, Domains, ascii, host_names, is_within, objection};
use doprax_core::name::AppName;
use doprax_core::spec::DomainSpec;
use doprax_store::{Claimed, OwnedDomain, Store};
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

/// The host names of every app beside the free ones.
pub struct AppDomains {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) events: Arc<Events>,
    pub(crate) resolve: Resolve,
}

impl AppDomains {
    /// The host names of one app, or of all.
    pub async fn list(&self, app: Option<&AppName>) -> Result<Vec<DomainStatus>, Error> {
        if let Some(app) = app {
            record(&self.store, app).await?;
        }
        let domains = self.store.domains(app).await?;
        Ok(domains
            .into_iter()
            .map(|domain| self.status_of(domain))
            .collect())
    }

    /// Gives an app a host name, with `www` also the name with `www.` before it, that
    /// sends on to it. Returns them with the DNS records that they need.
    pub async fn add(
        &self,
        app: &AppName,
        name: &str,
        spec: DomainSpec,
    ) -> Result<Vec<DomainStatus>, Error> {
        record(&self.store, app).await?;
        let name = &ascii(name);
        if objection(name, "").is_some() {
            return Err(Error::NotADomain { name: name.clone() });
        }
        let names = host_names(&BTreeMap::from([(name.clone(), spec)]));
        self.claim(app, &names, true).await?;
        self.renew(app).await?;
        let domains = self.store.domains(Some(app)).await?;
        let added = domains.into_iter().filter(|d| names.contains_key(&d.name));
        Ok(added.map(|domain| self.status_of(domain)).collect())
    }

    /// Takes from an app a host name that was added by hand.
    pub async fn remove(&self, app: &AppName, name: &str) -> Result<(), Error> {
        let name = &ascii(name);
        let remembered = record(&self.store, app).await?;
        let domains = self.store.domains(Some(app)).await?;
        if !domains.iter().any(|domain| domain.name == *name) {
            return Err(no_domain(app, name, &domains));
        }
        let release = remembered.release.as_ref();
        if release.is_some_and(|release| release.blueprint.domains.contains_key(name)) {
            return Err(Error::DomainInUse {
                app: app.clone(),
                name: name.to_owned(),
            });
        }
        self.store.remove_domain(app, name).await?;
        self.renew(app).await
    }

    /// Asks where an app's host names lead: one with its `www.`, or all.
    pub async fn verify(
        &self,
        app: &AppName,
        name: Option<&str>,
    ) -> Result<Vec<Verification>, Error> {
        record(&self.store, app).await?;
        let name = name.map(ascii);
        let name = name.as_deref();
        let domains = self.store.domains(Some(app)).await?;
        let wanted = |owned: &OwnedDomain| {
            name.is_none_or(|name| {
                owned.name == name || owned.domain.redirect_to.as_deref() == Some(name)
            })
        };
        let found: Vec<&OwnedDomain> = domains.iter().filter(|domain| wanted(domain)).collect();
        if let (true, Some(name)) = (found.is_empty(), name) {
            return Err(no_domain(app, name, &domains));
        }
        let checks = found.into_iter().map(|domain| self.look_up(domain));
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
        self.certificates.renew().await?;
        for found in verifications.iter().filter(|found| found.verified) {
            self.certificates.retry(&found.name);
        }
        Ok(())
    }

    async fn look_up(&self, domain: &OwnedDomain) -> Result<Verification, Error> {
        let expected: BTreeSet<IpAddr> = self.config.addresses.iter().copied().collect();
        let mut verification = Verification {
            name: domain.name.clone(),
            verified: false,
            found: Vec::new(),
            expected: expected.iter().copied().collect(),
            servers_of: None,
            problem: None,
        };
        let answer = match (self.resolve)(domain.name.clone(), self.config.dns).await {
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
                self.store.set_verified(&domain.name, now).await?;
                if domain.verified_ms.is_none() {
                    self.tell(domain, DomainChange::Verified);
                }
            }
            Place::Elsewhere if domain.verified_ms.is_some() => {
                tracing::warn!(domain = domain.name, "no longer leads here");
                self.store.set_verified(&domain.name, None).await?;
                self.tell(domain, DomainChange::Lost);
            }
            Place::Elsewhere | Place::Unknown => {}
        }
        verification.found = answer.addresses.into_iter().collect();
        verification.servers_of = Some(answer.zone);
        Ok(verification)
    }

    fn tell(&self, domain: &OwnedDomain, change: DomainChange) {
        let name = domain.name.clone();
        let what = Changed::Domain { name, change };
        self.events.tell(Some(&domain.app), what);
    }

    /// Verifies every domain that was not seen to lead here yet, again and again, so that
    /// it gets its certificate without anybody asking.
    pub(crate) async fn keep_verifying(&self) {
        if self.config.certificates.cas.is_empty() {
            return;
        }
        let mut tries = BTreeMap::new();
        loop {
            if let Err(error) = self.verify_pending(&mut tries).await {
                tracing::warn!(error = %error.chain(), "domains were not verified");
            }
            tokio::time::sleep(VERIFY).await;
        }
    }

    /// `tries` counts how often each name was looked at, and in how many turns it is
    /// again.
    async fn verify_pending(&self, tries: &mut BTreeMap<String, (u32, u32)>) -> Result<(), Error> {
        let domains = self.store.domains(None).await?;
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
            *wait = turns_after(*tried);
            *tried += 1;
            let verification = self.look_up(&domain).await?;
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
        self.check_outside(names)?;
        match self.store.claim_domains(app, names, by_hand).await? {
            Claimed::All => Ok(()),
            Claimed::Taken { name, app } => Err(Error::DomainTaken { name, app }),
        }
    }

    /// Refuses names that another app has, without taking them.
    pub(crate) async fn check_free(&self, app: &AppName, names: &Domains) -> Result<(), Error> {
        self.check_outside(names)?;
        if names.is_empty() {
            return Ok(());
        }
        let taken = self.store.domains(None).await?;
        let taken = taken
            .into_iter()
            .find(|domain| domain.app != *app && names.contains_key(&domain.name));
        match taken {
            None => Ok(()),
            Some(OwnedDomain { name, app, .. }) => Err(Error::DomainTaken { name, app }),
        }
    }

    /// Names below the base domain are the apps' free ones.
    fn check_outside(&self, names: &Domains) -> Result<(), Error> {
        let base = &self.config.base_domain;
        match names.keys().find(|name| is_within(name, base)) {
            None => Ok(()),
            Some(name) => Err(Error::FreeDomain {
                name: name.clone(),
                base: base.clone(),
            }),
        }
    }

    /// Has the ingress know an app's host names as they are now, and CAs asked for them.
    pub(crate) async fn renew(&self, app: &AppName) -> Result<(), Error> {
        let domains = self.domains_of(app).await?;
        self.routes.set_domains(app, domains);
        self.certificates.renew().await
    }

    /// Takes from an app the names that it got for a deploy that has failed, or that its
    /// release no longer has. Failing at it changes nothing of what came of a deploy; the
    /// next one does it.
    pub(crate) async fn put_right(&self, app: &AppName) {
        if let Err(error) = self.keep_released(app).await {
            tracing::warn!(%app, error = error.chain(), "domains were not put right");
        }
    }

    async fn keep_released(&self, app: &AppName) -> Result<(), Error> {
        let remembered = self.store.app_in_brief(app).await?;
        let kept = remembered.and_then(|app| app.release);
        let kept = kept.map(|release| release.blueprint.domains);
        let kept = kept.unwrap_or_default();
        self.store.release_domains(app, &kept).await?;
        self.renew(app).await
    }

    /// Every host name of an app beside its free subdomain.
    async fn domains_of(&self, app: &AppName) -> Result<Domains, Error> {
        let domains = self.store.domains(Some(app)).await?;
        let pairs = domains.into_iter().map(|owned| (owned.name, owned.domain));
        Ok(pairs.collect())
    }

    fn status_of(&self, domain: OwnedDomain) -> DomainStatus {
        let OwnedDomain {
            name,
            app,
            domain: Domain { redirect_to, hsts },
            by_hand,
            verified_ms,
        } = domain;
        let addresses = self.config.addresses.iter();
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

/// In how many turns, beside the next one, a name is looked at again that was looked at this
/// often before.
fn turns_after(tried: u32) -> u32 {
    (1 << tried.min(MOST_DOUBLINGS)) - 1
}

fn no_domain(app: &AppName, name: &str, known: &[OwnedDomain]) -> Error {
    Error::NoDomain {
        app: app.clone(),
        name: name.to_owned(),
        known: known.iter().map(|domain| domain.name.clone()).collect(),
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

    #[test]
    fn a_name_is_looked_at_less_and_less_often_up_to_every_half_hour() {
        let pauses = (0..10).map(|tried| VERIFY * (turns_after(tried) + 1));
        let seconds: Vec<u64> = pauses.map(|pause| pause.as_secs()).collect();
        let expected = [15, 30, 60, 120, 240, 480, 960, 1_920, 1_920, 1_920];
        assert_eq!(seconds, expected);
    }
}
