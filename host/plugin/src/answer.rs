//! From what a plugin answers to what the host believes.
//!
//! A plugin may be hostile: everything is checked here that the types of the
//! contract do not rule out, once, so that nothing behind this module need doubt
//! it.

use crate::bindings::plugin::exports::doprax::plugin::service as wit;
use crate::info::Grants;
use crate::reason::{At as _, Reason, Wrong, each};
use crate::value::{
    ENTRIES, TEXT, command, excerpt, line, milliseconds, path, port, range, unique, word,
};
use crate::{contract_name, image};
use doprax_core::blueprint::Owner;
use doprax_core::name::{ServiceName, VolumeName};
use doprax_core::resources::Resources;
use doprax_core::secret::SecretName;
use doprax_core::service::{
    Audience, DescribeRequest, EnvTemplate, FileTemplate, Output, Port, ServiceDescription,
    SettingDiagnostic, Transport, Ulimit, VolumeDefault,
};
use doprax_core::text::{Template, TemplatePart};
use secret::Declared;

mod probe;
mod runtime;
mod secret;

/// A command that a plugin may only name with the grant to run commands.
pub(crate) fn granted_command(
    arguments: Vec<String>,
    grants: &Grants,
) -> Result<Vec<String>, Reason> {
    match grants.exec {
        true => command(arguments),
        false => Err(Reason::NotGranted("to run commands".to_owned())),
    }
}

/// The objections of a plugin.
pub(crate) fn diagnostics(
    diagnostics: Vec<wit::Diagnostic>,
) -> Result<Vec<SettingDiagnostic>, Wrong> {
    if diagnostics.is_empty() {
        return Err(Wrong {
            at: "diagnostics".to_owned(),
            reason: Reason::Empty,
        });
    }
    each("diagnostics", diagnostics, |diagnostic| {
        if diagnostic.path.len() > ENTRIES {
            return Err(Reason::Many(ENTRIES));
        }
        Ok(SettingDiagnostic {
            path: diagnostic
                .path
                .into_iter()
                .map(line)
                .collect::<Result<_, _>>()?,
            message: line(diagnostic.message)?,
            help: diagnostic.help.map(line).transpose()?,
        })
    })
}

/// What the texts of a service may name.
struct Scope<'a> {
    request: &'a DescribeRequest,
    secrets: &'a [Declared],
    grants: &'a Grants,
}

impl Scope<'_> {
    fn text(&self, parts: Vec<wit::Part>) -> Result<Template, Reason> {
        if parts.len() > 4 * ENTRIES {
            return Err(Reason::Many(4 * ENTRIES));
        }
        let mut length = 0;
        let mut template = Vec::with_capacity(parts.len());
        for part in parts {
            template.push(match part {
                wit::Part::Literal(text) => {
                    length += text.len();
                    if text.contains('\0') {
                        return Err(Reason::Control);
                    }
                    TemplatePart::Literal(text)
                }
                wit::Part::Secret(name) => TemplatePart::Secret(self.secret(name)?),
                wit::Part::Env(name) => TemplatePart::Env(word(name)?),
                wit::Part::Host(name) => TemplatePart::Host(self.container(name)?),
                wit::Part::Port(name) => TemplatePart::Port(self.container(name)?),
                wit::Part::MainPort => TemplatePart::MainPort,
                wit::Part::Output(of) => TemplatePart::Output {
                    service: self.neighbour(of.service)?,
                    output: word(of.output)?,
                },
            });
        }
        if length > TEXT {
            Err(Reason::Long(TEXT))
        } else {
            Ok(Template(template))
        }
    }

    fn secret(&self, name: String) -> Result<SecretName, Reason> {
        let mut declared = self.secrets.iter();
        match declared.find(|secret| secret.local == name) {
            Some(secret) => Ok(secret.name.clone()),
            None => Err(Reason::Undeclared(excerpt(&name))),
        }
    }

    fn container(&self, name: String) -> Result<ServiceName, Reason> {
        let name = ServiceName::new(name)?;
        let services = &self.request.app.services;
        match name.is_main()
            || name == self.request.name
            || services.iter().any(|(service, _)| *service == name)
        {
            true => Ok(name),
            false => Err(Reason::Container(name.to_string())),
        }
    }

    /// Another service of the app.
    fn neighbour(&self, name: String) -> Result<ServiceName, Reason> {
        let name = self.container(name)?;
        match name.is_main() || name == self.request.name {
            true => Err(Reason::Neighbour(name.to_string())),
            false => Ok(name),
        }
    }

    fn env(&self, entry: wit::EnvEntry) -> Result<EnvTemplate, Reason> {
        let value = self.text(entry.value)?;
        let literal =
            |part: &TemplatePart| matches!(part, TemplatePart::Literal(text) if !text.is_empty());
        if entry.masked && !value.0.is_empty() && value.0.iter().all(literal) {
            return Err(Reason::LiteralSecret);
        }
        Ok(EnvTemplate {
            name: word(entry.name)?,
            value,
            masked: entry.masked,
        })
    }
}

