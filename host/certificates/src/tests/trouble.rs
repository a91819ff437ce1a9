//! CAs that are away, busy, slow or broken, and names that cannot be proven.

use super::*;
use crate::Limit;
use http::StatusCode;
use proxy::Verdict;
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn away_for_hours() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    rig.proxy.rule(|_| Verdict::Close);
    let mut issuer = rig.issuer(rig.policy()).await;
    let of = names("example.com");
    issuer.want([of.clone()]);
    for (number, minutes) in [1, 10, 100, 24 * 60, 24 * 60].into_iter().enumerate() {
        fails(&issuer, &of).await;
        let failures = format!(r#""failures":{}"#, number + 1);
        until("the failure is written down", || {
            rig.vault
                .text(Kind::Schedule, "example.com")
                .is_some_and(|text| text.contains(&failures))
        })
        .await;
        // A restart forgets nothing of it.
        issuer.stop().await;
        issuer = rig.issuer(rig.policy()).await;
        issuer.want([of.clone()]);
        let now = rig.clock.now();
        let next = status(&issuer, &of).next_attempt.unwrap();
        assert!(now + minutes * MINUTE <= next, "{number}");
        assert!(next <= now + minutes * MINUTE * 6 / 5, "{number}");
        if number == 4 {
            rig.proxy.rule(|_| Verdict::Pass);
        }
        rig.clock.advance_to(next);
    }
    reaches(&issuer, &of, Phase::Valid).await;
    assert_eq!(rig.proxy.orders(), 1);
}

#[tokio::test]
async fn an_order_is_refused_for_some_time() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    let mut is_first = true;
    rig.proxy.rule(move |request| {
        if request == "POST /order-plz" && std::mem::take(&mut is_first) {
            return busy(StatusCode::TOO_MANY_REQUESTS, "7200", RATE_LIMITED);
        }
        Verdict::Pass
    });
    let issuer = rig.issuer(rig.policy()).await;
    let (refused, other) = (names("a.example.com"), names("b.example.com"));
    issuer.want([refused.clone()]);
    let error = fails(&issuer, &refused).await;
    assert!(error.contains("too many"), "{error}");
    let wait = status(&issuer, &refused)
        .next_attempt
        .unwrap()
        .duration_since(rig.clock.now())
        .unwrap();
    assert!(wait > 2 * HOUR - MINUTE && wait <= 2 * HOUR, "{wait:?}");
    // It is about those names only.
    issuer.want([other.clone()]);
    reaches(&issuer, &other, Phase::Valid).await;
    rig.clock.advance(2 * HOUR);
    reaches(&issuer, &refused, Phase::Valid).await;
    assert_eq!(rig.proxy.orders(), 2);
}

#[tokio::test]
async fn a_refusal_is_kept_to_while_another_ca_is_tried() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    rig.proxy.rule(move |request| {
        if request == "POST /order-plz" {
            counted.fetch_add(1, Ordering::Relaxed);
            return busy(StatusCode::TOO_MANY_REQUESTS, "129600", RATE_LIMITED);
        }
        Verdict::Pass
    });
    let second = Proxy::start(rig.pebble.port, &rig.tls).await;
    second.rule(|_| Verdict::Close);
    let mut policy = rig.policy();
    policy.cas = vec![rig.ca(&rig.proxy), rig.ca(&second)];
    let issuer = rig.issuer(policy).await;
    let of = names("example.com");
    issuer.want([of.clone()]);
    fails(&issuer, &of).await;
    let next = status(&issuer, &of).next_attempt.unwrap();
    assert!(next <= rig.clock.now() + 2 * MINUTE);
    rig.clock.advance_to(next);
    until("the first is left alone", || {
        let error = status(&issuer, &of).last_error.unwrap_or_default();
        error.contains("asked to be left alone")
    })
    .await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    // For a day and a half, as it said.
    rig.clock.advance(36 * HOUR);
    until("it is asked again", || asked.load(Ordering::Relaxed) == 2).await;
}

