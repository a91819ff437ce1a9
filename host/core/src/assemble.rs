//! From what a person wants and what plugins say to a [`Blueprint`]: fills every
//! gap, makes every choice, and says why it chose.
//!
//! Owns the choice of ports, of the front, of second names, and what wins where a
//! person and a plugin speak about the same thing: the person. Must not know any
//! kind of service by name.

use crate::blueprint::{Blueprint, Container, Note, Stage};
use crate::domain::host_names;
use crate::name::{Instance, PluginName, ServiceName};
use crate::secret::{SecretName, SecretSource};
use crate::service::ServiceDescription;
use crate::source::Source;
use crate::spec::{AppSpec, ServiceSpec, Strategy, VolumeMount};
use crate::text::{Fact, TemplatePart};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

mod alias;
mod container;
mod error;
mod fill;
mod front;
mod health;
mod order;
mod port;
mod unkept;

pub use error::{Error, Place};
pub use unkept::unkept;

use fill::Peers;
use port::Ports;

/// Everything that [`assemble`] goes by.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The host's instance.
    pub instance: &'a Instance,
    /// The app as its owner wants it.
    pub spec: &'a AppSpec,
    /// What the plugin says about each service of the app.
    pub descriptions: &'a BTreeMap<ServiceName, ServiceDescription>,
    /// For each plugin of the app, under the name that the app uses: every name it
    /// answers to.
    pub plugin_names: &'a BTreeMap<PluginName, Vec<PluginName>>,
    /// TCP ports that images expose, by reference. An image that is not on the
    /// engine yet is absent.
    pub images: &'a BTreeMap<String, Vec<u16>>,
    /// The app's source.
    pub source: &'a Source,
    /// The reference under which the engine has main's image; absent: the one that the
    /// source gets.
    pub main_image: Option<&'a str>,
    /// The ports that main exposes.
    pub main_ports: &'a MainPorts,
    /// Files of the source that containers get, by path below the source folder.
    pub files: &'a BTreeMap<String, SourceFile>,
    /// Subnet of the app's network.
    pub subnet: Ipv4Net,
    /// Revision of each secret's value.
    pub revisions: &'a BTreeMap<SecretName, u64>,
    /// Whether the engine can limit the size of a container's writable layer.
    pub disk_limit: bool,
    /// What the host knows of the app and its release.
    pub facts: &'a Facts,
}

/// What the host knows of an app and its release, for texts that ask for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Where the app is reached.
    pub url: String,
    /// The host name in that.
    pub host: String,
    /// The release's number.
    pub release: u64,
    /// The Git commit of the source, if it has one.
    pub commit: Option<String>,
}

/// The TCP ports that main exposes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MainPorts {
    /// The image is built and says so.
    Known(Vec<u16>),
    /// The image is not built yet; what the Dockerfile's own `EXPOSE` lines say. The
    /// base image may expose more. If it is empty, the blueprint is good for showing
    /// only: main's port is absent, and the front's is 0 where main is the front.
    Unbuilt(Vec<u16>),
    /// The image is not built yet, and the Dockerfile does not say; what the image of the
    /// current release exposes, which is taken to stay so until it is known better.
    Expected(Vec<u16>),
}

/// A file of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Permission bits.
    pub mode: u32,
}

