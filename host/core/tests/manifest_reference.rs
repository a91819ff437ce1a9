//! `docs/manifest.md` against the schema and the manifest itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use doprax_core::manifest::{self, Context, KnownPlugin};
use doprax_core::name::{AppName, PluginName};
use doprax_core::schema::{PluginSchema, schema};
use serde_json::Value;
use std::collections::BTreeSet;

const REFERENCE: &str = include_str!("../../../docs/manifest.md");

fn plugins() -> Vec<KnownPlugin> {
    let plugin = |name| KnownPlugin {
        name: PluginName::new(name).unwrap(),
        aliases: Vec::new(),
    };
    ["mysql", "redis", "nginx", "container"].map(plugin).into()
}

/// The keys that a schema knows, at any depth.
fn keys<'a>(schema: &'a Value, found: &mut BTreeSet<&'a str>) {
    match schema {
        Value::Object(entries) => {
            if let Some(Value::Object(properties)) = entries.get("properties") {
                found.extend(properties.keys().map(String::as_str));
            }
            entries.values().for_each(|value| keys(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

#[test]
fn the_reference_names_every_key() {
    let plugins = plugins();
    let plugins: Vec<PluginSchema<'_>> = plugins
        .iter()
        .map(|plugin| PluginSchema {
            plugin,
            settings: None,
        })
        .collect();
    let schema = schema(&plugins);
    let mut found = BTreeSet::new();
    keys(&schema, &mut found);
    let named = |key: &&str| {
        [format!("`{key}`"), format!("`{key}:")]
            .iter()
            .any(|text| REFERENCE.contains(text.as_str()))
    };
    let services = ["mysql", "redis", "nginx"];
    let missing: Vec<&&str> = found
        .iter()
        .filter(|key| !services.contains(key) && !named(key))
        .collect();
    assert!(found.len() > 20, "{found:?}");
    assert!(
        missing.is_empty(),
        "docs/manifest.md does not name {missing:?}"
    );
}

#[test]
fn every_example_of_the_reference_is_a_good_manifest() {
    let app = AppName::new("shop").unwrap();
    let plugins = plugins();
    let context = Context {
        file_name: "doprax.yaml",
        default_app: Some(&app),
        plugins: &plugins,
    };
    let examples: Vec<&str> = REFERENCE
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(examples.len() > 8);
    for example in examples {
        match manifest::parse(example.as_bytes(), &context) {
            Ok(manifest) => assert!(manifest.warnings.is_empty(), "{example}"),
            Err(refused) => panic!("{example}\n{refused}"),
        }
    }
}