#[tokio::test]
async fn a_ca_that_is_busy_is_left_alone() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    rig.proxy
        .rule(|_| busy(StatusCode::SERVICE_UNAVAILABLE, "3600", "<html>Busy</html>"));
    let issuer = rig.issuer(rig.policy()).await;
    let (first, second) = (names("a.example.com"), names("b.example.com"));
    issuer.want([first.clone()]);
    fails(&issuer, &first).await;
    // Whoever asks now is put off, and the CA hears nothing.
    rig.proxy.rule(|request| panic!("{request}"));
    issuer.want([second.clone()]);
    let error = fails(&issuer, &second).await;
    assert!(error.contains("asked to be left alone"), "{error}");
    rig.proxy.rule(|_| Verdict::Pass);
    rig.clock.advance(HOUR + MINUTE);
    for of in [first, second] {
        reaches(&issuer, &of, Phase::Valid).await;
    }
}

#[tokio::test]
async fn answers_that_break_off_cost_no_second_order() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    for (number, path) in [
        "/dir",
        "/nonce-plz",
        "/sign-me-up",
        "/order-plz",
        "/authZ/",
        "/chalZ/",
        "/my-order/",
        "/finalize-order/",
        "/certZ/",
    ]
    .into_iter()
    .enumerate()
    {
        for how in [
            || Verdict::Close,
            || Verdict::CloseAfter,
            || Verdict::Halve,
            || busy(StatusCode::OK, "0", "{\"status\":\"strange\"}"),
            || busy(StatusCode::INTERNAL_SERVER_ERROR, "0", "<html>Oops</html>"),
        ]
        .into_iter()
        .enumerate()
        {
            let (which, how) = how;
            let proxy = Proxy::start(rig.pebble.port, &rig.tls).await;
            let mut is_first = true;
            proxy.rule(move |request| {
                if request.contains(path) && std::mem::take(&mut is_first) {
                    return how();
                }
                Verdict::Pass
            });
            let mut policy = rig.policy();
            policy.cas = vec![rig.ca(&proxy)];
            let vault = MemoryVault::default();
            let issuer = rig.issuer_with(policy, Arc::new(vault.clone())).await;
            let of = names(&format!("broken-{number}-{which}.example.com"));
            issuer.want([of.clone()]);
            // It fails and is tried again, or it did not matter.
            until("an attempt ends", || {
                let found = status(&issuer, &of);
                found.phase == Phase::Valid || found.last_error.is_some()
            })
            .await;
            issuer.retry(&of);
            reaches(&issuer, &of, Phase::Valid).await;
            until("its work ends", || vault.count(Kind::Order) == 0).await;
            assert_eq!(proxy.orders(), 1, "{path} {which}: {proxy:?}");
            issuer.stop().await;
        }
    }
}

#[tokio::test]
async fn a_ca_that_stalls_keeps_nobody_else_waiting() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    let stalling = Proxy::start(rig.pebble.port, &rig.tls).await;
    stalling.rule(|request| match request {
        "POST /order-plz" => Verdict::Stall,
        _ => Verdict::Pass,
    });
    let mut policy = rig.policy();
    policy.cas = vec![rig.ca(&stalling), rig.ca(&rig.proxy)];
    let issuer = rig.issuer(policy).await;
    let (public, private) = (names("example.com"), names("shop.localhost"));
    issuer.want([public.clone()]);
    reaches(&issuer, &public, Phase::Issuing).await;
    issuer.want([private.clone()]);
    reaches(&issuer, &private, Phase::Valid).await;
    assert_eq!(status(&issuer, &public).phase, Phase::Issuing);
    // After the bound on a request the second CA is asked.
    reaches(&issuer, &public, Phase::Valid).await;
    assert_eq!((stalling.orders(), rig.proxy.orders()), (0, 1));
}

#[tokio::test]
async fn the_second_ca_issues_when_the_first_fails() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    let first = Proxy::start(rig.pebble.port, &rig.tls).await;
    // It fails when all is done but the certificate.
    first.rule(|request| match request {
        request if request.contains("/certZ/") => Verdict::Close,
        _ => Verdict::Pass,
    });
    let mut policy = rig.policy();
    policy.cas = vec![rig.ca(&first), rig.ca(&rig.proxy)];
    let issuer = rig.issuer(policy).await;
    let of = names("example.com");
    issuer.want([of.clone()]);
    reaches(&issuer, &of, Phase::Valid).await;
    assert_eq!((first.orders(), rig.proxy.orders()), (1, 1));
    // What the first has not finished is of no use any more.
    until("no order is left", || rig.vault.count(Kind::Order) == 0).await;

    first.rule(|_| Verdict::Pass);
    let served = rig.served("example.com");
    rig.clock.advance(62 * DAY);
    until("it is renewed", || rig.served("example.com") != served).await;
    assert_eq!((first.orders(), rig.proxy.orders()), (2, 1));
}

