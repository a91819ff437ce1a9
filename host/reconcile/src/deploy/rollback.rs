//! Rollbacks: an earlier release comes back, as a release of its own.
//!
//! Flow: the release's blueprint as it was, on the app's present subnet → checked for all
//! that it needs → rolled out as a deploy is, see [`super::rollout`]. Nothing is read,
//! described, built or generated anew: images come back by their ids, files by their
//! digests, secrets by the revisions of their values, so neither a source nor a registry is
//! needed. Volumes stay as they are.
//! Guarantees: a service does not go back to an older version on the data that a newer one
//! has written unless a person allows it.

use super::{Account, Making, Rollout, context, origin};
use crate::domains::AppDomains;
use crate::journal::RunningOperation;
use crate::network::subnet::Subnets;
use crate::observe::Observer;
use crate::record::record;
use crate::releases::find_release;
use crate::report::{Proposal, RollbackProposal};
use crate::request::{DeployRequest, Rollback};
use crate::retiring::Retiring;
use crate::volume::refuse_gone;
use crate::{Config, Error};
use doprax_core::blueprint::{Blueprint, Container, Image};
use doprax_core::caution::{Downgrade, downgrades};
use doprax_core::name::{AppName, VolumeName};
use doprax_core::observed::Observed;
use doprax_core::proposal::{self, Images};
use doprax_core::release::{Reason, before, blobs};
use doprax_core::secret::SecretName;
use doprax_engine::Engine;
use doprax_store::{AppRecord, MadeOf, Release, ReleaseRecord, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Rollbacks.
pub(crate) struct Rollbacks {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) subnets: Arc<Subnets>,
    pub(crate) domains: Arc<AppDomains>,
    pub(crate) retiring: Arc<Retiring>,
    pub(crate) rollout: Arc<Rollout>,
}

impl Rollbacks {
    /// What a rollback to a release would do, or to the one before the current where none is
    /// named. Changes nothing.
    pub(crate) async fn plan(
        &self,
        app: &AppName,
        to: Option<u64>,
        allow_downgrade: bool,
    ) -> Result<RollbackProposal, Error> {
        let record = record(&self.store, app).await?;
        let to = self.target(&record, to).await?;
        let (release, made_of) = self.release_to_bring_back(app, to).await?;
        let observed = self.observer.of(&record).await?;
        let mut blueprint = brought_back(&release, &record);
        if self.subnets.is_lost(&record, &observed).await? {
            blueprint.subnet = self.subnets.free(&[]).await?;
        }
        self.domains.check_free(app, &blueprint.domains).await?;
        refuse_gone(&self.config.instance, &record, &blueprint, &observed, None)?;
        let Some(Release {
            blueprint: current, ..
        }) = &record.release
        else {
            return Err(Error::NotDeployed { app: app.clone() });
        };
        let images = self.images_to_bring_back(&blueprint, &observed, to).await?;
        let observed = self.retiring.ground(&blueprint, observed, &images);
        let none = BTreeSet::new();
        let context = context(&record, &none);
        let proposed = proposal::rollback(current, &blueprint, &observed, &context);
        refuse_downgrade(app, to, proposed.downgrades, allow_downgrade)?;
        let unchanged = *current == blueprint
            && record.manifest.as_ref() == Some(&made_of.manifest)
            && record.spec.as_ref() == Some(&made_of.spec)
            && record.stopped.is_empty();
        Ok(RollbackProposal {
            to,
            proposal: Proposal {
                app: app.clone(),
                changes: !proposed.plan.steps.is_empty() || !unchanged,
                diff: proposed.diff,
                digest: proposed.digest,
                needs_source: false,
                warnings: Vec::new(),
            },
        })
    }

    /// The release that a rollback goes to.
    async fn target(&self, record: &AppRecord, to: Option<u64>) -> Result<u64, Error> {
        let app = &record.name;
        let Some(current) = &record.release else {
            return Err(Error::NotDeployed { app: app.clone() });
        };
        let releases = self.store.releases(app).await?;
        let known: Vec<(u64, Reason)> = releases
            .iter()
            .map(|entry| (entry.number, entry.origin.reason))
            .collect();
        match to {
            Some(to) if to == current.number => Err(Error::CurrentRelease {
                app: app.clone(),
                number: to,
            }),
            Some(to) => Ok(to),
            None => before(&known, current.number).ok_or_else(|| Error::NoEarlierRelease {
                app: app.clone(),
                current: current.number,
            }),
        }
    }

    /// Refuses a rollback that would be refused once it is under way, or that would do
    /// something else than a person confirmed.
    pub(crate) async fn check(&self, app: &AppName, rollback: &Rollback) -> Result<(), Error> {
        let wanted = Some(rollback.to);
        let planned = self.plan(app, wanted, rollback.allow_downgrade);
        let digest = planned.await?.proposal.digest;
        match rollback.confirmed.as_ref().is_none_or(|it| *it == digest) {
            true => Ok(()),
            false => Err(Error::Outdated { app: app.clone() }),
        }
    }