/// The blueprint of an app, or everything that keeps it from being one.
pub fn assemble(input: &Input<'_>) -> Result<Blueprint, Vec<Error>> {
    let services = described(input)?;
    let main_ports = port::main(input.spec, input.main_ports);
    let ports: BTreeMap<&ServiceName, Ports> = services
        .iter()
        .map(|service| (service.name, port::service(service, input.images)))
        .collect();

    let mut findings = Findings::default();
    let front = findings
        .keep(front::choose(input.spec, &main_ports, &ports))
        .flatten();
    let front_service = front.as_ref().map(|front| &front.service);
    let mut around = Around {
        input: *input,
        aliases: alias::aliases(input),
        peers: Peers::new(input, &main_ports, &ports),
    };

    let main = container::main(&around, &main_ports, &mut findings);
    let stage = |service: &Described<'_>| match service.description.after_main
        || front_service == Some(service.name)
    {
        true => Stage::Front,
        false => Stage::Service,
    };
    check_needs(&services, stage, &mut findings);
    let mut containers = BTreeMap::new();
    for service in by_outputs(&services, &mut findings) {
        let ports = &ports[service.name];
        let front = front.as_ref();
        let stage = stage(service);
        let built = container::service(&around, service, stage, ports, front, &mut findings);
        around.peers.offer(service.name, built.outputs.clone());
        let strategy = takeover(&built, &main);
        containers.insert(service.name.clone(), Container { strategy, ..built });
    }
    containers.insert(ServiceName::main(), main);

    let known = known_secrets(input, &services);
    let mut secrets = BTreeMap::new();
    for container in containers.values() {
        let outputs = container.outputs.values().flat_map(|text| text.secrets());
        for name in container.secrets().into_iter().chain(outputs) {
            match known.get(name) {
                Some(source) => {
                    // What it is made of stays with it: another value would be another one
                    // of this, too.
                    if let SecretSource::Derived { from, .. } = source
                        && let Some(original) = known.get(from)
                    {
                        secrets.insert(from.clone(), original.clone());
                    }
                    secrets.insert(name.clone(), source.clone());
                }
                None => findings.errors.push(Error::UnknownSecret {
                    service: container.name.clone(),
                    secret: name.clone(),
                }),
            }
        }
    }
    let asked = input.spec.facts();
    if asked.contains(&Fact::ReleaseCommit) && input.facts.commit.is_none() {
        findings.notes.push(Note {
            service: None,
            text: "${release.commit} is empty: the source folder has no Git commit".to_owned(),
        });
    }
    let Findings {
        mut notes,
        mut errors,
    } = findings;
    errors.dedup();
    if !errors.is_empty() {
        return Err(errors);
    }

    if front.is_none() {
        notes.push(Note {
            service: None,
            text: without_front(input.spec),
        });
    }
    let volumes = containers
        .values()
        .flat_map(|c| c.mounts.iter().map(|mount| mount.name.clone()))
        .collect();
    let revisions = secrets
        .keys()
        .filter_map(|name| {
            input
                .revisions
                .get(name)
                .map(|revision| (name.clone(), *revision))
        })
        .collect();
    Ok(Blueprint {
        app: input.spec.app.clone(),
        subnet: input.subnet,
        volumes,
        containers,
        front,
        drain: input.spec.main.drain.unwrap_or_default(),
        domains: host_names(&input.spec.domains),
        first_domain: first_domain(input.spec),
        secrets,
        revisions,
        release: asked
            .contains(&Fact::ReleaseNumber)
            .then_some(input.facts.release),
        notes,
    })
}

/// What every container is made by.
struct Around<'a> {
    input: Input<'a>,
    aliases: BTreeMap<ServiceName, Vec<String>>,
    peers: Peers<'a>,
}

/// What came up on the way.
#[derive(Default)]
struct Findings {
    notes: Vec<Note>,
    errors: Vec<Error>,
}

impl Findings {
    /// The value, or nothing and one more error.
    fn keep<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.errors.push(error)).ok()
    }

    /// Adds a remark about one container.
    fn note(&mut self, service: &ServiceName, text: impl Into<String>) {
        self.notes.push(Note {
            service: Some(service.clone()),
            text: text.into(),
        });
    }
}

/// A service with what its plugin says about it.
struct Described<'a> {
    name: &'a ServiceName,
    spec: &'a ServiceSpec,
    description: &'a ServiceDescription,
}

impl Described<'_> {
    /// The image it runs: the one a person names, else the plugin's.
    fn image(&self) -> &str {
        self.spec
            .image
            .as_deref()
            .unwrap_or(&self.description.image)
    }
}