#[tokio::test]
async fn a_ca_that_has_lost_everything() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    let issuer = rig.issuer(rig.policy()).await;
    let (of, half) = (names("example.com"), names("example.org"));
    issuer.want([of.clone()]);
    reaches(&issuer, &of, Phase::Valid).await;
    // One order is not finished.
    rig.proxy.rule(|request| match request {
        request if request.contains("/finalize-order/") => Verdict::Close,
        _ => Verdict::Pass,
    });
    issuer.want([half.clone()]);
    fails(&issuer, &half).await;
    rig.proxy.rule(|_| Verdict::Pass);

    let ports = (rig.site.http_port, rig.site.tls_port);
    let other = Pebble::start(&programs, ports, &rig.tls, Options::default()).await;
    rig.proxy.redirect(other.port);
    let served = rig.served("example.com");
    rig.clock.advance(62 * DAY);
    until("it is renewed", || rig.served("example.com") != served).await;
    reaches(&issuer, &half, Phase::Valid).await;
    assert_eq!(rig.proxy.count("POST /sign-me-up", 201), 2);
}

#[tokio::test]
async fn a_name_that_cannot_be_proven() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    // Nobody listens there.
    let body = json!({ "host": "lost.example.com.", "addresses": ["127.0.0.2"] });
    let url = format!("http://127.0.0.1:{}/add-a", rig.pebble.dns_management_port);
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http::<http_body_util::Full<bytes::Bytes>>();
    let request = http::Request::post(url)
        .body(body.to_string().into())
        .unwrap();
    assert_eq!(client.request(request).await.unwrap().status(), 200);

    let mut policy = rig.policy();
    policy.challenges = vec![Challenge::Http01, Challenge::TlsAlpn01];
    let issuer = rig.issuer(policy).await;
    let of = names("lost.example.com,www.example.com");
    issuer.want([of.clone()]);
    let error = fails(&issuer, &of).await;
    assert!(
        error.contains("could not verify lost.example.com"),
        "{error}"
    );
    assert_eq!(rig.vault.count(Kind::Order), 0);
    // Tried again and again by hand, it stays below the CA's limit of failures.
    for _ in 0..10 {
        let attempts = rig.proxy.orders();
        issuer.retry(&of);
        until("the attempt ends", || {
            let found = status(&issuer, &of);
            let is_limited = found.last_error.unwrap_or_default().contains("no more");
            found.next_attempt.is_some() && (is_limited || rig.proxy.orders() > attempts)
        })
        .await;
    }
    let error = fails(&issuer, &of).await;
    assert!(
        error.contains("allows no more failed proofs of lost.example.com for now"),
        "{error}"
    );
    assert_eq!(rig.proxy.orders(), 5);
}

#[tokio::test]
async fn limits_are_kept_over_a_restart() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    let mut policy = rig.policy();
    policy.cas[0].limits.orders = Limit {
        count: 2,
        period: 3 * HOUR,
    };
    let issuer = rig.issuer(policy.clone()).await;
    let sets = [
        names("a.example.com"),
        names("b.example.com"),
        names("c.example.com"),
    ];
    issuer.want(sets[..2].to_vec());
    for of in &sets[..2] {
        reaches(&issuer, of, Phase::Valid).await;
    }
    issuer.stop().await;
    let issuer = rig.issuer(policy).await;
    issuer.want(sets.to_vec());
    let error = fails(&issuer, &sets[2]).await;
    assert!(error.contains("allows no more orders for now"), "{error}");
    let next = status(&issuer, &sets[2]).next_attempt.unwrap();
    assert!(next <= rig.clock.now() + 3 * HOUR / 2, "{next:?}");
    assert_eq!(rig.proxy.orders(), 2);
    rig.clock.advance_to(next);
    reaches(&issuer, &sets[2], Phase::Valid).await;
}

