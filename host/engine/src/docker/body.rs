//! A container of the blueprint in the engine's words: pure, so that a test can
//! show all of it.

use super::label::Labels;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, Mount, MountType,
    MountVolumeOptions, NetworkingConfig, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use doprax_core::blueprint::Container;
use doprax_core::name::VolumeName;
use doprax_core::secret::SecretName;
use std::collections::{BTreeMap, HashMap};

/// What every image may count on and no more: Docker's default set without
/// `AUDIT_WRITE`, `MKNOD`, `NET_RAW` and `SETFCAP`.
const CAPABILITIES: [&str; 10] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Processes and threads of one container. A fork bomb ends here; the JVM of a
/// search engine on a large machine does not.
pub(super) const PIDS: i64 = 4096;

/// Size of one log file, and how many of them are kept: by default Docker never
/// rotates.
const LOG_SIZE: &str = "10m";
const LOG_FILES: &str = "3";

/// What a container gets from around it.
pub(super) struct Surroundings<'a> {
    /// Labels of the container.
    pub(super) labels: Labels,
    /// The engine's name for the app's network.
    pub(super) network: String,
    /// The search domain of the app.
    pub(super) domain: String,
    /// The engine's name for a volume.
    pub(super) volume: &'a dyn Fn(&VolumeName) -> String,
    /// Labels of what the engine makes in the place of a volume that is gone.
    pub(super) unasked: Labels,
    /// Values of the app's secrets.
    pub(super) secrets: &'a BTreeMap<SecretName, String>,
    /// Variables that it has unless it sets them itself.
    pub(super) env: &'a BTreeMap<String, String>,
    /// Whether the engine can limit the size of the writable layer.
    pub(super) disk_limit: bool,
    /// Whether its first process is the engine's init.
    pub(super) init: bool,
}

/// The engine's request for a container, or the secret without a value.
pub(super) fn create_body(
    spec: &Container,
    around: Surroundings<'_>,
) -> Result<ContainerCreateBody, SecretName> {
    let defaults = around.env.iter();
    let mut env: Vec<String> = defaults
        .filter(|(name, _)| !spec.env.contains_key(*name))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    for (name, value) in &spec.env {
        let secret = |name: &SecretName| around.secrets.get(name).map(String::as_str);
        env.push(format!("{name}={}", value.value.fill(secret)?));
    }
    let mounts = spec.mounts.iter().map(|mount| Mount {
        typ: Some(MountType::VOLUME),
        source: Some((around.volume)(&mount.name)),
        target: Some(mount.path.clone()),
        read_only: spec.runtime.read_only.contains(&mount.path).then_some(true),
        // Where the volume is gone, the engine makes one in its place, with these
        // labels. An empty volume is filled with what the image has at the path.
        volume_options: Some(MountVolumeOptions {
            labels: Some(around.unasked.clone()),
            no_copy: Some(false),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    });
    let endpoint = EndpointSettings {
        aliases: Some(spec.aliases.clone()),
        ..EndpointSettings::default()
    };
    let memory = spec.resources.memory.map(signed);
    let disk = spec.resources.disk.filter(|_| around.disk_limit);
    let ulimits = spec.ulimits.iter().map(|limit| ResourcesUlimits {
        name: Some(limit.name.clone()),
        soft: Some(limit.soft),
        hard: Some(limit.hard),
    });
    let tmpfs = spec.runtime.tmpfs.iter();
    let tmpfs: HashMap<String, String> = tmpfs
        .map(|(path, it)| (path.clone(), format!("size={},mode={:o}", it.size, it.mode)))
        .collect();
    let sysctls = spec.runtime.sysctls.iter();
    let sysctls: HashMap<String, String> = sysctls
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let capabilities = CAPABILITIES.iter().map(|&name| name.to_owned());
    let host_config = HostConfig {
        network_mode: Some(around.network.clone()),
        mounts: Some(mounts.collect()),
        restart_policy: Some(restart_policy()),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), LOG_SIZE.to_owned()),
                ("max-file".to_owned(), LOG_FILES.to_owned()),
            ])),
        }),
        dns_search: Some(vec![around.domain]),
        dns_options: Some(vec!["ndots:1".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(
            capabilities
                .chain(spec.capabilities.iter().cloned())
                .collect(),
        ),
        pids_limit: Some(PIDS),
        init: Some(around.init),
        memory,
        // As much as the memory itself: none of it is swap.
        memory_swap: memory,
        nano_cpus: spec
            .resources
            .millicpus
            .map(|millis| i64::from(millis) * 1_000_000),
        storage_opt: disk.map(|size| HashMap::from([("size".to_owned(), size.to_string())])),
        shm_size: spec.shm_size.map(signed),
        ulimits: Some(ulimits.collect()),
        group_add: (!spec.runtime.groups.is_empty()).then(|| spec.runtime.groups.clone()),
        tmpfs: (!tmpfs.is_empty()).then_some(tmpfs),
        sysctls: (!sysctls.is_empty()).then_some(sysctls),
        readonly_rootfs: spec.runtime.read_only_root.then_some(true),
        ..HostConfig::default()
    };
    Ok(ContainerCreateBody {
        hostname: Some(spec.name.to_string()),
        image: Some(spec.image.reference().to_owned()),
        env: Some(env),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.command.clone(),
        user: spec.user.clone(),
        working_dir: spec.runtime.working_directory.clone(),
        labels: Some(around.labels),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: Some(i64::from(spec.stop_grace_ms.div_ceil(1000))),
        host_config: Some(host_config),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(around.network, endpoint)])),
        }),
        ..ContainerCreateBody::default()
    })
}

