//! What the binary says: its help, and what it refuses, without a host.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it finds what it did not expect"
)]

use std::path::Path;
use std::process::{Command, Stdio};

/// Runs the binary in `folder` and gives all it said, and its exit code.
fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_doprax"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .env("DOPRAX_STATE", folder.join("state"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap();
        let folder = folder.canonicalize().unwrap();
        // Blanks at the ends of lines, which help has between paragraphs.
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n").replace(folder.to_str().unwrap(), "FOLDER")
    };
    format!(
        "exit code {}\n--- stdout\n{}\n--- stderr\n{}",
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr)
    )
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

#[test]
fn help_teaches() {
    let folder = tempfile::tempdir().unwrap();
    let commands = [
        "",
        "quickstart",
        "serve",
        "up",
        "plan",
        "check",
        "apps",
        "status",
        "logs",
        "shell",
        "start",
        "stop",
        "restart",
        "releases",
        "rollback",
        "remove",
        "volume",
        "volume list",
        "volume remove",
        "secret",
        "secret set",
        "secret unset",
        "secret list",
        "env",
        "env list",
        "env set",
        "env unset",
        "operation",
        "operation list",
        "operation cancel",
        "events",
        "plugin",
        "plugin list",
        "plugin inspect",
        "schema",
        "doctor",
        "completion",
    ];
    for command in commands {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let said = run(folder.path(), &arguments);
        let name = format!("help {command}").trim().replace(' ', "-");
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, said);
        });
    }
}

#[test]
fn refusals_say_what_to_do() {
    type Case = (
        &'static str,
        &'static [&'static str],
        &'static [(&'static str, &'static str)],
    );
    let cases: &[Case] = &[
        ("no-command", &[], &[]),
        ("unknown-command", &["upp"], &[]),
        ("bad-app-name", &["status", "No_Such"], &[]),
        ("no-app-name", &["status"], &[]),
        ("wrong-usage-json", &["status", "--json", "--nothing"], &[]),
        ("bad-host", &["apps", "--host", "/run/doprax.sock"], &[]),
        (
            "tls-host",
            &["apps", "--host", "https://example.com:1"],
            &[],
        ),
        ("bad-since", &["logs", "shop", "--since", "yesterday"], &[]),
        (
            "secret-as-argument",
            &["secret", "set", "shop", "KEY=value"],
            &[],
        ),
        ("empty-secret", &["secret", "set", "shop", "KEY"], &[]),
        ("no-host", &["apps"], &[]),
        ("no-host-json", &["apps", "--json"], &[]),
        ("no-host-doctor", &["doctor"], &[]),
        ("no-folder", &["up", "nowhere"], &[]),
        ("no-manifest", &["up"], &[("Dockerfile", "FROM x\n")]),
        ("manifest-of-another-name", &["up"], &[("doprax.yml", "")]),
        ("no-dockerfile", &["up"], &[("doprax.yaml", "app: shop\n")]),
        (
            "dockerfile-in-the-wrong-case",
            &["up"],
            &[("doprax.yaml", "app: shop\n"), ("dockerfile", "FROM x\n")],
        ),
        (
            "containerfile",
            &["plan"],
            &[
                ("doprax.yaml", "app: shop\n"),
                ("Containerfile", "FROM x\n"),
            ],
        ),
        ("no-file-to-check", &["check"], &[]),
        ("nobody-to-ask", &["volume", "remove", "shop", "data"], &[]),
        ("address-of-all", &["serve", "--address", "0.0.0.0"], &[]),
        ("no-such-group", &["serve", "--group", "no-such-group"], &[]),
        (
            "unknown-limit",
            &["serve", "--limit", "idle-timout=2m"],
            &[],
        ),
        (
            "limit-out-of-bounds",
            &["serve", "--limit", "head-bytes=0"],
            &[],
        ),
        (
            "limit-given-twice",
            &[
                "serve",
                "--limit",
                "connections=5",
                "--limit",
                "connections=6",
            ],
            &[],
        ),
        (
            "bad-base-domain",
            &["serve", "--base-domain", "http://x"],
            &[],
        ),
    ];
    for (name, arguments, files) in cases {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), files);
        let said = run(folder.path(), arguments);
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("refused-{name}"), said);
        });
    }
}

#[test]
fn output_that_nobody_reads_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let binary = env!("CARGO_BIN_EXE_doprax");
    let status = Command::new("bash")
        .args([
            "-c",
            &format!("set -o pipefail; {binary} completion bash | head -n 1"),
        ])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}
