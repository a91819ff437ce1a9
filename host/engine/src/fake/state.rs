//! Everything that exists on the engine in memory, and what acts do to it.

use super::command::Command;
use super::image::FakeImage;
use super::serve::{Answer, Listening, Pool, Requests, Upstream};
use super::{Fault, build};
use crate::names;
use crate::{Error, Exec, Inputs, LogRequest, Outcome, Output, Progress, Usage};
use bytes::Bytes;
use doprax_core::blueprint::{Container as Spec, Content};
use doprax_core::copy::CopyName;
use doprax_core::name::{AppName, Instance, ServiceName, VolumeName};
use doprax_core::observed::{self, Observed, ObservedContainer, State as Doing};
use doprax_core::plan::{Act, Rebuild};
use doprax_core::release::Kept;
use doprax_core::resources::Resources;
use doprax_core::subnet::overlap;
use doprax_core::text::Text;
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A process that has run for less may be one that crashes again and again.
const YOUNG_MS: i64 = 11_000;

/// Everything that exists.
pub(super) struct State {
    instance: Instance,
    pub(super) away: bool,
    pub(super) acts: Vec<Act>,
    pub(super) faults: BTreeMap<usize, Fault>,
    /// The act at which the engine stops answering its client, and when.
    pub(super) hold: Option<(usize, Fault)>,
    /// Whether it has come to that: no act is begun any more.
    pub(super) held: bool,
    /// Whether the last act is over.
    pub(super) is_over: bool,
    pub(super) images: BTreeMap<String, FakeImage>,
    pub(super) registry: BTreeMap<String, FakeImage>,
    pub(super) networks: BTreeMap<AppName, Ipv4Net>,
    /// Subnets of networks that are nobody's app's.
    pub(super) foreign: Vec<Ipv4Net>,
    pool: Option<Pool>,
    /// How many addresses were given away: a container that starts again has another.
    addresses: usize,
    pub(super) volumes: BTreeSet<(AppName, VolumeName)>,
    /// Volumes that no list has as an app's.
    pub(super) unlisted_volumes: BTreeSet<(AppName, VolumeName)>,
    /// Bytes that builds left for later ones.
    pub(super) build_cache: u64,
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) exit_codes: BTreeMap<String, i64>,
    /// How long processes are looked at one by one after their start.
    pub(super) young_ms: i64,
    pub(super) looks: Looks,
    /// Whether hints are lost.
    pub(super) is_mute: bool,
    /// How many ids were given away.
    ids: u64,
    /// The latest moment that was told, so that no two are the same.
    clock_ms: i64,
}

/// A container.
pub(super) struct Container {
    pub(super) app: AppName,
    id: String,
    hash: String,
    image_id: String,
    spec: Spec,
    env: BTreeMap<String, String>,
    files: BTreeMap<String, Vec<u8>>,
    doing: Doing,
    attached: bool,
    address: Option<Ipv4Addr>,
    listening: Option<Listening>,
    /// Where it finds what it is a proxy of.
    upstream: Upstream,
    pub(super) requests: Requests,
    /// Whether its process ends at each start.
    crashes: bool,
    /// Whether it has the restart policy and the limit of processes that hosts give.
    usual: bool,
    created_ms: i64,
    started_ms: Option<i64>,
    ended_ms: Option<i64>,
    restarts: u32,
    printed: Vec<(i64, String)>,
}

impl Container {
    fn has(&self, app: &AppName, volume: &VolumeName) -> bool {
        self.app == *app && self.spec.mounts.iter().any(|mount| mount.name == *volume)
    }

    /// Its process ends, and stays so.
    fn end(&mut self, code: i64) {
        self.doing = Doing::Exited(code);
        self.ended_ms = Some(real_ms());
        (self.address, self.listening) = (None, None);
    }

    fn disconnect(&mut self) {
        self.attached = false;
        (self.address, self.listening) = (None, None);
    }
}

/// What a person does to a container with the engine's own command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByHand {
    /// Ends it in good order, and leaves it so.
    Stop,
    /// Ends it at once, and leaves it so.
    Kill,
    /// Suspends it.
    Pause,
    /// Takes it from its app's network.
    Disconnect,
    /// Gives it another limit of memory, in bytes, and another restart policy.
    Update(Option<u64>),
    /// Takes it away.
    Remove,
}