/// The description of a service, checked against the request and the plugin's
/// grants. Whether the plugin judges and how it reloads is for the caller to add.
pub(crate) fn service(
    service: wit::Service,
    request: &DescribeRequest,
    grants: &Grants,
) -> Result<ServiceDescription, Wrong> {
    let secrets = secret::secrets(&request.name, service.secrets)?;
    let scope = Scope {
        request,
        secrets: &secrets,
        grants,
    };

    let env = each("env", service.env, |entry| scope.env(entry))?;
    unique(env.iter().map(|env| env.name.as_str())).at(|| "env".to_owned())?;
    let files = each("files", service.files, |file| {
        range(file.mode.into(), 0, 0o777)?;
        Ok(FileTemplate {
            path: path(file.path)?,
            mode: file.mode,
            content: scope.text(file.content)?,
            owner: owner(file.owner)?,
        })
    })?;
    unique(files.iter().map(|file| file.path.as_str())).at(|| "files".to_owned())?;
    let read_only = service.volumes.iter().filter(|volume| volume.read_only);
    let read_only = read_only.map(|volume| volume.path.clone()).collect();
    let owners = each("volumes", service.volumes.clone(), |volume| {
        match (volume.owner, volume.read_only) {
            (Some(_), true) => Err(Reason::OnlyRead),
            (owner, _) => Ok(owner
                .map(user)
                .transpose()?
                .map(|owner| (volume.path, owner))),
        }
    })?;
    let volumes = each("volumes", service.volumes, |volume| {
        Ok(VolumeDefault {
            path: path(volume.path)?,
            name: VolumeName::new(volume.name)?,
        })
    })?;
    unique(volumes.iter().map(|volume| volume.path.as_str())).at(|| "volumes".to_owned())?;
    let runtime = runtime::runtime(
        runtime::Asked {
            working_directory: service.working_directory,
            groups: service.groups,
            tmpfs: service.tmpfs,
            sysctls: service.sysctls,
            read_only_root: service.read_only_root,
            read_only,
            owners: owners.into_iter().flatten().collect(),
        },
        &files,
        &volumes,
    )?;
    let probes = each("probes", service.probes, |probe| scope.probe(probe))?;
    let needs = each("needs", service.needs, |name| scope.neighbour(name))?;
    unique(needs.iter().map(ServiceName::as_str)).at(|| "needs".to_owned())?;
    let outputs = each("outputs", service.outputs, |output| {
        Ok(Output {
            name: word(output.name)?,
            value: scope.text(output.value)?,
        })
    })?;
    unique(outputs.iter().map(|output| output.name.as_str())).at(|| "outputs".to_owned())?;
    let ports = each("ports", service.ports, port_of)?;
    let sockets = ports
        .iter()
        .map(|port| format!("{}/{}", port.number, port.transport));
    let sockets: Vec<String> = sockets.collect();
    unique(sockets.iter().map(String::as_str)).at(|| "ports".to_owned())?;
    let ulimits = each("ulimits", service.ulimits, |limit| ulimit(limit, grants))?;
    unique(ulimits.iter().map(|limit| limit.name.as_str())).at(|| "ulimits".to_owned())?;
    let capabilities = each("capabilities", service.capabilities, |capability| {
        granted(contract_name::capability(capability), &grants.capabilities)
    })?;

    Ok(ServiceDescription {
        image: granted_image(service.image, request, grants).at(|| "image".to_owned())?,
        env,
        entrypoint: service
            .entrypoint
            .map(command)
            .transpose()
            .at(|| "entrypoint".to_owned())?,
        command: service
            .command
            .map(command)
            .transpose()
            .at(|| "command".to_owned())?,
        user: service
            .user
            .map(user)
            .transpose()
            .at(|| "user".to_owned())?,
        files,
        volumes,
        ports,
        probes,
        ready_timeout_ms: milliseconds(service.ready_timeout_ms, 1000)
            .at(|| "ready-timeout-ms".to_owned())?,
        alive: service
            .alive
            .map(probe::liveness)
            .transpose()
            .at(|| "alive".to_owned())?,
        needs,
        judged: false,
        component: None,
        reload: None,
        after_main: service.after_main,
        shm_size: service
            .shm_size
            .map(|size| range(size, 4096, 1 << 40))
            .transpose()
            .at(|| "shm-size".to_owned())?,
        ulimits,
        capabilities,
        stop_signal: service
            .stop_signal
            .map(|signal| contract_name::signal(signal).to_owned()),
        stop_grace_ms: milliseconds(service.stop_grace_ms, 0).at(|| "stop-grace-ms".to_owned())?,
        resources: resources(service.resources).at(|| "resources".to_owned())?,
        outputs,
        notes: each("notes", service.notes, line)?,
        init: service.init,
        runtime,
        given: secrets
            .iter()
            .filter_map(|secret| Some((secret.name.clone(), secret.what.clone()?)))
            .collect(),
        secrets: secrets
            .into_iter()
            .map(|secret| (secret.name, secret.source))
            .collect(),
    })
}

