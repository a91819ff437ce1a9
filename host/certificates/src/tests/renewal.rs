//! Certificates are renewed in time, and replaced when their CA says so.

use super::*;
use crate::http::Http;
use instant_acme::{Account, AccountCredentials, RevocationRequest};
use proxy::Verdict;
use std::time::SystemTime;

const RENEWAL_INFO: &str = "GET /draft-ietf-acme-ari-03/renewalInfo/";

#[tokio::test]
async fn at_a_third_or_a_half_of_the_lifetime_without_advice() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, profiles()).await;
    rig.proxy.rule(no_advice);
    // Days after issuance between which it is renewed.
    for (profile, earliest, latest) in [
        ("shortlived", 2.7, 3.0),
        ("tlsserver", 28.5, 30.0),
        ("classic", 57.0, 60.0),
    ] {
        let mut policy = rig.policy();
        policy.cas[0].profile = Some(profile.to_owned());
        let issuer = rig.issuer(policy).await;
        let of = names(&format!("{profile}.example.com"));
        issuer.want([of.clone()]);
        let found = reaches(&issuer, &of, Phase::Valid).await;
        let issued = found.not_before.unwrap();
        let next = found.next_attempt.unwrap();
        assert!(
            issued + DAY.mul_f64(earliest) <= next && next <= issued + DAY.mul_f64(latest),
            "{profile}: {:?}",
            next.duration_since(issued)
        );
        let name = of.to_string();
        let first = rig.served(&name);
        rig.clock.advance_to(next - Duration::from_secs(1));
        assert_eq!(status(&issuer, &of).phase, Phase::Valid);
        rig.clock.advance_to(next);
        until("it is renewed", || rig.served(&name) != first).await;
        issuer.stop().await;
    }
    assert_eq!(rig.proxy.orders(), 6);
}

#[tokio::test]
async fn when_the_ca_advises() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    let issuer = rig.issuer(rig.policy()).await;
    let of = names("example.com");
    issuer.want([of.clone()]);
    let found = reaches(&issuer, &of, Phase::Valid).await;
    let start = found.not_before.unwrap();
    let within = |from: f64, to: f64| {
        let next = status(&issuer, &of).next_attempt.unwrap();
        start + DAY.mul_f64(from) <= next && next <= start + DAY.mul_f64(to)
    };
    // Pebble advises a day about two thirds of the lifetime.
    until("the advice is heard", || {
        rig.vault
            .text(Kind::Schedule, "example.com")
            .is_some_and(|text| !text.contains(r#""window":null"#))
    })
    .await;
    assert!(within(58.9, 61.1));

    // The advice changes. It is asked for again after the six hours that Pebble says.
    advise(&rig, &of, start + 10 * DAY, start + 11 * DAY).await;
    rig.clock.advance(6 * HOUR + MINUTE);
    until("the new advice is heard", || within(10.0, 11.0)).await;
    let first = rig.served("example.com");
    rig.clock
        .advance_to(status(&issuer, &of).next_attempt.unwrap());
    until("it is renewed", || rig.served("example.com") != first).await;

    let exchanges = rig.proxy.exchanges();
    let orders: Vec<_> = exchanges
        .iter()
        .filter(|found| found.request == "POST /order-plz" && found.status == 201)
        .collect();
    assert_eq!(orders.len(), 2);
    assert!(!orders[0].payload.contains("replaces"));
    assert!(orders[1].payload.contains("replaces"), "{orders:?}");
}

#[tokio::test]
async fn a_revoked_one_is_replaced() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    let issuer = rig.issuer(rig.policy()).await;
    let of = names("example.com");
    issuer.want([of.clone()]);
    reaches(&issuer, &of, Phase::Valid).await;
    let first = rig.served("example.com");
    revoke(&rig, &first).await;
    rig.clock.advance(6 * HOUR + MINUTE);
    until("it is replaced", || rig.served("example.com") != first).await;
    assert_eq!(rig.proxy.orders(), 2);
}

#[tokio::test]
async fn an_expired_one_is_served_until_there_is_another() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    let issuer = rig.issuer(rig.policy()).await;
    let of = names("example.com");
    issuer.want([of.clone()]);
    reaches(&issuer, &of, Phase::Valid).await;
    let first = rig.served("example.com");

    rig.proxy.rule(|_| Verdict::Close);
    // Beyond any advice.
    rig.clock.advance(62 * DAY);
    fails(&issuer, &of).await;
    assert_eq!(status(&issuer, &of).phase, Phase::Valid);
    rig.clock.advance(30 * DAY);
    reaches(&issuer, &of, Phase::Expired).await;
    assert_eq!(rig.served("example.com"), first);

    rig.proxy.rule(|_| Verdict::Pass);
    rig.clock.advance(2 * DAY);
    until("there is another", || rig.served("example.com") != first).await;
    assert_eq!(status(&issuer, &of).last_error, None);
}