/// How often the engine was asked what exists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looks {
    /// Of every app at once.
    pub all: usize,
    /// Of one app, or one container.
    pub single: usize,
}

/// A part of a log.
pub(super) struct Lines {
    pub(super) lines: Vec<Output>,
    /// Number of the line that comes after them.
    pub(super) next: usize,
}

/// What the engine in memory refuses, as the real one does.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("it exists with the subnet {0}")]
    OtherSubnet(Ipv4Net),
    #[error("its network does not exist")]
    NoNetwork,
    #[error("the network has running containers")]
    NetworkInUse,
    #[error("container {0} has it")]
    VolumeInUse(String),
    #[error("its volume {0} is gone")]
    NoVolume(VolumeName),
    #[error("the name is taken")]
    NameTaken,
    #[error("the container is not running")]
    NotRunning,
    #[error("no address is free")]
    NoAddress,
    #[error("it cannot listen at {0}")]
    Listen(Ipv4Addr, #[source] std::io::Error),
}

fn refused(action: impl Into<String>, refusal: Refusal) -> Error {
    Error::Failed {
        action: action.into(),
        source: Box::new(refusal),
    }
}

fn no_container(container: &str) -> Error {
    Error::NoContainer {
        container: container.to_owned(),
    }
}

fn fill(text: &Text, inputs: &Inputs) -> Result<String, Error> {
    text.fill(|name| inputs.secrets.get(name).map(String::as_str))
        .map_err(|name| Error::NoMaterial {
            name: name.to_string(),
        })
}

/// The image that a container was made of; where that is gone, what its reference means.
fn image_of<'a>(
    images: &'a BTreeMap<String, FakeImage>,
    container: &Container,
) -> Option<&'a FakeImage> {
    let made_of = |image: &&FakeImage| image.facts().id == container.image_id;
    let by_reference = || images.get(container.spec.image.reference());
    images.values().find(made_of).or_else(by_reference)
}

fn real_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// Whether the engine's lists alone do not say enough of a container, see
/// [`crate::Engine::observe_all`].
fn is_unsteady(seen: &ObservedContainer, young_ms: i64) -> bool {
    let up_ms = seen.started_ms.map_or(i64::MAX, |start| real_ms() - start);
    match seen.state {
        Doing::Restarting => true,
        Doing::Running => up_ms < young_ms,
        _ => false,
    }
}

impl State {
    pub(super) fn new(instance: Instance) -> Self {
        Self {
            instance,
            away: false,
            acts: Vec::new(),
            faults: BTreeMap::new(),
            hold: None,
            held: false,
            is_over: false,
            images: BTreeMap::new(),
            registry: BTreeMap::new(),
            networks: BTreeMap::new(),
            foreign: Vec::new(),
            pool: None,
            addresses: 0,
            volumes: BTreeSet::new(),
            unlisted_volumes: BTreeSet::new(),
            build_cache: 0,
            containers: BTreeMap::new(),
            exit_codes: BTreeMap::new(),
            young_ms: YOUNG_MS,
            looks: Looks::default(),
            is_mute: false,
            ids: 0,
            clock_ms: 0,
        }
    }

    fn now_ms(&mut self) -> i64 {
        self.clock_ms = real_ms().max(self.clock_ms + 1);
        self.clock_ms
    }

    fn id(&mut self) -> String {
        self.ids += 1;
        format!("{:064x}", self.ids)
    }

    /// What a container is called.
    pub(super) fn name_of(&self, app: &AppName, copy: &CopyName) -> String {
        names::container(&self.instance, app, copy)
    }

    /// The name of the container of this name or id.
    fn name_by(&self, name_or_id: &str) -> String {
        let mut all = self.containers.iter();
        let found = all.find(|(_, found)| found.id == name_or_id);
        found.map_or(name_or_id, |(name, _)| name).to_owned()
    }

    fn find(&mut self, name: &str) -> Result<&mut Container, Error> {
        self.containers
            .get_mut(name)
            .ok_or_else(|| no_container(name))
    }

