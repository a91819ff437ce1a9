//! The host is killed at every step of an order: there is one order all the same, and
//! the certificate in the end.

use super::*;
use crate::Hook;
use proxy::Verdict;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// What is waited for before the next kill; far more than an order takes.
const STEPS: usize = 60;

/// Counts steps and says when the fatal one is there.
#[derive(Debug, Clone)]
struct Fate {
    steps: Arc<AtomicUsize>,
    fatal: usize,
    reached: Arc<Notify>,
}

impl Fate {
    fn at(fatal: usize) -> Self {
        Self {
            steps: Arc::default(),
            fatal,
            reached: Arc::default(),
        }
    }

    fn is_now(&self) -> bool {
        let is_now = self.steps.fetch_add(1, Ordering::Relaxed) == self.fatal;
        if is_now {
            self.reached.notify_one();
        }
        is_now
    }
}

/// A vault that never returns from the fatal write: before or after it is done.
#[derive(Debug)]
struct FatalVault {
    vault: MemoryVault,
    fate: Fate,
    after: bool,
}

#[async_trait]
impl Vault for FatalVault {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Secret>, VaultError> {
        self.vault.get(kind, id).await
    }

    async fn page(&self, kind: Kind, after: &str) -> Result<Vec<(String, Secret)>, VaultError> {
        self.vault.page(kind, after).await
    }

