//! An engine reduced to what planning relies on. It refuses what an engine would
//! refuse, and what would hurt an app.

use crate::apps::limits;
use doprax_core::blueprint::{Blueprint, Stage};
use doprax_core::copy::CopyName;
use doprax_core::name::ServiceName;
use doprax_core::observed::{Network, Observed, ObservedContainer, State};
use doprax_core::plan::{Act, Plan, Step};
use doprax_core::spec::Strategy;
use std::collections::BTreeSet;

/// The engine's state, and what the steps so far have led to.
#[derive(Debug, Clone)]
pub(crate) struct Sim<'a> {
    pub(crate) observed: Observed,
    /// Ids of the copies that serve.
    pub(crate) ready: BTreeSet<String>,
    /// The engine's name of the front, as last published.
    pub(crate) route: Option<(CopyName, u16)>,
    /// Whether the app may end.
    pub(crate) free_fall: bool,
    blueprint: &'a Blueprint,
    stopped: &'a BTreeSet<ServiceName>,
    created: usize,
}

impl<'a> Sim<'a> {
    /// What runs at the beginning counts as ready.
    pub(crate) fn new(
        observed: &Observed,
        blueprint: &'a Blueprint,
        stopped: &'a BTreeSet<ServiceName>,
    ) -> Self {
        let running = observed.containers.iter().filter(|c| runs(c));
        Self {
            ready: running.map(|c| c.id.clone()).collect(),
            observed: observed.clone(),
            route: None,
            free_fall: false,
            blueprint,
            stopped,
            created: observed
                .containers
                .iter()
                .filter_map(number)
                .max()
                .unwrap_or(0),
        }
    }

    /// Applies the steps at `order`, one after the other, and looks after each
    /// whether main still serves where it has to.
    pub(crate) fn run(&mut self, plan: &Plan, order: &[usize]) -> Result<(), String> {
        let main_serves = self.must_serve() && !self.free_fall;
        let mut ended = false;
        for &index in order {
            let step = &plan.steps[index].step;
            match step {
                Step::Engine(Act::StopContainer { .. } | Act::RemoveContainer { .. }) => {
                    ended = true
                }
                Step::Engine(Act::BuildImage { .. } | Act::PullImage { .. }) if ended => {
                    return Err(format!("step {index} {step:?}: something ended already"));
                }
                _ => {}
            }
            self.apply(step)
                .map_err(|error| format!("step {index} {step:?}: {error}"))?;
            if main_serves && !self.serves(&ServiceName::main()) {
                return Err(format!("step {index} {step:?}: nothing serves as main"));
            }
        }
        Ok(())
    }

    /// Whether main serves, is replaced without a gap, and its network stays.
    fn must_serve(&self) -> bool {
        let main = &self.blueprint.containers[&ServiceName::main()];
        let stays = self.observed.network
            == Some(Network {
                subnet: self.blueprint.subnet,
            });
        let name = CopyName::serving(&main.name);
        let serving = self
            .observed
            .containers
            .iter()
            .any(|c| c.name == name && runs(c) && c.service.is_main());
        stays && serving && main.strategy == Strategy::Rolling && !self.stopped.contains(&main.name)
    }

    fn serves(&self, service: &ServiceName) -> bool {
        let mut copies = self
            .observed
            .containers
            .iter()
            .filter(|c| c.service == *service);
        copies.any(|c| runs(c) && self.ready.contains(&c.id))
    }

