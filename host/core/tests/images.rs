//! The images of an app: which it needs, and the steps that provide them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use doprax_core::blueprint::ImageIdentity;
use doprax_core::manifest::{self, Context, KnownPlugin};
use doprax_core::name::{AppName, PluginName};
use doprax_core::plan::{Plan, Rebuild};
use doprax_core::proposal::{FoundImage, Fresh, Images, Understood, provide};
use doprax_core::service::ServiceDescription;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

const MANIFEST: &str = "\
main:
services:
  - redis:
  - redis:
      name: cache
      image: own.example/cache:2
";

fn understood() -> Understood {
    let app = AppName::new("shop").unwrap();
    let plugins = [KnownPlugin {
        name: PluginName::new("redis").unwrap(),
        aliases: Vec::new(),
    }];
    let context = Context {
        file_name: "doprax.yaml",
        default_app: Some(&app),
        plugins: &plugins,
    };
    let manifest = manifest::parse(MANIFEST.as_bytes(), &context).unwrap();
    let description: ServiceDescription = serde_json::from_value(json!({
        "image": "redis:7", "env": [], "entrypoint": null, "command": null, "user": null,
        "files": [], "volumes": [], "ports": [], "probes": [], "ready_timeout_ms": 0,
        "judged": false, "reload": null, "after_main": false, "shm_size": null, "ulimits": [],
        "capabilities": [], "stop_signal": null, "stop_grace_ms": 0, "resources": {},
        "secrets": [], "outputs": [], "notes": [],
    }))
    .unwrap();
    let none = BTreeMap::new();
    let Ok(understood) = Understood::new(manifest, (None, None), &plugins, &none, |_, _, _| {
        Ok::<_, Infallible>(Ok(description.clone()))
    });
    understood.unwrap()
}

/// One line for each step: what it does, and after which it comes.
fn text(plan: &Plan) -> String {
    let steps = plan.steps.iter();
    // None of these steps names a container.
    let lines = steps.map(|planned| {
        let what = planned.step.text(&|container| format!("{container:?}"));
        format!("{what} {:?}\n", planned.after)
    });
    lines.collect()
}

fn steps(images: &Images, fresh: &Fresh) -> String {
    let understood = understood();
    let source = understood.source(&"1".repeat(64));
    text(&provide(&understood, images, fresh, &source, "shop:1"))
}

/// The engine has these, and main's if it was built.
fn found(references: &[&str], is_built: bool) -> Images {
    let image = |id: &str| FoundImage {
        identity: ImageIdentity {
            id: id.to_owned(),
            digest: None,
            adopted: false,
        },
        ports: Vec::new(),
        volumes: Vec::new(),
    };
    let references = references.iter();
    let services = references.map(|reference| ((*reference).to_owned(), image(reference)));
    let main = is_built.then(|| ("shop:1".to_owned(), image("main")));
    Images::new(services.collect(), main)
}

#[test]
fn an_image_that_the_manifest_names_takes_the_place_of_the_plugins() {
    let expected = BTreeSet::from(["own.example/cache:2", "redis:7"]);
    assert_eq!(understood().references(), expected);
}

#[test]
fn what_the_engine_lacks_is_pulled_and_built() {
    let fresh = Fresh::default();
    let nothing = steps(&Images::default(), &fresh);
    let build = nothing.lines().last().unwrap();
    assert!(build.starts_with("build main from"), "{nothing}");
    assert_eq!(
        nothing,
        format!("pull own.example/cache:2 []\npull redis:7 []\n{build}\n")
    );
    assert_eq!(
        steps(&found(&["redis:7"], true), &fresh),
        "pull own.example/cache:2 []\n"
    );
    let all = ["redis:7", "own.example/cache:2"];
    assert_eq!(steps(&found(&all, true), &fresh), "");
    assert_eq!(steps(&found(&all, false), &fresh), format!("{build}\n"));
    let again = Fresh {
        rebuild: Rebuild::Cached,
        ..Fresh::default()
    };
    assert_eq!(steps(&found(&all, true), &again), format!("{build}\n"));
}

#[test]
fn what_main_is_built_on_is_there_before_it_is_built() {
    let fresh = Fresh {
        pulls: [("debian:12".to_owned(), "sha256:2".to_owned())].into(),
        bases: [("debian:12".to_owned(), None)].into(),
        ..Fresh::default()
    };
    let steps = steps(&found(&["redis:7"], false), &fresh);
    let lines: Vec<&str> = steps.lines().collect();
    assert_eq!(
        lines[..2],
        ["pull debian:12 []", "pull own.example/cache:2 []"]
    );
    assert!(lines[2].starts_with("build main from"), "{steps}");
    assert!(lines[2].ends_with(" [0]"), "{steps}");
}
