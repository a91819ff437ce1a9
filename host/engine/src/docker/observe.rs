//! What the engine says exists. Lists say nearly everything in one call for all
//! apps; when a container last started, how often it crashed, and whether it has just
//! ended only its own inspection says, so that is asked for the containers of one app at
//! most.

use super::{Docker, Failure, LOOK, healthcheck, label, network};
use crate::Error;
use crate::names;
use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryStateEnum, EndpointSettings, Network, Volume,
};
use bollard::query_parameters::ListContainersOptionsBuilder;
use doprax_core::name::{AppName, Instance, ServiceName, VolumeName};
use doprax_core::observed::{self, Observed, ObservedContainer, State};
use futures_util::TryStreamExt as _;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

/// How many containers are inspected at once.
const AT_ONCE: usize = 16;

impl Docker {
    /// What exists of one app.
    pub(super) async fn observe_app(&self, app: &AppName) -> Result<Observed, Error> {
        let action = || format!("look at {app}");
        let listed = self
            .list(Some(app))
            .await
            .map_err(|failure| self.error(failure, action()))?;
        let mut observed = listed.into_observed().remove(app).unwrap_or_default();
        futures_util::stream::iter(observed.containers.iter_mut().map(Ok))
            .try_for_each_concurrent(AT_ONCE, async |container| {
                if let Some(now) = self.inspect(&container.id).await? {
                    // The list still has a process as running when its end was told of.
                    if let Some(seen) = self.inspected(&now) {
                        *container = seen;
                    }
                    container.limits = self.limits(&now).await?;
                    container.healthcheck = healthcheck::of(&now);
                }
                Ok(())
            })
            .await
            .map_err(|failure: Failure| self.error(failure, action()))?;
        Ok(observed)
    }

    /// What exists of every app, with starts and restarts only of what does not run
    /// steadily.
    pub(super) async fn observe_instance(&self) -> Result<BTreeMap<AppName, Observed>, Error> {
        let action = "look at the apps";
        let listed = self
            .list(None)
            .await
            .map_err(|failure| self.error(failure, action))?;
        let unsteady: BTreeSet<String> = listed.unsteady();
        let mut apps = listed.into_observed();
        let unsteady = apps
            .values_mut()
            .flat_map(|observed| &mut observed.containers)
            .filter(|container| unsteady.contains(&container.id));
        futures_util::stream::iter(unsteady.map(Ok))
            .try_for_each_concurrent(AT_ONCE, async |container| {
                if let Some(now) = self.inspect(&container.id).await? {
                    add_inspected(container, &now);
                }
                Ok(())
            })
            .await
            .map_err(|failure: Failure| self.error(failure, action))?;
        Ok(apps)
    }

    /// One container in full; nothing if it does not exist or is not of this instance.
    pub(super) async fn observe_container(
        &self,
        container: &str,
    ) -> Result<Option<ObservedContainer>, Error> {
        let error = |failure| self.error(failure, format!("look at {container}"));
        let Some(found) = self.inspect(container).await.map_err(error)? else {
            return Ok(None);
        };
        let Some(observed) = self.inspected(&found) else {
            return Ok(None);
        };
        let limits = self.limits(&found).await.map_err(error)?;
        Ok(Some(ObservedContainer { limits, ..observed }))
    }

