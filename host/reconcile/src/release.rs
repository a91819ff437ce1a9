//! Releases: making one of what was prepared, listing them, and letting go of what no kept
//! one needs.
//!
//! Flow: plan → steps → release remembered → old images, archives, files and values of
//! secrets removed. Guarantees: until the release is remembered, the one before it is what
//! the host keeps up; a failure goes back to that, or to nothing where there is none. What
//! is pruned is what [`doprax_core::release::keep`] does not name.

use crate::execute::Emit;
use crate::journal::{RunningOperation, now_ms};
use crate::report::Event;
use crate::request::{DeployRequest, Refresh};
use crate::subnet::Goal;
use crate::{Error, Host};
use doprax_core::blueprint::Blueprint;
use doprax_core::diff::{Diff, diff};
use doprax_core::name::{AppName, ServiceName};
use doprax_core::operation::{Operation, OperationState};
use doprax_core::plan::Plan;
use doprax_core::proposal::Images;
use doprax_core::release::{
    FailedRelease, Kept, Origin, Reason, ReleaseDetails, ReleasedContainer, Releases, Report,
};
use doprax_core::route::Target;
use doprax_core::spec::AppSpec;
use doprax_store::{AppRecord, NewRelease, ReleaseRecord};
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Lines of a build that are kept of a deploy that failed, and bytes of each.
const BUILD_LINES: usize = 200;
const BUILD_LINE: usize = 500;

/// Images that the engine is asked to keep at the same time.
const HOLDS_AT_ONCE: usize = 8;

/// What an operation tells on its way to a release: followers hear all of it, and some is
/// remembered with the release, or with the failure.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) emit: Emit,
    told: Arc<Mutex<Told>>,
}

#[derive(Default)]
struct Told {
    notes: Vec<String>,
    build: VecDeque<String>,
}

impl Account {
    pub(crate) fn of(live: &Arc<RunningOperation>) -> Self {
        let told = Arc::<Mutex<Told>>::default();
        let (live, heard) = (Arc::clone(live), Arc::clone(&told));
        let emit: Emit = Arc::new(move |what| {
            let mut told = lock(&heard);
            match &what {
                Event::Note { text } => told.notes.push(text.clone()),
                Event::Build { line } => {
                    told.build.push_back(cut(line));
                    if told.build.len() > BUILD_LINES {
                        told.build.pop_front();
                    }
                }
                _ => {}
            }
            drop(told);
            live.emit(what);
        });
        Self { emit, told }
    }

    fn notes(&self) -> Vec<String> {
        lock(&self.told).notes.clone()
    }

    fn build(&self) -> Vec<String> {
        lock(&self.told).build.iter().cloned().collect()
    }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line without what goes beyond the bound.
fn cut(line: &str) -> String {
    line[..line.floor_char_boundary(BUILD_LINE)].to_owned()
}

/// What a release is made of, beside its blueprint.
pub(crate) struct Making<'a> {
    pub(crate) manifest: &'a AppSpec,
    pub(crate) spec: &'a AppSpec,
    pub(crate) request: &'a DeployRequest,
    pub(crate) origin: &'a Origin,
    /// Digests of the plugins' components that described its services.
    pub(crate) plugins: &'a BTreeMap<ServiceName, String>,
}

/// Where a release of an operation comes from.
pub(crate) fn origin(
    live: &RunningOperation,
    reason: Reason,
    actor: Option<&String>,
    commit: Option<&String>,
) -> Origin {
    let operation = live.operation();
    Origin {
        reason,
        operation: Some(operation.id.clone()),
        actor: actor.cloned(),
        commit: commit.cloned(),
        started_ms: Some(operation.started_ms),
    }
}

