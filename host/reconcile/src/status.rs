//! How apps are.

use crate::apps::Apps;
use crate::clock::now_ms;
use crate::container;
use crate::events::Events;
use crate::health::Health;
use crate::observe::{Observer, Sight, serving};
use crate::ready::why::{Broken, why};
use crate::record::record;
use crate::repairs::Repairs;
use crate::report::{AppStatus, AppSummary, ContainerStatus};
use crate::routes::RouteTable;
use crate::volume::{lacking, refuse_gone, volumes_of};
use crate::{Config, Error};
use doprax_core::blueprint::Container;
use doprax_core::cause::Cause;
use doprax_core::merge::merge;
use doprax_core::name::{AppName, ServiceName};
use doprax_core::observed::{Observed, ObservedContainer, State};
use doprax_core::status::{ContainerState, Facts, Status, Trouble, status};
use doprax_core::text::Part;
use doprax_engine::Engine;
use doprax_store::{AppRecord, Store};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What stands for a value that is not shown.
const MASK: &str = "••••";

/// Last lines of the log of a container that does not work.
const LAST_LINES: u32 = 5;

/// What is known of an app beside its record and what exists of it.
#[derive(Default)]
pub(crate) struct Circumstances {
    /// Whether an operation is under way.
    pub(crate) busy: bool,
    /// Whether the app could not be put right when that was last tried.
    pub(crate) repair_failed: bool,
    /// What is wrong with its containers.
    pub(crate) troubles: BTreeMap<ServiceName, Trouble>,
}

/// How an app is of which this exists; absent: nothing was ever seen of it.
pub(crate) fn of(
    record: &AppRecord,
    observed: Option<&Observed>,
    circumstances: &Circumstances,
) -> Status {
    let blueprint = record.release.as_ref().map(|release| &release.blueprint);
    let mut troubles = circumstances.troubles.clone();
    if let (Some(blueprint), Some(observed)) = (blueprint, observed) {
        let gone = lacking(record, blueprint, observed).into_iter();
        troubles.extend(gone.map(|(name, volume)| (name, Trouble::NoVolume(volume))));
    }
    status(&Facts {
        blueprint,
        stopped: &record.stopped,
        observed,
        troubles: &troubles,
        busy: circumstances.busy,
        failed: record.last_error.is_some(),
        repair_failed: circumstances.repair_failed,
        now_ms: now_ms(),
    })
}

/// Says how apps are, and sees to it that visitors and watchers are told the same.
pub struct Statuses {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) apps: Arc<Apps>,
    pub(crate) repairs: Arc<Repairs>,
    pub(crate) health: Arc<Health>,
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) events: Arc<Events>,
}

impl Statuses {
    /// One line about every app. While the engine is away: as they were last seen.
    pub async fn list(&self) -> Result<Vec<AppSummary>, Error> {
        let records = self.store.apps().await?;
        let sight = self.observer.sight_of(&records).await?;
        Ok(records
            .iter()
            .map(|record| {
                let status = self.how_it_is(record, sight.known.get(&record.name));
                self.summary(record, &status, sight.away_since_ms)
            })
            .collect())
    }

    /// All about one app. While the engine is away: as it was last seen.
    pub async fn of(&self, app: &AppName) -> Result<AppStatus, Error> {
        let record = record(&self.store, app).await?;
        let Sight {
            known: observed,
            away_since_ms,
        } = self.observer.sight(&record).await?;
        let status = self.how_it_is(&record, observed.as_ref());
        let blueprint = record.release.as_ref().map(|release| &release.blueprint);
        let mut wanted: Vec<&Container> = blueprint
            .into_iter()
            .flat_map(|blueprint| blueprint.containers.values())
            .collect();
        wanted.sort_by_key(|container| (!container.name.is_main(), container.stage));
        let observed = observed.unwrap_or_default();
        let copies = serving(&observed);
        let containers = join_all(wanted.into_iter().map(|spec| {
            let state = &status.containers[&spec.name];
            let copy = copies.get(spec.name.as_str()).copied();
            self.container(app, spec, state, copy, away_since_ms.is_some())
        }))
        .await;
        let gone = blueprint
            .and_then(|blueprint| {
                refuse_gone(&self.config.instance, &record, blueprint, &observed, None).err()
            })
            .map(|error| {
                let remedy = (self.config.remedies.error)(&error).unwrap_or_default();
                format!("{error}: {remedy}")
            });
        let noted = blueprint
            .into_iter()
            .flat_map(|blueprint| &blueprint.notes)
            .map(|note| match &note.service {
                Some(service) => format!("{service}: {}", note.text),
                None => note.text.clone(),
            });
        let by_hand = match (&record.manifest, &record.spec) {
            (Some(manifest), Some(spec)) => merge(Some(manifest), Some(spec), manifest).kept,
            _ => Vec::new(),
        };
        Ok(AppStatus {
            by_hand,
            summary: self.summary(&record, &status, away_since_ms),
            subnet: record.subnet.to_string(),
            released_ms: record.release.as_ref().map(|release| release.created_ms),
            containers,
            volumes: volumes_of(app, Some(&record), &observed),
            operation: self.apps.operation(app),
            waiting: self.apps.of(app).queue.waiting(),
            notes: gone
                .into_iter()
                .chain(noted)
                .chain(record.notes.iter().cloned())
                .collect(),
            last_error: record.last_error,
            repair: self.repairs.failed(app),
        })
    }

    /// Tells visitors and watchers how an app is now.
    pub(crate) async fn refresh(&self, name: &AppName) -> Result<(), Error> {
        let Some(record) = self.store.app_in_brief(name).await? else {
            self.routes.remove(name);
            self.events.app_is_gone(name);
            return Ok(());
        };
        let observed = self.observer.of(&record).await?;
        self.tell(&record, &observed, false);
        // Whoever looked closely meanwhile may have told of something newer.
        self.apps.of(name).last_look.forget();
        Ok(())
    }

