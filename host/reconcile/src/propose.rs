//! From a request to what would be done about it: gathers what [`doprax_core::proposal`]
//! decides by. Changes nothing.

mod derive;
mod fresh;
mod images;
pub(crate) mod secret;
mod understand;

use crate::domains::AppDomains;
use crate::network::subnet::Subnets;
use crate::observe::Observer;
use crate::ready::why::check_variables;
use crate::report::Proposal;
use crate::request::DeployRequest;
use crate::retiring::Retiring;
use crate::routes::RouteTable;
use crate::volume::refuse_gone;
use crate::{Config, Error};
use doprax_core::assemble;
use doprax_core::blueprint::Blueprint;
use doprax_core::observed::Observed;
use doprax_core::proposal::{self, Abilities, Images, Inputs, Remembered, Understood};
use doprax_core::secret::SecretName;
use doprax_core::source::Source;
use doprax_engine::{Engine, Facts};
use doprax_plugin::Plugins;
use doprax_store::{AppRecord, Store};
use ipnet::Ipv4Net;
use secret::NewValues;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::OnceCell;
pub(crate) use understand::needed_secrets;

/// What a blueprint is made for, beside the request.
pub(crate) struct Around<'a> {
    pub(crate) subnet: Ipv4Net,
    pub(crate) revisions: &'a BTreeMap<SecretName, u64>,
    pub(crate) record: Option<&'a AppRecord>,
    pub(crate) observed: &'a Observed,
    pub(crate) images: &'a Images,
}

/// The rest of what a proposal is made from, as far as nothing else holds it.
struct Gathered {
    source: Source,
    address: (String, String),
    abilities: Abilities,
}

/// Gathers what is needed to propose something, and proposes it.
pub(crate) struct Proposer {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) subnets: Arc<Subnets>,
    pub(crate) domains: Arc<AppDomains>,
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) retiring: Arc<Retiring>,
    /// What the engine can do; asked once.
    pub(crate) facts: OnceCell<Facts>,
}

impl Proposer {
    /// What a deploy would do. Changes nothing.
    pub(crate) async fn plan(&self, request: &DeployRequest) -> Result<Proposal, Error> {
        let record = self.record_for(request).await?;
        let understood = self.understand(request, record.as_ref())?;
        let app = understood.app();
        self.domains.check_free(app, &understood.domains()).await?;
        // Before: what has ended by the time that this is over may have been seen.
        let ending = self.retiring.copies(app);
        let (stored, mut observed) =
            tokio::try_join!(async { Ok(self.store.secrets(app).await?) }, async {
                match &record {
                    Some(record) => self.observer.of(record).await,
                    None => Ok(self.engine.observe(app).await?),
                }
            })?;
        let NewValues { values, .. } = needed_secrets(&understood, request, &stored)?;
        let revisions = secret::revisions(&stored, &values);
        let subnet = match &record {
            Some(record) if !self.subnets.is_lost(record, &observed).await? => record.subnet,
            _ => self.subnets.free(&[]).await?,
        };
        self.retiring.without(app, subnet, &mut observed, &ending);
        let mut images = self.images(&understood, request).await?;
        images.ports_before = self.ports_before(record.as_ref(), &images).await?;
        let fresh = self.fresh(&understood, request, &images).await?;
        let needs_build = images.needs_build(&fresh);
        let around = Around {
            subnet,
            revisions: &revisions,
            record: record.as_ref(),
            observed: &observed,
            images: &images.expecting(&fresh),
        };
        let (none, no_volume) = (BTreeSet::new(), BTreeSet::new());
        let record = record.as_ref();
        let left = self.store.remains(app).await?;
        let remembered = Remembered {
            manifest: record.and_then(|record| record.manifest.as_ref()),
            stopped: record.map_or(&none, |record| &record.stopped),
            reloads: record.map_or(&none, |record| &record.reloads),
            made: record.map_or(&no_volume, |record| &record.made_volumes),
            left: left.as_ref(),
        };
        let gathered = self.gather(&understood, request).await?;
        let inputs = self.inputs(&understood, request, &around, &gathered);
        let proposed = proposal::propose(&inputs, &remembered, fresh.notes)
            .map_err(|errors| unplannable(&errors))?;
        check_variables(&proposed.blueprint, &secret::values(&stored, &values))?;
        if let Some(record) = record {
            refuse_gone(
                &self.config.instance,
                record,
                &proposed.blueprint,
                &observed,
                None,
            )?;
        }
        Ok(Proposal {
            app: app.clone(),
            diff: proposed.diff,
            changes: proposed.changes,
            needs_source: needs_build && !self.store.source_path(&request.source).exists(),
            warnings: understood.manifest.warnings,
            digest: proposed.digest,
        })
    }

    /// Refuses a deploy that would do something else than a person confirmed.
    pub(crate) async fn check_confirmed(&self, request: &DeployRequest) -> Result<(), Error> {
        let Some(confirmed) = &request.confirmed else {
            return Ok(());
        };
        let proposal = self.plan(request).await?;
        match proposal.digest == *confirmed {
            true => Ok(()),
            false => Err(Error::Outdated { app: proposal.app }),
        }
    }

    /// The blueprint that a request asks for.
    pub(crate) async fn blueprint(
        &self,
        understood: &Understood,
        request: &DeployRequest,
        around: &Around<'_>,
    ) -> Result<Blueprint, Error> {
        let gathered = self.gather(understood, request).await?;
        let inputs = self.inputs(understood, request, around, &gathered);
        proposal::blueprint(&inputs).map_err(|errors| unplannable(&errors))
    }

    async fn gather(
        &self,
        understood: &Understood,
        request: &DeployRequest,
    ) -> Result<Gathered, Error> {
        let engine = self.facts.get_or_try_init(|| self.engine.facts()).await?;
        Ok(Gathered {
            source: understood.source(&request.source),
            address: self.routes.address(understood.app(), understood.domain()),
            abilities: Abilities {
                disk_limit: engine.disk_limit,
                init: engine.init,
            },
        })
    }

    fn inputs<'a>(
        &'a self,
        understood: &'a Understood,
        request: &'a DeployRequest,
        around: &Around<'a>,
        gathered: &'a Gathered,
    ) -> Inputs<'a> {
        let release = around.record.and_then(|record| record.release.as_ref());
        let commit = request.commit.as_deref();
        let (url, host) = &gathered.address;
        Inputs {
            instance: &self.config.instance,
            understood,
            source: &gathered.source,
            dockerfile: &request.dockerfile,
            commit: commit.filter(|commit| is_commit(commit)),
            address: (url, host),
            subnet: around.subnet,
            revisions: around.revisions,
            images: around.images,
            keeps_images: request.refresh.keep,
            release: release.map(|release| (release.number, &release.blueprint)),
            observed: around.observed,
            abilities: gathered.abilities,
        }
    }
}

/// Whether a text is the name of a Git commit.
fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn unplannable(errors: &[assemble::Error]) -> Error {
    let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Error::Unplannable {
        message: messages.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_has_7_to_64_hexadecimal_digits() {
        for good in ["0123abc", "0123ABC", &"f".repeat(40), &"f".repeat(64)] {
            assert!(is_commit(good), "{good}");
        }
        for bad in ["", "0123ab", "0123abg", "0123ab\n", &"f".repeat(65)] {
            assert!(!is_commit(bad), "{bad}");
        }
    }
}
