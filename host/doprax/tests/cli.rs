//! What the binary says: its help, and what it refuses, without a host.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it finds what it did not expect"
)]

use std::path::Path;
use std::process::{Command, Stdio};

/// Runs the binary in `folder` and gives all it said, and its exit code.
fn run(folder: &Path, arguments: &[&str]) -> String {
    run_with(folder, folder, arguments)
}

/// The same with another home, where what the binary keeps is.
fn run_with(folder: &Path, home: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_doprax"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home)
        .env("DOPRAX_STATE", home.join("state"))
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

/// The commands below one, by their names with a blank in between; as its help lists them.
fn below(folder: &Path, command: &str) -> Vec<String> {
    let words = command.split_whitespace().chain(["--help"]);
    let help = run(folder, &words.collect::<Vec<_>>());
    let listed = help.lines().skip_while(|line| *line != "Commands:");
    let listed = listed.skip(1).take_while(|line| !line.is_empty());
    // What takes a second line is further in.
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names
        .filter(|name| !name.is_empty() && *name != "help")
        .map(|name| format!("{command} {name}").trim().to_owned())
        .collect()
}

#[test]
fn help_teaches() {
    let folder = tempfile::tempdir().unwrap();
    let mut commands = vec![String::new()];
    let mut at = 0;
    while let Some(command) = commands.get(at) {
        commands.extend(below(folder.path(), command));
        at += 1;
    }
    assert!(commands.len() > 40, "{commands:?}");
    for command in commands {
        let words = command.split_whitespace().chain(["--help"]);
        let said = run(folder.path(), &words.collect::<Vec<_>>());
        let name = format!("help {command}").trim().replace(' ', "-");
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, said);
        });
    }
}

#[test]
fn check_finds_what_a_deploy_will_miss() {
    type Case = (&'static str, &'static [(&'static str, &'static str)]);
    let cases: &[Case] = &[
        (
            "good",
            &[
                ("doprax.yaml", "app: shop\n"),
                ("Dockerfile", "FROM x\nEXPOSE 8000\n"),
            ],
        ),
        (
            "all-there-is",
            &[
                (
                    "doprax.yaml",
                    "app: shop\nmain:\n  envs:\n    - KEY: ${API_KEY}\n    - OTHER: a ${B} ${API_KEY}\nservices:\n  - redis:\n",
                ),
                ("Dockerfile", "FROM x\nEXPOSE 8000\n"),
                ("page.html", "hello\n"),
                ("left.out", "x\n"),
                (".dockerignore", "*.out\n"),
            ],
        ),
        ("no-dockerfile", &[("doprax.yaml", "app: shop\n")]),
        (
            "no-port",
            &[
                ("doprax.yaml", "app: shop\nmain: {}\n"),
                ("Dockerfile", "FROM x\nCMD [\"sleep\", \"99\"]\n"),
            ],
        ),
        (
            "port-none",
            &[
                ("doprax.yaml", "app: shop\nmain: { port: none }\n"),
                ("Dockerfile", "FROM x\n"),
            ],
        ),
        (
            "context-that-is-not-there",
            &[
                (
                    "doprax.yaml",
                    "app: shop\nmain:\n  build: { context: ./server }\n",
                ),
                ("Dockerfile", "FROM x\n"),
            ],
        ),
        (
            "context-that-is-a-file",
            &[
                (
                    "doprax.yaml",
                    "app: shop\nmain:\n  build:\n    context: server\n",
                ),
                ("server", ""),
            ],
        ),
        (
            "dockerfile-that-is-not-there",
            &[
                (
                    "doprax.yaml",
                    "app: shop\nmain:\n  build: { context: server, dockerfile: Dockerfile.prod }\n",
                ),
                ("server/Dockerfile", "FROM x\n"),
            ],
        ),
        (
            "config-file-that-is-not-there",
            &[
                (
                    "doprax.yaml",
                    "app: shop\nservices:\n  - nginx:\n      config_file:\n        - { source: ./nginx.conf, mount: /etc/nginx/nginx.conf }\n",
                ),
                ("Dockerfile", "FROM x\nEXPOSE 8000\n"),
            ],
        ),
    ];
    // What plugins were compiled to is for all.
    let home = tempfile::tempdir().unwrap();
    for (name, files) in cases {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), files);
        let said = run_with(folder.path(), home.path(), &["check"]);
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("check-{name}"), said);
        });
    }

    let folder = tempfile::tempdir().unwrap();
    let manifest = "app: shop\nmain:\n  envs:\n    - KEY: ${API_KEY}\n";
    let dockerfile = "FROM x\nEXPOSE 8000\n";
    let files = [("doprax.yaml", manifest), ("Dockerfile", dockerfile)];
    write(folder.path(), &files);
    let said = run_with(folder.path(), home.path(), &["check", "--json"]);
    let (_, said) = said.split_once("--- stdout\n").unwrap();
    let (said, _) = said.split_once("\n--- stderr").unwrap();
    let said: serde_json::Value = serde_json::from_str(said).unwrap();
    assert_eq!(said["variables"], serde_json::json!(["API_KEY"]));
    assert_eq!(said["source"]["entries"], 1);
    assert_eq!(said["source"]["bytes"], dockerfile.len());
    assert_eq!(said["diagnostics"], serde_json::json!([]));
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