/// The app's services in the file's order.
fn described<'a>(input: &Input<'a>) -> Result<Vec<Described<'a>>, Vec<Error>> {
    let mut services = Vec::new();
    let mut errors = Vec::new();
    for (name, spec) in &input.spec.services {
        if name.is_main() {
            errors.push(Error::NamedMain {
                plugin: spec.plugin.clone(),
            });
        } else if let Some(description) = input.descriptions.get(name) {
            services.push(Described {
                name,
                spec,
                description,
            });
        } else {
            errors.push(Error::Undescribed {
                service: name.clone(),
                plugin: spec.plugin.clone(),
            });
        }
    }
    if errors.is_empty() {
        Ok(services)
    } else {
        Err(errors)
    }
}

/// The services, each after those whose outputs it names.
fn by_outputs<'a, 'b>(
    services: &'b [Described<'a>],
    findings: &mut Findings,
) -> Vec<&'b Described<'a>> {
    let named = |service: &Described<'a>| {
        let parts = service.description.texts().flat_map(|text| &text.0);
        let named = parts.filter_map(|part| match part {
            TemplatePart::Output { service, .. } => Some(service),
            _ => None,
        });
        (service.name, named.collect())
    };
    if services
        .iter()
        .map(named)
        .all(|(_, named): (_, BTreeSet<_>)| named.is_empty())
    {
        return services.iter().collect();
    }
    match order::order(&services.iter().map(named).collect()) {
        Ok(names) => {
            let find = |name| services.iter().find(|service| service.name == name);
            names.into_iter().filter_map(find).collect()
        }
        Err(services) => {
            findings.errors.push(Error::ServiceCycle {
                what: "name each other's outputs",
                services,
            });
            Vec::new()
        }
    }
}

/// Finds services that cannot start after all that they need.
fn check_needs(
    services: &[Described<'_>],
    stage: impl Fn(&Described<'_>) -> Stage,
    findings: &mut Findings,
) {
    let edges = services.iter().map(|service| {
        let needs = service.description.needs.iter();
        (service.name, needs.collect())
    });
    if let Err(services) = order::order(&edges.collect()) {
        findings.errors.push(Error::ServiceCycle {
            what: "need each other",
            services,
        });
    }
    for service in services {
        for needed in &service.description.needs {
            let found = services.iter().find(|other| other.name == needed);
            match found {
                None => findings.errors.push(Error::UnknownPeer {
                    service: service.name.clone(),
                    place: Place::Needs,
                    peer: needed.clone(),
                }),
                Some(found) if stage(found) > stage(service) => {
                    findings.errors.push(Error::NeedsLater {
                        service: service.name.clone(),
                        needed: needed.clone(),
                    });
                }
                Some(_) => {}
            }
        }
    }
}

/// The first domain of the file, unless it is the first of the alphabet.
fn first_domain(spec: &AppSpec) -> Option<String> {
    let first = spec.domains.keys().next();
    first
        .filter(|name| spec.domains.keys().min() != Some(*name))
        .cloned()
}

/// What it means that an app answers no requests.
fn without_front(spec: &AppSpec) -> String {
    let mut text =
        "it has no address: main listens on no port, and no service stands in front of it"
            .to_owned();
    let domains: Vec<&str> = spec.domains.keys().map(String::as_str).collect();
    if !domains.is_empty() {
        text.push_str("; nothing answers at ");
        text.push_str(&domains.join(", "));
    }
    text
}

/// How a new copy of a service takes over. Two copies at once are safe where both
/// only serve what main writes: in front of main, without a volume of their own.
fn takeover(service: &Container, main: &Container) -> Strategy {
    let shared = |mount: &VolumeMount| main.mounts.iter().any(|other| other.name == mount.name);
    if service.stage == Stage::Front && service.mounts.iter().all(shared) {
        Strategy::Rolling
    } else {
        Strategy::Recreate
    }
}

/// Every secret that the app's texts may name.
fn known_secrets(
    input: &Input<'_>,
    services: &[Described<'_>],
) -> BTreeMap<SecretName, SecretSource> {
    let declared = services
        .iter()
        .flat_map(|service| service.description.secrets.iter().cloned());
    let given = input
        .spec
        .secrets
        .iter()
        .map(|(name, source)| (name.clone(), source.clone()));
    declared.chain(given).collect()
}