    /// The engine's own description of a container; nothing if it does not exist.
    pub(super) async fn inspect(
        &self,
        container: &str,
    ) -> Result<Option<ContainerInspectResponse>, Failure> {
        let path = format!("/containers/{container}/json");
        match self.within(LOOK, self.transport.get_json(&path)).await {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.is(404) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Whether labels say that this host made the object.
    pub(super) fn is_ours(&self, labels: &label::Labels) -> bool {
        labels
            .get(label::INSTANCE)
            .is_some_and(|found| found == self.instance.label())
            && (self.host.is_none() || labels.get(label::HOST) == self.host.as_ref())
    }

    fn inspected(&self, found: &ContainerInspectResponse) -> Option<ObservedContainer> {
        let config = found.config.as_ref()?;
        let labels = config
            .labels
            .as_ref()
            .filter(|labels| self.is_ours(labels))?;
        let app = AppName::new(labels.get(label::APP)?).ok()?;
        let state = found.state.as_ref()?;
        let networks = found
            .network_settings
            .as_ref()
            .and_then(|s| s.networks.as_ref());
        Some(ObservedContainer {
            id: found.id.clone()?,
            name: {
                let name = found.name.as_deref()?.trim_start_matches('/');
                names::copy(&self.instance, &app, name)
            },
            service: ServiceName::new(labels.get(label::SERVICE)?).ok()?,
            hash: labels.get(label::HASH).cloned().unwrap_or_default(),
            state: match state.status {
                Some(ContainerStateStatusEnum::CREATED) => State::Created,
                Some(ContainerStateStatusEnum::RUNNING) => State::Running,
                Some(ContainerStateStatusEnum::RESTARTING) => State::Restarting,
                Some(ContainerStateStatusEnum::PAUSED) => State::Paused,
                Some(ContainerStateStatusEnum::EXITED) => {
                    State::Exited(state.exit_code.unwrap_or_default())
                }
                _ => State::Dead,
            },
            attached: networks
                .is_some_and(|found| found.contains_key(&names::network(&self.instance, &app))),
            address: networks
                .and_then(|found| address(found, &names::network(&self.instance, &app))),
            created: found
                .created
                .map(|date| date.unix_timestamp())
                .unwrap_or_default(),
            started_ms: started_ms(found),
            ended_ms: ended_ms(found),
            restarts: restarts(found),
            exit_code: exit_code_of(found),
            out_of_memory: out_of_memory(found),
            image: config.image.clone().unwrap_or_default(),
            limits: None,
            healthcheck: healthcheck::of(found),
            image_id: found.image.clone().unwrap_or_default(),
        })
    }

    async fn list(&self, app: Option<&AppName>) -> Result<Listed<'_>, Failure> {
        let filters = self.filter(app);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let (containers, networks, volumes) = tokio::try_join!(
            self.within(LOOK, self.client.list_containers(Some(options))),
            self.list_networks(app),
            self.list_volumes(app),
        )?;
        Ok(Listed {
            docker: self,
            containers,
            networks,
            volumes,
        })
    }
}

/// What the engine's lists say.
struct Listed<'a> {
    docker: &'a Docker,
    containers: Vec<ContainerSummary>,
    networks: Vec<Network>,
    volumes: Vec<Volume>,
}

impl Listed<'_> {
    /// The ids of containers of which the lists do not say enough: a process that has just
    /// been started may be one that crashes again and again.
    fn unsteady(&self) -> BTreeSet<String> {
        let unsteady = |found: &&ContainerSummary| match found.state {
            Some(ContainerSummaryStateEnum::RESTARTING) => true,
            Some(ContainerSummaryStateEnum::RUNNING) => {
                found.status.as_deref().is_some_and(is_young)
            }
            _ => false,
        };
        let found = self.containers.iter().filter(unsteady);
        found.filter_map(|found| found.id.clone()).collect()
    }

    /// The same by app. What bears labels that are no names was not made by a host
    /// and is left alone.
    fn into_observed(self) -> BTreeMap<AppName, Observed> {
        let mut apps: BTreeMap<AppName, Observed> = BTreeMap::new();
        for found in &self.networks {
            let app = app_of(found.labels.as_ref());
            if let (Some(app), Some(subnet)) = (app, network::subnet(found)) {
                apps.entry(app).or_default().network = Some(observed::Network { subnet });
            }
        }
        for found in &self.volumes {
            let name = found
                .labels
                .get(label::VOLUME)
                .and_then(|name| VolumeName::new(name).ok());
            if let (Some(app), Some(name)) = (app_of(Some(&found.labels)), name) {
                apps.entry(app).or_default().volumes.insert(name);
            }
        }
        for found in &self.containers {
            if let Some(app) = app_of(found.labels.as_ref())
                && let Some(container) = summarized(found, &self.docker.instance, &app)
            {
                apps.entry(app).or_default().containers.push(container);
            }
        }
        for observed in apps.values_mut() {
            observed
                .containers
                .sort_by(|a, b| (&a.service, &a.name).cmp(&(&b.service, &b.name)));
        }
        apps
    }
}

/// The code with which the container's process last ended. The engine keeps it over
/// a restart only while the pause lasts, so a running one has none.
pub(super) fn exit_code_of(found: &ContainerInspectResponse) -> Option<i64> {
    let state = found.state.as_ref()?;
    let has_ended = matches!(
        state.status,
        Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::RESTARTING)
    );
    state.exit_code.filter(|_| has_ended)
}

fn app_of(labels: Option<&label::Labels>) -> Option<AppName> {
    AppName::new(labels?.get(label::APP)?).ok()
}

