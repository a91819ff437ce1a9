//! Every text as people read it.

use super::{of_error, of_problem, of_refusal};
use crate::args;
use doprax_api::server::Refusal;
use doprax_core::cause::Cause;
use doprax_core::name::{AppName, ServiceName, VolumeName};
use doprax_core::subnet::PoolExhausted;
use doprax_reconcile::report::Problem;
use doprax_reconcile::{EngineError, Error, Foreign};
use std::time::Duration;

fn app() -> AppName {
    AppName::new("shop").unwrap()
}

fn service(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

fn volume(name: &str) -> VolumeName {
    VolumeName::new(name).unwrap()
}

fn cause() -> Box<Cause> {
    Box::new(Cause {
        text: "its memory ran out".to_owned(),
        help: "give it more".to_owned(),
    })
}

fn not_ready(container: &str, seconds: Option<u64>, ended: bool, log: &[&str]) -> Error {
    Error::NotReady {
        container: service(container),
        seconds,
        ended,
        reason: "why".to_owned(),
        cause: None,
        log: log.iter().map(|&line| line.to_owned()).collect(),
    }
}

/// Each error that something can be done about, and what that is.
fn errors() -> Vec<(Error, &'static str)> {
    let app = app();
    let text = str::to_owned;
    let names = |all: &[&str]| all.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let engine = |error: EngineError| Error::Engine(error);
    let foreign = |source| EngineError::Foreign {
        action: text("create it"),
        source,
    };
    let build_failed = || EngineError::BuildFailed {
        step: text("RUN make"),
        output: Vec::new(),
        reason: text("exit code 2"),
    };
    vec![
        (
            Error::NoApp { app: app.clone() },
            "doprax apps lists what is deployed",
        ),
        (
            Error::NoContainer {
                app: app.clone(),
                container: service("db"),
                known: vec![service("main"), service("redis")],
            },
            "it has main, redis",
        ),
        (
            Error::Outdated { app: app.clone() },
            "doprax up shows what it takes now, and asks again",
        ),
        (
            Error::NotDeployed { app: app.clone() },
            "deploy it with doprax up",
        ),
        (
            Error::NoSubnet(PoolExhausted {
                prefix: 24,
                pool: Vec::new(),
            }),
            "give the host a larger pool (doprax serve --pool CIDR), or remove apps",
        ),
        (
            Error::Explained {
                action: text("start main"),
                cause: cause(),
                source: build_failed(),
            },
            "give it more",
        ),
        (
            Error::BuildTimeout {
                limit: Duration::from_secs(60),
                output: Vec::new(),
            },
            "the last lines of the build are above; where it only needs longer: doprax serve --build-timeout",
        ),
        (
            Error::BuiltImageGone,
            "something removes images from the engine; deploy again",
        ),
        (
            engine(EngineError::Unreachable {
                address: text("unix:///nowhere"),
                source: "refused".into(),
            }),
            "is Docker running? doprax doctor tells more",
        ),
        (
            engine(EngineError::ImageMissing {
                reference: text("redis:nine"),
                reason: text("not found"),
            }),
            "check the name and the tag; an image that exists only here must be built or loaded on this machine",
        ),
        (
            engine(build_failed()),
            "correct the Dockerfile or what it copies, then run doprax up again",
        ),
        (
            engine(foreign(Foreign::Container)),
            "remove it, or give this host a name of its own (doprax serve --instance NAME)",
        ),
        (
            engine(foreign(Foreign::App)),
            "give this host a name of its own (doprax serve --instance NAME) or the app another name",
        ),
        (
            Error::NoRelease {
                app: app.clone(),
                number: 9,
                known: Vec::new(),
            },
            "doprax releases shop shows those that it has",
        ),
        (
            Error::NoRelease {
                app: app.clone(),
                number: 9,
                known: vec![4, 3],
            },
            "it has 4, 3",
        ),
        (
            Error::NoEarlierRelease {
                app: app.clone(),
                current: 1,
            },
            "doprax releases shop shows those that it has",
        ),
        (
            Error::CurrentRelease {
                app: app.clone(),
                number: 3,
            },
            "doprax releases shop shows the others",
        ),
        (
            Error::LostRelease {
                app: app.clone(),
                number: 3,
                reason: text("the file abc is gone"),
            },
            "deploy its source again with doprax up",
        ),
        (
            Error::Downgrade {
                app: app.clone(),
                to: 3,
                services: Vec::new(),
            },
            "volumes are never rolled back. Deploy what else that release had with the present version, or, where you know that the older version reads the data: doprax rollback shop 3 --allow-downgrade",
        ),
        (
            Error::NoVolume {
                app: app.clone(),
                volume: volume("data"),
            },
            "doprax volume list shows every volume",
        ),
        (
            Error::VolumeInUse {
                app: app.clone(),
                volume: volume("data"),
                users: text("main"),
            },
            "take it out of doprax.yaml and deploy, or remove the app (doprax remove shop), then remove the volume",
        ),
        (
            Error::VolumeExists {
                app: app.clone(),
                volume: volume("data"),
            },
            "doprax volume remove shop \"data\" takes it and its data away, once nothing mounts it",
        ),
        (
            Error::VolumeGone {
                app: app.clone(),
                containers: vec![service("mysql")],
                volumes: vec![
                    (volume("data"), text("doprax_shop_data")),
                    (volume("my log"), text("doprax_shop_log")),
                ],
            },
            "bring it back (docker volume create doprax_shop_data doprax_shop_log, then restore its data), or accept an empty one: doprax volume recreate shop \"data\"; doprax volume recreate shop \"my log\"",
        ),
        (
            Error::VariableInUse {
                app: app.clone(),
                name: text("KEY"),
            },
            "take it out of doprax.yaml and deploy, then unset it",
        ),
        (
            Error::NoValues {
                app: app.clone(),
                file_name: text("doprax.yaml"),
                names: names(&["KEY", "TOKEN"]),
                asked: Default::default(),
            },
            "set them in the environment of this command (KEY=… doprax up), or keep them with the app: doprax secret set shop KEY",
        ),
        (
            Error::NoValues {
                app: app.clone(),
                file_name: text("doprax.yaml"),
                names: names(&["DB_LICENCE_KEY"]),
                asked: [(text("DB_LICENCE_KEY"), text("a key from the maker"))].into(),
            },
            "keep them with the app: doprax secret set shop DB_LICENCE_KEY",
        ),
        (
            Error::LongVariable {
                container: service("main"),
                name: text("KEY"),
                bytes: 200 << 10,
            },
            "put its value into a file (`files:` in doprax.yaml) or a volume, and name its path in the variable",
        ),
        (
            Error::NoDomain {
                app: app.clone(),
                name: text("example.com"),
                known: Vec::new(),
            },
            "doprax domain add shop NAME gives it one",
        ),
        (
            Error::NoDomain {
                app: app.clone(),
                name: text("example.com"),
                known: names(&["a.example", "b.example"]),
            },
            "it has a.example, b.example",
        ),
        (
            Error::DomainTaken {
                name: text("example.com"),
                app: app.clone(),
            },
            "doprax domain remove shop example.com takes it from there, or, where the doprax.yaml of shop names it, a deploy without it",
        ),
        (
            Error::DomainInUse {
                app: app.clone(),
                name: text("example.com"),
            },
            "take it out of doprax.yaml and deploy",
        ),
        (
            Error::NotADomain {
                name: text("https://example.com/"),
            },
            "write `example.com`, in lower case and without protocol, port and path",
        ),
        (
            Error::FreeDomain {
                name: text("a.apps.example"),
                base: text("apps.example"),
            },
            "name the app so that its address is the wanted one (APP.apps.example), or use another domain",
        ),
        (
            Error::Busy {
                app: app.clone(),
                operation: text("op-1"),
            },
            "follow it with doprax operation op-1",
        ),
        (
            Error::QueueFull {
                app: app.clone(),
                waiting: 16,
            },
            "doprax operation list shop shows them; doprax operation cancel ID takes one out",
        ),
        (
            Error::Ended {
                operation: text("op-1"),
            },
            "doprax operation op-1 shows how it ended",
        ),
        (
            Error::NotSettled {
                container: service("main"),
                reason: text("why"),
                cause: Some(cause()),
                log: Vec::new(),
            },
            "give it more. The copy before it goes on serving",
        ),
        (
            Error::NotSettled {
                container: service("main"),
                reason: text("why"),
                cause: None,
                log: Vec::new(),
            },
            "look at the log above; main listened before it could work, and the copy before it goes on serving",
        ),
        (
            Error::NotReady {
                container: service("main"),
                seconds: Some(60),
                ended: true,
                reason: text("why"),
                cause: Some(cause()),
                log: Vec::new(),
            },
            "give it more",
        ),
        (
            not_ready("main", None, true, &["a line"]),
            "its process ends by itself; the log above says why",
        ),
        (
            not_ready("main", None, true, &[]),
            "its process ends by itself; it printed nothing",
        ),
        (
            not_ready("main", Some(300), false, &["a line"]),
            "look at the log above; where main only needs longer, raise its timeout (main: health: { timeout: 600s })",
        ),
        (
            not_ready("redis", Some(60), false, &["a line"]),
            "look at the log above; where redis only needs longer, raise its timeout (services: redis: health: { timeout: 600s })",
        ),
        (
            not_ready("main", None, false, &["a line"]),
            "look at the log above",
        ),
    ]
}

/// Each problem that `doctor` finds.
fn problems() -> Vec<(Problem, &'static str)> {
    vec![
        (
            Problem::EngineAway,
            "start it (systemctl start docker), or say where it is: doprax serve --engine unix:///PATH",
        ),
        (Problem::EngineOld, "update it to Docker 20.10 or newer"),
        (Problem::NoBuildKit, "update Docker"),
        (
            Problem::NoLimits,
            "enable the cgroup controllers in the kernel's command line",
        ),
        (
            Problem::NoInit,
            "install docker-init, which comes with Docker, or the package tini",
        ),
        (
            Problem::NoDiskLimit,
            "put the engine's data on XFS mounted with pquota",
        ),
        (
            Problem::LargeBuildCache,
            "docker builder prune empties it; doprax serve --build-cache SIZE bounds it after each build",
        ),
        (Problem::NoState, "check the state folder's disk"),
        (
            Problem::PoolExhausted,
            "doprax serve --pool with a larger network",
        ),
        (
            Problem::PoolRouted,
            "choose a pool that nothing else uses: doprax serve --pool CIDR",
        ),
        (
            Problem::NetworksUnknown,
            "see what doctor says about the engine and the state folder",
        ),
        (
            Problem::Shadowed { app: app() },
            "remove the route, or give the app another network: doprax stop shop, then doprax start shop",
        ),
        (
            Problem::SubnetTaken { app: app() },
            "doprax start shop, or its next deploy, gives it another one",
        ),
        (
            Problem::NotIsolated,
            "run the host as root on the engine's machine with iptables installed, block it by other means, or accept it: doprax serve --allow-metadata",
        ),
        (
            Problem::NamesLost,
            "browsers resolve *.localhost by themselves; for another base domain add a wildcard DNS record",
        ),
    ]
}

#[test]
fn each_error_is_told_with_what_to_do_about_it() {
    for (error, remedy) in errors() {
        assert_eq!(of_error(&error).as_deref(), Some(remedy), "{error:?}");
    }
    for nothing in [
        Error::Cancelled,
        Error::Unplannable {
            message: "why".to_owned(),
        },
    ] {
        assert_eq!(of_error(&nothing), None, "{nothing:?}");
    }
}

#[test]
fn each_problem_is_told_with_what_to_do_about_it() {
    for (problem, remedy) in problems() {
        assert_eq!(of_problem(&problem), remedy, "{problem:?}");
    }
}

#[test]
fn each_refusal_is_told_with_what_to_do_about_it() {
    for (refusal, remedy) in [
        (
            Refusal::NoSuchPath,
            "the host may be older or newer than this client: compare `doprax --version` on both",
        ),
        (
            Refusal::NoToken,
            "set DOPRAX_TOKEN to the content of STATE/api-token on the host's machine",
        ),
        (Refusal::NoHttps, "serve with --https ADDRESS:PORT"),
    ] {
        assert_eq!(of_refusal(refusal), remedy);
    }
}

#[test]
fn the_commands_and_options_in_these_texts_are_there() {
    let program = args::command();
    let errors = errors().into_iter().map(|(_, remedy)| remedy);
    for text in errors.chain(problems().into_iter().map(|(_, remedy)| remedy)) {
        for words in text.split("doprax ").skip(1) {
            let words = words.split([' ', ')', ';', ',']);
            let (command, mut depth) = (&program, 0);
            let command = words.clone().try_fold(command, |command, word| {
                let found = command.find_subcommand(word);
                depth += usize::from(found.is_some());
                found.ok_or(command)
            });
            let command = command.unwrap_or_else(|last| last);
            assert!(depth > 0, "no such command: {text}");
            for option in words.filter_map(|word| word.strip_prefix("--")) {
                let mut known = command.get_arguments().filter_map(clap::Arg::get_long);
                assert!(known.any(|name| name == option), "--{option}: {text}");
            }
        }
    }
}
