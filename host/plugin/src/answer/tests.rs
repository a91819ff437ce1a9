//! What arrives of an answer, and what does not: each bound from both sides.

use super::*;
use doprax_core::service::AppContext;

/// Changes an answer.
type Change = fn(&mut wit::Service);

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
        ports: Vec::new(),
        probes: Vec::new(),
        ready_timeout_ms: 1000,
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
                path: "/etc/redis.conf".to_owned(),
                mode: 0o640,
                content: literal("save\n"),
            }],
            volumes: vec![wit::Mount {
                name: "data".to_owned(),
                path: "/data".to_owned(),
            }],
            ports: vec![wit::PortEntry {
                number: 6379,
                role: "redis".to_owned(),
            }],
            probes: vec![
                wit::Probe {
                    check: tcp(6379, Some("PING\r\n".to_owned())),
                    interval_ms: 20,
                    timeout_ms: 30,
                },
                probe(http("/ready?full=1")),
                probe(wit::Check::Exec(wit::ExecCheck {
                    command: vec!["ping".to_owned()],
                    env: vec![wit::ExecEnv {
                        name: "KEY".to_owned(),
                        value: literal("x"),
                    }],
                })),
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
        }],
        volumes: vec![VolumeDefault {
            path: "/data".to_owned(),
            name: VolumeName::new("data").unwrap(),
        }],
        ports: vec![Port {
            number: 6379,
            role: "redis".to_owned(),
        }],
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
            }),
            probe(CheckTemplate::Exec {
                command: vec!["ping".to_owned()],
                env: vec![("KEY".to_owned(), text("x"))],
            }),
            probe(CheckTemplate::Log {
                contains: "Ready to".to_owned(),
            }),
        ],
        ready_timeout_ms: 2000,
        judged: false,
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
        let exec = wit::ExecCheck {
            command: vec!["x".to_owned()],
            env: vec![wit::ExecEnv {
                name: name.to_owned(),
                value: Vec::new(),
            }],
        };
        let probes = vec![probe(wit::Check::Exec(exec))];
        assert_eq!(refused(|s| s.probes = probes, "probes[0]"), word(name));
        let output = wit::Output {
            name: name.to_owned(),
            value: Vec::new(),
        };
        assert_eq!(
            refused(|s| s.outputs = vec![output], "outputs[0]"),
            word(name)
        );
        let port = wit::PortEntry {
            number: 1,
            role: name.to_owned(),
        };
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

#[test]
fn a_text_has_at_most_1024_parts_and_512_kib() {
    let parts = |count| vec![wit::Part::MainPort; count];
    accepted(|s| s.env = vec![entry("A", parts(1024))]);
    let env = vec![entry("A", parts(1025))];
    assert_eq!(refused(|s| s.env = env, "env[0]"), Reason::Many(1024));

    let most = 512 * 1024;
    let halves =
        |first, second| [literal(&"x".repeat(first)), literal(&"x".repeat(second))].concat();
    accepted(|s| s.env = vec![entry("A", halves(most / 2, most / 2))]);
    let env = vec![entry("A", halves(most / 2, most / 2 + 1))];
    assert_eq!(refused(|s| s.env = env, "env[0]"), Reason::Long(most));
    let env = vec![entry("A", literal("a\0"))];
    assert_eq!(refused(|s| s.env = env, "env[0]"), Reason::Control);
    accepted(|s| s.env = vec![entry("A", literal("a\n\tb"))]);
}