    /// Carries out a rollback. Returns where the app can be reached.
    pub(crate) async fn run(
        &self,
        live: &Arc<RunningOperation>,
        rollback: &Rollback,
    ) -> Result<Option<String>, Error> {
        let app = &live.operation().app;
        if self.rollout.is_released(live).await? {
            return self.rollout.where_it_is(app).await;
        }
        let account = Account::of(live);
        let (release, made_of) = self.release_to_bring_back(app, rollback.to).await?;
        let (actor, commit) = (
            rollback.actor.as_ref(),
            release.entry.origin.commit.as_ref(),
        );
        let reason = Reason::Rollback { to: rollback.to };
        let origin = origin(live, reason, actor, commit);
        let making = Making {
            manifest: &made_of.manifest,
            spec: &made_of.spec,
            request: &made_of.request,
            origin: &origin,
            plugins: &release.plugins,
        };
        let done = self
            .bring_back(live, &account, rollback, &release, &making)
            .await;
        if let Err(error) = &done {
            let source = Some(release.entry.source.as_str());
            self.rollout
                .remember_failure(app, &origin, source, error, &account)
                .await;
        }
        self.domains.put_right(app).await;
        done
    }

    async fn bring_back(
        &self,
        live: &Arc<RunningOperation>,
        account: &Account,
        rollback: &Rollback,
        release: &ReleaseRecord<DeployRequest>,
        making: &Making<'_>,
    ) -> Result<Option<String>, Error> {
        let mut record = record(&self.store, &live.operation().app).await?;
        let observed = self.observer.of(&record).await?;
        self.subnets.find_room(&mut record, &observed).await?;
        let blueprint = brought_back(release, &record);
        let (to, allowed) = (rollback.to, rollback.allow_downgrade);
        if let Some(current) = &record.release {
            let made: BTreeSet<&VolumeName> = observed.volumes.iter().collect();
            let services = downgrades(&current.blueprint, &blueprint, &made);
            refuse_downgrade(&record.name, to, services, allowed)?;
        }
        let images = self.images_to_bring_back(&blueprint, &observed, to).await?;
        self.domains
            .claim(&record.name, &blueprint.domains, false)
            .await?;
        self.rollout
            .roll_out(live, account, record, blueprint, &images, making)
            .await
    }

    /// A release with all that it takes to bring it back, or why that cannot be.
    async fn release_to_bring_back(
        &self,
        app: &AppName,
        number: u64,
    ) -> Result<(ReleaseRecord<DeployRequest>, MadeOf<DeployRequest>), Error> {
        let mut release = find_release(&self.store, app, number).await?;
        let lost = |reason: String| Error::LostRelease {
            app: app.clone(),
            number,
            reason,
        };
        let made_of = release.made_of.take();
        let made_of = made_of.ok_or_else(|| {
            lost("an older host made it, which kept no more of it than was needed then".to_owned())
        })?;
        let wanted = used_revisions(&release.blueprint);
        let values = self.store.secrets_at(app, &wanted).await?;
        if let Some(name) = wanted.keys().find(|name| !values.contains_key(*name)) {
            return Err(lost(format!("the value that {name} had is gone")));
        }
        for digest in blobs(&release.blueprint) {
            if self.store.blob(digest).await?.is_none() {
                return Err(lost(format!("the file {digest} is gone")));
            }
        }
        Ok((release, made_of))
    }

    /// The images of a release as the engine has them. One that the engine has lost is
    /// pulled by its digest; one that nobody can give again is an error where a container
    /// has to be made of it.
    async fn images_to_bring_back(
        &self,
        blueprint: &Blueprint,
        observed: &Observed,
        number: u64,
    ) -> Result<Images, Error> {
        let mut images = Images::all_present(blueprint);
        for container in blueprint.containers.values() {
            let reference = container.image.reference();
            let identity = container.identity.as_ref();
            let id = identity.map_or(reference, |identity| identity.id.as_str());
            if self.engine.image(id).await?.is_some() || is_there(blueprint, container, observed) {
                continue;
            }
            let digest = identity.and_then(|identity| identity.digest.as_ref());
            if matches!(container.image, Image::Build { .. }) || digest.is_none() {
                let name = &container.name;
                return Err(Error::LostRelease {
                    app: blueprint.app.clone(),
                    number,
                    reason: format!("the engine has lost the image of {name}, {reference}"),
                });
            }
            images.present.remove(reference);
        }
        Ok(images)
    }
}

/// What a release wanted, where the app is now.
fn brought_back(release: &ReleaseRecord<DeployRequest>, record: &AppRecord) -> Blueprint {
    Blueprint {
        subnet: record.subnet,
        ..release.blueprint.clone()
    }
}

/// Whether a copy of a container is there that was made from what it shall be.
fn is_there(blueprint: &Blueprint, container: &Container, observed: &Observed) -> bool {
    let revisions = &blueprint.revisions;
    let hashes = [container.made_from(revisions), container.hash(revisions)];
    observed
        .containers
        .iter()
        .any(|copy| copy.service == container.name && hashes.contains(&copy.hash))
}

/// The revisions of the secrets that containers of a blueprint name.
fn used_revisions(blueprint: &Blueprint) -> BTreeMap<SecretName, u64> {
    let containers = blueprint.containers.values();
    let names = containers.flat_map(Container::secrets);
    names
        .filter_map(|name| Some((name.clone(), *blueprint.revisions.get(name)?)))
        .collect()
}

fn refuse_downgrade(
    app: &AppName,
    to: u64,
    services: Vec<Downgrade>,
    allowed: bool,
) -> Result<(), Error> {
    if allowed || services.is_empty() {
        return Ok(());
    }
    Err(Error::Downgrade {
        app: app.clone(),
        to,
        services,
    })
}
