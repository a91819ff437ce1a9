//! Three manifests as a file: what merging them gives. And what holds for all merges.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use doprax_core::manifest::{self, Context, KnownPlugin};
use doprax_core::merge::{Change, merge};
use doprax_core::name::{AppName, PluginName};
use doprax_core::spec::AppSpec;
use std::collections::BTreeMap;

fn spec(text: &str) -> AppSpec {
    let app = AppName::new("shop").unwrap();
    let names = ["mysql", "redis", "nginx", "container"];
    let plugin = |name| KnownPlugin {
        name: PluginName::new(name).unwrap(),
        aliases: Vec::new(),
    };
    let context = Context {
        file_name: "doprax.yaml",
        default_app: Some(&app),
        plugins: &names.map(plugin),
    };
    manifest::parse(text.as_bytes(), &context)
        .unwrap_or_else(|refused| panic!("{refused}"))
        .spec
}

fn sections(text: &str) -> BTreeMap<&str, AppSpec> {
    let parts = text
        .split("=== ")
        .skip(1)
        .map(|part| part.split_once('\n').unwrap());
    parts.map(|(name, text)| (name, spec(text))).collect()
}

#[test]
fn merges() {
    insta::glob!("merge/*.txt", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let specs = sections(&text);
        let merged = merge(specs.get("base"), specs.get("current"), &specs["new"]);
        let list = |changes: &[Change]| {
            changes
                .iter()
                .map(|change| format!("\n  {change}"))
                .collect::<String>()
        };
        insta::assert_snapshot!(format!(
            "kept:{}\nremoved:{}\n{}",
            list(&merged.kept),
            list(&merged.removed),
            serde_json::to_string_pretty(&merged.spec).unwrap()
        ));
    });
}

/// Applying the same manifest again changes nothing and keeps what was done by hand.
#[test]
fn merging_twice_is_merging_once() {
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/merge")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let specs = sections(&text);
        let new = &specs["new"];
        let once = merge(specs.get("base"), specs.get("current"), new);
        let twice = merge(Some(new), Some(&once.spec), new);
        assert_eq!(once.spec, twice.spec);
        assert!(twice.removed.is_empty());
    }
}