    /// Tells visitors and watchers how an app is of which this exists. `busy` says whether an operation is under way that is not at its end.
    pub(crate) fn tell(&self, record: &AppRecord, observed: &Observed, busy: bool) {
        let circumstances = self.circumstances(&record.name, busy);
        let status = of(record, Some(observed), &circumstances);
        let release = record.release.as_ref().map(|release| release.number);
        self.events.app_is(&record.name, release, &status);
        self.routes.set_target(&record.name, status.target);
    }

    /// How an app is of which this exists.
    fn how_it_is(&self, record: &AppRecord, observed: Option<&Observed>) -> Status {
        let busy = self.apps.operation(&record.name).is_some();
        let circumstances = self.circumstances(&record.name, busy);
        of(record, observed, &circumstances)
    }

    /// What is known of an app beside its record and what exists of it.
    fn circumstances(&self, app: &AppName, busy: bool) -> Circumstances {
        Circumstances {
            busy,
            repair_failed: self.repairs.failed(app).is_some(),
            troubles: self.health.troubles(app),
        }
    }

    fn summary(
        &self,
        record: &AppRecord,
        status: &Status,
        engine_away_ms: Option<i64>,
    ) -> AppSummary {
        AppSummary {
            app: record.name.clone(),
            state: status.state,
            release: record.release.as_ref().map(|release| release.number),
            url: record
                .release
                .as_ref()
                .is_none_or(|release| release.blueprint.front.is_some())
                .then(|| self.routes.url(&record.name)),
            running: (status.running, status.wanted),
            engine_away_ms,
        }
    }

    /// Why a container of the app does not work, where that is known.
    async fn cause(
        &self,
        app: &AppName,
        spec: &Container,
        state: &ContainerState,
        found: &ObservedContainer,
        log: &[String],
    ) -> Option<Cause> {
        let ended = match state {
            ContainerState::Unhealthy(_) => false,
            state => state.exit().map(|_| true)?,
        };
        let looked = self
            .engine
            .examine(&self.engine.name_of(app, &found.name))
            .await;
        let looked = looked.unwrap_or_default();
        let broken = Broken {
            spec,
            found,
            looked: &looked,
            ended,
            log,
            secrets: &BTreeMap::new(),
        };
        why(self.engine.as_ref(), app, &broken).await
    }

    async fn container(
        &self,
        app: &AppName,
        spec: &Container,
        state: &ContainerState,
        copy: Option<&ObservedContainer>,
        away: bool,
    ) -> ContainerStatus {
        let running = copy.filter(|copy| copy.state == State::Running);
        // A release of an earlier host does not say which parts are masked.
        let credentials: Vec<&str> = spec
            .env
            .values()
            .filter(|env| env.masked)
            .flat_map(|env| &env.value.0)
            .filter_map(|part| match part {
                Part::Literal(text) if !text.is_empty() => Some(text.as_str()),
                _ => None,
            })
            .collect();
        let is_told_apart = spec
            .outputs
            .values()
            .flat_map(|text| &text.0)
            .any(|part| matches!(part, Part::Masked(_) | Part::Encoded(_)));
        let mut memory = None;
        let mut last_lines = Vec::new();
        let mut cause = None;
        if let (Some(copy), false) = (copy, away) {
            let name = self.engine.name_of(app, &copy.name);
            if running.is_some() {
                let usage = self.engine.usage(&name).await;
                memory = usage.ok().map(|usage| usage.memory);
            }
            if !matches!(
                state,
                ContainerState::Running | ContainerState::Starting | ContainerState::Stopped
            ) {
                last_lines = container::last_lines(self.engine.as_ref(), &name, LAST_LINES).await;
                cause = self.cause(app, spec, state, copy, &last_lines).await;
            }
        }
        let exit = state.exit().unwrap_or_default();
        let (why, help) = match cause {
            Some(Cause { text, help }) => (Some(text), Some(help)),
            None => (None, None),
        };
        let masked = |part: &Part| match part {
            Part::Literal(text) if is_told_apart => text.clone(),
            Part::Literal(text) => credentials.iter().fold(text.clone(), |text, credential| {
                text.replace(credential, MASK)
            }),
            Part::Secret(_) | Part::Encoded(_) | Part::Masked(_) => MASK.to_owned(),
        };
        ContainerStatus {
            name: spec.name.clone(),
            plugin: spec.plugin.clone(),
            image: spec.image.reference().to_owned(),
            identity: spec.identity.clone(),
            state: state.to_string(),
            unhealthy: match state {
                ContainerState::Unhealthy(_) => self.health.of(app, &spec.name),
                _ => None,
            },
            reason: match state {
                ContainerState::NoVolume(volume) => {
                    Some(format!("volume {:?} is gone", volume.as_str()))
                }
                // That memory ran out, and at which limit, is said elsewhere.
                _ => why.filter(|_| !exit.oom_killed),
            },
            help,
            exit_code: exit.code,
            oom_killed: exit.oom_killed,
            next_try_ms: match state {
                ContainerState::Crashing(_, next) => *next,
                _ => None,
            },
            last_lines,
            address: copy
                .and_then(|copy| copy.address)
                .map(|address| address.to_string()),
            port: spec.port,
            restarts: copy.map_or(0, |copy| copy.restarts),
            started_ms: running.and_then(|copy| copy.started_ms),
            memory,
            memory_limit: spec.resources.memory,
            outputs: spec
                .outputs
                .iter()
                .map(|(name, text)| (name.clone(), text.0.iter().map(masked).collect()))
                .collect(),
        }
    }
}
