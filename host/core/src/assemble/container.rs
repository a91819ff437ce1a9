//! One container: what a person says about it over what its plugin says.

use super::fill::{Filler, Variable};
use super::health::{READY_TIMEOUT_MS, Readiness, steady_ms};
use super::port::Ports;
use super::{Around, Described, Error, Findings, Input, Place};
use crate::blueprint::{Container, Content, File, Front, Image, Owner, Runtime, Stage, is_within};
use crate::name::ServiceName;
use crate::probe::{Check, Probe};
use crate::resources::Resources;
use crate::service::{CheckTemplate, EnvTemplate, FileTemplate, ProbeTemplate, VolumeDefault};
use crate::spec::{ConfigFile, ContainerSpec, Protocol, Strategy, VolumeMount};
use std::collections::{BTreeMap, BTreeSet};

/// How long a service may take to end where its plugin does not say; the engine's
/// own default.
const SERVICE_GRACE_MS: u32 = 10_000;
/// How long main may take to end: requests that it still serves.
const MAIN_GRACE_MS: u32 = 30_000;

/// The container built from source.
pub(super) fn main(around: &Around<'_>, ports: &Ports, findings: &mut Findings) -> Container {
    let name = ServiceName::main();
    let input = &around.input;
    let spec = &input.spec.main;
    note_pending(&name, ports, findings);
    let filler = Filler::new(
        &name,
        &around.peers,
        &variables(&spec.container, &[]),
        findings,
    );
    let files = files(input, &name, &spec.container, &[], &filler, findings);
    let described = Readiness::default();
    let health = findings.keep(described.with(&name, spec.container.health.as_ref(), ports.chosen));
    let health = by_protocol(health.unwrap_or_default(), &spec.container, ports, None);
    Container {
        plugin: None,
        stage: Stage::Main,
        image: Image::Build {
            reference: match input.main_image {
                Some(reference) => reference.to_owned(),
                None => input
                    .instance
                    .image(&input.spec.app, &input.source.build_digest()),
            },
            source: input.source.digest.clone(),
            recipe: input.source.recipe.clone(),
        },
        identity: None,
        env: filler.into_env(),
        entrypoint: spec.container.entrypoint.clone(),
        command: spec.container.command.clone(),
        user: spec.container.user.clone(),
        files,
        mounts: mounts(&spec.container, &[]),
        aliases: around.aliases.get(&name).cloned().unwrap_or_default(),
        port: ports.chosen,
        port_reason: ports.reason.clone(),
        probes: health.probes,
        ready_timeout_ms: health.ready_timeout_ms,
        judged: health.judged,
        component: None,
        restart_after: health.restart_after,
        needs: BTreeSet::new(),
        reload: None,
        strategy: spec.strategy,
        resources: resources(input, &name, spec.container.resources, findings),
        shm_size: spec.container.shm_size,
        ulimits: Vec::new(),
        capabilities: Vec::new(),
        stop_signal: spec.container.stop_signal.clone(),
        stop_grace_ms: spec.container.stop_grace_ms.unwrap_or(MAIN_GRACE_MS),
        init: spec.container.init,
        runtime: Runtime::default(),
        outputs: BTreeMap::new(),
        name,
    }
}

