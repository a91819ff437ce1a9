//! Each bound of an answer from both sides, and what grants allow.

use super::*;

/// Changes an answer.
type Change = fn(&mut wit::Service);
/// Puts this many entries into a list of an answer.
type Fill = fn(&mut wit::Service, usize);

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
    fn number(index: usize) -> String {
        format!("n{index}")
    }
    fn path(index: usize) -> String {
        format!("/{index}")
    }
    fn output(index: usize) -> wit::Output {
        wit::Output {
            name: number(index),
            value: Vec::new(),
        }
    }
    let fill: [(&str, Fill); 9] = [
        ("secrets", |s, n| {
            s.secrets = (0..n).map(|i| random(&number(i), 8)).collect()
        }),
        ("env", |s, n| {
            s.env = (0..n).map(|i| entry(&number(i), Vec::new())).collect()
        }),
        ("files", |s, n| {
            s.files = (0..n).map(|i| file(&path(i), 0, Vec::new())).collect();
        }),
        ("volumes", |s, n| {
            s.volumes = (0..n).map(|i| volume("data", &path(i))).collect();
        }),
        ("probes", |s, n| s.probes = vec![probe(http("/")); n]),
        ("outputs", |s, n| s.outputs = (0..n).map(output).collect()),
        ("ports", |s, n| {
            s.ports = (1..=n as u16).map(|i| listening(i, "a")).collect();
        }),
        ("capabilities", |s, n| {
            s.capabilities = vec![wit::Capability::SysNice; n]
        }),
        ("notes", |s, n| s.notes = (0..n).map(number).collect()),
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
    let twice: [(&str, &str, Change); 7] = [
        ("secrets", "a", |s| {
            s.secrets = vec![random("a", 8), random("a", 9)]
        }),
        ("env", "A", |s| {
            s.env = vec![entry("A", Vec::new()), entry("A", literal("x"))]
        }),
        ("files", "/a", |s| {
            s.files = vec![file("/a", 0, Vec::new()); 2];
        }),
        ("volumes", "/a", |s| {
            s.volumes = vec![volume("one", "/a"), volume("two", "/a")];
        }),
        ("outputs", "host", |s| {
            let output = wit::Output {
                name: "host".to_owned(),
                value: Vec::new(),
            };
            s.outputs = vec![output; 2];
        }),
        ("ports", "80/tcp", |s| {
            s.ports = vec![listening(80, "a"), listening(80, "b")]
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
    let file = |path: &str, mode| vec![file(path, mode, Vec::new())];
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
    let volume = |name: &str, path: &str| vec![volume(name, path)];
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
    let zero = match http("/") {
        wit::Check::Http(check) => wit::Check::Http(wit::HttpCheck { port: 0, ..check }),
        other => other,
    };
    assert_eq!(wrong(zero), outside(0, 1, 65_535));
    for path in ["ready", "/a b"] {
        assert_eq!(wrong(http(path)), Reason::Path(path.to_owned()));
    }
    assert_eq!(wrong(http("/a\r\nHost: b")), Reason::Control);
    assert_eq!(wrong(wit::Check::Log(String::new())), Reason::Empty);
    assert_eq!(wrong(exec(&[], Vec::new())), Reason::Empty);
}

#[test]
fn an_http_check_has_a_host_fields_and_statuses() {
    let service = accepted(|s| {
        s.probes = asking(|check| {
            check.tls = true;
            check.host = Some("db.example:8443".to_owned());
            check.headers = vec![header("accept", "text/plain"), header("x-empty", "")];
            check.statuses = vec![statuses(200, 299), statuses(401, 401)];
        });
    });
    let expected = CheckTemplate::Http {
        port: 80,
        path: "/".to_owned(),
        tls: true,
        host: Some("db.example:8443".to_owned()),
        headers: [("accept", "text/plain"), ("x-empty", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        status: vec![(200, 299), (401, 401)],
    };
    assert_eq!(service.probes[0].check, expected);

    let wrong = |change: &dyn Fn(&mut wit::HttpCheck)| {
        refused(|s| s.probes = asking(|check| change(check)), "probes[0]")
    };
    let long = "a".repeat(256);
    for host in ["", "a b", "a/b", "a\r\nb: c", long.as_str()] {
        let reason = wrong(&|check| check.host = Some(host.to_owned()));
        assert!(matches!(reason, Reason::Word(_)), "{host:?}: {reason}");
    }
    for name in [
        "",
        "Accept",
        "a b",
        "a:",
        "a\r\n",
        "host",
        "transfer-encoding",
    ] {
        let reason = wrong(&|check| check.headers = vec![header(name, "")]);
        assert_eq!(reason, Reason::Word(name.to_owned()));
    }
    for value in ["a\r\nb: c", "\0", "é"] {
        let reason = wrong(&|check| check.headers = vec![header("a", value)]);
        assert_eq!(reason, Reason::Control, "{value:?}");
    }
    let long = "a".repeat(4097);
    let reason = wrong(&|check| check.headers = vec![header("a", &long)]);
    assert_eq!(reason, Reason::Long(4096));
    let reason = wrong(&|check| check.headers = vec![header("a", ""); 2]);
    assert_eq!(reason, Reason::Twice("a".to_owned()));
    let reason = wrong(&|check| check.statuses = vec![statuses(199, 299)]);
    assert_eq!(reason, outside(199, 200, 299));
    let reason = wrong(&|check| check.statuses = vec![statuses(200, 600)]);
    assert_eq!(reason, outside(600, 200, 599));
    let reason = wrong(&|check| check.statuses = vec![statuses(300, 200)]);
    assert_eq!(reason, outside(300, 200, 200));
    let reason = wrong(&|check| check.statuses = vec![statuses(200, 200); 257]);
    assert_eq!(reason, Reason::Many(256));
}

fn header(name: &str, value: &str) -> wit::Header {
    wit::Header {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

fn statuses(first: u16, last: u16) -> wit::StatusRange {
    wit::StatusRange { first, last }
}

#[test]
fn a_command_of_a_check_has_a_user() {
    let by = |user: &str| {
        let wit::Check::Exec(check) = exec(&["x"], Vec::new()) else {
            unreachable!("a command")
        };
        let user = Some(user.to_owned());
        vec![probe(wit::Check::Exec(wit::ExecCheck { user, ..check }))]
    };
    let service = accepted(|s| s.probes = by("postgres:1"));
    let CheckTemplate::Exec { user, .. } = &service.probes[0].check else {
        panic!("{:?}", service.probes)
    };
    assert_eq!(user.as_deref(), Some("postgres:1"));
    let reason = refused(|s| s.probes = by("a b"), "probes[0]");
    assert_eq!(reason, Reason::Word("a b".to_owned()));
}

#[test]
fn a_restart_comes_after_1_to_100_rounds_a_second_apart_or_more() {
    let alive = |interval_ms, failures| {
        move |s: &mut wit::Service| {
            s.alive = Some(wit::Liveness {
                interval_ms,
                failures,
            });
        }
    };
    let expected = Liveness {
        interval_ms: 1000,
        failures: 100,
    };
    assert_eq!(accepted(alive(1000, 100)).alive, Some(expected));
    accepted(alive(3_600_000, 1));
    let reason = refused(alive(999, 1), "alive");
    assert_eq!(reason, outside(999, 1000, 3_600_000));
    for failures in [0, 101] {
        let reason = refused(alive(1000, failures), "alive");
        assert_eq!(reason, outside(failures.into(), 1, 100));
    }
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
            s.ports = vec![listening(number, "a")];
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
fn udp_has_neither_tls_nor_visitors() {
    let udp = wit::PortEntry {
        transport: wit::Transport::Udp,
        ..listening(53, "dns")
    };
    // Beside the same number by TCP.
    accepted(|s| s.ports = vec![listening(53, "dns"), udp.clone()]);
    let tls = wit::PortEntry {
        tls: true,
        ..udp.clone()
    };
    let of = |audience| wit::PortEntry {
        audience,
        ..udp.clone()
    };
    for port in [
        tls,
        of(wit::Audience::Visitors),
        of(wit::Audience::Operators),
    ] {
        assert_eq!(refused(|s| s.ports = vec![port], "ports[0]"), Reason::Udp);
    }
}

#[test]
fn the_owner_of_a_volume_is_a_user_who_may_write_it() {
    let of = |owner: &str, read_only| {
        vec![wit::Volume {
            owner: Some(owner.to_owned()),
            read_only,
            ..volume("data", "/data")
        }]
    };
    let service = accepted(|s| s.volumes = of("999:tape", false));
    let expected = [("/data".to_owned(), "999:tape".to_owned())].into();
    assert_eq!(service.runtime.owners, expected);
    let reason = refused(|s| s.volumes = of("a b", false), "volumes[0]");
    assert_eq!(reason, Reason::Word("a b".to_owned()));
    let reason = refused(|s| s.volumes = of("999", true), "volumes[0]");
    assert_eq!(reason, Reason::OnlyRead);
}

#[test]
fn a_folder_in_memory_is_bounded_and_hides_nothing() {
    let folder = |path: &str, size, mode| {
        vec![wit::Tmpfs {
            path: path.to_owned(),
            size,
            mode,
        }]
    };
    accepted(|s| s.tmpfs = folder("/run", 4096, 0));
    accepted(|s| s.tmpfs = folder("/run", 1 << 40, 0o1777));
    for size in [4095, (1 << 40) + 1] {
        let reason = refused(|s| s.tmpfs = folder("/run", size, 0), "tmpfs[0]");
        assert_eq!(reason, outside(size, 4096, 1 << 40));
    }
    let reason = refused(|s| s.tmpfs = folder("/run", 4096, 0o2000), "tmpfs[0]");
    assert_eq!(reason, outside(0o2000, 0, 0o1777));
    for path in ["run", "/", "/a:exec", "/a,b"] {
        let reason = refused(|s| s.tmpfs = folder(path, 4096, 0), "tmpfs[0]");
        assert_eq!(reason, Reason::Path(path.to_owned()));
    }
    let twice = [folder("/run", 4096, 0), folder("/run", 4096, 0)].concat();
    let reason = refused(|s| s.tmpfs = twice, "tmpfs");
    assert_eq!(reason, Reason::Twice("/run".to_owned()));
    // Beside what only begins alike.
    accepted(|s| {
        s.files = vec![file("/runner/a", 0, Vec::new())];
        s.tmpfs = folder("/run", 4096, 0);
    });
    let reason = refused(
        |s| {
            s.files = vec![file("/run/a/b", 0, Vec::new())];
            s.tmpfs = folder("/run", 4096, 0);
        },
        "tmpfs[0]",
    );
    assert_eq!(reason, Reason::Hidden("/run/a/b".to_owned()));
    let reason = refused(
        |s| {
            s.volumes = vec![volume("data", "/run")];
            s.tmpfs = folder("/run", 4096, 0);
        },
        "tmpfs[0]",
    );
    assert_eq!(reason, Reason::Hidden("/run".to_owned()));
}

#[test]
fn a_kernel_parameter_has_one_to_four_numbers() {
    let sysctl = |value: &str| {
        vec![wit::Sysctl {
            name: wit::SysctlName::KernelSem,
            value: value.to_owned(),
        }]
    };
    for value in ["1", "250 32000 100 128", "12345678901234567890"] {
        accepted(|s| s.sysctls = sysctl(value));
    }
    for value in [
        "",
        "-1",
        "1  2",
        "1\t2",
        "a",
        "1 2 3 4 5",
        "123456789012345678901",
    ] {
        let reason = refused(|s| s.sysctls = sysctl(value), "sysctls[0]");
        assert_eq!(reason, Reason::Numbers(value.to_owned()));
    }
    let twice = [sysctl("1"), sysctl("2")].concat();
    let reason = refused(|s| s.sysctls = twice, "sysctls");
    assert_eq!(reason, Reason::Twice("kernel.sem".to_owned()));
}

#[test]
fn a_process_has_groups_and_a_folder_that_can_be() {
    let reason = refused(|s| s.groups = vec!["a b".to_owned()], "groups[0]");
    assert_eq!(reason, Reason::Word("a b".to_owned()));
    let reason = refused(|s| s.groups = vec!["a".to_owned(); 2], "groups");
    assert_eq!(reason, Reason::Twice("a".to_owned()));
    let folder = Some("srv".to_owned());
    let reason = refused(|s| s.working_directory = folder, "working-directory");
    assert_eq!(reason, Reason::Path("srv".to_owned()));
    let files = vec![wit::File {
        owner: wit::FileOwner::Named("a b".to_owned()),
        ..file("/a", 0, Vec::new())
    }];
    let reason = refused(|s| s.files = files, "files[0]");
    assert_eq!(reason, Reason::Word("a b".to_owned()));
}

fn asking(change: impl FnOnce(&mut wit::HttpCheck)) -> Vec<wit::Probe> {
    let wit::Check::Http(mut check) = http("/") else {
        unreachable!("an HTTP check")
    };
    change(&mut check);
    vec![probe(wit::Check::Http(check))]
}

fn secret(source: wit::SecretSource) -> wit::Secret {
    wit::Secret {
        name: "a".to_owned(),
        source,
    }
}

#[test]
fn a_secret_of_bytes_has_8_to_1024_of_them() {
    let bytes = |count| {
        secret(wit::SecretSource::Bytes(wit::RandomBytes {
            count,
            encoding: wit::Encoding::Base64url,
        }))
    };
    for count in [8, 1024] {
        let source = SecretSource::Bytes {
            count,
            encoding: Encoding::Base64url,
        };
        assert_eq!(
            accepted(|s| s.secrets = vec![bytes(count)]).secrets[0].1,
            source
        );
    }
    for count in [7, 1025] {
        let reason = refused(|s| s.secrets = vec![bytes(count)], "secrets[0]");
        assert_eq!(reason, outside(count.into(), 8, 1024));
    }
}

#[test]
fn a_derived_secret_is_made_of_one_that_is_not() {
    let derived = |name: &str, of: &str| wit::Secret {
        name: name.to_owned(),
        source: wit::SecretSource::Derived(wit::DerivedSecret {
            secret: of.to_owned(),
            derivation: wit::Derivation::Bcrypt,
        }),
    };
    let service = accepted(|s| s.secrets = vec![derived("hash", "own"), random("own", 8)]);
    let source = SecretSource::Derived {
        from: SecretName::plugin(&name("db"), "own"),
        derivation: Derivation::Bcrypt,
    };
    assert_eq!(service.secrets[0].1, source);
    let secrets = vec![derived("hash", "other")];
    let reason = refused(|s| s.secrets = secrets, "secrets[0]");
    assert_eq!(reason, Reason::Undeclared("other".to_owned()));
    let secrets = vec![derived("a", "b"), derived("b", "a")];
    let reason = refused(|s| s.secrets = secrets, "secrets[0]");
    assert_eq!(reason, Reason::Derived("b".to_owned()));
}

/// It is the service's by name: no plugin gets a value that is meant for something else.
#[test]
fn a_given_secret_is_a_variable_of_the_service() {
    let service = accepted(|s| {
        s.secrets = vec![wit::Secret {
            name: "licence-key".to_owned(),
            source: wit::SecretSource::Given("a key from the maker".to_owned()),
        }];
        s.env = vec![entry(
            "KEY",
            vec![wit::Part::Secret("licence-key".to_owned())],
        )];
    });
    let name = SecretName::variable("DB_LICENCE_KEY");
    assert_eq!(service.secrets, [(name.clone(), SecretSource::Given)]);
    assert_eq!(service.given[&name], "a key from the maker");
    assert_eq!(service.env[0].value, Template::secret(name));
    let secrets = vec![secret(wit::SecretSource::Given("a\nb".to_owned()))];
    let reason = refused(|s| s.secrets = secrets, "secrets[0]");
    assert_eq!(reason, Reason::Control);
}

#[test]
fn a_service_goes_by_others_than_itself_and_main() {
    let output = |service: &str, output: &str| {
        vec![entry(
            "A",
            vec![wit::Part::Output(wit::OutputOf {
                service: service.to_owned(),
                output: output.to_owned(),
            })],
        )]
    };
    let service = accepted(|s| {
        s.env = output("cache", "url");
        s.needs = vec!["cache".to_owned()];
    });
    assert_eq!(service.needs, [name("cache")]);
    let part = TemplatePart::Output {
        service: name("cache"),
        output: "url".to_owned(),
    };
    assert_eq!(service.env[0].value, Template(vec![part]));
    for other in ["main", "db"] {
        let reason = Reason::Neighbour(other.to_owned());
        let needs = vec![other.to_owned()];
        assert_eq!(refused(|s| s.needs = needs, "needs[0]"), reason);
        assert_eq!(refused(|s| s.env = output(other, "url"), "env[0]"), reason);
    }
    let unknown = Reason::Container("other".to_owned());
    let needs = vec!["other".to_owned()];
    assert_eq!(refused(|s| s.needs = needs, "needs[0]"), unknown);
    assert_eq!(
        refused(|s| s.env = output("other", "url"), "env[0]"),
        unknown
    );
    let reason = refused(|s| s.env = output("cache", "a b"), "env[0]");
    assert_eq!(reason, Reason::Word("a b".to_owned()));
    let needs = vec!["cache".to_owned(); 2];
    let reason = refused(|s| s.needs = needs, "needs");
    assert_eq!(reason, Reason::Twice("cache".to_owned()));
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
