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

use crate::attempt::{Attempt, PATIENCE, Record, dns_name};
use crate::ca::CREATE_ORDER;
use crate::certificate::{self, Certificate, new_key};
use crate::http::call;
use crate::limiter::Purpose;
use crate::vault::{self, Kind};
use crate::{Error, lost};
use instant_acme::{Account, Identifier, NewOrder, Order, OrderStatus};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use tokio::time::Instant;

/// How often a certificate that is no good is fetched again.
const FETCHES: u32 = 3;

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

    async fn give_up(&self, record: &Record, unproven: &[String]) -> Result<(), Error> {
        self.ca
            .count_failure(self.names, record.purpose, unproven)
            .await?;
        self.drop_order().await
    }
}
