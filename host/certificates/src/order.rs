//! One order at one CA, from wherever it stands to a certificate in the vault.
//!
//! Flow: the key and the intent are written down, the order is made, its URL is written
//! down, the names are proven, the order is finalized with the key, the certificate is
//! fetched and written down, the order is removed.
//!
//! Guarantees: whatever ends this in between (an error, a kill), the next attempt goes
//! on with the same order and the same key, so there is neither a second order nor a
//! certificate without a key. An order is dropped only when its CA says that it is
//! over. Answers to challenges are withdrawn in every case.
//!
//! Assumes that nobody else works on the same names at the same time.

use crate::ca::{CREATE_ORDER, Ca};
use crate::certificate::{self, Certificate, new_key};
use crate::http::call;
use crate::limiter::Purpose;
use crate::proof::{UNHEARD, dns_name};
use crate::served::Served;
use crate::served::certificate::ServedCertificate;
use crate::vault::{self, Kind, Vault};
use crate::{Challenge, Error, Names, lost};
use instant_acme::{Account, Identifier, NewOrder, Order, OrderStatus};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// How long one attempt waits for a CA in all. What is not done then is gone on with
/// in the next attempt.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// Pauses between two looks at an order, unless the CA asks for others.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_ASKED_PAUSE: Duration = Duration::from_secs(60);

/// How often a certificate that is no good is fetched again.
const FETCHES: u32 = 3;

/// An order in progress, as the vault keeps it. Holds the key: no `Debug`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Record {
    /// The order's URL, as soon as it is known.
    url: Option<String>,
    /// The private key for the certificate, in PEM.
    key: String,
    purpose: Purpose,
    /// The CA has refused to make the order before this.
    #[serde(default)]
    not_before: Option<SystemTime>,
    /// TXT records that were put up, or were about to be.
    #[serde(default)]
    pub(crate) texts: Vec<(String, String)>,
    /// Certificates that were fetched and no good.
    #[serde(default)]
    unusable: u32,
}

impl Record {
    fn is_for(&self, certificate: &ServedCertificate) -> bool {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes())
            .is_ok_and(|key| key.secret_der() == certificate.key().secret_der())
    }
}

/// What an attempt needs and is for.
pub(crate) struct Attempt<'a> {
    pub(crate) ca: &'a Ca,
    pub(crate) vault: &'a dyn Vault,
    pub(crate) certificates: &'a Served,
    pub(crate) challenges: &'a [Challenge],
    pub(crate) names: &'a Names,
    /// The certificate that there is.
    pub(crate) previous: Option<&'a Certificate>,
    /// Whether the CA's renewal information is known for that certificate.
    pub(crate) suggested: bool,
    /// Attempts that have failed before.
    pub(crate) failures: u32,
}

/// Obtains a certificate and keeps it in the vault.
pub(crate) async fn obtain(attempt: &Attempt<'_>) -> Result<Certificate, Error> {
    attempt.ca.check_pause()?;
    let known = attempt.load().await?;
    let went_on = known.is_some();
    let account = attempt.ca.account().await?;
    match attempt.run(&account, known).await {
        Err(error) if error.problem() == Some("accountDoesNotExist") => {
            attempt.ca.forget_account(&account);
            attempt.drop_order().await?;
            let account = attempt.ca.account().await?;
            attempt.run(&account, None).await
        }
        // The CA has forgotten the order, or never finished it.
        Err(error) if error.is_final() && went_on => attempt.run(&account, None).await,
        result => result,
    }
}

/// Removes what is kept of an order.
pub(crate) async fn forget(vault: &dyn Vault, names: &Names, directory: &str) -> Result<(), Error> {
    vault::remove(vault, Kind::Order, &id(names, directory)).await
}

/// Removes orders whose certificate is there: a kill came between the two. `served` is
/// what is served for names.
pub(crate) async fn forget_finished(
    vault: &dyn Vault,
    served: impl Fn(&str) -> Option<Arc<ServedCertificate>>,
) -> Result<(), Error> {
    let mut finished = Vec::new();
    vault::each(vault, Kind::Order, |id, record: Record| {
        let names = id.split(' ').next().unwrap_or_default();
        if served(names).is_some_and(|served| record.is_for(&served)) {
            finished.push(id);
        }
    })
    .await?;
    for id in finished {
        vault::remove(vault, Kind::Order, &id).await?;
    }
    Ok(())
}