    pub(super) fn apply(
        &mut self,
        app: &AppName,
        act: &Act,
        inputs: &Inputs,
        progress: &Progress,
    ) -> Result<Outcome, Error> {
        let instance = self.instance.clone();
        let name = |copy| names::container(&instance, app, copy);
        match act {
            Act::BuildImage {
                reference,
                source,
                recipe,
                rebuild,
            } => {
                if *rebuild == Rebuild::Never && self.images.contains_key(reference) {
                    return Ok(Outcome::AlreadyDone);
                }
                let archive = inputs
                    .sources
                    .get(source)
                    .ok_or_else(|| Error::NoMaterial {
                        name: format!("source {source}"),
                    })?;
                let image = build::build(archive, &recipe.dockerfile, &self.images, progress)?;
                self.images.insert(reference.clone(), image);
            }
            Act::PullImage { reference, digest } => {
                let found = self.images.get(reference).map(FakeImage::facts);
                if found
                    .is_some_and(|found| digest.as_ref().is_none_or(|d| found.digests.contains(d)))
                {
                    return Ok(Outcome::AlreadyDone);
                }
                let image = self
                    .registry
                    .get(reference)
                    .ok_or_else(|| missing(reference))?;
                self.images.insert(reference.clone(), image.clone());
            }
            Act::CreateNetwork { subnet } => return self.create_network(app, *subnet),
            Act::RemoveNetwork => return self.remove_network(app),
            Act::CreateVolume { volume } => {
                if !self.volumes.insert((app.clone(), volume.clone())) {
                    return Ok(Outcome::AlreadyDone);
                }
            }
            Act::CreateContainer {
                container,
                hash,
                spec,
            } => {
                return self.create(app, &name(container), hash, spec, inputs);
            }
            Act::ConnectContainer { container, .. } => {
                let container = &name(container);
                let found = self.find(container)?;
                if found.attached {
                    return Ok(Outcome::AlreadyDone);
                }
                found.attached = true;
                if found.doing == Doing::Running {
                    self.give_address(container, "connect")?;
                }
            }
            Act::StartContainer { container } => {
                let container = &name(container);
                if matches!(
                    self.find(container)?.doing,
                    Doing::Running | Doing::Restarting
                ) {
                    return Ok(Outcome::AlreadyDone);
                }
                self.start(container)?;
            }
            Act::UpdateContainer {
                container,
                resources,
            } => {
                let found = self.find(&name(container))?;
                let limited = Resources {
                    disk: found.spec.resources.disk,
                    ..*resources
                };
                if found.spec.resources == limited && found.usual {
                    return Ok(Outcome::AlreadyDone);
                }
                found.spec.resources = limited;
                found.usual = true;
            }
            Act::RestartContainer { container, .. } => self.start(&name(container))?,
            Act::RenameContainer { from, to } => return self.rename(&name(from), &name(to)),
            Act::StopContainer { container, .. } => {
                let Ok(found) = self.find(&name(container)) else {
                    return Ok(Outcome::AlreadyDone);
                };
                if !matches!(
                    found.doing,
                    Doing::Running | Doing::Restarting | Doing::Paused
                ) {
                    return Ok(Outcome::AlreadyDone);
                }
                found.end(i64::from(found.doing == Doing::Restarting));
            }
            Act::RemoveContainer { container } => {
                if self.containers.remove(&name(container)).is_none() {
                    return Ok(Outcome::AlreadyDone);
                }
            }
        }
        Ok(Outcome::Done)
    }

    fn create_network(&mut self, app: &AppName, subnet: Ipv4Net) -> Result<Outcome, Error> {
        let refuse = |refusal| refused(format!("create the network of {app}"), refusal);
        match self.networks.get(app) {
            Some(found) if *found == subnet => return Ok(Outcome::AlreadyDone),
            Some(found) => return Err(refuse(Refusal::OtherSubnet(*found))),
            None => {}
        }
        let mut others = self.networks.values().chain(&self.foreign);
        if others.any(|other| overlap(other, &subnet)) {
            return Err(Error::SubnetTaken { subnet });
        }
        self.networks.insert(app.clone(), subnet);
        Ok(Outcome::Done)
    }

    fn remove_network(&mut self, app: &AppName) -> Result<Outcome, Error> {
        if self
            .containers
            .values()
            .any(|found| found.app == *app && found.address.is_some())
        {
            return Err(refused(
                format!("remove the network of {app}"),
                Refusal::NetworkInUse,
            ));
        }
        let removed = self.networks.remove(app);
        Ok(if removed.is_some() {
            Outcome::Done
        } else {
            Outcome::AlreadyDone
        })
    }

