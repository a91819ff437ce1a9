//! The JSON Schema of the file against the manifest itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use doprax_core::manifest::KnownPlugin;
use doprax_core::name::PluginName;
use doprax_core::schema::{PluginSchema, schema};
use doprax_core::text_file::TextFile;
use doprax_core::yaml;
use serde_json::{Value, json};
use std::path::Path;

fn plugin(names: &[&str]) -> KnownPlugin {
    let name = |name: &&str| PluginName::new(*name).unwrap();
    KnownPlugin {
        name: name(&names[0]),
        aliases: names[1..].iter().map(name).collect(),
    }
}

fn validator() -> jsonschema::Validator {
    let plugins: Vec<KnownPlugin> = [
        &["mysql"][..],
        &["postgresql", "postgres"],
        &["redis"],
        &["nginx"],
        &["elasticsearch"],
        &["mongodb", "mongo"],
        &["container"],
    ]
    .iter()
    .map(|names| plugin(names))
    .collect();
    let plugins: Vec<PluginSchema<'_>> = plugins
        .iter()
        .map(|plugin| PluginSchema {
            plugin,
            settings: None,
        })
        .collect();
    jsonschema::validator_for(&schema(&plugins)).unwrap()
}

fn json(path: &Path) -> Option<Value> {
    let text = String::from_utf8(std::fs::read(path).unwrap()).ok()?;
    let root = yaml::parse(&TextFile::new("doprax.yaml", &text)).ok()?;
    Some(root.map_or(Value::Null, |root| root.to_json()))
}

fn files(folder: &str) -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/manifest")
        .join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn is_a_valid_schema() {
    jsonschema::meta::validate(&schema(&[])).unwrap();
}

#[test]
fn accepts_what_the_manifest_accepts() {
    let validator = validator();
    for path in files("valid") {
        let errors: Vec<String> = validator
            .iter_errors(&json(&path).unwrap())
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

#[test]
fn refuses_what_the_manifest_refuses() {
    /// What needs more than one part of the file to see, or is no value in JSON.
    const BEYOND_A_SCHEMA: [&str; 7] = [
        "duplicate-services.yaml",
        "duplicate-variable.yaml",
        "health-without-a-port.yaml",
        "interval-longer-than-timeout.yaml",
        "unknown-front.yaml",
        "domains.yaml",
        "escape-sequences.yaml",
    ];
    let validator = validator();
    for path in files("invalid") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if let Some(value) = json(&path)
            && !BEYOND_A_SCHEMA.contains(&name.as_str())
        {
            assert!(!validator.is_valid(&value), "{name} should be refused");
        }
    }
}

#[test]
fn settings_are_checked_by_the_schema_of_their_plugin() {
    let settings = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": { "mode": { "$ref": "#/$defs/mode" } },
        "additionalProperties": false,
        "$defs": { "mode": { "enum": ["cache", "store"] } },
    });
    let plugin = plugin(&["redis", "valkey"]);
    let schema = schema(&[PluginSchema {
        plugin: &plugin,
        settings: Some(&settings),
    }]);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let service =
        |name: &str, settings: Value| json!({ "services": [{ name: { "settings": settings } }] });
    for name in ["redis", "valkey"] {
        assert!(validator.is_valid(&service(name, json!({ "mode": "cache" }))));
        assert!(validator.is_valid(&service(name, json!(null))));
        assert!(!validator.is_valid(&service(name, json!({ "mode": "x" }))));
        assert!(!validator.is_valid(&service(name, json!({ "other": 1 }))));
    }
}