fn owner(owner: wit::FileOwner) -> Result<Option<Owner>, Reason> {
    Ok(match owner {
        wit::FileOwner::Root => None,
        wit::FileOwner::Process => Some(Owner::Process),
        wit::FileOwner::Named(name) => Some(Owner::Named(user(name)?)),
    })
}

fn port_of(entry: wit::PortEntry) -> Result<Port, Reason> {
    let transport = match entry.transport {
        wit::Transport::Tcp => Transport::Tcp,
        wit::Transport::Udp => Transport::Udp,
    };
    let audience = match entry.audience {
        wit::Audience::Containers => Audience::Containers,
        wit::Audience::Visitors => Audience::Visitors,
        wit::Audience::Operators => Audience::Operators,
    };
    if transport == Transport::Udp && (entry.tls || audience != Audience::Containers) {
        return Err(Reason::Udp);
    }
    Ok(Port {
        number: port(entry.number)?,
        role: word(entry.role)?,
        transport,
        tls: entry.tls,
        audience,
    })
}

fn granted_image(
    reference: String,
    request: &DescribeRequest,
    grants: &Grants,
) -> Result<String, Reason> {
    let repository = image::repository(&reference);
    // The user's own choice needs no grant, nor a tag.
    if request.image.as_ref() == Some(&reference) {
        return line(reference);
    }
    match repository {
        Some(repository) if grants.images.contains(&repository) => Ok(reference),
        Some(repository) => Err(Reason::NotGranted(repository)),
        None => Err(Reason::Image(excerpt(&reference))),
    }
}

fn granted(name: &str, grants: &[String]) -> Result<String, Reason> {
    match grants.iter().any(|granted| granted == name) {
        true => Ok(name.to_owned()),
        false => Err(Reason::NotGranted(name.to_owned())),
    }
}

fn user(text: String) -> Result<String, Reason> {
    let part = |text: &str| word(text.to_owned()).map(|_| ());
    match text.split_once(':') {
        Some((user, group)) => part(user).and(part(group))?,
        None => part(&text)?,
    }
    Ok(text)
}

fn ulimit(limit: wit::Ulimit, grants: &Grants) -> Result<Ulimit, Reason> {
    let value = |limit: Option<u64>| match limit {
        None => Ok(-1),
        Some(limit) => i64::try_from(limit).map_err(|_| Reason::Range {
            value: limit,
            low: 0,
            high: i64::MAX as u64,
        }),
    };
    Ok(Ulimit {
        name: granted(contract_name::ulimit(limit.kind), &grants.ulimits)?,
        soft: value(limit.soft)?,
        hard: value(limit.hard)?,
    })
}

fn resources(resources: wit::Resources) -> Result<Resources, Reason> {
    let bytes = |size: Option<u64>| size.map(|size| range(size, 4 << 20, 1 << 50)).transpose();
    if let Some(millicpus) = resources.millicpus {
        range(millicpus.into(), 1, 1_000_000)?;
    }
    Ok(Resources {
        memory: bytes(resources.memory)?,
        millicpus: resources.millicpus,
        disk: bytes(resources.disk)?,
    })
}

#[cfg(test)]
mod tests;
