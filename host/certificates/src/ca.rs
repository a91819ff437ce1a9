//! One CA: the account there, and how much may be asked of it.

use crate::http::{Http, Seen, call};
use crate::limiter::{Exceeded, Limiter, Purpose};
use crate::policy::{self, Policy};
use crate::vault::{self, Kind, Vault};
use crate::{Clock, Error, Names};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, Key, NewAccount};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::OnceCell;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest that a CA's wish to be left alone is honoured: by all, and for some names
/// (no limit of Let's Encrypt is for more than a week).
const LONGEST_PAUSE: Duration = DAY;
const LONGEST_PAUSE_FOR_NAMES: Duration = DAY.saturating_mul(8);

/// How long what a CA says of itself in its directory is believed.
const DIRECTORY_LASTS: Duration = DAY;

/// One CA, as all orders share it.
#[derive(Debug)]
pub(crate) struct Ca {
    pub(crate) policy: policy::Ca,
    email: Option<String>,
    terms_agreed: bool,
    vault: Arc<dyn Vault>,
    clock: Arc<dyn Clock>,
    account: Mutex<Arc<OnceCell<OneAccount>>>,
    /// An account that the CA does not know any more, whatever the vault says.
    unknown: Mutex<Option<String>>,
    /// Held while it is written: a later state must not be overwritten by an earlier.
    limiter: tokio::sync::Mutex<Option<Limiter>>,
    paused_until: Mutex<Option<SystemTime>>,
}

/// An account, and since when it is open. With it the library holds the directory.
struct OneAccount {
    account: Account,
    since: SystemTime,
}

impl fmt::Debug for OneAccount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.account.id())
    }
}

/// An account as the vault keeps it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AccountRecord {
    /// The key of an account that may not exist yet, in base64url.
    Key(String),
    Credentials(Box<AccountCredentials>),
}

