//! Removing an app. Its volumes stay, and with them the secrets that open what is
//! in them.

use super::{Executor, Retention};
use crate::Error;
use crate::certificate::Certificates;
use crate::journal::RunningOperation;
use crate::logs::forget_failed;
use crate::network::guard::Guard;
use crate::record::record;
use crate::report::{Event, Proposal};
use crate::request::{Removal, SecretsOnRemoval};
use crate::routes::RouteTable;
use crate::run::Run;
use doprax_core::blueprint::{Blueprint, Note};
use doprax_core::name::AppName;
use doprax_core::observed::Observed;
use doprax_core::secret::SecretName;
use doprax_core::{planner, proposal};
use doprax_engine::{Engine, Inputs};
use doprax_store::Store;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Removals.
pub(crate) struct Removals {
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) executor: Arc<Executor>,
    pub(crate) retention: Arc<Retention>,
}

impl Removals {
    /// What a removal would do. Changes nothing.
    pub(crate) async fn plan(
        &self,
        app: &AppName,
        secrets: Option<SecretsOnRemoval>,
    ) -> Result<Proposal, Error> {
        self.check_removable(app, secrets).await?;
        let release = self.store.app(app).await?.and_then(|app| app.release);
        let observed = self.engine.observe(app).await?;
        let blueprint = release.as_ref().map(|release| &release.blueprint);
        let kept = keeps_secrets(secrets, &observed);
        let names = self.store.secrets(app).await?.into_keys().collect();
        let notes = fate(&names, kept).map(|fate| Note {
            service: None,
            text: match secrets {
                None => format!("{fate}; {}", otherwise(kept)),
                Some(_) => fate,
            },
        });
        let removal = proposal::removal(app, blueprint, &observed, notes.into_iter().collect());
        Ok(Proposal {
            app: app.clone(),
            diff: removal.diff,
            changes: true,
            needs_source: false,
            warnings: Vec::new(),
            digest: removal.digest,
        })
    }

    /// Refuses to remove what does not exist. Secrets that a removed app left are enough
    /// where they are to be forgotten.
    async fn check_removable(
        &self,
        app: &AppName,
        secrets: Option<SecretsOnRemoval>,
    ) -> Result<(), Error> {
        let forgets = secrets == Some(SecretsOnRemoval::Forget);
        if forgets && !self.store.secrets(app).await?.is_empty() {
            return Ok(());
        }
        record(&self.store, app).await.map(drop)
    }

    /// Refuses a removal that would be refused once it is under way, or that would do
    /// something else than a person confirmed.
    pub(crate) async fn check(&self, app: &AppName, removal: &Removal) -> Result<(), Error> {
        let Some(confirmed) = &removal.confirmed else {
            return self.check_removable(app, removal.secrets).await;
        };
        let proposal = self.plan(app, removal.secrets).await?;
        match proposal.digest == *confirmed {
            true => Ok(()),
            false => Err(Error::Outdated { app: app.clone() }),
        }
    }

    pub(crate) async fn run(
        &self,
        live: &Arc<RunningOperation>,
        secrets: Option<SecretsOnRemoval>,
    ) -> Result<(), Error> {
        let app = &live.operation().app;
        let blueprint = self
            .store
            .app(app)
            .await?
            .and_then(|record| record.release)
            .map(|r| r.blueprint);
        self.routes.remove(app);
        let observed = self.engine.observe(app).await?;
        let emit = {
            let live = Arc::clone(live);
            Arc::new(move |what| live.emit(what))
        };
        let run = Run::for_images(app, Inputs::default(), emit).until(live.cancelled());
        self.executor
            .execute(&run, &planner::removal(&observed, blueprint.as_ref()))
            .await?;
        self.guard.hold(&self.engine.observe_all().await?).await;
        let kept = keeps_secrets(secrets, &observed);
        let left = self.left_of(app, blueprint, &observed, kept).await?;
        self.store.remove_app(app, left.as_ref()).await?;
        forget_failed(&self.store, app).await;
        self.certificates.renew().await?;
        let names = self.store.secrets(app).await?.into_keys().collect();
        if !kept {
            self.store.forget_secrets(app).await?;
        }
        if let Some(text) = fate(&names, kept) {
            live.emit(Event::Note { text });
        }
        self.retention.clean_up_after_removal(app).await;
        Ok(())
    }