/// A service. Its strategy is the caller's to decide, who knows main's volumes.
pub(super) fn service(
    around: &Around<'_>,
    service: &Described<'_>,
    stage: Stage,
    ports: &Ports,
    front: Option<&Front>,
    findings: &mut Findings,
) -> Container {
    let Described {
        name,
        spec,
        description,
    } = *service;
    let input = &around.input;
    for text in &description.notes {
        findings.note(name, text.clone());
    }
    note_pending(name, ports, findings);
    let variables = variables(&spec.container, &description.env);
    let filler = Filler::new(name, &around.peers, &variables, findings);
    let probes = description.probes.iter();
    let probes = probes
        .filter_map(|template| findings.keep(probe(template, &filler)))
        .collect();
    let mut outputs = BTreeMap::new();
    for output in &description.outputs {
        let place = Place::Output(output.name.clone());
        if let Some(text) = findings.keep(filler.output(&output.value, place)) {
            outputs.insert(output.name.clone(), text);
        }
    }
    let files = files(
        input,
        name,
        &spec.container,
        &description.files,
        &filler,
        findings,
    );
    let said = &spec.container;
    let runtime = runtime(name, &description.runtime, said, &files, findings);
    let described = Readiness {
        probes,
        ready_timeout_ms: or_default(description.ready_timeout_ms, READY_TIMEOUT_MS),
        judged: description.judged,
        restart_after: None,
    };
    let front = front.filter(|front| front.service == *name);
    let described = match front {
        Some(front) => described.of_front(front.port),
        None => described,
    };
    let health = described.with(name, spec.container.health.as_ref(), ports.chosen);
    let health = findings.keep(health).unwrap_or_default();
    let health = health.kept_alive(description.alive, spec.container.health.as_ref());
    let health = by_protocol(health, &spec.container, ports, front);
    let wanted = said.resources.or(description.resources);
    Container {
        name: name.clone(),
        plugin: Some(spec.plugin.as_str().to_owned()),
        stage,
        image: Image::Pull {
            reference: service.image().to_owned(),
        },
        identity: None,
        env: filler.into_env(),
        entrypoint: or_else(&said.entrypoint, &description.entrypoint),
        // A command is for the entrypoint that it was written for.
        command: match said.entrypoint {
            Some(_) => said.command.clone(),
            None => or_else(&said.command, &description.command),
        },
        user: or_else(&said.user, &description.user),
        files,
        mounts: mounts(&spec.container, &description.volumes),
        aliases: around.aliases.get(name).cloned().unwrap_or_default(),
        port: ports.chosen,
        port_reason: ports.reason.clone(),
        probes: health.probes,
        ready_timeout_ms: health.ready_timeout_ms,
        judged: health.judged,
        component: description.component.clone(),
        restart_after: health.restart_after,
        needs: description.needs.iter().cloned().collect(),
        reload: description.reload.clone(),
        strategy: Strategy::Recreate,
        resources: resources(input, name, wanted, findings),
        shm_size: said.shm_size.or(description.shm_size),
        ulimits: description.ulimits.clone(),
        capabilities: description.capabilities.clone(),
        stop_signal: or_else(&said.stop_signal, &description.stop_signal),
        stop_grace_ms: said
            .stop_grace_ms
            .unwrap_or_else(|| or_default(description.stop_grace_ms, SERVICE_GRACE_MS)),
        init: said.init.or(description.init),
        runtime,
        outputs,
    }
}

/// How the process of a service runs: what its owner mounts or puts into it has its place,
/// and an engine puts no files into a root that is only read.
fn runtime(
    service: &ServiceName,
    described: &Runtime,
    said: &ContainerSpec,
    files: &[File],
    findings: &mut Findings,
) -> Runtime {
    let mut runtime = described.clone();
    let is_mounted = |path: &str| said.volumes.keys().any(|mount| trimmed(mount) == path);
    runtime.read_only.retain(|path| !is_mounted(path));
    runtime.tmpfs.retain(|path, _| {
        let mut own = said.volumes.keys().chain(said.files.keys());
        !own.any(|inner| is_within(trimmed(inner), path))
    });
    if runtime.read_only_root && (!files.is_empty() || !runtime.owners.is_empty()) {
        runtime.read_only_root = false;
        findings.note(
            service,
            "its root can be written: files are put into it or volumes get an owner, which no \
             engine does with one that is only read",
        );
    }
    runtime
}

/// What decides whether it is ready, asked as it speaks.
fn by_protocol(
    health: Readiness,
    said: &ContainerSpec,
    ports: &Ports,
    front: Option<&Front>,
) -> Readiness {
    let front = front.map(|front| front.port);
    let spoken: Vec<u16> = ports.chosen.into_iter().chain(front).collect();
    match said.protocol {
        None => health.by_tls(ports.tls()),
        Some(Protocol::Http) => health,
        Some(Protocol::Https) => health.by_tls(&spoken),
    }
}

fn note_pending(service: &ServiceName, ports: &Ports, findings: &mut Findings) {
    if ports.pending && ports.chosen.is_none() {
        findings.note(service, ports.reason.clone());
    }
}

/// What the person says, else what the plugin says.
fn or_else<T: Clone>(said: &Option<T>, described: &Option<T>) -> Option<T> {
    said.as_ref().or(described.as_ref()).cloned()
}

fn or_default(value: u32, default: u32) -> u32 {
    if value == 0 { default } else { value }
}

/// The plugin's variables, and over them the user's.
fn variables<'a>(
    user: &'a ContainerSpec,
    plugin: &'a [EnvTemplate],
) -> BTreeMap<&'a str, Variable<'a>> {
    let plugin = plugin.iter().map(|env| {
        (
            env.name.as_str(),
            Variable {
                value: &env.value,
                masked: env.masked,
            },
        )
    });
    let user = user.env.iter().map(|(name, env)| {
        (
            name.as_str(),
            Variable {
                value: &env.value,
                masked: env.masked,
            },
        )
    });
    plugin.chain(user).collect()
}