    fn create(
        &mut self,
        app: &AppName,
        name: &str,
        hash: &str,
        spec: &Spec,
        inputs: &Inputs,
    ) -> Result<Outcome, Error> {
        let reference = spec.image.reference();
        let identity = spec.identity.as_ref();
        let image = identity
            .and_then(|identity| self.image(&identity.id))
            .or_else(|| self.images.get(reference));
        let mut env = image.map(|image| image.env.clone()).unwrap_or_default();
        env.extend(inputs.env.clone());
        for (variable, value) in &spec.env {
            env.insert(variable.clone(), fill(&value.value, inputs)?);
        }
        let mut files = BTreeMap::new();
        for file in &spec.files {
            let bytes = match &file.content {
                Content::Text(text) => fill(text, inputs)?.into_bytes(),
                Content::Blob { digest, source } => inputs
                    .blobs
                    .get(digest)
                    .ok_or_else(|| Error::NoMaterial {
                        name: source.clone(),
                    })?
                    .to_vec(),
            };
            files.insert(file.path.clone(), bytes);
        }
        match self.containers.get(name) {
            Some(found) if found.hash == hash => return Ok(Outcome::AlreadyDone),
            Some(_) => {
                return Err(refused(
                    format!("create container {name}"),
                    Refusal::NameTaken,
                ));
            }
            None => {}
        }
        let image_id = image.ok_or_else(|| missing(reference))?.facts().id;
        let lacks = |volume: &VolumeName| !self.has_volume(app, volume);
        if let Some(mount) = spec.mounts.iter().find(|mount| lacks(&mount.name)) {
            let refusal = Refusal::NoVolume(mount.name.clone());
            return Err(refused(format!("create container {name}"), refusal));
        }
        let container = Container {
            app: app.clone(),
            id: self.id(),
            hash: hash.to_owned(),
            image_id,
            spec: spec.clone(),
            env,
            files,
            doing: Doing::Created,
            attached: true,
            address: None,
            listening: None,
            upstream: Upstream::default(),
            requests: Requests::default(),
            crashes: false,
            usual: true,
            created_ms: self.now_ms(),
            started_ms: None,
            ended_ms: None,
            restarts: 0,
            printed: Vec::new(),
        };
        self.containers.insert(name.to_owned(), container);
        Ok(Outcome::Done)
    }

    fn start(&mut self, name: &str) -> Result<(), Error> {
        let now = self.now_ms();
        let found = self.find(name)?;
        (found.address, found.listening) = (None, None);
        let (app, attached) = (found.app.clone(), found.attached);
        if attached && !self.networks.contains_key(&app) {
            return Err(refused(
                format!("start container {name}"),
                Refusal::NoNetwork,
            ));
        }
        let images = self.images.clone();
        let found = self.find(name)?;
        let image = image_of(&images, found);
        let crashes = found.crashes
            || image.is_some_and(|image| image.crashes)
            || found.spec.entrypoint.as_deref() == Some(&["false".to_owned()]);
        let printed = image
            .map(|image| image.printed.as_slice())
            .unwrap_or_default();
        found
            .printed
            .extend(printed.iter().map(|line| (now, line.clone())));
        found.started_ms = Some(now);
        found.restarts = 0;
        found.doing = if crashes {
            Doing::Restarting
        } else {
            Doing::Running
        };
        if attached && !crashes {
            self.give_address(name, "start")?;
        }
        self.resolve(name);
        Ok(())
    }

    /// A proxy finds out where the container is that it stands in front of.
    pub(super) fn resolve(&mut self, name: &str) {
        let Some(found) = self.containers.get(name) else {
            return;
        };
        let image = image_of(&self.images, found);
        let Some((service, port)) = image.and_then(|image| image.proxies.as_ref()) else {
            return;
        };
        let wanted = ServiceName::new(service)
            .map(|service| self.name_of(&found.app, &CopyName::Serving(service)));
        let other = wanted.ok().and_then(|wanted| self.containers.get(&wanted));
        let address = other.and_then(|other| other.address);
        let address = address.map(|address| SocketAddr::new(address.into(), *port));
        found.upstream.set(address);
    }