    /// What the data in the volumes that an app leaves was made with: what it ran, or, if no
    /// deploy has succeeded since it was last removed, what it ran then.
    async fn left_of(
        &self,
        app: &AppName,
        ran: Option<Blueprint>,
        observed: &Observed,
        secrets_kept: bool,
    ) -> Result<Option<Blueprint>, Error> {
        if observed.volumes.is_empty() {
            return Ok(None);
        }
        let mut left = match ran {
            Some(ran) => Some(ran),
            None => self.store.remains(app).await?,
        };
        if let (Some(left), false) = (&mut left, secrets_kept) {
            // Others will be counted from the beginning again.
            left.revisions.clear();
        }
        Ok(left)
    }
}

/// Whether the secrets of a removed app are kept.
fn keeps_secrets(wanted: Option<SecretsOnRemoval>, observed: &Observed) -> bool {
    match wanted {
        Some(SecretsOnRemoval::Keep) => true,
        Some(SecretsOnRemoval::Forget) => false,
        None => !observed.volumes.is_empty(),
    }
}

/// What becomes of secrets of these names.
fn fate(names: &BTreeSet<SecretName>, kept: bool) -> Option<String> {
    let given: Vec<&str> = names.iter().filter_map(|name| name.as_variable()).collect();
    let generated = match names.len() - given.len() {
        0 => None,
        1 => Some("a generated one".to_owned()),
        many => Some(format!("{many} generated ones")),
    };
    let given = given.into_iter().map(str::to_owned);
    let all: Vec<String> = given.chain(generated).collect();
    let what = if kept { "stay" } else { "are forgotten" };
    (!all.is_empty()).then(|| format!("its secrets {what}: {}", all.join(", ")))
}

/// What a person can do who wants it otherwise.
fn otherwise(kept: bool) -> &'static str {
    if kept {
        "--forget-secrets forgets them"
    } else {
        "the next deploy generates others; --keep-secrets keeps them"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_says_what_becomes_of_secrets() {
        let names = |names: &[&SecretName]| names.iter().copied().cloned().collect();
        let (key, word, uuid) = (
            SecretName::variable("API_KEY"),
            SecretName::word("random_1"),
            SecretName::word("uuid"),
        );
        let cases = [
            (names(&[]), None),
            (names(&[&key]), Some("its secrets are forgotten: API_KEY")),
            (
                names(&[&uuid]),
                Some("its secrets are forgotten: a generated one"),
            ),
            (
                names(&[&key, &word, &uuid]),
                Some("its secrets are forgotten: API_KEY, 2 generated ones"),
            ),
        ];
        for (names, expected) in cases {
            assert_eq!(fate(&names, false).as_deref(), expected);
        }
    }

    #[test]
    fn secrets_stay_with_volumes_unless_a_person_says_otherwise() {
        let with_volume = Observed {
            volumes: [doprax_core::name::VolumeName::new("data").unwrap()].into(),
            ..Observed::default()
        };
        for (observed, unasked) in [(with_volume, true), (Observed::default(), false)] {
            assert_eq!(keeps_secrets(None, &observed), unasked);
            assert!(keeps_secrets(Some(SecretsOnRemoval::Keep), &observed));
            assert!(!keeps_secrets(Some(SecretsOnRemoval::Forget), &observed));
        }
        let key = [SecretName::variable("API_KEY")].into();
        let stays = Some("its secrets stay: API_KEY".to_owned());
        assert_eq!(fate(&key, true), stays);
        assert_ne!(otherwise(true), otherwise(false));
    }
}