#[test]
fn no_list_has_more_than_256_entries() {
    let number = |index: usize| format!("n{index}");
    let file = |index| wit::File {
        path: format!("/{index}"),
        mode: 0,
        content: Vec::new(),
    };
    let mount = |index| wit::Mount {
        name: "data".to_owned(),
        path: format!("/{index}"),
    };
    let port = |number| wit::PortEntry {
        number,
        role: "a".to_owned(),
    };
    let output = |index| wit::Output {
        name: number(index),
        value: Vec::new(),
    };
    let fill: [(&str, &dyn Fn(&mut wit::Service, usize)); 9] = [
        ("secrets", &|s, n| {
            s.secrets = (0..n).map(|i| random(&number(i), 8)).collect()
        }),
        ("env", &|s, n| {
            s.env = (0..n).map(|i| entry(&number(i), Vec::new())).collect()
        }),
        ("files", &|s, n| s.files = (0..n).map(file).collect()),
        ("volumes", &|s, n| s.volumes = (0..n).map(mount).collect()),
        ("probes", &|s, n| s.probes = vec![probe(http("/")); n]),
        ("outputs", &|s, n| s.outputs = (0..n).map(output).collect()),
        ("ports", &|s, n| {
            s.ports = (1..=n as u16).map(port).collect()
        }),
        ("capabilities", &|s, n| {
            s.capabilities = vec![wit::Capability::SysNice; n]
        }),
        ("notes", &|s, n| s.notes = (0..n).map(number).collect()),
    ];
    for (at, fill) in fill {
        accepted(|service| fill(service, 256));
        assert_eq!(refused(|service| fill(service, 257), at), Reason::Many(256));
    }
    let ulimits = vec![limit(None, None); 257];
    assert_eq!(
        refused(|s| s.ulimits = ulimits, "ulimits"),
        Reason::Many(256)
    );
}

#[test]
fn nothing_is_said_twice() {
    let twice: [(&str, &str, Change); 6] = [
        ("secrets", "service:db:a", |s| {
            s.secrets = vec![random("a", 8), random("a", 9)]
        }),
        ("env", "A", |s| {
            s.env = vec![entry("A", Vec::new()), entry("A", literal("x"))]
        }),
        ("files", "/a", |s| {
            let file = wit::File {
                path: "/a".to_owned(),
                mode: 0,
                content: Vec::new(),
            };
            s.files = vec![file; 2];
        }),
        ("volumes", "/a", |s| {
            let mount = |name: &str| wit::Mount {
                name: name.to_owned(),
                path: "/a".to_owned(),
            };
            s.volumes = vec![mount("one"), mount("two")];
        }),
        ("outputs", "host", |s| {
            let output = wit::Output {
                name: "host".to_owned(),
                value: Vec::new(),
            };
            s.outputs = vec![output; 2];
        }),
        ("ulimits", "nofile", |s| {
            s.ulimits = vec![limit(None, None); 2]
        }),
    ];
    for (at, what, change) in twice {
        assert_eq!(refused(change, at), Reason::Twice(what.to_owned()));
    }
}

#[test]
fn a_file_has_a_path_and_a_mode_without_set_user_id() {
    let file = |path: &str, mode| {
        vec![wit::File {
            path: path.to_owned(),
            mode,
            content: Vec::new(),
        }]
    };
    assert_eq!(
        accepted(|s| s.files = file("/a", 0o777)).files[0].mode,
        0o777
    );
    let reason = refused(|s| s.files = file("/a", 0o1000), "files[0]");
    assert_eq!(reason, outside(0o1000, 0, 0o777));
    let reason = refused(|s| s.files = file("a", 0), "files[0]");
    assert_eq!(reason, Reason::Path("a".to_owned()));
}

#[test]
fn a_volume_has_a_path_and_a_name() {
    let volume = |name: &str, path: &str| {
        vec![wit::Mount {
            name: name.to_owned(),
            path: path.to_owned(),
        }]
    };
    let reason = refused(|s| s.volumes = volume("data", "data"), "volumes[0]");
    assert_eq!(reason, Reason::Path("data".to_owned()));
    let reason = refused(|s| s.volumes = volume("a\nb", "/data"), "volumes[0]");
    assert!(matches!(reason, Reason::Name(_)), "{reason}");
}

