//! Domains: whose each is, and what is known of it.

use crate::stage::shop;
use doprax_core::domain::{Domain, Domains, host_names};
use doprax_core::name::AppName;
use doprax_core::spec::DomainSpec;
use doprax_store::{Claimed, OwnedDomain, Store};
use std::collections::BTreeMap;

#[tokio::test]
async fn a_domain_belongs_to_one_app() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let other = AppName::new("other").unwrap();
    for (app, subnet) in [(shop(), "10.200.0.0/23"), (other.clone(), "10.200.2.0/23")] {
        store.add_app(&app, subnet.parse().unwrap()).await.unwrap();
    }
    let names = |names: &[&str]| -> Domains {
        let pairs = names
            .iter()
            .map(|name| (name.to_string(), Domain::default()));
        pairs.collect()
    };
    let listed = || async {
        let domains = store.domains(None).await.unwrap();
        let text = |d: OwnedDomain| {
            format!(
                "{} {} {}",
                d.name,
                d.app,
                if d.by_hand { "hand" } else { "file" }
            )
        };
        domains.into_iter().map(text).collect::<Vec<_>>()
    };
    let www = Domains::from([
        ("a.com".to_owned(), Domain::default()),
        (
            "www.a.com".to_owned(),
            Domain {
                redirect_to: Some("a.com".to_owned()),
                hsts: true,
            },
        ),
    ]);
    for _ in 0..2 {
        let claimed = store.claim_domains(&shop(), &www, true).await.unwrap();
        assert_eq!(claimed, Claimed::All);
    }
    let wanted = names(&["0.com", "a.com"]);
    let claimed = store.claim_domains(&other, &wanted, false);
    let taken = Claimed::Taken {
        name: "a.com".to_owned(),
        app: shop(),
    };
    assert_eq!(claimed.await.unwrap(), taken);
    assert_eq!(listed().await, ["a.com shop hand", "www.a.com shop hand"]);

    // What the manifest names comes and goes; what a person added stays.
    let both = names(&["a.com", "b.com", "c.com"]);
    store.claim_domains(&shop(), &both, false).await.unwrap();
    store.set_verified("b.com", Some(7)).await.unwrap();
    store
        .release_domains(&shop(), &names(&["b.com"]))
        .await
        .unwrap();
    assert_eq!(
        listed().await,
        ["a.com shop hand", "b.com shop file", "www.a.com shop hand"]
    );
    let found = store.domains(Some(&shop())).await.unwrap();
    assert_eq!(found[1].verified_ms, Some(7));
    assert_eq!(found[0].domain, Domain::default());
    assert_eq!(found[2].domain, www["www.a.com"]);
    assert!(store.domains(Some(&other)).await.unwrap().is_empty());

    store.set_verified("b.com", None).await.unwrap();
    let found = store.domains(Some(&shop())).await.unwrap();
    assert_eq!(found[1].verified_ms, None);
    store.remove_domain(&shop(), "b.com").await.unwrap();
    assert_eq!(listed().await.len(), 2);
    store.remove_app(&shop(), None).await.unwrap();
    assert!(listed().await.is_empty());
}

#[tokio::test]
async fn adding_a_domain_again_takes_nothing_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let subnet = "10.200.0.0/23".parse().unwrap();
    store.add_app(&shop(), subnet).await.unwrap();
    let claim = async |name: &str, www: bool, hsts: bool, by_hand: bool| {
        let spec = DomainSpec { www, hsts };
        let names = host_names(&BTreeMap::from([(name.to_owned(), spec)]));
        let claimed = store.claim_domains(&shop(), &names, by_hand).await.unwrap();
        assert_eq!(claimed, Claimed::All);
        let domains = store.domains(None).await.unwrap();
        let text = |d: OwnedDomain| {
            let hsts = if d.domain.hsts { " hsts" } else { "" };
            let to = d.domain.redirect_to.map(|to| format!(" to {to}"));
            format!("{}{hsts}{}", d.name, to.unwrap_or_default())
        };
        domains.into_iter().map(text).collect::<Vec<_>>()
    };
    let (hand, file) = (true, false);
    let both = ["a.test hsts", "www.a.test hsts to a.test"];
    assert_eq!(claim("a.test", true, true, hand).await, both);
    assert_eq!(claim("a.test", false, false, hand).await, both);
    assert_eq!(claim("a.test", true, false, hand).await, both);
    assert_eq!(claim("www.a.test", false, false, hand).await, both);
    // A deploy takes nothing from what a person added.
    assert_eq!(claim("a.test", true, false, file).await, both);
    store.remove_domain(&shop(), "a.test").await.unwrap();
    let plain = ["a.test", "www.a.test to a.test"];
    assert_eq!(claim("a.test", true, false, hand).await, plain);
    assert_eq!(claim("a.test", true, true, hand).await, both);
    store.remove_domain(&shop(), "a.test").await.unwrap();

    // What only the manifest names is as the manifest has it.
    assert_eq!(claim("b.test", false, true, file).await, ["b.test hsts"]);
    assert_eq!(claim("b.test", false, false, file).await, ["b.test"]);
    assert_eq!(claim("b.test", false, true, file).await, ["b.test hsts"]);
    assert_eq!(claim("b.test", false, false, hand).await, ["b.test hsts"]);
}