    async fn put(&self, kind: Kind, id: &str, value: Secret) -> Result<(), VaultError> {
        // A restart makes the root again; it has no part in orders.
        let is_now = kind != Kind::LocalCa && self.fate.is_now();
        if is_now && !self.after {
            std::future::pending::<()>().await;
        }
        self.vault.put(kind, id, value).await?;
        if is_now {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn remove(&self, kind: Kind, id: &str) -> Result<(), VaultError> {
        let is_now = self.fate.is_now();
        if is_now && !self.after {
            std::future::pending::<()>().await;
        }
        self.vault.remove(kind, id).await?;
        if is_now {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

/// A Pebble that takes every proof: what a real one concludes while the host is dead
/// and cannot answer is not the host's doing.
async fn credulous(programs: &Path) -> Rig {
    let options = Options {
        environment: vec![("PEBBLE_VA_ALWAYS_VALID", "1")],
        ..Options::default()
    };
    Rig::start(programs, options).await
}

/// Starts again over what the dead host has left, and sees to it that all is well.
async fn recovers(rig: &Rig, proxy: &Proxy, vault: &MemoryVault, of: &Names, killed: &str) {
    let mut policy = rig.policy();
    policy.cas = vec![rig.ca(proxy)];
    let issuer = rig.issuer_with(policy, Arc::new(vault.clone())).await;
    issuer.want([of.clone()]);
    reaches(&issuer, of, Phase::Valid).await;
    until("its work ends", || vault.count(Kind::Order) == 0).await;
    issuer.stop().await;
    assert_eq!(proxy.orders(), 1, "killed {killed}: {proxy:?}");
    assert_eq!(
        proxy.count("POST /sign-me-up", 201),
        1,
        "killed {killed}: {proxy:?}"
    );
    let order = of.to_string();
    assert!(vault.text(Kind::Certificate, &order).is_some(), "{killed}");
}

#[tokio::test]
async fn at_every_write() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = credulous(&programs).await;
    for after in [false, true] {
        for step in 0..STEPS {
            let proxy = Proxy::start(rig.pebble.port, &rig.tls).await;
            let of = names(&format!("write-{step}-{after}.example.com"));
            let vault = MemoryVault::default();
            let fate = Fate::at(step);
            let fatal = FatalVault {
                vault: vault.clone(),
                fate: fate.clone(),
                after,
            };
            let mut policy = rig.policy();
            policy.cas = vec![rig.ca(&proxy)];
            let issuer = rig.issuer_with(policy, Arc::new(fatal)).await;
            issuer.want([of.clone()]);
            let survived = lives(&issuer, &of, &fate).await;
            issuer.stop().await;
            if survived {
                assert!(step >= 6, "there are more writes than {step}");
                break;
            }
            let killed = format!("at write {step}, after: {after}");
            recovers(&rig, &proxy, &vault, &of, &killed).await;
        }
    }
}

#[tokio::test]
async fn at_every_request() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = credulous(&programs).await;
    for after in [false, true] {
        for step in 0..STEPS {
            let proxy = Proxy::start(rig.pebble.port, &rig.tls).await;
            let of = names(&format!("request-{step}-{after}.example.com"));
            let vault = MemoryVault::default();
            let fate = Fate::at(step);
            let counted = fate.clone();
            proxy.rule(move |_| match (counted.is_now(), after) {
                (false, _) => Verdict::Pass,
                (true, false) => Verdict::Stall,
                (true, true) => Verdict::StallAfter,
            });
            let mut policy = rig.policy();
            policy.cas = vec![rig.ca(&proxy)];
            let issuer = rig.issuer_with(policy, Arc::new(vault.clone())).await;
            issuer.want([of.clone()]);
            let survived = lives(&issuer, &of, &fate).await;
            if !survived && after {
                until("Pebble has answered", || proxy.exchanges().len() > step).await;
            }
            issuer.stop().await;
            if survived {
                assert!(step >= 9, "there are more requests than {step}");
                break;
            }
            proxy.rule(|_| Verdict::Pass);
            let killed = format!("at request {step}, after: {after}");
            recovers(&rig, &proxy, &vault, &of, &killed).await;
        }
    }
}

#[tokio::test]
async fn in_the_middle_of_a_renewal() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = credulous(&programs).await;
    let of = names("example.com");
    let issuer = rig.issuer(rig.policy()).await;
    issuer.want([of.clone()]);
    reaches(&issuer, &of, Phase::Valid).await;
    until("its work ends", || rig.vault.count(Kind::Order) == 0).await;
    let first = rig.served("example.com");
    // It comes as far as an order with its URL.
    rig.proxy.rule(|request| {
        let last = request.starts_with("POST /finalize");
        if last { Verdict::Stall } else { Verdict::Pass }
    });
    // Beyond any advice.
    rig.clock.advance(62 * DAY);
    until("there is an order to renew it", || rig.proxy.orders() == 2).await;
    until("its URL is written down", || {
        let mut orders = rig.vault.texts(Kind::Order).into_iter();
        orders.any(|order| order.contains(r#""url":"http"#))
    })
    .await;
    issuer.stop().await;
    rig.proxy.rule(|_| Verdict::Pass);
    let issuer = rig.issuer(rig.policy()).await;
    issuer.want([of.clone()]);
    until("it is renewed", || rig.served("example.com") != first).await;
    until("its work ends", || rig.vault.count(Kind::Order) == 0).await;
    assert_eq!(rig.proxy.orders(), 2, "{:?}", rig.proxy);
}

#[tokio::test]
async fn a_record_that_was_put_up_is_taken_down_later() {
    let Some(programs) = pebble::folder() else {
        return;
    };
    let rig = credulous(&programs).await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut policy = rig.policy();
    policy.challenges = vec![Challenge::Dns01(Hook {
        program: "sh".to_owned(),
        arguments: vec![
            "-c".to_owned(),
            format!(r#"echo "$1 $3" >>{}"#, log.display()),
            "hook".to_owned(),
        ],
        timeout: MINUTE,
    })];
    let fate = Fate::at(0);
    let counted = fate.clone();
    rig.proxy.rule(move |request| {
        if request.contains("/chalZ/") && counted.is_now() {
            return Verdict::Stall;
        }
        Verdict::Pass
    });
    let of = names("example.com");
    let issuer = rig.issuer(policy.clone()).await;
    issuer.want([of.clone()]);
    assert!(!lives(&issuer, &of, &fate).await);
    issuer.stop().await;

    let issuer = rig.issuer(policy).await;
    issuer.want([of.clone()]);
    reaches(&issuer, &of, Phase::Valid).await;
    let called = std::fs::read_to_string(log).unwrap();
    let calls: Vec<_> = called
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .collect();
    let actions: Vec<_> = calls.iter().map(|(action, _)| *action).collect();
    assert_eq!(actions, ["present", "cleanup", "present", "cleanup"]);
    assert!(
        calls.iter().all(|(_, value)| *value == calls[0].1),
        "{calls:?}"
    );
}

/// Waits until the host is to be killed, or has its certificate and no more to do.
async fn lives(issuer: &Issuer, of: &Names, fate: &Fate) -> bool {
    let reached = fate.reached.notified();
    let done = reaches(issuer, of, Phase::Valid);
    tokio::select! {
        biased;
        () = reached => false,
        _ = done => true,
    }
}