#[test]
fn probes_are_bounded() {
    let timed = |interval_ms, timeout_ms| {
        vec![wit::Probe {
            check: http("/"),
            interval_ms,
            timeout_ms,
        }]
    };
    let hour = 3_600_000;
    accepted(|s| s.probes = timed(hour, hour));
    for wrong in [9, hour + 1] {
        for probes in [timed(wrong, 10), timed(10, wrong)] {
            let reason = refused(|s| s.probes = probes, "probes[0]");
            assert_eq!(reason, outside(wrong.into(), 10, hour.into()));
        }
    }
    let wrong = |check: wit::Check| refused(|s| s.probes = vec![probe(check)], "probes[0]");
    accepted(|s| s.probes = vec![probe(tcp(1, Some("x".repeat(4096))))]);
    assert_eq!(wrong(tcp(1, Some("x".repeat(4097)))), Reason::Long(4096));
    assert_eq!(wrong(tcp(0, None)), outside(0, 1, 65_535));
    let zero = wit::HttpCheck {
        port: 0,
        path: "/".to_owned(),
    };
    assert_eq!(wrong(wit::Check::Http(zero)), outside(0, 1, 65_535));
    for path in ["ready", "/a b"] {
        assert_eq!(wrong(http(path)), Reason::Path(path.to_owned()));
    }
    assert_eq!(wrong(http("/a\r\nHost: b")), Reason::Control);
    assert_eq!(wrong(wit::Check::Log(String::new())), Reason::Empty);
    let exec = wit::ExecCheck {
        command: Vec::new(),
        env: Vec::new(),
    };
    assert_eq!(wrong(wit::Check::Exec(exec)), Reason::Empty);
}

#[test]
fn durations_and_sizes_are_bounded() {
    type Set = fn(&mut wit::Service, u64);
    let bounds: [(&str, u64, u64, Set); 3] = [
        ("ready-timeout-ms", 1000, 3_600_000, |s, n| {
            s.ready_timeout_ms = n as u32
        }),
        ("shm-size", 4096, 1 << 40, |s, n| s.shm_size = Some(n)),
        ("resources", 4 << 20, 1 << 50, |s, n| {
            s.resources.memory = Some(n)
        }),
    ];
    let more: [(&str, u64, u64, Set); 3] = [
        ("resources", 4 << 20, 1 << 50, |s, n| {
            s.resources.disk = Some(n)
        }),
        ("resources", 1, 1_000_000, |s, n| {
            s.resources.millicpus = Some(n as u32)
        }),
        ("ports[0]", 1, u16::MAX.into(), |s, n| {
            // One above the highest is none any more.
            let number = if n > u16::MAX.into() { 0 } else { n as u16 };
            s.ports = vec![wit::PortEntry {
                number,
                role: "a".to_owned(),
            }];
        }),
    ];
    for (at, low, high, set) in bounds.into_iter().chain(more) {
        accepted(|service| set(service, low));
        accepted(|service| set(service, high));
        for value in [low - 1, high + 1] {
            let reason = refused(|service| set(service, value), at);
            let value = if at == "ports[0]" { 0 } else { value };
            assert_eq!(reason, outside(value, low, high));
        }
    }
    let grace = |ms| move |service: &mut wit::Service| service.stop_grace_ms = ms;
    assert_eq!(accepted(grace(3_600_000)).stop_grace_ms, 3_600_000);
    let reason = refused(grace(3_600_001), "stop-grace-ms");
    assert_eq!(reason, outside(3_600_001, 0, 3_600_000));
}

#[test]
fn commands_and_notes_are_checked() {
    assert_eq!(
        refused(|s| s.entrypoint = Some(Vec::new()), "entrypoint"),
        Reason::Empty
    );
    assert_eq!(
        refused(|s| s.command = Some(Vec::new()), "command"),
        Reason::Empty
    );
    let notes = vec!["a".to_owned(), "b\nc".to_owned()];
    assert_eq!(refused(|s| s.notes = notes, "notes[1]"), Reason::Control);
}

#[test]
fn a_secret_has_8_to_256_characters_and_a_name_of_its_service() {
    for length in [8, 256] {
        let service = accepted(|s| s.secrets = vec![random("a-0", length)]);
        let name = SecretName::plugin(&name("db"), "a-0");
        assert_eq!(service.secrets, [(name, SecretSource::Random { length })]);
    }
    for length in [7, 257] {
        let reason = refused(|s| s.secrets = vec![random("a", length)], "secrets[0]");
        assert_eq!(reason, outside(length.into(), 8, 256));
    }
    for name in ["", "A", "a_b", "a:b", "a.b"] {
        let reason = refused(|s| s.secrets = vec![random(name, 8)], "secrets[0]");
        assert_eq!(reason, Reason::Word(name.to_owned()));
    }
}