    /// Gives a container that runs an address on its app's network, and opens its ports.
    fn give_address(&mut self, name: &str, action: &str) -> Result<(), Error> {
        let refuse = |refusal| refused(format!("{action} container {name}"), refusal);
        let app = self.find(name)?.app.clone();
        let subnet = self
            .networks
            .get(&app)
            .ok_or_else(|| refuse(Refusal::NoNetwork))?;
        let taken: BTreeSet<Ipv4Addr> = self
            .containers
            .values()
            .filter_map(|found| found.address)
            .collect();
        // The first host is the gateway.
        let hosts: Vec<Ipv4Addr> = subnet.hosts().skip(1).collect();
        self.addresses += 1;
        let (before, after) = hosts.split_at(self.addresses % hosts.len().max(1));
        let address = after
            .iter()
            .chain(before)
            .find(|address| !taken.contains(address));
        let address = *address.ok_or_else(|| refuse(Refusal::NoAddress))?;
        let images = self.images.clone();
        let found = self.find(name)?;
        let image = image_of(&images, found);
        let ports = image.filter(|image| image.gets_ready);
        let ports = ports.map(|image| image.ports.clone()).unwrap_or_default();
        let answer = match image.is_some_and(|image| image.proxies.is_some()) {
            true => Answer::Upstream(found.upstream.clone()),
            false => {
                let text = found.env.get("ANSWER").cloned();
                Answer::Text(text.unwrap_or_else(|| found.spec.name.to_string()).into())
            }
        };
        let listening = Listening::open(address, &ports, answer, found.requests.clone());
        let listening = listening.map_err(|error| refuse(Refusal::Listen(address, error)))?;
        (found.address, found.listening) = (Some(address), Some(listening));
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<Outcome, Error> {
        let refuse = || {
            refused(
                format!("rename container {from} to {to}"),
                Refusal::NameTaken,
            )
        };
        match (
            self.containers.contains_key(from),
            self.containers.contains_key(to),
        ) {
            (false, true) => return Ok(Outcome::AlreadyDone),
            (false, false) => return Err(no_container(from)),
            (true, true) => return Err(refuse()),
            (true, false) => {}
        }
        if let Some(found) = self.containers.remove(from) {
            self.containers.insert(to.to_owned(), found);
        }
        Ok(Outcome::Done)
    }

    pub(super) fn has_volume(&self, app: &AppName, volume: &VolumeName) -> bool {
        let volume = (app.clone(), volume.clone());
        self.volumes.contains(&volume) || self.unlisted_volumes.contains(&volume)
    }

    /// A person removes a volume, and before it the containers that have it.
    pub(super) fn lose_volume(&mut self, app: &AppName, volume: &VolumeName) {
        self.containers.retain(|_, found| !found.has(app, volume));
        self.volumes.remove(&(app.clone(), volume.clone()));
    }

    pub(super) fn remove_volume(
        &mut self,
        app: &AppName,
        volume: &VolumeName,
    ) -> Result<Outcome, Error> {
        let mut containers = self.containers.iter();
        if let Some((name, _)) = containers.find(|(_, found)| found.has(app, volume)) {
            let refusal = Refusal::VolumeInUse(name.clone());
            return Err(refused(format!("remove volume {volume} of {app}"), refusal));
        }
        let removed = self.volumes.remove(&(app.clone(), volume.clone()));
        Ok(if removed {
            Outcome::Done
        } else {
            Outcome::AlreadyDone
        })
    }

    /// An image by its reference or its id.
    pub(super) fn image(&self, name: &str) -> Option<&FakeImage> {
        let by_id = || self.images.values().find(|image| image.facts().id == name);
        self.images.get(name).or_else(by_id)
    }

    pub(super) fn keep_image(&mut self, app: &AppName, id: &str) {
        if let Some(image) = self.image(id).cloned() {
            self.images
                .insert(names::kept_image(&self.instance, app, id), image);
        }
    }

    pub(super) fn prune_images(&mut self, app: &AppName, keep: &Kept) {
        let built = self.instance.image(app, "");
        let held = names::kept_image(&self.instance, app, "");
        let holds: BTreeSet<String> = keep
            .image_ids
            .iter()
            .map(|id| names::kept_image(&self.instance, app, id))
            .collect();
        let used: BTreeSet<String> = self
            .containers
            .values()
            .map(|found| found.spec.image.reference().to_owned())
            .collect();
        self.images.retain(|reference, _| {
            if reference.starts_with(&held) {
                return holds.contains(reference);
            }
            !reference.starts_with(&built)
                || keep.references.contains(reference)
                || used.contains(reference)
        });
    }

    pub(super) fn crash(&mut self, name: &str) -> Option<AppName> {
        let now = self.now_ms();
        let found = self.containers.get_mut(name)?;
        found.restarts += 1;
        (found.started_ms, found.ended_ms) = (Some(now), Some(now));
        if let Some(listening) = &mut found.listening {
            listening.begin_anew().ok()?;
        }
        Some(found.app.clone())
    }

    /// The process of this container ends with 1, and does so at once at each start from
    /// now on; nothing if it is not the start that is meant, or not there any more.
    pub(super) fn begin_to_crash(&mut self, id: &str, started_ms: i64) -> Option<AppName> {
        let mut containers = self.containers.values_mut();
        let found = containers
            .find(|found| found.id == id && found.started_ms == Some(started_ms))
            .filter(|found| found.doing == Doing::Running)?;
        found.end(1);
        (found.doing, found.crashes) = (Doing::Restarting, true);
        Some(found.app.clone())
    }

    /// The same for whatever runs under a name.
    pub(super) fn crash_on(&mut self, name: &str) -> Option<AppName> {
        let found = self.containers.get(name)?;
        let (id, started_ms) = (found.id.clone(), found.started_ms?);
        self.begin_to_crash(&id, started_ms)
    }

    /// When a container's process ends by itself, with its id and its latest start.
    pub(super) fn end_of(&self, name: &str) -> Option<(Duration, String, i64)> {
        let found = self.containers.get(name)?;
        let image = image_of(&self.images, found)?;
        Some((image.ends_after?, found.id.clone(), found.started_ms?))
    }

    /// A person changes a container with the engine's own command.
    pub(super) fn change(&mut self, name: &str, change: ByHand) -> Option<AppName> {
        let found = self.containers.get_mut(name)?;
        let app = found.app.clone();
        match change {
            ByHand::Stop => found.end(0),
            ByHand::Kill => found.end(137),
            ByHand::Pause => {
                found.doing = Doing::Paused;
                if let Some(listening) = &mut found.listening {
                    listening.pause();
                }
            }
            ByHand::Disconnect => found.disconnect(),
            ByHand::Update(memory) => {
                found.spec.resources.memory = memory;
                found.usual = false;
            }
            ByHand::Remove => drop(self.containers.remove(name)),
        }
        Some(app)
    }

    /// A person takes an app's network away, with every container's place in it.
    pub(super) fn lose_network(&mut self, app: &AppName) {
        let containers = self.containers.values_mut();
        for found in containers.filter(|found| found.app == *app) {
            found.disconnect();
        }
        self.networks.remove(app);
    }

    /// Addresses that are this engine's alone.
    pub(super) fn pool(&mut self) -> Ipv4Net {
        self.pool.get_or_insert_with(Pool::take).net
    }

    /// What exists by app; of one of them with the restarts and starts of its containers.
    pub(super) fn observe(&mut self, only: Option<&AppName>) -> BTreeMap<AppName, Observed> {
        let mut apps: BTreeMap<AppName, Observed> = BTreeMap::new();
        let is_meant = |app: &AppName| only.is_none_or(|only| app == only);
        for (app, subnet) in self.networks.iter().filter(|(app, _)| is_meant(app)) {
            apps.entry(app.clone()).or_default().network =
                Some(observed::Network { subnet: *subnet });
        }
        for (app, volume) in self.volumes.iter().filter(|(app, _)| is_meant(app)) {
            apps.entry(app.clone())
                .or_default()
                .volumes
                .insert(volume.clone());
        }
        let containers = self.containers.iter();
        let names: Vec<String> = containers
            .filter(|(_, found)| is_meant(&found.app))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            let Some(mut seen) = self.observed_container(&name) else {
                continue;
            };
            if only.is_none() {
                seen.limits = None;
                if !is_unsteady(&seen, self.young_ms) {
                    (seen.started_ms, seen.ended_ms) = (None, None);
                    (seen.restarts, seen.exit_code) = (0, None);
                }
            }
            let app = self.containers[&name].app.clone();
            apps.entry(app).or_default().containers.push(seen);
        }
        apps
    }

