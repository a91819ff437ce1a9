//! The built-in plugins, through the same door as any other.

use doprax_core::name::ServiceName;
use doprax_core::probe::{Observation, Verdict};
use doprax_core::secret::SecretName;
use doprax_core::service::{AppContext, DescribeRequest};
use doprax_plugin::{BUILTIN, DescribeError, Error, Limits, Plugins, Source, inspect};
use serde_json::json;
use std::path::Path;
use std::sync::LazyLock;

/// One set of plugins for all tests; compiling them takes a while without
/// optimisation.
static PLUGINS: LazyLock<Plugins> =
    LazyLock::new(|| Plugins::open(None, BUILTIN, Limits::default()).expect("all load"));

fn request(name: &str, settings: serde_json::Value) -> DescribeRequest {
    let name = ServiceName::new(name).expect("a label");
    DescribeRequest {
        name: name.clone(),
        version: None,
        image: None,
        port: None,
        settings,
        env_names: Vec::new(),
        volumes: Vec::new(),
        file_paths: Vec::new(),
        app: AppContext {
            name: "shop".to_owned(),
            main_volumes: Vec::new(),
            services: vec![(name, "any".to_owned())],
        },
    }
}

#[test]
fn every_plugin_says_what_it_is() {
    let known: Vec<_> = PLUGINS
        .known()
        .map(|info| {
            json!({
                "names": info.names().collect::<Vec<_>>(),
                "grants": info.grants,
                "judges": info.judges,
                "reloads": info.reloads,
            })
        })
        .collect();
    insta::assert_json_snapshot!(known);
    for info in PLUGINS.known() {
        assert!(info.size <= 150_000, "{} has {} bytes", info.id, info.size);
        assert_eq!(info.digest.len(), 64);
        assert!(
            info.settings["additionalProperties"] == json!(false),
            "{}",
            info.id
        );
        for import in &info.imports {
            assert!(import.starts_with("wasi:"), "{import}");
        }
    }
}

#[test]
fn every_plugin_describes_a_service() {
    for name in PLUGINS.names() {
        let image = (name == "container").then(|| "example/worker:1".to_owned());
        let request = DescribeRequest {
            image,
            ..request("one", json!({}))
        };
        let service = PLUGINS
            .describe(name, &request)
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(service.outputs[0].name, "host", "{name}");
    }
}

#[test]
fn redis_end_to_end() {
    let service = PLUGINS
        .describe(
            "redis",
            &request("cache", json!({"password": "yes", "max-memory": "64MB"})),
        )
        .expect("described");
    insta::assert_json_snapshot!(service);
    let name = ServiceName::new("cache").expect("a label");
    assert_eq!(service.secrets[0].0, SecretName::plugin(&name, "password"));

    let observed = |output: &str| {
        let observation = Observation {
            passed: true,
            status: None,
            output: output.to_owned(),
        };
        PLUGINS
            .judge("redis", None, &name, &[observation])
            .expect("judged")
    };
    assert_eq!(observed("+PONG\r\n"), Verdict::Ready);
    assert!(matches!(
        observed("-LOADING Redis is loading"),
        Verdict::Waiting(_)
    ));
}

#[test]
fn a_plugin_that_does_not_judge_goes_by_whether_all_probes_passed() {
    let info = PLUGINS.known().find(|info| !info.judges);
    let info = info.expect("one that does not judge");
    let name = ServiceName::new("one").expect("a label");
    let judged = |passed: &[bool]| {
        let observed = |(number, passed): (usize, &bool)| Observation {
            passed: *passed,
            status: None,
            output: format!("probe {number}"),
        };
        let observations: Vec<_> = passed.iter().enumerate().map(observed).collect();
        let verdict = PLUGINS.judge(&info.id, None, &name, &observations);
        verdict.expect("judged")
    };
    assert_eq!(judged(&[]), Verdict::Ready);
    assert_eq!(judged(&[true, true]), Verdict::Ready);
    let waiting = |text: &str| Verdict::Waiting(text.to_owned());
    assert_eq!(judged(&[true, false, false]), waiting("probe 1"));
    assert_eq!(judged(&[false]), waiting("probe 0"));
}

#[test]
fn a_plugin_is_found_by_each_of_its_names() {
    for info in PLUGINS.known() {
        for name in info.names() {
            assert_eq!(PLUGINS.info(name).expect("known"), info);
        }
    }
    assert!(PLUGINS.info("redsi").is_err());
    let names: Vec<&str> = PLUGINS.names().collect();
    assert!(
        names.is_sorted() && names.contains(&"postgresql"),
        "{names:?}"
    );
}

#[test]
fn a_file_is_inspected_as_what_is_built_in() {
    let (name, bytes) = BUILTIN[0];
    let file = Path::new("/tmp/plugin.wasm");
    let inspected = inspect(file, bytes, Limits::default()).expect("a plugin");
    assert_eq!(inspected.source, Source::File(file.to_owned()));
    let mut known = PLUGINS.info(name).expect("built in").clone();
    assert_eq!(known.source, Source::BuiltIn);
    assert_eq!((known.size, known.digest.len()), (bytes.len(), 64));
    assert!(!known.imports.is_empty());
    known.source = inspected.source.clone();
    assert_eq!(inspected, known);
}

#[test]
fn nginx_end_to_end() {
    let service = PLUGINS
        .describe("nginx", &request("nginx", json!({})))
        .expect("described");
    insta::assert_json_snapshot!(service);
}

#[test]
fn the_same_request_gives_the_same_answer() {
    let ask = || {
        PLUGINS
            .describe("redis", &request("redis", json!({})))
            .expect("described")
    };
    assert_eq!(ask(), ask());
}

#[test]
fn objections_point_at_the_setting() {
    let refused = |settings| match PLUGINS.describe("redis", &request("redis", settings)) {
        Err(DescribeError::Diagnostics(diagnostics)) => diagnostics,
        other => panic!("expected objections, got {other:?}"),
    };
    let wrong = refused(json!({"max-memry": "1g"}));
    assert_eq!(wrong[0].path, ["max-memry"]);
    assert_eq!(wrong[0].help.as_deref(), Some("did you mean `max-memory`?"));
    let wrong = refused(json!({"append-only": "perhaps"}));
    assert_eq!(
        wrong[0].message,
        "expected true or false, found \"perhaps\""
    );
}

#[test]
fn a_version_that_is_no_tag_is_refused() {
    let request = DescribeRequest {
        version: Some("7 4".to_owned()),
        ..request("redis", json!({}))
    };
    match PLUGINS.describe("redis", &request) {
        Err(DescribeError::Diagnostics(diagnostics)) => {
            assert_eq!(diagnostics[0].message, "\"7 4\" is not an image tag");
        }
        other => panic!("expected objections, got {other:?}"),
    }
}

#[test]
fn an_unknown_plugin_is_answered_with_those_that_exist() {
    match PLUGINS.describe("redsi", &request("redsi", json!({}))) {
        Err(DescribeError::Plugin(Error::Unknown { known, .. })) => {
            assert!(known.contains(&"redis".to_owned()));
        }
        other => panic!("expected an unknown plugin, got {other:?}"),
    }
}