/// The pause after one at which nothing had changed.
fn longer(pause: Duration) -> Duration {
    // One that the CA has asked for may be longer than any here.
    (pause * 3 / 2).min(LONGEST_PAUSE.max(pause))
}

fn id(names: &Names, directory: &str) -> String {
    format!("{names} {directory}")
}

impl Attempt<'_> {
    async fn run(&self, account: &Account, known: Option<Record>) -> Result<Certificate, Error> {
        let mut record = match known {
            Some(mut record) => {
                self.ca.check_not_before(record.not_before)?;
                self.look_for_order(account, &mut record).await?;
                record
            }
            None => self.begin().await?,
        };
        let result = match self.order(account, &mut record).await {
            Ok(mut order) => self.finish(&mut order, &mut record).await,
            Err(error) => Err(error),
        };
        self.remove_texts(&mut record).await;
        match &result {
            Ok(_) => self.drop_order().await?,
            Err(error) if error.is_final() => self.give_up(&record, &[]).await?,
            Err(_) => {}
        }
        result
    }

    /// Writes down that there will be an order, and its key.
    async fn begin(&self) -> Result<Record, Error> {
        let purpose = match self.previous {
            Some(previous) if previous.directory.as_deref() == Some(self.ca.directory()) => {
                if self.suggested && previous.identifier().is_some() {
                    Purpose::Replacement
                } else {
                    Purpose::Renewal
                }
            }
            _ => Purpose::New,
        };
        self.ca.count_order(self.names, purpose).await?;
        let record = Record {
            url: None,
            key: new_key()?.serialize_pem(),
            purpose,
            not_before: None,
            texts: Vec::new(),
            unusable: 0,
        };
        self.save(&record).await?;
        Ok(record)
    }

    /// Whether the order was made is not known if nobody heard the answer.
    async fn look_for_order(&self, account: &Account, record: &mut Record) -> Result<(), Error> {
        if record.url.is_none()
            && let Some(url) = lost::find(self.ca, account, self.names).await?
        {
            self.save_url(record, &url).await?;
        }
        Ok(())
    }

    /// The order as its CA knows it; made if it was not.
    async fn order(&self, account: &Account, record: &mut Record) -> Result<Order, Error> {
        match &record.url {
            Some(url) => self.open(account, url).await,
            None => self.create(account, record).await,
        }
    }

    async fn open(&self, account: &Account, url: &str) -> Result<Order, Error> {
        let (order, _) = self.ca.judge(
            "read the order",
            call!(async { account.order(url.to_owned()).await }),
        )?;
        Ok(order)
    }

    async fn create(&self, account: &Account, record: &mut Record) -> Result<Order, Error> {
        let identifiers: Vec<_> = self
            .names
            .iter()
            .map(|name| Identifier::Dns(name.to_owned()))
            .collect();
        loop {
            let replaced = match (record.purpose, self.previous) {
                (Purpose::Replacement, Some(previous)) => previous.identifier(),
                _ => None,
            };
            let (result, seen) = call!(async {
                let mut order = NewOrder::new(&identifiers);
                if let Some(profile) = &self.ca.policy.profile {
                    order = order.profile(profile);
                }
                if let Some(replaced) = &replaced {
                    order = order.replaces(replaced.clone());
                }
                account.new_order(&order).await
            });
            let error = match (result, seen.location.clone()) {
                (Ok(order), _) => {
                    record.url = Some(order.url().to_owned());
                    self.save(record).await?;
                    return Ok(order);
                }
                // The answer is not what it should be, and yet there is an order.
                (Err(_), Some(url)) if seen.status == Some(201) => {
                    self.save_url(record, &url).await?;
                    return self.open(account, &url).await;
                }
                (Err(error), _) => self.ca.failed(CREATE_ORDER, &seen, error),
            };
            // Whatever the CA has against the replacement, the renewal is more important.
            if replaced.is_none() || !error.is_refusal() {
                record.not_before = self.ca.not_before(&error);
                self.save(record).await?;
                return Err(error);
            }
            self.ca.count_order(self.names, Purpose::Renewal).await?;
            record.purpose = Purpose::Renewal;
            self.save(record).await?;
        }
    }

    async fn finish(&self, order: &mut Order, record: &mut Record) -> Result<Certificate, Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match order.state().status {
                OrderStatus::Pending => self.prove(order, record, deadline).await?,
                OrderStatus::Ready => self.finalize(order, record, deadline).await?,
                OrderStatus::Processing => {
                    self.wait(order, &[OrderStatus::Processing], None, deadline)
                        .await?;
                }
                OrderStatus::Valid => return self.fetch(order, record).await,
                OrderStatus::Invalid => return Err(self.explain(order, record).await?),
            }
        }
    }

    async fn finalize(
        &self,
        order: &mut Order,
        record: &Record,
        deadline: Instant,
    ) -> Result<(), Error> {
        let request = self.signing_request(&record.key)?;
        let asked = self.ca.judge(
            "finalize the order",
            call!(async { order.finalize_csr(&request).await }),
        );
        let asked = match asked {
            Ok((_, seen)) => seen.retry_after,
            // It was finalized before, and the answer did not arrive.
            Err(error) if error.problem() == Some("orderNotReady") => {
                tracing::debug!(%error, names = %self.names, "looking again");
                None
            }
            Err(error) => return Err(error),
        };
        let going_on = [OrderStatus::Ready, OrderStatus::Processing];
        self.wait(order, &going_on, asked, deadline).await
    }

    fn signing_request(&self, key: &str) -> Result<Vec<u8>, Error> {
        let failed = |source| Error::Make {
            what: "signing request",
            source,
        };
        let names: Vec<_> = self.names.iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        let key = KeyPair::from_pem(key).map_err(failed)?;
        let request = params.serialize_request(&key).map_err(failed)?;
        Ok(request.der().to_vec())
    }

    async fn fetch(&self, order: &mut Order, record: &mut Record) -> Result<Certificate, Error> {
        let (chain, _) = self.ca.judge(
            "fetch the certificate",
            call!(async { order.certificate().await }),
        )?;
        let kept = certificate::Record {
            chain: chain.unwrap_or_default(),
            key: record.key.clone(),
            directory: Some(self.ca.directory().to_owned()),
        };
        match Certificate::parse(self.names, kept.clone()) {
            Ok(certificate) => {
                let id = self.names.to_string();
                vault::save(self.vault, Kind::Certificate, &id, &kept).await?;
                Ok(certificate)
            }
            Err(error) => {
                record.unusable += 1;
                if record.unusable < FETCHES {
                    self.save(record).await?;
                } else {
                    self.give_up(record, &[]).await?;
                }
                Err(error)
            }
        }
    }

    /// Looks at the order until it is in none of these states, first after the pause
    /// that the CA has asked for.
    pub(crate) async fn wait(
        &self,
        order: &mut Order,
        going_on: &[OrderStatus],
        asked: Option<Duration>,
        deadline: Instant,
    ) -> Result<(), Error> {
        let kept = |asked: Duration| asked.clamp(FIRST_PAUSE, LONGEST_ASKED_PAUSE);
        let mut pause = asked.map_or(FIRST_PAUSE, kept);
        let mut unheard = 0;
        while going_on.contains(&order.state().status) {
            if Instant::now() + pause > deadline {
                return Err(Error::Slow {
                    directory: self.ca.directory().to_owned(),
                    waited: PATIENCE,
                });
            }
            tokio::time::sleep(pause).await;
            pause = match self.look(order).await {
                Ok(Some(asked)) => kept(asked),
                Ok(None) => longer(pause),
                Err(error) if unheard == UNHEARD || !error.is_unheard() => return Err(error),
                Err(_) => {
                    unheard += 1;
                    FIRST_PAUSE
                }
            };
        }
        Ok(())
    }

    /// Reads the order's state again; returns how long the CA asks to wait.
    pub(crate) async fn look(&self, order: &mut Order) -> Result<Option<Duration>, Error> {
        let read = call!(async { order.refresh().await.map(drop) });
        let ((), seen) = self.ca.judge("read the order", read)?;
        Ok(seen.retry_after)
    }

    /// Why an order came to nothing. The order is dropped and counted.
    async fn explain(&self, order: &mut Order, record: &Record) -> Result<Error, Error> {
        let directory = self.ca.directory().to_owned();
        let detail = order.state().error.as_ref().map(ToString::to_string);
        self.read_authorizations(order).await?;
        let mut unproven = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let authorization = authorization.map_err(|error| self.unexpected(error))?;
            let problem = authorization
                .challenges
                .iter()
                .find_map(|challenge| challenge.error.as_ref());
            if let Some(problem) = problem {
                let name = dns_name(authorization.identifier().identifier);
                unproven.push((name, problem.to_string()));
            }
        }
        let names: Vec<_> = unproven.iter().map(|(name, _)| name.clone()).collect();
        self.give_up(record, &names).await?;
        Ok(match unproven.into_iter().next() {
            Some((name, detail)) => Error::Unproven {
                directory,
                name,
                detail,
            },
            None => Error::OrderInvalid {
                directory,
                detail: detail.unwrap_or_else(|| "it does not say why".to_owned()),
            },
        })
    }

    async fn load(&self) -> Result<Option<Record>, Error> {
        let id = id(self.names, self.ca.directory());
        let record: Option<Record> = vault::load(self.vault, Kind::Order, &id).await?;
        // It could not be removed when its certificate was there.
        let is_finished = |record: &Record| {
            self.previous
                .is_some_and(|previous| record.is_for(&previous.served))
        };
        Ok(record.filter(|record| !is_finished(record)))
    }

    pub(crate) async fn save(&self, record: &Record) -> Result<(), Error> {
        let id = id(self.names, self.ca.directory());
        vault::save(self.vault, Kind::Order, &id, record).await
    }

    async fn save_url(&self, record: &mut Record, url: &str) -> Result<(), Error> {
        record.url = Some(url.to_owned());
        self.save(record).await
    }

    async fn drop_order(&self) -> Result<(), Error> {
        forget(self.vault, self.names, self.ca.directory()).await
    }

    async fn give_up(&self, record: &Record, unproven: &[String]) -> Result<(), Error> {
        self.ca
            .count_failure(self.names, record.purpose, unproven)
            .await?;
        self.drop_order().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::MemoryVault;

    #[test]
    fn pauses_never_shrink_and_are_bounded() {
        let mut pause = FIRST_PAUSE;
        let mut pauses = 0;
        while pause < LONGEST_PAUSE {
            let next = longer(pause);
            assert!(next > pause && next <= pause * 2, "{pause:?} → {next:?}");
            (pause, pauses) = (next, pauses + 1);
        }
        assert!((4..20).contains(&pauses));
        assert_eq!(longer(LONGEST_PAUSE), LONGEST_PAUSE);
        assert_eq!(longer(LONGEST_ASKED_PAUSE), LONGEST_ASKED_PAUSE);
    }

    fn record(key: &KeyPair) -> Record {
        Record {
            url: Some("https://ca.example/order/1".to_owned()),
            key: key.serialize_pem(),
            purpose: Purpose::Renewal,
            not_before: None,
            texts: Vec::new(),
            unusable: 0,
        }
    }

    /// An order for which the certificate is there is over; one that would renew it is not, and
    /// is gone on with.
    #[tokio::test]
    async fn only_the_order_of_the_certificate_that_is_served_is_forgotten() {
        let key = || KeyPair::generate().unwrap();
        let (served, renewing) = (key(), key());
        let params = CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap();
        let chain = [params.self_signed(&served).unwrap().der().clone()];
        let der = PrivateKeyDer::Pkcs8(served.serialize_der().into());
        let certificate = Arc::new(ServedCertificate::new(&chain, &der).unwrap());
        let vault = MemoryVault::default();
        let ids = [
            "a.example.com one",
            "a.example.com two",
            "b.example.com one",
        ];
        for (id, key) in ids.into_iter().zip([&served, &renewing, &served]) {
            let saved = vault::save(&vault, Kind::Order, id, &record(key)).await;
            saved.unwrap();
        }
        let find = |name: &str| (name == "a.example.com").then(|| Arc::clone(&certificate));
        forget_finished(&vault, find).await.unwrap();
        let mut left = Vec::new();
        for id in ids {
            let found: Option<Record> = vault::load(&vault, Kind::Order, id).await.unwrap();
            left.push(found.is_some());
        }
        assert_eq!(left, [false, true, true]);
    }
}