#[test]
fn what_goes_beyond_the_grants_is_refused() {
    let beyond = |what: &str| Reason::NotGranted(what.to_owned());
    let image = |image: &str| {
        let image = image.to_owned();
        move |service: &mut wit::Service| service.image = image
    };
    let reason = refused(image("redis/redis:7"), "image");
    assert_eq!(reason, beyond("docker.io/redis/redis"));
    let reason = refused(image("redis"), "image");
    assert_eq!(reason, Reason::Image("redis".to_owned()));
    let reason = refused(
        |s| s.capabilities = vec![wit::Capability::IpcLock],
        "capabilities[0]",
    );
    assert_eq!(reason, beyond("IPC_LOCK"));
    let ulimit = wit::Ulimit {
        kind: wit::UlimitKind::Core,
        ..limit(None, None)
    };
    assert_eq!(
        refused(|s| s.ulimits = vec![ulimit], "ulimits[0]"),
        beyond("core")
    );
    let none = Grants {
        exec: false,
        ..grants()
    };
    let arguments = vec!["true".to_owned()];
    let reason = granted_command(arguments.clone(), &none).unwrap_err();
    assert_eq!(reason, beyond("to run commands"));
    assert_eq!(granted_command(arguments.clone(), &grants()), Ok(arguments));
}

#[test]
fn the_image_that_a_user_chose_needs_no_grant() {
    let chosen = DescribeRequest {
        image: Some("own.example/redis".to_owned()),
        ..request()
    };
    let with = |image: &str| {
        let image = image.to_owned();
        let answer = wit::Service { image, ..answer() };
        service(answer, &chosen, &grants()).map_err(|wrong| wrong.reason)
    };
    assert_eq!(
        with("own.example/redis").unwrap().image,
        "own.example/redis"
    );
    let other = Reason::NotGranted("own.example/other".to_owned());
    assert_eq!(with("own.example/other:1").unwrap_err(), other);
}

#[test]
fn limits_of_processes_are_numbers_of_the_engine() {
    let most = i64::MAX as u64;
    let service = accepted(|s| s.ulimits = vec![limit(Some(0), Some(most))]);
    let Ulimit { soft, hard, .. } = service.ulimits[0];
    assert_eq!((soft, hard), (0, i64::MAX));
    for limit in [limit(Some(most + 1), None), limit(None, Some(most + 1))] {
        let reason = refused(|s| s.ulimits = vec![limit], "ulimits[0]");
        assert_eq!(reason, outside(most + 1, 0, most));
    }
}

#[test]
fn objections_are_checked() {
    let one = |path: Vec<String>, message: &str, help: Option<&str>| {
        let objection = wit::Diagnostic {
            path,
            message: message.to_owned(),
            help: help.map(str::to_owned),
        };
        diagnostics(vec![objection]).map_err(|wrong| (wrong.at, wrong.reason))
    };
    let path = vec!["a".to_owned(); 256];
    let expected = SettingDiagnostic {
        path: path.clone(),
        message: "no".to_owned(),
        help: Some("try".to_owned()),
    };
    assert_eq!(one(path, "no", Some("try")), Ok(vec![expected]));
    let at = "diagnostics[0]".to_owned();
    let long = vec!["a".to_owned(); 257];
    assert_eq!(one(long, "no", None), Err((at.clone(), Reason::Many(256))));
    for (path, message, help) in [
        ("a\n", "no", None),
        ("a", "no\n", None),
        ("a", "no", Some("\n")),
    ] {
        let found = one(vec![path.to_owned()], message, help);
        assert_eq!(found, Err((at.clone(), Reason::Control)));
    }
    let none = diagnostics(Vec::new()).map_err(|wrong| (wrong.at, wrong.reason));
    assert_eq!(none, Err(("diagnostics".to_owned(), Reason::Empty)));
}
