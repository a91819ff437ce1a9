//! One attempt at one CA: what it needs, what the vault keeps of its order, and how the
//! order is looked at.

use crate::ca::Ca;
use crate::certificate::Certificate;
use crate::http::{Seen, call};
use crate::limiter::Purpose;
use crate::served::Served;
use crate::served::certificate::ServedCertificate;
use crate::vault::{self, Kind, Vault};
use crate::{Challenge, Error, Names};
use instant_acme::{Identifier, Order, OrderStatus};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// How long one attempt waits for a CA in all. What is not done then is gone on with
/// in the next attempt.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// Pauses between two looks at an order, unless the CA asks for others.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_ASKED_PAUSE: Duration = Duration::from_secs(60);

/// How often a request whose answer was not heard is made again while the CA checks
/// names: to give up would be to withdraw what it is looking for.
pub(crate) const UNHEARD: u32 = 2;

/// An order in progress, as the vault keeps it. Holds the key: no `Debug`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Record {
    /// The order's URL, as soon as it is known.
    pub(crate) url: Option<String>,
    /// The private key for the certificate, in PEM.
    pub(crate) key: String,
    pub(crate) purpose: Purpose,
    /// The CA has refused to make the order before this.
    #[serde(default)]
    pub(crate) not_before: Option<SystemTime>,
    /// TXT records that were put up, or were about to be.
    #[serde(default)]
    pub(crate) texts: Vec<(String, String)>,
    /// Certificates that were fetched and no good.
    #[serde(default)]
    pub(crate) unusable: u32,
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
    /// The order that is gone on with.
    pub(crate) async fn load(&self) -> Result<Option<Record>, Error> {
        let id = id(self.names, self.ca.directory());
        let record: Option<Record> = vault::load(self.vault, Kind::Order, &id).await?;
        // It could not be removed when its certificate was there.
        let is_finished = |record: &Record| {
            self.previous
                .is_some_and(|previous| record.is_for(&previous.served))
        };
        Ok(record.filter(|record| !is_finished(record)))
    }

    /// Keeps the order as it stands.
    pub(crate) async fn save(&self, record: &Record) -> Result<(), Error> {
        let id = id(self.names, self.ca.directory());
        vault::save(self.vault, Kind::Order, &id, record).await
    }

    /// Keeps the order's URL.
    pub(crate) async fn save_url(&self, record: &mut Record, url: &str) -> Result<(), Error> {
        record.url = Some(url.to_owned());
        self.save(record).await
    }

    /// Keeps nothing of the order.
    pub(crate) async fn drop_order(&self) -> Result<(), Error> {
        forget(self.vault, self.names, self.ca.directory()).await
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

    /// Fetches what is not known of the order's authorizations. An iteration after this
    /// asks the CA nothing.
    pub(crate) async fn read_authorizations(&self, order: &mut Order) -> Result<(), Error> {
        self.ca.judge(
            "read what is to be proven",
            call!(async {
                let mut authorizations = order.authorizations();
                while let Some(authorization) = authorizations.next().await {
                    authorization?;
                }
                Ok(())
            }),
        )?;
        Ok(())
    }

    /// What went wrong while authorizations were read that had been read before.
    pub(crate) fn unexpected(&self, source: instant_acme::Error) -> Error {
        self.ca
            .failed("read what is to be proven", &Seen::default(), source)
    }
}

/// The name that an authorization is about, without a wildcard.
pub(crate) fn dns_name(identifier: &Identifier) -> String {
    match identifier {
        Identifier::Dns(name) => name.clone(),
        other => other.authorized(false).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::MemoryVault;
    use rcgen::{CertificateParams, KeyPair};

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
