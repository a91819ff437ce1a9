//! Keeps count of what has been asked of a CA, so as to stay below its limits.
//!
//! A limit of N in a time T is a bucket of N that fills again one by one, N in T. Such
//! a bucket is one time: the one at which it will be full (the generic cell rate
//! algorithm, which Let's Encrypt uses too).

use crate::Names;
use crate::policy::{Limit, Limits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// What has been asked lately: for each bucket that is not full, when it will be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limiter {
    full_at: BTreeMap<String, SystemTime>,
}

/// A limit that forbids something for now.
#[derive(Debug, PartialEq)]
pub(crate) struct Exceeded {
    pub(crate) bucket: String,
    pub(crate) until: SystemTime,
}

/// What a new order is to the CA, as far as its limits care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Purpose {
    /// Names that had no certificate.
    New,
    /// Exactly the names of an earlier certificate: not counted per domain.
    Renewal,
    /// The same, as the CA's renewal information asks: counted nowhere.
    Replacement,
}

impl Limiter {
    /// Counts a new account, or says when there may be one.
    pub(crate) fn account(&mut self, limits: &Limits, now: SystemTime) -> Result<(), Exceeded> {
        self.take(&[("accounts".to_owned(), limits.accounts)], now)
    }

    /// Counts a new order, or says when there may be one.
    pub(crate) fn order(
        &mut self,
        names: &Names,
        purpose: Purpose,
        limits: &Limits,
        now: SystemTime,
    ) -> Result<(), Exceeded> {
        for name in names.iter() {
            self.check(&failures(name), limits.failures_per_name, now)?;
        }
        self.take(&buckets(names, purpose, limits), now)
    }

    /// Takes back what counts certificates: the order came to nothing.
    pub(crate) fn order_failed(&mut self, names: &Names, purpose: Purpose, limits: &Limits) {
        for (bucket, limit) in buckets(names, purpose, limits) {
            if bucket != "orders"
                && let Some(full_at) = self.full_at.get_mut(&bucket)
            {
                *full_at -= step(limit);
            }
        }
    }

    /// Counts a proof that has failed.
    pub(crate) fn proof_failed(&mut self, name: &str, limits: &Limits, now: SystemTime) {
        let full_at = self.full_at.entry(failures(name)).or_insert(now);
        *full_at = (*full_at).max(now) + step(limits.failures_per_name);
    }

    fn take(&mut self, buckets: &[(String, Limit)], now: SystemTime) -> Result<(), Exceeded> {
        self.full_at.retain(|_, full_at| *full_at > now);
        for (bucket, limit) in buckets {
            self.check(bucket, *limit, now)?;
        }
        for (bucket, limit) in buckets {
            let full_at = self.full_at.entry(bucket.clone()).or_insert(now);
            *full_at = (*full_at).max(now) + step(*limit);
        }
        Ok(())
    }

    fn check(&self, bucket: &str, limit: Limit, now: SystemTime) -> Result<(), Exceeded> {
        let full_at = self
            .full_at
            .get(bucket)
            .map_or(now, |time| (*time).max(now));
        let until = (full_at + step(limit))
            .checked_sub(limit.period)
            .unwrap_or(now);
        if until > now {
            return Err(Exceeded {
                bucket: bucket.to_owned(),
                until,
            });
        }
        Ok(())
    }
}

fn buckets(names: &Names, purpose: Purpose, limits: &Limits) -> Vec<(String, Limit)> {
    if purpose == Purpose::Replacement {
        return Vec::new();
    }
    let mut buckets = vec![
        ("orders".to_owned(), limits.orders),
        (
            format!("certificates for {names}"),
            limits.certificates_per_names,
        ),
    ];
    if purpose == Purpose::New {
        let mut domains: Vec<_> = names.iter().map(registered_domain).collect();
        domains.sort_unstable();
        domains.dedup();
        buckets.extend(domains.into_iter().map(|domain| {
            (
                format!("certificates below {domain}"),
                limits.certificates_per_domain,
            )
        }));
    }
    buckets
}

fn failures(name: &str) -> String {
    format!(
        "failed proofs of {}",
        name.strip_prefix("*.").unwrap_or(name)
    )
}

/// How long the bucket needs to fill by one.
fn step(limit: Limit) -> Duration {
    limit.period / limit.count.max(1)
}