impl Host {
    /// Makes the app what a blueprint says, and that a release. Returns where it can be
    /// reached.
    pub(crate) async fn roll_out(
        &self,
        live: &Arc<RunningOperation>,
        account: &Account,
        mut record: AppRecord,
        mut blueprint: Blueprint,
        images: &Images,
        making: &Making<'_>,
    ) -> Result<Option<String>, Error> {
        let app = record.name.clone();
        let emit = &account.emit;
        let observed = self.observe(&record).await?;
        self.refuse_gone(&record, &blueprint, &observed, None)?;
        let retired = self.await_retired(&app, &blueprint);
        let retired = live.cancelled().run_until_cancelled(retired).await;
        retired.ok_or(Error::Cancelled)?;
        if !record.stopped.is_empty() {
            self.store().set_stopped(&app, &BTreeSet::new()).await?;
        }
        let running = BTreeSet::new();
        let goal = Goal {
            images,
            stopped: &running,
            cancelled: Some(live.cancelled()),
        };
        let released = async {
            self.reach(&mut record, &mut blueprint, &goal, Arc::clone(emit))
                .await?;
            // What is made of it later, such as a change by hand, looks for nothing again.
            let request = &DeployRequest {
                refresh: Refresh::default(),
                confirmed: None,
                ..making.request.clone()
            };
            let new = NewRelease {
                manifest: making.manifest,
                spec: making.spec,
                blueprint: &blueprint,
                source: &request.source,
                created_ms: now_ms(),
                notes: &account.notes(),
                request,
                origin: making.origin,
                plugins: making.plugins,
            };
            self.store().add_release(&app, &new).await?;
            Ok::<_, Error>(())
        };
        if let Err(error) = released.await {
            emit(Event::GoingBack);
            if let Err(back) = self.go_back(record, Arc::clone(emit)).await {
                let text = format!("it could not go back yet: {}", back.chain());
                emit(Event::Note { text });
            }
            return Err(error);
        }
        if record.release.is_none() {
            self.forget_failed_logs(&app).await;
        }
        self.hold_images(&app, &blueprint).await;
        self.clean_up(&app, Some(&live.operation().id)).await;
        if blueprint.front.is_none() {
            self.set_target(&app, Target::Nowhere);
            return Ok(None);
        }
        self.await_predecessor(live).await;
        Ok(Some(self.url(&app)))
    }

    /// Whether the app's current release was made by this operation: a host that was killed
    /// after that has nothing left to do but to say so.
    pub(crate) async fn is_released(&self, live: &RunningOperation) -> Result<bool, Error> {
        let operation = live.operation();
        let releases = self.store().releases(&operation.app).await?;
        let latest = releases.first();
        Ok(latest.is_some_and(|latest| latest.origin.operation.as_ref() == Some(&operation.id)))
    }

    /// Where the app's current release can be reached.
    pub(crate) async fn where_it_is(&self, app: &AppName) -> Result<Option<String>, Error> {
        let release = self.brief(app).await?.release;
        let serves = release.is_some_and(|release| release.blueprint.front.is_some());
        Ok(serves.then(|| self.url(app)))
    }

    /// Remembers that an operation came to no release.
    pub(crate) async fn remember_failure(
        &self,
        app: &AppName,
        origin: &Origin,
        source: Option<&str>,
        error: &Error,
        account: &Account,
    ) {
        let Event::Failed {
            error: text,
            help,
            log,
        } = error.report()
        else {
            return;
        };
        let failed = FailedRelease {
            origin: origin.clone(),
            state: match error {
                Error::Cancelled => OperationState::Cancelled,
                _ => OperationState::Failed,
            },
            source: source.map(str::to_owned),
            ended_ms: now_ms(),
            report: Report {
                error: text,
                help,
                log,
                build: account.build(),
            },
        };
        if let Err(error) = self.store().add_failed_release(app, &failed).await {
            tracing::warn!(%app, %error, "a deploy that failed is not in the list of releases");
        }
    }

    /// Has the engine keep the images of a release, whatever is built or pulled meanwhile
    /// under their references.
    pub(crate) async fn hold_images(&self, app: &AppName, blueprint: &Blueprint) {
        let identities = blueprint.containers.values();
        let identities = identities.filter_map(|container| container.identity.as_ref());
        let ids: BTreeSet<String> = identities.map(|identity| identity.id.clone()).collect();
        let ids: Vec<String> = ids.into_iter().collect();
        for some in ids.chunks(HOLDS_AT_ONCE) {
            let held = some.iter().map(|id| self.engine().keep_image(app, id));
            for error in join_all(held).await.into_iter().filter_map(Result::err) {
                tracing::warn!(%app, %error, "an image of a release may be lost");
            }
        }
    }

