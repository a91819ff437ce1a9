//! What arrives of an answer, and what does not.

mod bounds;

use super::*;
use doprax_core::blueprint::{Runtime, Tmpfs};
use doprax_core::secret::{Derivation, Encoding, SecretSource};
use doprax_core::service::{AppContext, CheckTemplate, Liveness, ProbeTemplate};

fn name(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

fn request() -> DescribeRequest {
    DescribeRequest {
        name: name("db"),
        version: None,
        image: None,
        port: None,
        settings: serde_json::Value::Null,
        env_names: Vec::new(),
        volumes: Vec::new(),
        file_paths: Vec::new(),
        app: AppContext {
            name: "shop".to_owned(),
            main_volumes: Vec::new(),
            services: vec![(name("cache"), "redis".to_owned())],
        },
    }
}

fn grants() -> Grants {
    Grants {
        images: vec!["docker.io/library/redis".to_owned()],
        capabilities: vec!["SYS_NICE".to_owned()],
        ulimits: vec!["nofile".to_owned()],
        exec: true,
    }
}

fn literal(value: &str) -> Vec<wit::Part> {
    vec![wit::Part::Literal(value.to_owned())]
}

fn entry(name: &str, value: Vec<wit::Part>) -> wit::EnvEntry {
    wit::EnvEntry {
        name: name.to_owned(),
        value,
        masked: false,
    }
}

fn random(name: &str, length: u16) -> wit::Secret {
    wit::Secret {
        name: name.to_owned(),
        source: wit::SecretSource::Random(length),
    }
}

fn probe(check: wit::Check) -> wit::Probe {
    wit::Probe {
        check,
        interval_ms: 10,
        timeout_ms: 10,
    }
}

fn tcp(port: u16, send: Option<String>) -> wit::Check {
    wit::Check::Tcp(wit::TcpCheck { port, send })
}

fn http(path: &str) -> wit::Check {
    wit::Check::Http(wit::HttpCheck {
        port: 80,
        path: path.to_owned(),
        tls: false,
        host: None,
        headers: Vec::new(),
        statuses: Vec::new(),
    })
}

fn file(path: &str, mode: u32, content: Vec<wit::Part>) -> wit::File {
    wit::File {
        path: path.to_owned(),
        mode,
        content,
        owner: wit::FileOwner::Root,
    }
}

fn volume(name: &str, path: &str) -> wit::Volume {
    wit::Volume {
        name: name.to_owned(),
        path: path.to_owned(),
        read_only: false,
        owner: None,
    }
}

fn listening(number: u16, role: &str) -> wit::PortEntry {
    wit::PortEntry {
        number,
        role: role.to_owned(),
        transport: wit::Transport::Tcp,
        tls: false,
        audience: wit::Audience::Containers,
    }
}

fn exec(command: &[&str], env: Vec<wit::ExecEnv>) -> wit::Check {
    wit::Check::Exec(wit::ExecCheck {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        env,
        user: None,
    })
}

fn limit(soft: Option<u64>, hard: Option<u64>) -> wit::Ulimit {
    wit::Ulimit {
        kind: wit::UlimitKind::Nofile,
        soft,
        hard,
    }
}

fn answer() -> wit::Service {
    wit::Service {
        image: "redis:7".to_owned(),
        env: Vec::new(),
        entrypoint: None,
        command: None,
        user: None,
        files: Vec::new(),
        volumes: Vec::new(),
        tmpfs: Vec::new(),
        read_only_root: false,
        working_directory: None,
        groups: Vec::new(),
        init: None,
        sysctls: Vec::new(),
        ports: Vec::new(),
        probes: Vec::new(),
        ready_timeout_ms: 1000,
        alive: None,
        needs: Vec::new(),
        after_main: false,
        shm_size: None,
        ulimits: Vec::new(),
        capabilities: Vec::new(),
        stop_signal: None,
        stop_grace_ms: 0,
        resources: wit::Resources {
            memory: None,
            millicpus: None,
            disk: None,
        },
        secrets: Vec::new(),
        outputs: Vec::new(),
        notes: Vec::new(),
    }
}

fn checked(change: impl FnOnce(&mut wit::Service)) -> Result<ServiceDescription, (String, Reason)> {
    let mut answer = answer();
    change(&mut answer);
    service(answer, &request(), &grants()).map_err(|wrong| (wrong.at, wrong.reason))
}

#[track_caller]
fn accepted(change: impl FnOnce(&mut wit::Service)) -> ServiceDescription {
    checked(change).unwrap_or_else(|(at, reason)| panic!("{at}: {reason}"))
}

#[track_caller]
fn refused(change: impl FnOnce(&mut wit::Service), at: &str) -> Reason {
    match checked(change) {
        Err((found, reason)) => {
            assert_eq!(found, at);
            reason
        }
        Ok(service) => panic!("expected a refusal, got {service:?}"),
    }
}

fn outside(value: u64, low: u64, high: u64) -> Reason {
    Reason::Range { value, low, high }
}

#[test]
fn all_that_a_plugin_asks_for_arrives() {
    let secret = SecretName::plugin(&name("db"), "password");
    let service = accepted(|service| {
        *service = wit::Service {
            image: "redis:7".to_owned(),
            env: vec![wit::EnvEntry {
                name: "PASSWORD".to_owned(),
                value: vec![
                    wit::Part::Literal("a".to_owned()),
                    wit::Part::Secret("password".to_owned()),
                    wit::Part::Env("HOME".to_owned()),
                    wit::Part::Host("main".to_owned()),
                    wit::Part::Port("cache".to_owned()),
                    wit::Part::Host("db".to_owned()),
                    wit::Part::MainPort,
                ],
                masked: true,
            }],
            entrypoint: Some(vec!["entry".to_owned()]),
            command: Some(vec!["command".to_owned(), "a b".to_owned()]),
            user: Some("redis:999".to_owned()),
            files: vec![wit::File {
                owner: wit::FileOwner::Named("redis:redis".to_owned()),
                ..file("/etc/redis.conf", 0o640, literal("save\n"))
            }],
            volumes: vec![wit::Volume {
                read_only: true,
                ..volume("data", "/data")
            }],
            tmpfs: vec![wit::Tmpfs {
                path: "/run".to_owned(),
                size: 1 << 20,
                mode: 0o1777,
            }],
            read_only_root: true,
            working_directory: Some("/srv".to_owned()),
            groups: vec!["tty".to_owned(), "20".to_owned()],
            init: Some(false),
            sysctls: vec![wit::Sysctl {
                name: wit::SysctlName::NetCoreSomaxconn,
                value: "1024".to_owned(),
            }],
            ports: vec![
                wit::PortEntry {
                    tls: true,
                    audience: wit::Audience::Operators,
                    ..listening(6379, "redis")
                },
                wit::PortEntry {
                    transport: wit::Transport::Udp,
                    ..listening(6379, "redis")
                },
            ],
            probes: vec![
                wit::Probe {
                    check: tcp(6379, Some("PING\r\n".to_owned())),
                    interval_ms: 20,
                    timeout_ms: 30,
                },
                probe(http("/ready?full=1")),
                probe(exec(
                    &["ping"],
                    vec![wit::ExecEnv {
                        name: "KEY".to_owned(),
                        value: literal("x"),
                    }],
                )),
                probe(wit::Check::Log("Ready to".to_owned())),
            ],
            ready_timeout_ms: 2000,
            after_main: true,
            shm_size: Some(1 << 20),
            ulimits: vec![limit(Some(10), None)],
            capabilities: vec![wit::Capability::SysNice],
            stop_signal: Some(wit::Signal::Quit),
            stop_grace_ms: 3000,
            resources: wit::Resources {
                memory: Some(64 << 20),
                millicpus: Some(250),
                disk: Some(1 << 30),
            },
            secrets: vec![
                random("password", 32),
                wit::Secret {
                    name: "id".to_owned(),
                    source: wit::SecretSource::Uuid,
                },
            ],
            outputs: vec![wit::Output {
                name: "host".to_owned(),
                value: vec![wit::Part::Host("db".to_owned())],
            }],
            notes: vec!["a remark".to_owned()],
            ..answer()
        };
    });
    let text = |text: &str| Template(vec![TemplatePart::Literal(text.to_owned())]);
    let probe = |check| ProbeTemplate {
        check,
        interval_ms: 10,
        timeout_ms: 10,
    };
    let expected = ServiceDescription {
        image: "redis:7".to_owned(),
        env: vec![EnvTemplate {
            name: "PASSWORD".to_owned(),
            value: Template(vec![
                TemplatePart::Literal("a".to_owned()),
                TemplatePart::Secret(secret.clone()),
                TemplatePart::Env("HOME".to_owned()),
                TemplatePart::Host(ServiceName::main()),
                TemplatePart::Port(name("cache")),
                TemplatePart::Host(name("db")),
                TemplatePart::MainPort,
            ]),
            masked: true,
        }],
        entrypoint: Some(vec!["entry".to_owned()]),
        command: Some(vec!["command".to_owned(), "a b".to_owned()]),
        user: Some("redis:999".to_owned()),
        files: vec![FileTemplate {
            path: "/etc/redis.conf".to_owned(),
            mode: 0o640,
            content: text("save\n"),
            owner: Some(Owner::Named("redis:redis".to_owned())),
        }],
        volumes: vec![VolumeDefault {
            path: "/data".to_owned(),
            name: VolumeName::new("data").unwrap(),
        }],
        ports: vec![
            Port {
                number: 6379,
                role: "redis".to_owned(),
                transport: Transport::Tcp,
                tls: true,
                audience: Audience::Operators,
            },
            Port {
                number: 6379,
                role: "redis".to_owned(),
                transport: Transport::Udp,
                tls: false,
                audience: Audience::Containers,
            },
        ],
        probes: vec![
            ProbeTemplate {
                check: CheckTemplate::Tcp {
                    port: 6379,
                    send: Some("PING\r\n".to_owned()),
                },
                interval_ms: 20,
                timeout_ms: 30,
            },
            probe(CheckTemplate::Http {
                port: 80,
                path: "/ready?full=1".to_owned(),
                tls: false,
                host: None,
                headers: Default::default(),
                status: Vec::new(),
            }),
            probe(CheckTemplate::Exec {
                command: vec!["ping".to_owned()],
                env: vec![("KEY".to_owned(), text("x"))],
                user: None,
            }),
            probe(CheckTemplate::Log {
                contains: "Ready to".to_owned(),
            }),
        ],
        ready_timeout_ms: 2000,
        alive: None,
        needs: Vec::new(),
        judged: false,
        component: None,
        reload: None,
        after_main: true,
        shm_size: Some(1 << 20),
        ulimits: vec![Ulimit {
            name: "nofile".to_owned(),
            soft: 10,
            hard: -1,
        }],
        capabilities: vec!["SYS_NICE".to_owned()],
        stop_signal: Some("SIGQUIT".to_owned()),
        stop_grace_ms: 3000,
        resources: Resources {
            memory: Some(64 << 20),
            millicpus: Some(250),
            disk: Some(1 << 30),
        },
        secrets: vec![
            (secret, SecretSource::Random { length: 32 }),
            (SecretName::plugin(&name("db"), "id"), SecretSource::Uuid),
        ],
        outputs: vec![Output {
            name: "host".to_owned(),
            value: Template(vec![TemplatePart::Host(name("db"))]),
        }],
        notes: vec!["a remark".to_owned()],
        given: Default::default(),
        init: Some(false),
        runtime: Runtime {
            working_directory: Some("/srv".to_owned()),
            groups: vec!["tty".to_owned(), "20".to_owned()],
            tmpfs: [(
                "/run".to_owned(),
                Tmpfs {
                    size: 1 << 20,
                    mode: 0o1777,
                },
            )]
            .into(),
            sysctls: [("net.core.somaxconn".to_owned(), "1024".to_owned())].into(),
            read_only_root: true,
            read_only: ["/data".to_owned()].into(),
            owners: Default::default(),
        },
    };
    assert_eq!(service, expected);
}

#[test]
fn names_of_variables_ports_outputs_and_users_are_words() {
    let word = |text: &str| Reason::Word(text.to_owned());
    for name in ["", "A=B", "A\nB", "A B", "A\0"] {
        let env = vec![entry(name, Vec::new())];
        assert_eq!(refused(|s| s.env = env, "env[0]"), word(name));
        let env = vec![entry("A", vec![wit::Part::Env(name.to_owned())])];
        assert_eq!(refused(|s| s.env = env, "env[0]"), word(name));
        let env = vec![wit::ExecEnv {
            name: name.to_owned(),
            value: Vec::new(),
        }];
        let probes = vec![probe(exec(&["x"], env))];
        assert_eq!(refused(|s| s.probes = probes, "probes[0]"), word(name));
        let output = wit::Output {
            name: name.to_owned(),
            value: Vec::new(),
        };
        assert_eq!(
            refused(|s| s.outputs = vec![output], "outputs[0]"),
            word(name)
        );
        let port = listening(1, name);
        assert_eq!(refused(|s| s.ports = vec![port], "ports[0]"), word(name));
        let user = name.to_owned();
        assert_eq!(refused(|s| s.user = Some(user), "user"), word(name));
    }
    for user in ["a", "1000", "a:b", "1:1"] {
        let service = accepted(|s| s.user = Some(user.to_owned()));
        assert_eq!(service.user.as_deref(), Some(user));
    }
    for (user, part) in [
        (":", ""),
        ("a:", ""),
        (":a", ""),
        ("a:b:c", "b:c"),
        ("a:b c", "b c"),
    ] {
        assert_eq!(
            refused(|s| s.user = Some(user.to_owned()), "user"),
            word(part)
        );
    }
}

#[test]
fn texts_name_only_containers_of_the_app() {
    for part in [wit::Part::Host, wit::Part::Port] {
        for known in ["main", "db", "cache"] {
            accepted(|s| s.env = vec![entry("A", vec![part(known.to_owned())])]);
        }
        let env = vec![entry("A", vec![part("other".to_owned())])];
        let reason = refused(|s| s.env = env, "env[0]");
        assert_eq!(reason, Reason::Container("other".to_owned()));
        let env = vec![entry("A", vec![part("Not a label".to_owned())])];
        let reason = refused(|s| s.env = env, "env[0]");
        assert!(matches!(reason, Reason::Name(_)), "{reason}");
    }
}

#[test]
fn texts_name_only_secrets_that_the_service_declares() {
    let uses = |name: &str| vec![entry("A", vec![wit::Part::Secret(name.to_owned())])];
    let declare = |service: &mut wit::Service| {
        service.secrets = vec![random("own", 8)];
        service.env = uses("own");
    };
    accepted(declare);
    let reason = refused(
        |service| {
            declare(service);
            service.env = uses("other");
        },
        "env[0]",
    );
    assert_eq!(reason, Reason::Undeclared("other".to_owned()));
}

#[test]
fn a_masked_value_is_not_made_of_fixed_characters_alone() {
    let masked = |value| wit::EnvEntry {
        masked: true,
        ..entry("A", value)
    };
    let env = vec![masked(literal("hunter2"))];
    assert_eq!(refused(|s| s.env = env, "env[0]"), Reason::LiteralSecret);
    for value in [
        Vec::new(),
        literal(""),
        [literal("x"), vec![wit::Part::Env("B".to_owned())]].concat(),
    ] {
        accepted(|s| s.env = vec![masked(value)]);
    }
}
