//! Many names at once.

use super::*;
use crate::Limit;

/// How many, unless `DOPRAX_TEST_NAMES` says otherwise. 1000 take a little over a minute,
/// nearly all of it pauses: eight orders at a time, each with two of a quarter second.
const NAMES: usize = 100;

#[tokio::test]
async fn each_gets_its_certificate_by_one_order() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let count = std::env::var("DOPRAX_TEST_NAMES").map_or(NAMES, |text| text.parse().unwrap());
    let rig = Rig::start(&programs, Options::default()).await;
    let mut policy = rig.policy();
    // The limits of a CA whose account was given room for so many.
    let room = Limit {
        count: 100_000,
        period: HOUR,
    };
    policy.cas[0].limits.orders = room;
    policy.cas[0].limits.certificates_per_domain = room;
    let issuer = rig.issuer(policy.clone()).await;
    let sets: Vec<_> = (0..count)
        .map(|number| names(&format!("shop{number}.example.com")))
        .collect();
    issuer.want(sets.clone());
    // A name of the local CA does not queue behind them.
    let local = names("shop.localhost");
    issuer.want([local.clone()]);
    reaches(&issuer, &local, Phase::Valid).await;
    for of in &sets {
        reaches(&issuer, of, Phase::Valid).await;
    }
    assert_eq!(rig.proxy.orders(), count);
    assert_eq!(rig.proxy.count("POST /sign-me-up", 201), 1);
    issuer.stop().await;

    // All are served when the next start returns.
    let certificates = Arc::new(Served::default());
    let _issuer = Issuer::start(
        policy,
        Arc::new(rig.vault.clone()),
        Arc::clone(&certificates),
        Arc::clone(&rig.clock) as _,
    )
    .await
    .unwrap();
    for name in sets.iter().flat_map(Names::iter) {
        assert!(certificates.find(name).is_some(), "{name}");
    }
}