/// The last two labels. Longer public suffixes exist, shorter registered domains do
/// not: names that a CA counts apart may be counted together, never the other way.
fn registered_domain(name: &str) -> &str {
    match name.rmatch_indices('.').nth(1) {
        Some((dot, _)) => &name[dot + 1..],
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn names(text: &str) -> Names {
        Names::new(text.split(',')).unwrap()
    }

    fn start() -> SystemTime {
        SystemTime::UNIX_EPOCH + HOUR * 400_000
    }

    #[test]
    fn the_registered_domain_has_two_labels() {
        for (name, domain) in [
            ("example.com", "example.com"),
            ("www.example.com", "example.com"),
            ("*.apps.example.com", "example.com"),
            ("shop.co.uk", "co.uk"),
            ("a.shop.co.uk", "co.uk"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(registered_domain(name), domain);
        }
    }

    #[test]
    fn never_more_than_the_limit_in_any_span() {
        let limits = Limits::default();
        let mut limiter = Limiter::default();
        let mut taken: Vec<SystemTime> = Vec::new();
        // Asks as fast as it may for a day.
        let mut now = start();
        while now < start() + HOUR * 24 {
            match limiter.take(&[("orders".into(), limits.orders)], now) {
                Ok(()) => taken.push(now),
                Err(exceeded) => {
                    assert_eq!(exceeded.bucket, "orders");
                    now = exceeded.until;
                }
            }
        }
        // A burst of all, then one each 36 seconds: what the CA's own bucket allows.
        assert_eq!(taken.iter().filter(|time| **time == start()).count(), 300);
        assert!(taken.len() <= 300 * 9, "{}", taken.len());
        assert!(taken.len() >= 300 * 9 - 10, "{}", taken.len());
    }

    #[test]
    fn each_limit_is_kept_and_named() {
        let limits = Limits::default();
        let mut limiter = Limiter::default();
        for _ in 0..5 {
            limiter
                .order(&names("a.example.com"), Purpose::Renewal, &limits, start())
                .unwrap();
        }
        let exceeded = limiter
            .order(&names("a.example.com"), Purpose::Renewal, &limits, start())
            .unwrap_err();
        assert_eq!(exceeded.bucket, "certificates for a.example.com");
        assert!(exceeded.until > start() + HOUR * 33 && exceeded.until < start() + HOUR * 34);

        for number in 0..50 {
            limiter
                .order(
                    &names(&format!("b{number}.example.com")),
                    Purpose::New,
                    &limits,
                    start(),
                )
                .unwrap();
        }
        let exceeded = limiter
            .order(&names("c.example.com"), Purpose::New, &limits, start())
            .unwrap_err();
        assert_eq!(exceeded.bucket, "certificates below example.com");
        limiter
            .order(&names("c.example.com"), Purpose::Renewal, &limits, start())
            .unwrap();
        // What the CA asks to replace is not limited.
        for _ in 0..1000 {
            limiter
                .order(
                    &names("a.example.com"),
                    Purpose::Replacement,
                    &limits,
                    start(),
                )
                .unwrap();
        }
        for _ in 0..10 {
            limiter.account(&limits, start()).unwrap();
        }
        assert!(limiter.account(&limits, start()).is_err());
    }

    #[test]
    fn five_failed_proofs_an_hour() {
        let limits = Limits::default();
        let mut limiter = Limiter::default();
        let shop = names("shop.example.com,www.example.com");
        for _ in 0..5 {
            limiter
                .order(&shop, Purpose::New, &limits, start())
                .unwrap();
            limiter.proof_failed("shop.example.com", &limits, start());
            limiter.order_failed(&shop, Purpose::New, &limits);
        }
        let exceeded = limiter
            .order(&shop, Purpose::New, &limits, start())
            .unwrap_err();
        assert_eq!(exceeded.bucket, "failed proofs of shop.example.com");
        assert!(exceeded.until <= start() + HOUR / 5 + Duration::from_secs(1));
        // The orders that came to nothing have left room for certificates.
        limiter
            .order(&shop, Purpose::New, &limits, exceeded.until)
            .unwrap();
    }

    #[test]
    fn remembered_over_a_restart() {
        let limits = Limits::default();
        let mut limiter = Limiter::default();
        for _ in 0..10 {
            limiter.account(&limits, start()).unwrap();
        }
        let text = serde_json::to_string(&limiter).unwrap();
        let mut again: Limiter = serde_json::from_str(&text).unwrap();
        assert!(again.account(&limits, start() + HOUR / 10).is_err());
        assert!(again.account(&limits, start() + HOUR / 2).is_ok());
    }
}