    /// One container. One that crashes has done so once more since it was last seen.
    pub(super) fn observed_container(&mut self, name: &str) -> Option<ObservedContainer> {
        let now = self.now_ms();
        let instance = self.instance.clone();
        let found = self.containers.get_mut(name)?;
        if found.doing == Doing::Restarting {
            found.restarts += 1;
            (found.started_ms, found.ended_ms) = (Some(now), Some(now));
        }
        Some(ObservedContainer {
            id: found.id.clone(),
            name: names::copy(&instance, &found.app, name),
            service: found.spec.name.clone(),
            hash: found.hash.clone(),
            state: found.doing,
            attached: found.attached,
            address: found.address,
            created: found.created_ms / 1000,
            started_ms: found.started_ms,
            ended_ms: found.ended_ms,
            restarts: found.restarts,
            exit_code: match found.doing {
                Doing::Exited(code) => Some(code),
                Doing::Restarting => Some(1),
                _ => None,
            },
            out_of_memory: false,
            image: found.spec.image.reference().to_owned(),
            limits: Some(observed::Limits {
                memory: found.spec.resources.memory,
                millicpus: found.spec.resources.millicpus,
                machine_millicpus: 2000,
                usual: found.usual,
            }),
            healthcheck: None,
            image_id: found.image_id.clone(),
        })
    }