#[tokio::test]
async fn nothing_is_asked_of_a_ca_whose_terms_are_not_agreed_to() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    let mut policy = rig.policy();
    policy.terms_agreed = false;
    let issuer = rig.issuer(policy).await;
    let of = names("example.com");
    issuer.want([of.clone()]);
    let error = fails(&issuer, &of).await;
    assert!(error.contains("have not been agreed to"), "{error}");
    assert_eq!(rig.proxy.exchanges(), []);
}

#[tokio::test]
async fn a_vault_that_fails_costs_no_order() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    let vault = FullVault {
        vault: rig.vault.clone(),
        refuses: Arc::new(Mutex::new(Some(Kind::Limits))),
    };
    let issuer = rig.issuer_with(rig.policy(), Arc::new(vault.clone())).await;
    let of = names("example.com");
    issuer.want([of.clone()]);
    let mut orders = Vec::new();
    for kind in [Kind::Limits, Kind::Order, Kind::Certificate] {
        *vault.refuses.lock().unwrap() = Some(kind);
        let told = format!("cannot write the {kind} of");
        issuer.retry(&of);
        until(&format!("the vault refuses the {kind}"), || {
            let error = status(&issuer, &of).last_error.unwrap_or_default();
            error.contains(&told) && error.contains("no space left")
        })
        .await;
        orders.push(rig.proxy.orders());
    }
    assert_eq!(orders, [0, 0, 1]);
    assert!(rig.certificates.find("example.com").is_none());
    *vault.refuses.lock().unwrap() = None;
    issuer.retry(&of);
    reaches(&issuer, &of, Phase::Valid).await;
    assert_eq!(rig.proxy.orders(), 1);
}

#[tokio::test]
async fn what_is_forgotten_in_the_middle_leaves_nothing() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = Rig::start(&programs, Options::default()).await;
    let reached = Arc::new(tokio::sync::Notify::new());
    let tell = Arc::clone(&reached);
    rig.proxy.rule(move |request| {
        if request.contains("/finalize-order/") {
            tell.notify_one();
            return Verdict::Stall;
        }
        Verdict::Pass
    });
    let issuer = rig.issuer(rig.policy()).await;
    let of = names("example.com");
    issuer.want([of.clone()]);
    reached.notified().await;
    issuer.forget(&of);
    assert_eq!(issuer.status(), []);
    until("nothing is left", || {
        [Kind::Order, Kind::Certificate, Kind::Schedule]
            .iter()
            .all(|kind| rig.vault.count(*kind) == 0)
    })
    .await;
    // Wanted again, it is obtained.
    rig.proxy.rule(|_| Verdict::Pass);
    issuer.want([of.clone()]);
    reaches(&issuer, &of, Phase::Valid).await;
}

/// A vault on a disk that is full for one kind of value.
#[derive(Debug, Clone)]
struct FullVault {
    vault: MemoryVault,
    refuses: Arc<Mutex<Option<Kind>>>,
}

#[async_trait]
impl Vault for FullVault {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Secret>, VaultError> {
        self.vault.get(kind, id).await
    }

    async fn page(&self, kind: Kind, after: &str) -> Result<Vec<(String, Secret)>, VaultError> {
        self.vault.page(kind, after).await
    }

    async fn put(&self, kind: Kind, id: &str, value: Secret) -> Result<(), VaultError> {
        if *self.refuses.lock().unwrap() == Some(kind) {
            return Err("no space left".into());
        }
        self.vault.put(kind, id, value).await
    }

    async fn remove(&self, kind: Kind, id: &str) -> Result<(), VaultError> {
        self.vault.remove(kind, id).await
    }
}

const RATE_LIMITED: &str =
    r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many","status":429}"#;

/// An answer that asks to wait.
fn busy(status: StatusCode, retry_after: &str, body: &'static str) -> Verdict {
    let mut response = http::Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(http::header::RETRY_AFTER, retry_after.parse().unwrap());
    Verdict::Answer(response)
}