/// The plugin's volumes, and over them the user's, by path.
fn mounts(user: &ContainerSpec, plugin: &[VolumeDefault]) -> Vec<VolumeMount> {
    let plugin = plugin
        .iter()
        .map(|volume| (trimmed(&volume.path), &volume.name));
    let user = user
        .volumes
        .iter()
        .map(|(path, name)| (trimmed(path), name));
    let by_path: BTreeMap<_, _> = plugin.chain(user).collect();
    by_path
        .into_iter()
        .map(|(path, name)| VolumeMount {
            name: name.clone(),
            path: path.to_owned(),
        })
        .collect()
}

/// `/data/` and `/data` are one place.
fn trimmed(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    if path.is_empty() { "/" } else { path }
}

/// The plugin's files, and over them the user's, by path.
fn files(
    input: &Input<'_>,
    service: &ServiceName,
    user: &ContainerSpec,
    plugin: &[FileTemplate],
    filler: &Filler<'_>,
    findings: &mut Findings,
) -> Vec<File> {
    let mut by_path = BTreeMap::new();
    for file in plugin
        .iter()
        .filter(|file| !user.files.contains_key(&file.path))
    {
        let place = Place::File(file.path.clone());
        if let Some(text) = findings.keep(filler.fill(&file.content, place)) {
            let content = Content::Text(text);
            let filled = File {
                path: file.path.clone(),
                mode: file.mode,
                content,
                owner: file.owner.clone(),
            };
            by_path.insert(&file.path, filled);
        }
    }
    for (path, file) in &user.files {
        match input.files.get(&file.source) {
            Some(found) => {
                let content = Content::Blob {
                    digest: found.sha256.clone(),
                    source: file.source.clone(),
                };
                let (mode, owner) = permissions(file, found.mode);
                by_path.insert(
                    path,
                    File {
                        path: path.clone(),
                        mode,
                        content,
                        owner,
                    },
                );
            }
            None => findings.errors.push(Error::MissingFile {
                service: service.clone(),
                path: path.clone(),
                source_path: file.source.clone(),
            }),
        }
    }
    by_path.into_values().collect()
}

/// Permissions and owner of a file from the source. What everybody may read there, everybody
/// may read here, whoever the process runs as; what its owner keeps to himself stays
/// so, and is then the process's own, as is what it may write.
fn permissions(file: &ConfigFile, source: u32) -> (u32, Option<Owner>) {
    let is_private = source & 0o004 == 0;
    let run = if source & 0o111 == 0 { 0 } else { 0o111 };
    let mode = match (file.mode, file.writable) {
        (Some(mode), _) => mode,
        (None, false) if is_private => source & 0o777 | 0o400,
        (None, true) if is_private => source & 0o777 | 0o600,
        (None, false) => 0o444 | run,
        (None, true) => 0o644 | run,
    };
    let owner = match &file.owner {
        Some(name) => Some(Owner::Named(name.clone())),
        None if is_private || file.writable || file.mode.is_some() => Some(Owner::Process),
        None => None,
    };
    (mode, owner)
}

/// The wanted limits, without those that the engine cannot keep.
fn resources(
    input: &Input<'_>,
    service: &ServiceName,
    wanted: Resources,
    findings: &mut Findings,
) -> Resources {
    if wanted.disk.is_none() || input.disk_limit {
        return wanted;
    }
    findings.note(
        service,
        "its disk is not limited: this engine cannot (it needs overlay2 on XFS with project quotas)",
    );
    Resources {
        disk: None,
        ..wanted
    }
}

fn probe(template: &ProbeTemplate, filler: &Filler<'_>) -> Result<Probe, Error> {
    let check = match &template.check {
        CheckTemplate::Tcp { port, send } => Check::Tcp {
            port: *port,
            send: send.clone(),
        },
        CheckTemplate::Http {
            port,
            path,
            tls,
            host,
            headers,
            status,
        } => Check::Http {
            port: *port,
            tls: *tls,
            path: path.clone(),
            host: host.clone(),
            headers: headers.clone(),
            status: status.clone(),
        },
        CheckTemplate::Exec { command, env, user } => {
            let fill = |(name, value): &(String, _)| {
                let text = filler.fill(value, Place::Probe(name.clone()))?;
                Ok((name.clone(), text))
            };
            Check::Exec {
                command: command.clone(),
                env: env.iter().map(fill).collect::<Result<_, Error>>()?,
                user: user.clone(),
            }
        }
        CheckTemplate::Log { contains } => Check::Log {
            contains: contains.clone(),
        },
    };
    Ok(Probe {
        steady_ms: steady_ms(&check),
        check,
        interval_ms: template.interval_ms,
        timeout_ms: template.timeout_ms,
    })
}
