//! What README and the architecture page say is so.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it finds what it did not expect"
)]

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

#[test]
fn readme_shows_the_manifest_that_quickstart_deploys() {
    let manifest = read("host/doprax/assets/quickstart/app/doprax.yaml");
    assert!(read("README.md").contains(&format!("```yaml\n{}\n```", manifest.trim_end())));
}

/// Whether the binary knows a command, by its own help.
fn is_command(words: &[&str]) -> bool {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_doprax"))
        .args(words)
        .arg("--help")
        .output()
        .unwrap();
    let usage = format!("Usage: doprax {} ", words.join(" "));
    let help = String::from_utf8(output.stdout).unwrap();
    output.status.success()
        && help
            .lines()
            .any(|line| format!("{line} ").starts_with(&usage))
}

#[test]
fn readme_names_only_commands_that_exist() {
    let readme = read("README.md");
    let (_, commands) = readme.split_once("```text\n").unwrap();
    let (commands, _) = commands.split_once("```").unwrap();
    let mut seen = 0;
    for line in commands.lines() {
        // `doprax up | plan [DIR]`, `doprax volume list|remove`; then what that does.
        let (usage, _) = line.split_once("  ").unwrap();
        let usage = usage.strip_prefix("doprax ").unwrap().replace(" | ", "|");
        let words = usage.split(' ').take_while(|word| {
            word.chars()
                .all(|c| c.is_ascii_lowercase() || "|-".contains(c) && !word.starts_with('-'))
        });
        let words: Vec<Vec<&str>> = words.map(|word| word.split('|').collect()).collect();
        let (first, rest) = words.split_first().unwrap();
        for command in first {
            assert!(is_command(&[command]), "{command}");
            seen += 1;
            for below in rest.first().into_iter().flatten() {
                assert!(is_command(&[command, below]), "{command} {below}");
            }
        }
    }
    assert!(seen > 15, "{commands}");
    assert!(!is_command(&["help-me"]) && !is_command(&["up", "down"]));
}

#[test]
fn the_operating_page_names_only_options_that_exist() {
    let help_of = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_doprax"))
            .args(arguments)
            .arg("--help")
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let all = help_of(&[]);
    let (_, commands) = all.split_once("\nCommands:\n").unwrap();
    let commands = commands
        .lines()
        .map_while(|line| line.split_whitespace().next());
    let commands: Vec<&str> = commands.filter(|name| *name != "help").collect();
    assert!(commands.contains(&"serve"), "{commands:?}");
    let help: String = commands.iter().map(|name| help_of(&[name])).collect();
    let page = read("docs/operating.md");
    let words = page.split(|c: char| !c.is_ascii_lowercase() && c != '-');
    let of_others = ["--filter", "--release"];
    let options: Vec<&str> = words
        .filter(|word| word.starts_with("--") && word.len() > 4 && !of_others.contains(word))
        .collect();
    assert!(options.len() > 8, "{options:?}");
    for option in options {
        assert!(help.contains(option), "{option}");
    }
}

#[test]
fn readme_and_pages_link_to_files_that_exist() {
    for page in [
        "README.md",
        "docs/architecture.md",
        "docs/manifest.md",
        "docs/operating.md",
        "docs/plugins.md",
    ] {
        let folder = root().join(page).parent().unwrap().to_owned();
        for link in read(page).split("](").skip(1) {
            let target = link.split(')').next().unwrap();
            if !target.contains("://") && !target.starts_with('#') {
                assert!(folder.join(target).exists(), "{page}: {target}");
            }
        }
    }
}

#[test]
fn the_architecture_page_names_every_crate() {
    let page = read("docs/architecture.md");
    for folder in ["host", "plugins"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let manifest = entry.unwrap().path().join("Cargo.toml");
            let Ok(manifest) = std::fs::read_to_string(manifest) else {
                continue;
            };
            let line = manifest
                .lines()
                .find_map(|line| line.strip_prefix("name = "))
                .unwrap();
            let name = line.trim_matches('"');
            let named = page.contains(&format!("`{name}`"));
            assert!(named || name.starts_with("plugin-"), "{name}");
        }
    }
    assert!(page.contains("`doprax-sdk`") && page.contains("`plugin-*`"));
}