#[tokio::test]
async fn all_is_served_at_once_after_a_restart() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    let issuer = rig.issuer(rig.policy()).await;
    let sets = [
        names("a.example.com"),
        names("b.example.com,c.example.com"),
        names("d.localhost"),
    ];
    issuer.want(sets.clone());
    for of in &sets {
        reaches(&issuer, of, Phase::Valid).await;
    }
    issuer.stop().await;

    // The CA is away, and nobody has said what is wanted.
    rig.proxy.rule(|_| Verdict::Close);
    let certificates = Arc::new(Served::default());
    let issuer = Issuer::start(
        rig.policy(),
        Arc::new(rig.vault.clone()),
        Arc::clone(&certificates),
        Arc::clone(&rig.clock) as _,
    )
    .await
    .unwrap();
    for name in sets.iter().flat_map(Names::iter) {
        assert!(certificates.find(name).is_some(), "{name}");
    }
    assert_eq!(issuer.status().len(), 3);
    let printed = format!("{issuer:?} {:?}", rig.vault);
    assert!(!printed.contains("PRIVATE KEY"), "{printed}");

    issuer.want(sets.clone());
    issuer.forget(&sets[1]);
    assert!(certificates.find("c.example.com").is_none());
    until("its key is gone", || {
        rig.vault.count(Kind::Certificate) == 2
    })
    .await;
    assert_eq!(issuer.status().len(), 2);
}

#[tokio::test]
async fn a_name_in_two_sets_is_served_until_both_are_forgotten() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    let issuer = rig.issuer(rig.policy()).await;
    let (one, both) = (names("example.com"), names("example.com,www.example.com"));
    issuer.want([one.clone()]);
    reaches(&issuer, &one, Phase::Valid).await;
    let first = rig.served("example.com");

    rig.proxy.rule(|_| Verdict::Close);
    issuer.want([both.clone()]);
    issuer.forget(&one);
    fails(&issuer, &both).await;
    assert_eq!(rig.served("example.com"), first);

    rig.proxy.rule(|_| Verdict::Pass);
    issuer.retry(&both);
    reaches(&issuer, &both, Phase::Valid).await;
    assert_ne!(rig.served("example.com"), first);
    issuer.forget(&both);
    assert!(rig.certificates.find("example.com").is_none());
}

/// What a CA without renewal information answers.
fn no_advice(request: &str) -> Verdict {
    if request.starts_with(RENEWAL_INFO) {
        let mut response = http::Response::new("{}".into());
        *response.status_mut() = http::StatusCode::NOT_FOUND;
        return Verdict::Answer(response);
    }
    Verdict::Pass
}

/// Has Pebble advise this window.
async fn advise(rig: &Rig, of: &Names, start: SystemTime, end: SystemTime) {
    let record = rig.vault.text(Kind::Certificate, &of.to_string()).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let time = |time: SystemTime| {
        let time = time::OffsetDateTime::from(time);
        let (date, (hour, minute, second)) = (time.date(), time.time().as_hms());
        format!("{date}T{hour:02}:{minute:02}:{second:02}Z")
    };
    let advice = json!({ "suggestedWindow": { "start": time(start), "end": time(end) } });
    let body = json!({
        "Certificate": record["chain"],
        "ARIResponse": advice.to_string(),
    });
    let url = format!(
        "https://127.0.0.1:{}/set-renewal-info/",
        rig.pebble.management_port
    );
    let request = http::Request::post(url)
        .header(http::header::USER_AGENT, "a test")
        .body(body.to_string().into())
        .unwrap();
    let answered = rig.tls.client().request(request).await.unwrap();
    assert_eq!(answered.status(), 200);
}

/// Revokes a certificate with the account that has obtained it.
async fn revoke(rig: &Rig, certificate: &CertificateDer<'static>) {
    let directory = rig.proxy.directory();
    let record = rig.vault.text(Kind::Account, &directory).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let credentials: AccountCredentials =
        serde_json::from_value(record["credentials"].clone()).unwrap();
    let http = Http::new(&directory, Some(&rig.tls.root)).unwrap();
    let account = Account::builder_with_http(Box::new(http))
        .from_credentials(credentials)
        .await
        .unwrap();
    let request = RevocationRequest {
        certificate,
        reason: None,
    };
    account.revoke(&request).await.unwrap();
}
