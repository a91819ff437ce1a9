//! Manifests as files: what each means, or why it is refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use doprax_core::diagnostic;
use doprax_core::manifest::{self, Context, KnownPlugin, Manifest, Refused};
use doprax_core::name::{AppName, PluginName};
use std::path::Path;

/// The plugins of the binary.
fn plugins() -> Vec<KnownPlugin> {
    let names: [&[&str]; 7] = [
        &["mysql"],
        &["postgresql", "postgres"],
        &["redis"],
        &["nginx"],
        &["elasticsearch"],
        &["mongodb", "mongo"],
        &["container"],
    ];
    let plugin_name = |name: &&str| PluginName::new(*name).unwrap();
    names
        .iter()
        .map(|names| KnownPlugin {
            name: plugin_name(&names[0]),
            aliases: names[1..].iter().map(plugin_name).collect(),
        })
        .collect()
}

fn parse(bytes: &[u8]) -> Result<Manifest, Refused> {
    let app = AppName::new("shop").unwrap();
    let context = Context {
        file_name: "doprax.yaml",
        default_app: Some(&app),
        plugins: &plugins(),
    };
    manifest::parse(bytes, &context)
}

#[test]
fn valid() {
    insta::glob!("manifest/valid/*.yaml", |path| {
        let manifest =
            parse(&std::fs::read(path).unwrap()).unwrap_or_else(|refused| panic!("{refused}"));
        let spec = serde_json::to_string_pretty(&manifest.spec).unwrap();
        insta::assert_snapshot!(format!(
            "{spec}\n\n{}",
            diagnostic::render(&manifest.warnings, false)
        ));
    });
}

#[test]
fn invalid() {
    insta::glob!("manifest/invalid/*.yaml", |path| {
        let refused = parse(&std::fs::read(path).unwrap()).expect_err("the file is refused");
        insta::assert_snapshot!(refused.to_string());
    });
}

/// Files as they stand in public repositories, where they are at hand.
#[test]
fn corpus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let Ok(files) = std::fs::read_dir(&folder) else {
        return;
    };
    for file in files {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".yaml") {
            continue;
        }
        match (
            parse(&std::fs::read(&path).unwrap()),
            name.ends_with(".invalid.yaml"),
        ) {
            (Ok(_), false) => {}
            (Err(refused), true) => assert!(
                refused.diagnostics.iter().all(|d| d.help.is_some()),
                "{refused}"
            ),
            (Ok(_), true) => panic!("{name} should be refused"),
            (Err(refused), false) => panic!("{name}: {refused}"),
        }
    }
}
