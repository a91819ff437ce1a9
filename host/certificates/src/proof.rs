//! Proves to a CA that the names of an order are controlled from here.

use crate::attempt::{Attempt, Record, UNHEARD, dns_name};
use crate::challenge::{Answers, choose, kind};
use crate::http::call;
use crate::{Challenge, Error, hook};
use instant_acme::{AuthorizationStatus, ChallengeStatus, Order, OrderStatus};
use tokio::time::Instant;

impl Attempt<'_> {
    /// Answers the CA's challenges until it has checked them.
    pub(crate) async fn prove(
        &self,
        order: &mut Order,
        record: &mut Record,
        deadline: Instant,
    ) -> Result<(), Error> {
        self.read_authorizations(order).await?;
        let mut answers = Answers::new(self.certificates);
        self.remove_texts(record).await;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| self.unexpected(error))?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let name = dns_name(authorization.identifier().identifier);
            let chosen = choose(self.challenges, &authorization.challenges, self.failures);
            let Some(chosen) = chosen else {
                return Err(self.no_challenge(name, &authorization.challenges));
            };
            let Some(challenge) = authorization.challenge(kind(chosen)) else {
                continue;
            };
            let proof = challenge.key_authorization();
            match chosen {
                Challenge::Http01 => answers.http(&challenge.token, &proof),
                Challenge::TlsAlpn01 => answers.alpn(&name, &proof)?,
                Challenge::Dns01(hook) => {
                    let text = (format!("_acme-challenge.{name}"), proof.dns_value());
                    record.texts.push(text.clone());
                    self.save(record).await?;
                    hook::run(hook, "present", &text.0, &text.1).await?;
                }
            }
        }
        let mut unheard = 0;
        while let Err(error) = self.ask_to_check(order).await {
            unheard += 1;
            if unheard > UNHEARD || !error.is_unheard() {
                return Err(error);
            }
            // The CA may be checking already, and should find what it looks for.
            self.look(order).await?;
            self.read_authorizations(order).await?;
        }
        self.wait(order, &[OrderStatus::Pending], None, deadline)
            .await
    }

    async fn ask_to_check(&self, order: &mut Order) -> Result<(), Error> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| self.unexpected(error))?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let chosen = choose(self.challenges, &authorization.challenges, self.failures);
            if let Some(chosen) = chosen
                && let Some(mut challenge) = authorization.challenge(kind(chosen))
                && challenge.status == ChallengeStatus::Pending
            {
                self.ca.judge(
                    "have a name checked",
                    call!(async { challenge.set_ready().await }),
                )?;
            }
        }
        Ok(())
    }

    /// Takes down the TXT records. What fails is only logged: a record that stays
    /// proves nothing later.
    pub(crate) async fn remove_texts(&self, record: &mut Record) {
        let hook = self
            .challenges
            .iter()
            .find_map(|challenge| match challenge {
                Challenge::Dns01(hook) => Some(hook),
                _ => None,
            });
        for (name, value) in record.texts.drain(..) {
            if let Some(hook) = hook
                && let Err(error) = hook::run(hook, "cleanup", &name, &value).await
            {
                tracing::warn!(error = error.in_full(), "a TXT record may be left");
            }
        }
    }

    fn no_challenge(&self, name: String, offered: &[instant_acme::Challenge]) -> Error {
        let offered: Vec<_> = offered
            .iter()
            .map(|challenge| match &challenge.r#type {
                instant_acme::ChallengeType::Http01 => "http-01",
                instant_acme::ChallengeType::TlsAlpn01 => "tls-alpn-01",
                instant_acme::ChallengeType::Dns01 => "dns-01",
                instant_acme::ChallengeType::Unknown(other) => other,
                _ => "others",
            })
            .collect();
        Error::NoChallenge {
            directory: self.ca.directory().to_owned(),
            name,
            offered: offered.join(", "),
        }
    }
}