impl Ca {
    pub(crate) fn new(
        policy: policy::Ca,
        of: &Policy,
        vault: Arc<dyn Vault>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            policy,
            email: of.email.clone(),
            terms_agreed: of.terms_agreed,
            vault,
            clock,
            account: Mutex::default(),
            unknown: Mutex::default(),
            limiter: tokio::sync::Mutex::default(),
            paused_until: Mutex::default(),
        }
    }

    pub(crate) fn directory(&self) -> &str {
        &self.policy.directory
    }

    /// The account; made if there is none, once however many ask at a time.
    pub(crate) async fn account(&self) -> Result<Account, Error> {
        let now = self.clock.now();
        let cell = {
            let mut cell = self.cell();
            let is_old = |held: &OneAccount| held.since + DIRECTORY_LASTS < now;
            if cell.get().is_some_and(is_old) {
                *cell = Arc::default();
            }
            Arc::clone(&cell)
        };
        let open = || async {
            let account = self.open_account().await?;
            Ok::<_, Error>(OneAccount {
                account,
                since: now,
            })
        };
        let held = cell.get_or_try_init(open).await?;
        Ok(held.account.clone())
    }

    /// After the CA said that it does not know this account: the next one who asks makes
    /// a new one, unless somebody has done so already.
    pub(crate) fn forget_account(&self, account: &Account) {
        let mut cell = self.cell();
        let is_it = |held: &OneAccount| held.account.id() == account.id();
        if cell.get().is_some_and(is_it) {
            *self.unknown() = Some(account.id().to_owned());
            *cell = Arc::default();
        }
    }

    /// Says until when the CA wants to be left alone, if it does.
    pub(crate) fn check_pause(&self) -> Result<(), Error> {
        self.check_not_before(*self.pause())
    }

    /// Refuses what the CA wants to be asked at another time.
    pub(crate) fn check_not_before(&self, time: Option<SystemTime>) -> Result<(), Error> {
        match time {
            Some(until) if until > self.clock.now() => Err(Error::Paused {
                directory: self.directory().to_owned(),
                until,
            }),
            _ => Ok(()),
        }
    }

    /// When it is that the CA, by this error, wants to be asked again.
    pub(crate) fn not_before(&self, error: &Error) -> Option<SystemTime> {
        error.not_before(self.clock.now())
    }

    /// What came of a call. What the CA did not answer within bounds, or with a
    /// problem, is an error that says what was asked.
    pub(crate) fn judge<T>(
        &self,
        action: &'static str,
        (result, seen): (Result<T, instant_acme::Error>, Seen),
    ) -> Result<(T, Seen), Error> {
        match result {
            Ok(value) => Ok((value, seen)),
            Err(source) => Err(self.failed(action, &seen, source)),
        }
    }

    /// Notes what a failed call says about the CA as a whole.
    pub(crate) fn failed(
        &self,
        action: &'static str,
        seen: &Seen,
        source: instant_acme::Error,
    ) -> Error {
        // A refused order may be about its names alone; all else is about the CA.
        let is_about_all = seen.status == Some(503) || action != CREATE_ORDER;
        let longest = match is_about_all {
            true => LONGEST_PAUSE,
            false => LONGEST_PAUSE_FOR_NAMES,
        };
        let retry_after = match seen.status {
            Some(429 | 503) => seen.retry_after.map(|wait| wait.min(longest)),
            _ => None,
        };
        if is_about_all && let Some(wait) = retry_after {
            *self.pause() = Some(self.clock.now() + wait);
        }
        Error::Ca {
            action,
            directory: self.directory().to_owned(),
            status: seen.status,
            retry_after,
            source: Box::new(source),
        }
    }

    /// Counts an order before it is made, or refuses it.
    pub(crate) async fn count_order(&self, names: &Names, purpose: Purpose) -> Result<(), Error> {
        let (limits, now) = (self.policy.limits, self.clock.now());
        self.count(|limiter| limiter.order(names, purpose, &limits, now))
            .await
    }

    /// Takes back the count of an order that came to nothing, and counts the names that
    /// were not proven.
    pub(crate) async fn count_failure(
        &self,
        names: &Names,
        purpose: Purpose,
        unproven: &[String],
    ) -> Result<(), Error> {
        let (limits, now) = (self.policy.limits, self.clock.now());
        self.count(|limiter| {
            limiter.order_failed(names, purpose, &limits);
            for name in unproven {
                limiter.proof_failed(name, &limits, now);
            }
            Ok(())
        })
        .await
    }

    async fn count(
        &self,
        act: impl FnOnce(&mut Limiter) -> Result<(), Exceeded>,
    ) -> Result<(), Error> {
        let mut guard = self.limiter.lock().await;
        let mut limiter = match guard.as_ref() {
            Some(limiter) => limiter.clone(),
            None => vault::load(&*self.vault, Kind::Limits, self.directory())
                .await?
                .unwrap_or_default(),
        };
        let counted = act(&mut limiter);
        if counted.is_ok() {
            vault::save(&*self.vault, Kind::Limits, self.directory(), &limiter).await?;
        }
        *guard = Some(limiter);
        counted.map_err(|exceeded| Error::Limited {
            directory: self.directory().to_owned(),
            bucket: exceeded.bucket,
            until: exceeded.until,
        })
    }

    async fn open_account(&self) -> Result<Account, Error> {
        let http = Http::new(self.directory(), self.policy.roots.as_deref())?;
        let record = vault::load(&*self.vault, Kind::Account, self.directory()).await?;
        let (account, credentials) = match record {
            Some(AccountRecord::Credentials(credentials)) => {
                let account = self.restore_account(&http, credentials).await?;
                if self.unknown().as_deref() != Some(account.id()) {
                    return Ok(account);
                }
                self.create_account(&http, None).await?
            }
            Some(AccountRecord::Key(key)) => self.create_account(&http, Some(key)).await?,
            None => self.create_account(&http, None).await?,
        };
        let record = AccountRecord::Credentials(Box::new(credentials));
        vault::save(&*self.vault, Kind::Account, self.directory(), &record).await?;
        Ok(account)
    }

    async fn restore_account(
        &self,
        http: &Http,
        credentials: Box<AccountCredentials>,
    ) -> Result<Account, Error> {
        let text = serde_json::to_value(&credentials).unwrap_or_default();
        let (account, _) = self.judge(
            "read the directory",
            call!(async {
                let credentials = serde_json::from_value(text.clone())?;
                Account::builder_with_http(Box::new(http.clone()))
                    .from_credentials(credentials)
                    .await
            }),
        )?;
        Ok(account)
    }

    /// Without an external account the key is kept before the account is made, so that
    /// whatever ends the process in between, there is one account.
    async fn create_account(
        &self,
        http: &Http,
        key: Option<String>,
    ) -> Result<(Account, AccountCredentials), Error> {
        if !self.terms_agreed {
            return Err(Error::TermsNotAgreed(self.directory().to_owned()));
        }
        if key.is_none() {
            let (limits, now) = (self.policy.limits, self.clock.now());
            self.count(|limiter| limiter.account(&limits, now)).await?;
        }
        let contact = self.email.as_ref().map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.as_deref().into_iter().collect();
        let directory = self.directory();
        let builder = || Account::builder_with_http(Box::new(http.clone()));
        let external = self.external_account()?;
        if external.is_some() {
            let new = NewAccount {
                contact: &contact,
                terms_of_service_agreed: true,
                only_return_existing: false,
            };
            let (made, _) = self.judge(
                CREATE_ACCOUNT,
                call!(async {
                    builder()
                        .create(&new, directory.to_owned(), external.as_ref())
                        .await
                }),
            )?;
            return Ok(made);
        }
        let key = match key {
            Some(key) => key,
            None => self.keep_new_key().await?,
        };
        let (made, _) = self.judge(
            CREATE_ACCOUNT,
            call!(async {
                let der = BASE64_URL_SAFE_NO_PAD
                    .decode(&key)
                    .map_err(|_| instant_acme::Error::KeyRejected)?;
                let pair = Key::from_pkcs8_der(PrivatePkcs8KeyDer::from(der.as_slice()))?;
                let key = (pair, PrivatePkcs8KeyDer::from(der).into());
                builder().create_from_key(key, directory.to_owned()).await
            }),
        )?;
        if !contact.is_empty() {
            self.judge(
                "tell the address for mail",
                call!(async { made.0.update_contacts(&contact).await }),
            )?;
        }
        Ok(made)
    }

    async fn keep_new_key(&self) -> Result<String, Error> {
        let (_, key) = Key::generate_pkcs8()
            .map_err(|source| self.failed(CREATE_ACCOUNT, &Seen::default(), source))?;
        let key = BASE64_URL_SAFE_NO_PAD.encode(key.secret_pkcs8_der());
        let record = AccountRecord::Key(key.clone());
        vault::save(&*self.vault, Kind::Account, self.directory(), &record).await?;
        Ok(key)
    }

    fn external_account(&self) -> Result<Option<ExternalAccountKey>, Error> {
        let Some(binding) = &self.policy.binding else {
            return Ok(None);
        };
        let text = binding.mac_key.expose().trim_ascii();
        let padded = text.iter().position(|byte| *byte == b'=');
        let key = BASE64_URL_SAFE_NO_PAD
            .decode(&text[..padded.unwrap_or(text.len())])
            .map_err(|source| Error::Binding {
                directory: self.directory().to_owned(),
                source,
            })?;
        Ok(Some(ExternalAccountKey::new(binding.key_id.clone(), &key)))
    }

    fn cell(&self) -> MutexGuard<'_, Arc<OnceCell<OneAccount>>> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unknown(&self) -> MutexGuard<'_, Option<String>> {
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pause(&self) -> MutexGuard<'_, Option<SystemTime>> {
        self.paused_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`Ca::failed`] tells apart.
pub(crate) const CREATE_ORDER: &str = "create an order";
const CREATE_ACCOUNT: &str = "create an account";