    pub(crate) fn apply(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Engine(act) => self.act(act),
            Step::AwaitReady { service, container } => {
                let copy = self.find(container)?;
                if copy.service != *service || !runs(copy) || !copy.attached {
                    return Err(format!("{container:?} is no running {service}"));
                }
                self.ready.insert(copy.id.clone());
                Ok(())
            }
            Step::Settle {
                service, container, ..
            } => {
                let copy = self.find(container)?;
                if copy.service != *service || !runs(copy) || !self.ready.contains(&copy.id) {
                    return Err(format!("{container:?} is no {service} that serves"));
                }
                Ok(())
            }
            Step::PublishRoute { container, port } => {
                let copy = self.find(container)?;
                if !runs(copy) || !self.ready.contains(&copy.id) {
                    return Err(format!("{container:?} does not serve"));
                }
                self.route = Some((container.clone(), *port));
                Ok(())
            }
            Step::Reload { container, .. } => {
                let copy = self.find(container)?;
                if runs(copy) {
                    Ok(())
                } else {
                    Err(format!("{container:?} does not run"))
                }
            }
            Step::RetireConnections | Step::Drain(_) => Ok(()),
        }
    }

    fn act(&mut self, act: &Act) -> Result<(), String> {
        match act {
            Act::BuildImage { reference, .. } | Act::PullImage { reference, .. } => {
                self.observed.images.insert(reference.clone());
            }
            Act::CreateNetwork { subnet } => {
                if self.observed.network.is_some() {
                    return Err("the network exists".to_owned());
                }
                self.observed.network = Some(Network { subnet: *subnet });
            }
            Act::CreateVolume { volume } => {
                self.observed.volumes.insert(volume.clone());
            }
            Act::CreateContainer {
                container,
                hash,
                spec,
                ..
            } => {
                if self.find(container).is_ok() {
                    return Err(format!("{container:?} is taken"));
                }
                if let Some(m) = spec
                    .mounts
                    .iter()
                    .find(|m| !self.observed.volumes.contains(&m.name))
                {
                    return Err(format!("no volume {}", m.name));
                }
                if !self.observed.images.contains(spec.image.reference()) {
                    return Err("no image".to_owned());
                }
                self.created += 1;
                self.observed.containers.push(ObservedContainer {
                    id: format!("new-{}", self.created),
                    name: container.clone(),
                    service: spec.name.clone(),
                    hash: hash.clone(),
                    state: State::Created,
                    attached: true,
                    address: None,
                    created: 0,
                    started_ms: None,
                    ended_ms: None,
                    restarts: 0,
                    exit_code: None,
                    out_of_memory: false,
                    image: spec.image.reference().to_owned(),
                    limits: Some(limits(&spec.resources)),
                    healthcheck: None,
                    image_id: String::new(),
                });
            }
            Act::ConnectContainer { container, .. } => self.find_mut(container)?.attached = true,
            Act::StartContainer { container } => self.start(container)?,
            Act::UpdateContainer {
                container,
                resources,
            } => self.find_mut(container)?.limits = Some(limits(resources)),
            Act::RestartContainer { container, .. } => {
                return Err(format!("nobody asked to restart {container:?}"));
            }
            Act::RenameContainer { from, to } => {
                if self.find(to).is_ok() {
                    return Err(format!("{to:?} is taken"));
                }
                self.find_mut(from)?.name.clone_from(to);
            }
            Act::StopContainer { container, .. } => {
                let copy = self.find_mut(container)?;
                if !runs(copy) {
                    return Err(format!("{container:?} does not run"));
                }
                copy.state = State::Exited(0);
                let id = copy.id.clone();
                self.ready.remove(&id);
            }
            Act::RemoveContainer { container } => {
                if runs(self.find(container)?) {
                    return Err(format!("{container:?} runs"));
                }
                self.observed
                    .containers
                    .retain(|copy| copy.name != *container);
            }
            Act::RemoveNetwork => {
                if !self.observed.containers.is_empty() {
                    return Err("the network is in use".to_owned());
                }
                self.observed.network = None;
            }
        }
        Ok(())
    }

    fn start(&mut self, container: &CopyName) -> Result<(), String> {
        let service = self.find(container)?.service.clone();
        let spec = &self.blueprint.containers[&service];
        if self.stopped.contains(&service) {
            return Err(format!("{service} is stopped"));
        }
        let subnet = self.blueprint.subnet;
        if self.observed.network != Some(Network { subnet }) {
            return Err("no network".to_owned());
        }
        if spec
            .mounts
            .iter()
            .any(|m| !self.observed.volumes.contains(&m.name))
        {
            return Err("a volume is missing".to_owned());
        }
        let mut copies = self
            .observed
            .containers
            .iter()
            .filter(|c| c.service == service);
        if spec.strategy == Strategy::Recreate && copies.any(runs) {
            return Err(format!("two copies of {service} would run"));
        }
        let earlier = self
            .blueprint
            .containers
            .values()
            .filter(|other| other.stage < spec.stage);
        for other in earlier.filter(|other| !self.stopped.contains(&other.name)) {
            if !self.serves(&other.name) {
                return Err(format!(
                    "{service} would start before {} is ready",
                    other.name
                ));
            }
            let real = CopyName::serving(&other.name);
            if spec.stage == Stage::Front && !self.find(&real).is_ok_and(runs) {
                return Err(format!("{service} could not resolve {}", other.name));
            }
        }
        let copy = self.find_mut(container)?;
        if !matches!(copy.state, State::Created | State::Exited(_)) {
            return Err(format!("{container:?} cannot start"));
        }
        if !copy.attached {
            return Err(format!("{container:?} is on no network"));
        }
        copy.state = State::Running;
        Ok(())
    }

    fn find(&self, name: &CopyName) -> Result<&ObservedContainer, String> {
        let mut copies = self
            .observed
            .containers
            .iter()
            .filter(|copy| copy.name == *name);
        copies
            .next()
            .ok_or_else(|| format!("no container {name:?}"))
    }

    fn find_mut(&mut self, name: &CopyName) -> Result<&mut ObservedContainer, String> {
        let mut copies = self
            .observed
            .containers
            .iter_mut()
            .filter(|copy| copy.name == *name);
        copies
            .next()
            .ok_or_else(|| format!("no container {name:?}"))
    }
}

fn runs(copy: &ObservedContainer) -> bool {
    matches!(copy.state, State::Running | State::Restarting)
}

/// The number of a copy that an earlier plan created.
fn number(copy: &ObservedContainer) -> Option<usize> {
    copy.id
        .strip_prefix("new-")
        .and_then(|number| number.parse().ok())
}