    pub(super) fn exec(&mut self, name: &str, exec: &Exec) -> Result<(String, Command), Error> {
        let name = &self.name_by(name);
        let id = self.id();
        let images = self.images.clone();
        if exec.command.last().is_some_and(|word| word == "reload") {
            self.resolve(name);
        }
        let found = self.find(name)?;
        if found.doing != Doing::Running {
            return Err(refused(
                format!("run a command in {name}"),
                Refusal::NotRunning,
            ));
        }
        let image = image_of(&images, found);
        let gets_ready = image.is_none_or(|image| image.gets_ready);
        Ok((
            id,
            Command::new(exec, found.env.clone(), found.files.clone(), gets_ready),
        ))
    }

    pub(super) fn print(&mut self, name: &str, line: &str) {
        let now = self.now_ms();
        if let Some(found) = self.containers.get_mut(name) {
            found.printed.push((now, line.to_owned()));
        }
    }

    /// The wanted part of a log, and the container's id.
    pub(super) fn log(
        &mut self,
        name: &str,
        request: LogRequest,
    ) -> Result<(String, Lines), Error> {
        let found = self.find(&self.name_by(name))?;
        let since = request
            .since
            .map_or(i64::MIN, |since| since.saturating_mul(1000));
        let new = found.printed.iter().filter(|(at, _)| *at >= since);
        let mut lines: Vec<Output> = new
            .map(|(at, line)| output(*at, line, request.timestamps))
            .collect();
        if let Some(tail) = request.tail {
            lines.drain(..lines.len().saturating_sub(tail as usize));
        }
        Ok((
            found.id.clone(),
            Lines {
                lines,
                next: found.printed.len(),
            },
        ))
    }

    /// A line of a log by its number, nothing inside if it is not printed yet;
    /// nothing at all if the container of this id is gone.
    pub(super) fn line(&self, id: &str, number: usize, timestamps: bool) -> Option<Option<Output>> {
        let found = self.containers.values().find(|found| found.id == id)?;
        Some(
            found
                .printed
                .get(number)
                .map(|(at, line)| output(*at, line, timestamps)),
        )
    }

    pub(super) fn usage(&mut self, name: &str) -> Result<Usage, Error> {
        let is_running = self.find(&self.name_by(name))?.doing == Doing::Running;
        let memory = if is_running { 8 << 20 } else { 0 };
        Ok(Usage {
            memory,
            memory_limit: 1 << 30,
            cpu_ns: 1_000_000,
        })
    }
}

fn missing(reference: &str) -> Error {
    Error::ImageMissing {
        reference: reference.to_owned(),
        reason: "no such image".to_owned(),
    }
}

fn output(at_ms: i64, line: &str, timestamps: bool) -> Output {
    let text = match timestamps {
        true => {
            let at = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000);
            let at = at.unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
            let (date, time) = (at.date(), at.time());
            format!(
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z {line}\n",
                date.year(),
                u8::from(date.month()),
                date.day(),
                time.hour(),
                time.minute(),
                time.second(),
                time.nanosecond(),
            )
        }
        false => format!("{line}\n"),
    };
    Output {
        stderr: false,
        bytes: Bytes::from(text),
    }
}