    /// Removes what no kept release needs any more. Failing at it harms nothing: the next
    /// deploy tries again.
    pub(crate) async fn clean_up(&self, app: &AppName, operation: Option<&str>) {
        let kept = async {
            let record = self.store().app(app).await?;
            let retain = record.and_then(|record| record.spec?.retain);
            let retain = retain.unwrap_or(self.config().retain);
            self.store().retire_releases(app, retain, operation).await
        };
        match kept.await {
            Ok(kept) => self.prune_images(app, &kept).await,
            Err(error) => tracing::warn!(%app, %error, "old releases were not forgotten"),
        }
        if let Err(error) = self.store().prune_sources(&self.sources_in_use()).await {
            tracing::warn!(%error, "old source archives were not removed");
        }
    }

    /// Removes the image and the archive that a failed deploy leaves, unless a release
    /// needs them.
    pub(crate) async fn clean_up_after_failure(&self, operation: &Operation, source: &str) {
        let app = &operation.app;
        self.clean_up(app, Some(&operation.id)).await;
        let others = self.sources_in_use_but(Some(&operation.id));
        if let Err(error) = self.store().remove_source(source, &others).await {
            tracing::warn!(%app, %error, "what a failed deploy left was not removed");
        }
    }

    async fn prune_images(&self, app: &AppName, kept: &Kept) {
        if let Err(error) = self.engine().prune_images(app, kept).await {
            tracing::warn!(%app, %error, "old images were not removed");
        }
    }

    /// The releases of an app that are kept, and the deploys that came to none.
    pub async fn releases(&self, app: &AppName) -> Result<Releases, Error> {
        let record = self.brief(app).await?;
        let (releases, failed) = tokio::try_join!(
            self.store().releases(app),
            self.store().failed_releases(app)
        )?;
        Ok(Releases {
            current: record.release.map(|release| release.number),
            releases,
            failed,
        })
    }

    /// What a release was made of, and what it changed.
    pub async fn release_details(
        &self,
        app: &AppName,
        number: u64,
    ) -> Result<ReleaseDetails, Error> {
        let record = self.brief(app).await?;
        let current = record.release;
        let release = self.find_release(app, number).await?;
        let entries = self.store().releases(app).await?;
        let before = entries.iter().map(|entry| entry.number);
        let before = before.filter(|other| *other < number).max();
        let since = match before {
            Some(before) => Some((before, self.find_release(app, before).await?)),
            None => None,
        };
        let change = |from: &Blueprint, to: &Blueprint| {
            let mut diff: Diff = diff(Some(from), to, &Plan::default());
            diff.notes.clear();
            diff
        };
        let blueprint = &release.blueprint;
        let containers = blueprint.containers.values();
        let containers = containers.map(|container| ReleasedContainer {
            name: container.name.clone(),
            image: container.image.reference().to_owned(),
            identity: container.identity.clone(),
            plugin: container.plugin.clone(),
            plugin_digest: release.plugins.get(&container.name).cloned(),
        });
        Ok(ReleaseDetails {
            is_current: current
                .as_ref()
                .is_some_and(|current| current.number == number),
            containers: containers.collect(),
            secrets: blueprint.revisions.clone(),
            before: since.as_ref().map(|(before, _)| *before),
            changed: since
                .as_ref()
                .map(|(_, since)| change(&since.blueprint, blueprint)),
            until_now: current
                .filter(|current| current.number != number)
                .map(|current| change(blueprint, &current.blueprint)),
            entry: release.entry,
        })
    }

    /// A release of an app, or an error that names those that there are.
    pub(crate) async fn find_release(
        &self,
        app: &AppName,
        number: u64,
    ) -> Result<ReleaseRecord<DeployRequest>, Error> {
        if let Some(release) = self.store().release(app, number).await? {
            return Ok(release);
        }
        let known = self.store().releases(app).await?;
        Err(Error::NoRelease {
            app: app.clone(),
            number,
            known: known.iter().map(|entry| entry.number).collect(),
        })
    }

    async fn brief(&self, app: &AppName) -> Result<AppRecord, Error> {
        let record = self.store().app_in_brief(app).await?;
        record.ok_or_else(|| Error::NoApp { app: app.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_between_letters() {
        assert_eq!(cut("short"), "short");
        let long = "ä".repeat(BUILD_LINE);
        assert_eq!(cut(&long), "ä".repeat(BUILD_LINE / 2));
    }
}
