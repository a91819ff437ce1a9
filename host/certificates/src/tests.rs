//! Tests against real Pebble, and what they share.
//!
//! They are inside the crate because what is answered to a CA is nobody else's affair.

use crate::served::Served;
use crate::{
    Ca, CertificateStatus, Challenge, Clock, Issuer, Kind, Limits, Names, Phase, Policy, Secret,
    Vault, VaultError,
};
use async_trait::async_trait;
use clock::ManualClock;
use pebble::{Options, Pebble};
use proxy::{Proxy, Tls};
use rustls::pki_types::CertificateDer;
use serde_json::json;
use site::Site;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod clock;
mod issuance;
mod kill;
mod many;
mod pebble;
mod proxy;
mod renewal;
#[allow(dead_code, reason = "others use the rest")]
#[path = "../../../tests/required.rs"]
mod required;
mod site;
mod trouble;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long something may take that should take a moment.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host, a CA, and what is between them.
struct Rig {
    certificates: Arc<Served>,
    vault: MemoryVault,
    clock: Arc<ManualClock>,
    pebble: Pebble,
    proxy: Proxy,
    tls: Tls,
    site: Site,
}

impl Rig {
    async fn start(programs: &Path, options: Options) -> Self {
        let certificates = Arc::new(Served::default());
        let site = Site::start(Arc::clone(&certificates)).await;
        let tls = Tls::new();
        let ports = (site.http_port, site.tls_port);
        let pebble = Pebble::start(programs, ports, &tls, options).await;
        let proxy = Proxy::start(pebble.port, &tls).await;
        Self {
            certificates,
            vault: MemoryVault::default(),
            clock: Arc::new(ManualClock::new()),
            pebble,
            proxy,
            tls,
            site,
        }
    }

    /// Asks Pebble, through the proxy.
    fn policy(&self) -> Policy {
        Policy {
            cas: vec![self.ca(&self.proxy)],
            email: None,
            terms_agreed: true,
            challenges: vec![Challenge::Http01],
        }
    }

    fn ca(&self, proxy: &Proxy) -> Ca {
        Ca {
            directory: proxy.directory(),
            roots: Some(self.tls.root.clone()),
            binding: None,
            profile: None,
            limits: Limits::default(),
        }
    }

    async fn issuer(&self, policy: Policy) -> Issuer {
        self.issuer_with(policy, Arc::new(self.vault.clone())).await
    }

    async fn issuer_with(&self, policy: Policy, vault: Arc<dyn Vault>) -> Issuer {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        Issuer::start(policy, vault, Arc::clone(&self.certificates), clock)
            .await
            .unwrap()
    }

    /// The certificate that is served for a name.
    fn served(&self, name: &str) -> CertificateDer<'static> {
        let served = self.certificates.held(name).expect("it is served");
        served.leaf().clone()
    }

    /// Whether a certificate is served for each of the names.
    fn serves(&self, names: &Names) -> bool {
        names.iter().all(|name| self.certificates.serves(name))
    }
}

/// A Pebble whose certificates live as long as the profile says.
fn profiles() -> Options {
    let lifetime = |days| json!({ "description": "", "validityPeriod": days * 24 * 3600 });
    Options {
        config: Some(json!({ "profiles": {
            "shortlived": lifetime(6),
            "tlsserver": lifetime(45),
            "classic": lifetime(90),
        } })),
        ..Options::default()
    }
}

fn names(text: &str) -> Names {
    Names::new(text.split(',')).unwrap()
}

fn status(issuer: &Issuer, of: &Names) -> CertificateStatus {
    let found = issuer.status().into_iter().find(|found| found.names == *of);
    found.expect("they are wanted")
}

/// Waits until the names are in this phase, and returns how things stand then.
async fn reaches(issuer: &Issuer, of: &Names, phase: Phase) -> CertificateStatus {
    let is_there = comes_true(|| status(issuer, of).phase == phase).await;
    let found = status(issuer, of);
    assert!(is_there, "in vain: {phase:?} of {found:?}");
    found
}

/// Waits until an attempt has failed and returns what went wrong.
async fn fails(issuer: &Issuer, of: &Names) -> String {
    until(&format!("an attempt for {of} fails"), || {
        let found = status(issuer, of);
        found.last_error.is_some() && found.next_attempt.is_some()
    })
    .await;
    status(issuer, of).last_error.unwrap()
}

/// Waits for a condition that some other task or program brings about.
async fn until(what: &str, condition: impl FnMut() -> bool) {
    assert!(comes_true(condition).await, "in vain: {what}");
}

async fn comes_true(mut condition: impl FnMut() -> bool) -> bool {
    let mut look = tokio::time::interval(Duration::from_millis(5));
    let wait = async {
        while !condition() {
            look.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.is_ok()
}

/// A vault that is gone with the process. Clones are the same vault.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryVault {
    values: Arc<Mutex<BTreeMap<(Kind, String), Secret>>>,
}

impl MemoryVault {
    fn count(&self, kind: Kind) -> usize {
        let values = self.values.lock().unwrap();
        values.keys().filter(|(found, _)| *found == kind).count()
    }

    /// All that is kept of a kind, as text.
    fn texts(&self, kind: Kind) -> Vec<String> {
        let values = self.values.lock().unwrap();
        let of_kind = values.iter().filter(|((found, _), _)| *found == kind);
        let text = |value: &Secret| String::from_utf8(value.expose().to_vec()).unwrap();
        of_kind.map(|(_, value)| text(value)).collect()
    }

    /// What is kept, as text.
    fn text(&self, kind: Kind, id: &str) -> Option<String> {
        let values = self.values.lock().unwrap();
        let value = values.get(&(kind, id.to_owned()))?;
        Some(String::from_utf8(value.expose().to_vec()).unwrap())
    }
}

#[async_trait]
impl Vault for MemoryVault {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Secret>, VaultError> {
        let values = self.values.lock().unwrap();
        Ok(values.get(&(kind, id.to_owned())).cloned())
    }

    async fn page(&self, kind: Kind, after: &str) -> Result<Vec<(String, Secret)>, VaultError> {
        let values = self.values.lock().unwrap();
        let of_kind = values.iter().filter(|((found, _), _)| *found == kind);
        let rest = of_kind.filter(|((_, id), _)| id.as_str() > after);
        // Two, so that there are pages to turn.
        Ok(rest
            .map(|((_, id), value)| (id.clone(), value.clone()))
            .take(2)
            .collect())
    }

    async fn put(&self, kind: Kind, id: &str, value: Secret) -> Result<(), VaultError> {
        let mut values = self.values.lock().unwrap();
        values.insert((kind, id.to_owned()), value);
        Ok(())
    }

    async fn remove(&self, kind: Kind, id: &str) -> Result<(), VaultError> {
        self.values.lock().unwrap().remove(&(kind, id.to_owned()));
        Ok(())
    }
}
