//! How apps are.

use crate::report::{AppState, AppStatus, AppSummary, ContainerStatus, Unhealthy};
use crate::volume::volumes_of;
use crate::{Error, Host};
use doprax_core::blueprint::Container;
use doprax_core::merge::merge;
use doprax_core::name::{AppName, ServiceName};
use doprax_core::observed::{Observed, ObservedContainer, State};
use doprax_core::text::Part;
use doprax_engine::{Exec, ExecSession};
use doprax_store::AppRecord;
use futures_util::future::join_all;
use std::collections::BTreeMap;

/// What stands for a value that is not shown.
const MASK: &str = "••••";

impl Host {
    /// One line about every app.
    pub async fn apps(&self) -> Result<Vec<AppSummary>, Error> {
        let (records, observed) = tokio::try_join!(
            async { Ok::<_, Error>(self.store().apps().await?) },
            async { Ok(self.engine().observe_all().await?) }
        )?;
        let nothing = Observed::default();
        Ok(records
            .iter()
            .map(|record| self.summary(record, observed.get(&record.name).unwrap_or(&nothing)))
            .collect())
    }

    /// All about one app.
    pub async fn status(&self, app: &AppName) -> Result<AppStatus, Error> {
        let record = self.record(app).await?;
        let observed = self.observe(&record).await?;
        let blueprint = record.release.as_ref().map(|release| &release.blueprint);
        let mut wanted: Vec<&Container> = blueprint
            .into_iter()
            .flat_map(|blueprint| blueprint.containers.values())
            .collect();
        wanted.sort_by_key(|container| (!container.name.is_main(), container.stage));
        let containers = join_all(
            wanted
                .into_iter()
                .map(|spec| self.container(&record, spec, &observed)),
        )
        .await;
        let gone = blueprint
            .and_then(|blueprint| self.refuse_gone(&record, blueprint, &observed, None).err())
            .map(|error| format!("{error}: {}", error.help().unwrap_or_default()));
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
            summary: self.summary(&record, &observed),
            subnet: record.subnet.to_string(),
            released_ms: record.release.as_ref().map(|release| release.created_ms),
            containers,
            volumes: volumes_of(app, Some(&record), &observed),
            operation: self.app(app).operation(),
            notes: gone
                .into_iter()
                .chain(noted)
                .chain(record.notes.iter().cloned())
                .collect(),
            last_error: record.last_error,
        })
    }

    /// Starts a command in a container.
    pub async fn exec(
        &self,
        app: &AppName,
        container: &ServiceName,
        exec: &Exec,
    ) -> Result<ExecSession, Error> {
        let record = self.record(app).await?;
        self.check_selection(&record, Some(container))?;
        let name = self.config().instance.container(app, container);
        Ok(self.engine().exec(&name, exec).await?)
    }

    /// Tells a command's terminal its new size.
    pub async fn exec_resize(&self, id: &str, columns: u16, rows: u16) -> Result<(), Error> {
        Ok(self.engine().exec_resize(id, columns, rows).await?)
    }

    /// The exit code of an ended command.
    pub async fn exec_exit_code(&self, id: &str) -> Result<i64, Error> {
        Ok(self.engine().exec_exit_code(id).await?)
    }

    fn summary(&self, record: &AppRecord, observed: &Observed) -> AppSummary {
        let copies = self.serving(&record.name, observed);
        let blueprint = record.release.as_ref().map(|release| &release.blueprint);
        let wanted = blueprint.map_or(0, |blueprint| {
            blueprint
                .containers
                .keys()
                .filter(|name| !record.stopped.contains(*name))
                .count()
        });
        let running = blueprint.map_or(0, |blueprint| {
            let runs = |name| {
                copies
                    .get(name)
                    .is_some_and(|copy| copy.state == State::Running)
            };
            blueprint
                .containers
                .keys()
                .filter(|name| runs(name.as_str()))
                .count()
        });
        let busy = self.app(&record.name).operation().is_some();
        let state = match blueprint {
            None if busy => AppState::Starting,
            None => AppState::Failed,
            Some(_) if wanted == 0 => AppState::Stopped,
            Some(blueprint) if running >= wanted => {
                let mut wanted = blueprint.containers.keys();
                match wanted.any(|name| self.unhealthy(record, name).is_some()) {
                    true => AppState::Unhealthy,
                    false => AppState::Running,
                }
            }
            Some(_) if busy => AppState::Starting,
            Some(_) => AppState::Degraded,
        };
        AppSummary {
            app: record.name.clone(),
            state,
            release: record.release.as_ref().map(|release| release.number),
            url: blueprint
                .is_none_or(|blueprint| blueprint.front.is_some())
                .then(|| self.url(&record.name)),
            running: (running, wanted),
        }
    }

    /// Why a container is unhealthy, if it is and should serve.
    fn unhealthy(&self, record: &AppRecord, service: &ServiceName) -> Option<Unhealthy> {
        self.health
            .of(&record.name, service)
            .filter(|_| !record.stopped.contains(service))
    }

    /// The copy of each container that has its name.
    pub(crate) fn serving<'a>(
        &self,
        app: &AppName,
        observed: &'a Observed,
    ) -> BTreeMap<&'a str, &'a ObservedContainer> {
        let instance = &self.config().instance;
        observed
            .containers
            .iter()
            .filter(|copy| copy.name == instance.container(app, &copy.service))
            .map(|copy| (copy.service.as_str(), copy))
            .collect()
    }

    async fn container(
        &self,
        record: &AppRecord,
        spec: &Container,
        observed: &Observed,
    ) -> ContainerStatus {
        let copies = self.serving(&record.name, observed);
        let copy = copies.get(spec.name.as_str()).copied();
        let stopped = record.stopped.contains(&spec.name);
        let unhealthy = copy
            .filter(|copy| copy.state == State::Running)
            .and_then(|_| self.unhealthy(record, &spec.name));
        let state = match copy.map(|copy| copy.state) {
            Some(State::Running) if unhealthy.is_some() => "unhealthy".to_owned(),
            Some(State::Running) => "running".to_owned(),
            Some(State::Restarting) => "restarting".to_owned(),
            Some(State::Paused) => "paused".to_owned(),
            Some(State::Exited(_) | State::Created) | None if stopped => "stopped".to_owned(),
            Some(State::Exited(code)) => format!("exited ({code})"),
            Some(State::Created) => "created".to_owned(),
            Some(State::Dead) => "dead".to_owned(),
            None => "missing".to_owned(),
        };
        let running = copy.filter(|copy| copy.state == State::Running);
        let memory = match running {
            Some(copy) => self
                .engine()
                .usage(&copy.name)
                .await
                .ok()
                .map(|usage| usage.memory),
            None => None,
        };
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
            state,
            unhealthy,
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
