//! Certificates are issued, by every challenge and whatever the CA wants for it.

use super::*;
use crate::{Binding, Hook};

#[tokio::test]
async fn by_http_and_by_tls() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    for (challenge, of) in [
        (Challenge::Http01, names("example.com,www.example.com")),
        (Challenge::TlsAlpn01, names("example.org,www.example.org")),
    ] {
        let mut policy = rig.policy();
        policy.challenges = vec![challenge.clone()];
        policy.email = Some("admin@example.com".to_owned());
        let issuer = rig.issuer(policy).await;
        issuer.want([of.clone()]);
        let found = reaches(&issuer, &of, Phase::Valid).await;
        assert!(rig.serves(&of), "{challenge:?}");
        assert!(found.issuer.unwrap().contains("Pebble"), "{challenge:?}");
        assert_eq!(found.last_error, None);
        let lifetime = found
            .not_after
            .unwrap()
            .duration_since(found.not_before.unwrap())
            .unwrap();
        assert!(lifetime > 89 * DAY && lifetime < 91 * DAY, "{lifetime:?}");
        // What a client checks: the key fits, and the key is P-256.
        let served = rig.certificates.held("example.com").unwrap();
        let served = served.certified().unwrap();
        served.keys_match().unwrap();
        assert_eq!(
            served.key.algorithm(),
            rustls::SignatureAlgorithm::ECDSA,
            "{challenge:?}"
        );
        // No answer and no order is left.
        let answers = format!("{:?}", rig.certificates);
        assert!(
            answers.contains("http_answers: ArcSwapAny({})")
                && answers.contains("alpn_answers: ArcSwapAny({})"),
            "{answers}"
        );
        assert_eq!(rig.vault.count(Kind::Order), 0);
        issuer.stop().await;
    }
    // One account for both, and one order each.
    assert_eq!(rig.proxy.count("POST /sign-me-up", 201), 1);
    assert_eq!(rig.proxy.orders(), 2);
}

#[tokio::test]
async fn a_wildcard_by_dns() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    // A hook as people write them: it talks to a DNS server's API. It asks for the
    // record's name with a dot at the end.
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let script = format!(
        r#"echo "$1 $2" >>{log}
        case $1 in
            present) curl --fail --silent --data "{{\"host\":\"$2.\",\"value\":\"$3\"}}" {api}/set-txt ;;
            cleanup) curl --fail --silent --data "{{\"host\":\"$2.\"}}" {api}/clear-txt ;;
        esac"#,
        log = log.display(),
        api = format_args!("http://127.0.0.1:{}", rig.pebble.dns_management_port),
    );
    let hook = Hook {
        program: "sh".to_owned(),
        arguments: vec!["-ec".to_owned(), script, "hook".to_owned()],
        timeout: MINUTE,
    };
    let mut policy = rig.policy();
    // The wildcard can only be proven by the last.
    policy.challenges = vec![Challenge::Http01, Challenge::Dns01(hook)];
    let issuer = rig.issuer(policy).await;
    let of = names("*.example.com");
    issuer.want([of.clone()]);
    reaches(&issuer, &of, Phase::Valid).await;
    assert!(rig.certificates.find("anything.example.com").is_some());
    assert!(rig.certificates.find("example.com").is_none());
    assert_eq!(
        std::fs::read_to_string(log).unwrap(),
        "present _acme-challenge.example.com\ncleanup _acme-challenge.example.com\n"
    );
}

#[tokio::test]
async fn while_half_of_the_nonces_are_refused() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let options = Options {
        environment: vec![("PEBBLE_WFE_NONCEREJECT", "50")],
        ..Options::default()
    };
    let rig = Rig::start(&programs, options).await;
    let issuer = rig.issuer(rig.policy()).await;
    let sets: Vec<_> = (0..20)
        .map(|number| names(&format!("nonce{number}.example.com")))
        .collect();
    issuer.want(sets.clone());
    for of in &sets {
        reaches(&issuer, of, Phase::Valid).await;
    }
    assert_eq!(rig.proxy.orders(), 20);
    let refused = rig.proxy.exchanges();
    let refused = refused.iter().filter(|found| found.status == 400).count();
    assert!(refused > 20, "{refused} refused");
}

#[tokio::test]
async fn by_an_account_that_is_bound_to_another() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let mac_key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let options = Options {
        config: Some(json!({
            "externalAccountBindingRequired": true,
            "externalAccountMACKeys": { "kid-1": mac_key },
        })),
        ..Options::default()
    };
    let rig = Rig::start(&programs, options).await;
    let of = names("example.com");
    let issuer = rig.issuer(rig.policy()).await;
    issuer.want([of.clone()]);
    let error = fails(&issuer, &of).await;
    assert!(error.contains("externalAccountRequired"), "{error}");
    issuer.stop().await;

    let vault = Arc::new(MemoryVault::default());
    let mut policy = rig.policy();
    policy.cas[0].binding = Some(Binding {
        key_id: "kid-1".to_owned(),
        mac_key: Secret::new(mac_key),
    });
    let issuer = rig.issuer_with(policy, vault).await;
    issuer.want([of.clone()]);
    reaches(&issuer, &of, Phase::Valid).await;
}

#[tokio::test]
async fn with_a_profile() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, profiles()).await;
    let of = names("example.com");
    let mut policy = rig.policy();
    policy.cas[0].profile = Some("shortlived".to_owned());
    let issuer = rig.issuer(policy.clone()).await;
    issuer.want([of.clone()]);
    let found = reaches(&issuer, &of, Phase::Valid).await;
    let lifetime = found
        .not_after
        .unwrap()
        .duration_since(found.not_before.unwrap())
        .unwrap();
    assert!(lifetime < 7 * DAY, "{lifetime:?}");

    policy.cas[0].profile = Some("eternal".to_owned());
    let of = names("example.org");
    let issuer = rig.issuer(policy).await;
    issuer.want([of.clone()]);
    let error = fails(&issuer, &of).await;
    assert!(error.contains("invalidProfile"), "{error}");
    assert_eq!(rig.vault.count(Kind::Order), 0);
}

#[tokio::test]
async fn private_names_need_no_network() {
    let certificates = Arc::new(Served::default());
    let vault = MemoryVault::default();
    let clock = Arc::new(ManualClock::new());
    let policy = Policy {
        cas: Vec::new(),
        email: None,
        terms_agreed: false,
        challenges: Vec::new(),
    };
    let start = || {
        Issuer::start(
            policy.clone(),
            Arc::new(vault.clone()),
            Arc::clone(&certificates),
            Arc::clone(&clock) as _,
        )
    };
    let issuer = start().await.unwrap();
    let (local, public) = (names("shop.localhost"), names("shop.example.com"));
    issuer.want([local.clone(), public.clone()]);
    let first = reaches(&issuer, &local, Phase::Valid).await;
    assert!(certificates.find("shop.localhost").is_some());
    let error = fails(&issuer, &public).await;
    assert!(error.contains("no CA is configured"), "{error}");

    // Renewed with a third left, by the same root.
    clock.advance(57 * DAY - MINUTE);
    assert_eq!(status(&issuer, &local).not_after, first.not_after);
    clock.advance(3 * DAY + HOUR);
    until("it is renewed", || {
        status(&issuer, &local).not_after > first.not_after
    })
    .await;
    let root = issuer.local_ca().root_pem().to_owned();
    issuer.stop().await;
    assert_eq!(start().await.unwrap().local_ca().root_pem(), root);
}