fn summarized(
    found: &ContainerSummary,
    instance: &Instance,
    app: &AppName,
) -> Option<ObservedContainer> {
    let network = &names::network(instance, app);
    let name = found.names.as_ref()?.first()?.trim_start_matches('/');
    let labels = found.labels.as_ref()?;
    let networks = found
        .network_settings
        .as_ref()
        .and_then(|s| s.networks.as_ref());
    Some(ObservedContainer {
        id: found.id.clone()?,
        name: names::copy(instance, app, name),
        service: ServiceName::new(labels.get(label::SERVICE)?).ok()?,
        hash: labels.get(label::HASH).cloned().unwrap_or_default(),
        state: match found.state {
            Some(ContainerSummaryStateEnum::CREATED) => State::Created,
            Some(ContainerSummaryStateEnum::RUNNING) => State::Running,
            Some(ContainerSummaryStateEnum::RESTARTING) => State::Restarting,
            Some(ContainerSummaryStateEnum::PAUSED) => State::Paused,
            Some(ContainerSummaryStateEnum::EXITED) => State::Exited(
                found
                    .status
                    .as_deref()
                    .and_then(exit_code)
                    .unwrap_or_default(),
            ),
            _ => State::Dead,
        },
        attached: networks.is_some_and(|found| found.contains_key(network)),
        address: networks.and_then(|found| address(found, network)),
        created: found.created.unwrap_or_default(),
        started_ms: None,
        ended_ms: None,
        restarts: 0,
        exit_code: None,
        out_of_memory: false,
        image: found.image.clone().unwrap_or_default(),
        limits: None,
        healthcheck: found.status.as_deref().and_then(healthcheck::listed),
        image_id: found.image_id.clone().unwrap_or_default(),
    })
}

/// Whether a text such as `Up 5 seconds` tells of less than the time after which the
/// engine takes a process for steady.
fn is_young(status: &str) -> bool {
    let Some(rest) = status.strip_prefix("Up ") else {
        return false;
    };
    let seconds = rest.split_once(" second").map(|(count, _)| count);
    seconds.is_some_and(|count| count.parse::<u32>().map_or(true, |count| count <= 10))
}

/// The code in a text such as `Exited (137) 2 minutes ago`.
fn exit_code(status: &str) -> Option<i64> {
    let (_, rest) = status.split_once('(')?;
    rest.split_once(')')?.0.parse().ok()
}

fn address(networks: &HashMap<String, EndpointSettings>, network: &str) -> Option<Ipv4Addr> {
    networks.get(network)?.ip_address.as_ref()?.parse().ok()
}

fn restarts(found: &ContainerInspectResponse) -> u32 {
    found
        .restart_count
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or_default()
}

/// Whether the latest end was for want of memory.
fn out_of_memory(found: &ContainerInspectResponse) -> bool {
    let state = found.state.as_ref();
    state.and_then(|state| state.oom_killed).unwrap_or_default()
}

/// Adds what only its inspection says of a container.
fn add_inspected(container: &mut ObservedContainer, now: &ContainerInspectResponse) {
    container.started_ms = started_ms(now);
    container.ended_ms = ended_ms(now);
    container.restarts = restarts(now);
    container.exit_code = exit_code_of(now);
    container.out_of_memory = out_of_memory(now);
}

/// The latest start.
fn started_ms(found: &ContainerInspectResponse) -> Option<i64> {
    moment(found.state.as_ref()?.started_at.as_deref()?)
}

/// The latest end of its process.
fn ended_ms(found: &ContainerInspectResponse) -> Option<i64> {
    moment(found.state.as_ref()?.finished_at.as_deref()?)
}

/// A time of the engine in milliseconds; it writes the year 1 where there was none.
fn moment(text: &str) -> Option<i64> {
    super::logs::unix_nanos(text)
        .filter(|nanos| *nanos > 0)
        .map(|nanos| nanos / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_just_started_is_known_by_its_status_text() {
        for young in [
            "Up Less than a second",
            "Up 1 second",
            "Up 9 seconds (healthy)",
        ] {
            assert!(is_young(young), "{young}");
        }
        for old in [
            "Up 11 seconds",
            "Up About a minute",
            "Up 3 minutes",
            "Exited (1) 2 seconds ago",
        ] {
            assert!(!is_young(old), "{old}");
        }
    }

    #[test]
    fn the_exit_code_is_in_the_status_text() {
        let cases = [
            ("Exited (137) 2 minutes ago", Some(137)),
            ("Exited (0) Less than a second ago", Some(0)),
            ("Up 5 minutes", None),
            ("Up 5 minutes (healthy)", None),
        ];
        for (status, expected) in cases {
            assert_eq!(exit_code(status), expected, "{status}");
        }
    }
}
