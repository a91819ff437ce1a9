//! Manifests as files: what each means, or why it is refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use doprax_core::diagnostic::{self, Severity};
use doprax_core::manifest::{self, Context, KnownPlugin, Manifest, Refused};
use doprax_core::name::{AppName, PluginName, ServiceName};
use doprax_core::service::SettingDiagnostic;
use std::path::Path;

#[allow(dead_code, reason = "others use the rest")]
#[path = "../../../tests/required.rs"]
mod required;

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
        // They are others' and not kept here.
        return required::skipped("there is no corpus at hand");
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

const SHOP: &str = "\
main:
  envs:
    - PORT: 80
services:
  - mysql:
      name: orders-db
      settings:
        users: [{ name: shop }, { name: x }]
  - redis:
";

/// What a plugin or the planner finds wrong later is shown in the file all the same.
#[test]
fn later_objections_have_their_place() {
    let manifest = parse(SHOP.as_bytes()).unwrap();
    let objection = |path: &[&str]| {
        let objection = SettingDiagnostic {
            path: path.iter().map(|step| (*step).to_owned()).collect(),
            message: "`x` is too short".to_owned(),
            help: Some("use at least three characters".to_owned()),
        };
        manifest.objection(&ServiceName::new("orders-db").unwrap(), &objection)
    };
    insta::assert_snapshot!(objection(&["users", "1", "name"]).render(false), @r"
    error: `x` is too short
     --> doprax.yaml:8:41 (services[0].mysql.settings.users[1].name)
      |
    8 |         users: [{ name: shop }, { name: x }]
      |                                         ^
      = help: use at least three characters
    ");
    let place = |path: &[&str]| {
        let found = manifest
            .places
            .diagnostic(Severity::Warning, path, "look here", None);
        (found.span.line, found.span.column, found.path)
    };
    let at = |line, column, path: &str| (line, column, path.to_owned());
    assert_eq!(
        place(&["services", "orders-db", "settings", "unset"]),
        at(7, 7, "services[0].mysql.settings")
    );
    assert_eq!(
        place(&["services", "orders-db", "port"]),
        at(5, 5, "services[0].mysql")
    );
    assert_eq!(place(&["services", "redis"]), at(9, 5, "services[1].redis"));
    assert_eq!(
        place(&["main", "env", "PORT"]),
        at(3, 13, "main.envs[0].PORT")
    );
    assert_eq!(place(&["front"]), at(1, 1, ""));
}

#[test]
fn diagnostics_have_colours_on_a_terminal_and_fields_in_json() {
    let refused = parse(b"main:\n  port: \"\\e[2J\"\n").unwrap_err();
    let [diagnostic] = refused.diagnostics.as_slice() else {
        panic!("{refused}");
    };
    insta::assert_snapshot!("in_colour", diagnostic.render(true).replace('\x1b', "ESC"));
    insta::assert_snapshot!("as_json", serde_json::to_string_pretty(diagnostic).unwrap());
}

#[test]
fn folders_give_apps_their_names() {
    let name = |folder: &str| manifest::app_name_from_folder(folder).map(|name| name.to_string());
    assert_eq!(name("shop").as_deref(), Some("shop"));
    assert_eq!(name("My App_2 ").as_deref(), Some("my-app-2"));
    assert_eq!(name(".dotfiles").as_deref(), Some("dotfiles"));
    assert_eq!(name(&"a-".repeat(50)).map(|name| name.len()), Some(63));
    assert_eq!(name("…"), None);
}

#[test]
fn an_app_needs_a_name() {
    let context = Context {
        file_name: "doprax.yaml",
        default_app: None,
        plugins: &[],
    };
    let refused = manifest::parse(b"main:\n", &context).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("give it one: `app: guestbook`"),
        "{refused}"
    );
    let named = manifest::parse(b"app: shop\n", &context).unwrap();
    assert_eq!(named.spec.app.as_str(), "shop");
}
