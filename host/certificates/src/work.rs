//! Does what is due for names, each piece from the vault to the vault.

use crate::agenda::Work;
use crate::attempt::{self, Attempt};
use crate::ca::Ca;
use crate::certificate::Certificate;
use crate::http::call;
use crate::order;
use crate::schedule::{Schedule, chance};
use crate::served::Served;
use crate::vault::{self, Kind, Vault};
use crate::{Challenge, Clock, Error, LocalCa, Names};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// When a CA that did not say when it wants a certificate renewed is asked again.
const POLL_AGAIN: Duration = Duration::from_secs(6 * 60 * 60);

/// Who works and with what.
#[derive(Debug)]
pub(crate) struct Workshop {
    pub(crate) cas: Vec<Ca>,
    pub(crate) challenges: Vec<Challenge>,
    pub(crate) local_ca: LocalCa,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) certificates: Arc<Served>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// How things stand for names after some work.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) certificate: Option<Arc<Certificate>>,
    pub(crate) schedule: Schedule,
}

impl Workshop {
    /// Does one piece of work, and says how things stand after it. Never fails: what
    /// went wrong is in the schedule.
    pub(crate) async fn work(&self, work: Work, names: &Names, state: State) -> State {
        let state = match work {
            Work::Obtain => self.obtain(names, state).await,
            Work::Poll => self.poll(state).await,
            Work::Remove => return self.remove(names).await,
        };
        let id = names.to_string();
        if let Err(error) = vault::save(&*self.vault, Kind::Schedule, &id, &state.schedule).await {
            tracing::warn!(error = error.in_full(), "a restart will forget a schedule");
        }
        state
    }

    async fn obtain(&self, names: &Names, state: State) -> State {
        let obtained = if LocalCa::may_issue(names) {
            self.issue_locally(names).await.map_err(|error| vec![error])
        } else {
            self.ask_each(names, &state).await
        };
        let now = self.clock.now();
        match obtained {
            Ok(certificate) => {
                tracing::info!(%names, issuer = &*certificate.issuer, "certificate obtained");
                State {
                    schedule: Schedule::issued(
                        certificate.not_before,
                        certificate.not_after,
                        now,
                        chance(),
                    ),
                    certificate: Some(Arc::new(certificate)),
                }
            }
            Err(errors) => {
                let schedule = after(&state.schedule, &errors, now);
                let error = schedule.last_error.as_deref();
                tracing::warn!(%names, error, "no certificate");
                State { schedule, ..state }
            }
        }
    }

    async fn issue_locally(&self, names: &Names) -> Result<Certificate, Error> {
        let record = self.local_ca.issue(names, self.clock.now())?;
        let certificate = Certificate::parse(names, record.clone())?;
        vault::save(&*self.vault, Kind::Certificate, &names.to_string(), &record).await?;
        Ok(certificate)
    }

    /// Asks one CA after the other until one issues.
    async fn ask_each(&self, names: &Names, state: &State) -> Result<Certificate, Vec<Error>> {
        let mut errors = Vec::new();
        for ca in &self.cas {
            let attempt = Attempt {
                ca,
                vault: &*self.vault,
                certificates: &self.certificates,
                challenges: &self.challenges,
                names,
                previous: state.certificate.as_deref(),
                suggested: state.schedule.window.is_some(),
                failures: state.schedule.failures,
            };
            match order::obtain(&attempt).await {
                Ok(certificate) => {
                    self.forget_orders(names, Some(ca.directory())).await;
                    return Ok(certificate);
                }
                Err(error) => {
                    // The next one may issue, and then nobody else says so.
                    tracing::warn!(%names, error = error.in_full(), "a CA did not issue");
                    errors.push(error);
                }
            }
        }
        if errors.is_empty() {
            errors.push(Error::NoCa);
        }
        Err(errors)
    }

    /// Orders at other CAs are of no use any more; they would be gone on with at the
    /// next renewal.
    async fn forget_orders(&self, names: &Names, except: Option<&str>) {
        for ca in &self.cas {
            if Some(ca.directory()) != except
                && let Err(error) = attempt::forget(&*self.vault, names, ca.directory()).await
            {
                tracing::warn!(error = error.in_full(), "an order stays in the vault");
            }
        }
    }

    /// Asks the CA when it wants the certificate renewed (RFC 9773). If it does not
    /// say, the certificate's lifetime decides.
    async fn poll(&self, state: State) -> State {
        let suggestion = match &state.certificate {
            Some(certificate) => self.suggestion(certificate).await,
            None => None,
        };
        let now = self.clock.now();
        let schedule = match suggestion {
            Some((window, ask_again)) => state.schedule.suggested(window, ask_again, now, chance()),
            None => Schedule {
                poll_at: Some(now + POLL_AGAIN),
                ..state.schedule
            },
        };
        State { schedule, ..state }
    }

    async fn suggestion(
        &self,
        certificate: &Certificate,
    ) -> Option<((SystemTime, SystemTime), Duration)> {
        let ca = self
            .cas
            .iter()
            .find(|ca| Some(ca.directory()) == certificate.directory.as_deref())?;
        let identifier = certificate.identifier()?;
        let asked = async {
            ca.check_pause()?;
            let account = ca.account().await?;
            ca.judge(
                "read the renewal information",
                call!(async { account.renewal_info(&identifier).await }),
            )
        };
        match asked.await {
            Ok(((info, ask_again), _)) => {
                let window = info.suggested_window;
                Some(((window.start.into(), window.end.into()), ask_again))
            }
            Err(error) => {
                tracing::debug!(error = error.in_full(), "no renewal information");
                None
            }
        }
    }

    async fn remove(&self, names: &Names) -> State {
        self.forget_orders(names, None).await;
        let id = names.to_string();
        for kind in [Kind::Certificate, Kind::Schedule] {
            if let Err(error) = vault::remove(&*self.vault, kind, &id).await {
                tracing::warn!(error = error.in_full(), "something stays in the vault");
            }
        }
        State {
            certificate: None,
            schedule: Schedule::default(),
        }
    }
}

/// When to try again after every CA has failed. If none of them was asked anything, the
/// attempt was only put off.
fn after(schedule: &Schedule, errors: &[Error], now: SystemTime) -> Schedule {
    let texts: Vec<_> = errors.iter().map(Error::in_full).collect();
    let text = texts.join("; ");
    // The soonest of the CAs; one that asked for nothing may be tried at any time.
    let soonest = errors
        .iter()
        .map(|error| error.not_before(now).unwrap_or(now))
        .min();
    match soonest {
        Some(until) if errors.iter().all(Error::is_put_off) => schedule.put_off(text, until),
        soonest => schedule.failed(text, soonest, now, chance()),
    }
}