/// The engine starts a container again at once, then after ever longer pauses; one that
/// was stopped on purpose stays so when the engine starts again.
pub(super) fn restart_policy() -> RestartPolicy {
    RestartPolicy {
        name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
        maximum_retry_count: None,
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;
    use doprax_core::blueprint::{Env, Image, Runtime, Stage, Tmpfs};
    use doprax_core::name::{AppName, Instance, ServiceName};
    use doprax_core::resources::Resources;
    use doprax_core::service::Ulimit;
    use doprax_core::spec::{Strategy, VolumeMount};
    use doprax_core::text::{Part, Text};
    use std::collections::BTreeSet;

    fn database() -> Container {
        let password = Text(vec![Part::Secret(SecretName::word("random_1"))]);
        Container {
            name: ServiceName::new("mysql").unwrap(),
            plugin: Some("mysql".to_owned()),
            stage: Stage::Service,
            image: Image::Pull {
                reference: "mysql:8.4".to_owned(),
            },
            identity: None,
            env: BTreeMap::from([
                (
                    "A".to_owned(),
                    Env {
                        value: Text::literal("a=b"),
                        masked: false,
                    },
                ),
                (
                    "PASSWORD".to_owned(),
                    Env {
                        value: password,
                        masked: true,
                    },
                ),
            ]),
            entrypoint: None,
            command: Some(vec!["mysqld".to_owned()]),
            user: Some("999".to_owned()),
            files: Vec::new(),
            mounts: vec![VolumeMount {
                name: VolumeName::new("Data 1").unwrap(),
                path: "/var/lib/mysql".to_owned(),
            }],
            aliases: vec!["mysql".to_owned()],
            port: Some(3306),
            port_reason: String::new(),
            probes: Vec::new(),
            ready_timeout_ms: 60_000,
            judged: false,
            component: None,
            restart_after: None,
            needs: Default::default(),
            reload: None,
            strategy: Strategy::Recreate,
            resources: Resources {
                memory: Some(512 << 20),
                millicpus: Some(1500),
                disk: Some(1 << 30),
            },
            shm_size: Some(1 << 20),
            ulimits: vec![Ulimit {
                name: "memlock".to_owned(),
                soft: -1,
                hard: -1,
            }],
            capabilities: vec!["SYS_NICE".to_owned()],
            stop_signal: Some("SIGINT".to_owned()),
            stop_grace_ms: 1_500,
            outputs: BTreeMap::new(),
            init: None,
            runtime: Default::default(),
        }
    }

    fn body(
        secrets: &BTreeMap<SecretName, String>,
        disk_limit: bool,
    ) -> Result<ContainerCreateBody, SecretName> {
        body_of(&database(), secrets, disk_limit)
    }

    fn body_of(
        spec: &Container,
        secrets: &BTreeMap<SecretName, String>,
        disk_limit: bool,
    ) -> Result<ContainerCreateBody, SecretName> {
        let (instance, app) = (Instance::default(), AppName::new("shop").unwrap());
        let around = Surroundings {
            labels: Labels::from([("doprax.app".to_owned(), "shop".to_owned())]),
            network: names::network(&instance, &app),
            domain: instance.domain(&app),
            volume: &|name| names::volume(&instance, &app, name),
            unasked: Labels::from([("doprax.unasked".to_owned(), "true".to_owned())]),
            secrets,
            env: &BTreeMap::from([
                ("A".to_owned(), "another".to_owned()),
                ("DOPRAX_APP_URL".to_owned(), "shop.localhost".to_owned()),
            ]),
            disk_limit,
            init: true,
        };
        create_body(spec, around)
    }

    #[test]
    fn a_container_in_the_engines_words() {
        let secrets = BTreeMap::from([(SecretName::word("random_1"), "s3cret".to_owned())]);
        insta::with_settings!({ sort_maps => true }, {
            insta::assert_json_snapshot!(body(&secrets, true).unwrap());
        });
        let without = body(&secrets, false).unwrap().host_config.unwrap();
        assert_eq!(without.storage_opt, None);
    }

    #[test]
    fn how_its_process_runs_in_the_engines_words() {
        let mut spec = database();
        let folder = Tmpfs {
            size: 1 << 20,
            mode: 0o1777,
        };
        spec.runtime = Runtime {
            working_directory: Some("/srv".to_owned()),
            groups: vec!["tty".to_owned()],
            tmpfs: BTreeMap::from([("/run".to_owned(), folder)]),
            sysctls: BTreeMap::from([("net.core.somaxconn".to_owned(), "1024".to_owned())]),
            read_only_root: true,
            read_only: BTreeSet::from(["/var/lib/mysql".to_owned()]),
            owners: BTreeMap::new(),
        };
        let secrets = BTreeMap::from([(SecretName::word("random_1"), "s3cret".to_owned())]);
        let body = body_of(&spec, &secrets, true).unwrap();
        assert_eq!(body.working_dir.as_deref(), Some("/srv"));
        let host = body.host_config.unwrap();
        let map =
            |name: &str, value: &str| Some(HashMap::from([(name.to_owned(), value.to_owned())]));
        assert_eq!(host.group_add, Some(vec!["tty".to_owned()]));
        assert_eq!(host.tmpfs, map("/run", "size=1048576,mode=1777"));
        assert_eq!(host.sysctls, map("net.core.somaxconn", "1024"));
        assert_eq!(host.readonly_rootfs, Some(true));
        assert_eq!(host.mounts.unwrap()[0].read_only, Some(true));
    }

    #[test]
    fn a_secret_without_a_value_is_named() {
        assert_eq!(
            body(&BTreeMap::new(), false),
            Err(SecretName::word("random_1"))
        );
    }
}
