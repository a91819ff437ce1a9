//! Domains whose DNS changes.

use crate::events::told;
use crate::source::Source;
use crate::stage::{Stage, app};
use doprax_core::change::{Changed, DomainChange};
use doprax_core::spec::DomainSpec;
use doprax_dns::Answer;
use doprax_reconcile::{After, Resolve};
use futures_util::FutureExt as _;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// Name servers in memory: where names lead. Of one that they do not have no server is in
/// charge.
#[derive(Clone, Default)]
pub(crate) struct Dns(Arc<Mutex<BTreeMap<String, BTreeSet<IpAddr>>>>);

impl Dns {
    fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        let mut names = self.0.lock().unwrap();
        names.insert(name.to_owned(), addresses.collect());
    }

    /// What a host asks.
    pub(crate) fn resolve(&self) -> Resolve {
        let names = Arc::clone(&self.0);
        Arc::new(move |name, _| {
            let addresses = names.lock().unwrap().get(&name).cloned();
            let zone = name.clone();
            let answer = addresses.map(|addresses| Answer { addresses, zone });
            let answer = answer.ok_or(doprax_dns::Error::NoServer { name });
            async move { answer }.boxed()
        })
    }
}

/// What was told of the app's domains.
fn changes(stage: &Stage) -> Vec<DomainChange> {
    let changes = told(stage, After::Beginning).into_iter();
    let changes = changes.filter_map(|change| match change.what {
        Changed::Domain { change, .. } => Some(change),
        _ => None,
    });
    changes.collect()
}

#[test]
fn a_domain_is_verified_for_as_long_as_it_leads_here_and_nowhere_else() {
    const NAME: &str = "example.net";
    let mut stage = Stage::without_host();
    stage.config.addresses = vec!["192.0.2.10".parse().unwrap()];
    stage.start();
    stage.deploy(&Source::new("v1"));
    let spec = DomainSpec::default();
    let added = stage.ask(|host| async move { host.domains().add(&app(), NAME, spec).await });
    assert_eq!(added.unwrap().len(), 1);
    let verify = || {
        let verified = stage.ask(|host| async move { host.domains().verify(&app(), None).await });
        verified.unwrap().remove(0)
    };
    let is_remembered = || {
        let domains = stage.ask(|host| async move { host.domains().list(None).await });
        domains.unwrap()[0].verified_ms.is_some()
    };

    let unknown = verify();
    let problem = unknown.problem.unwrap();
    assert!(problem.contains("no name server"), "{problem}");
    let mut expected = vec![DomainChange::Added];
    for (addresses, verified, change) in [
        (&[][..], false, None),
        (&["192.0.2.7"], false, None),
        (&["192.0.2.10"], true, Some(DomainChange::Verified)),
        (&["192.0.2.10"], true, None),
        (
            &["192.0.2.10", "192.0.2.7"],
            false,
            Some(DomainChange::Lost),
        ),
        (&["192.0.2.7"], false, None),
        (&["192.0.2.10"], true, Some(DomainChange::Verified)),
    ] {
        stage.dns.set(NAME, addresses);
        let found = verify();
        assert_eq!(
            (found.verified, found.problem),
            (verified, None),
            "{addresses:?}"
        );
        assert_eq!(found.found.len(), addresses.len());
        assert_eq!(is_remembered(), verified, "{addresses:?}");
        expected.extend(change);
        assert_eq!(changes(&stage), expected, "{addresses:?}");
    }
}
