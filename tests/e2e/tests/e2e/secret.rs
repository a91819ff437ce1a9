//! Generated and given secrets: where they are, where they stay, and where they are not.

use crate::host;
use doprax_e2e::{App, Docker, Host};
use std::path::Path;

const MANIFEST: &str = "\
main:
  envs:
    - SHARED: random
    - ONE: random_1
      type: password
    - NUMBER: uuid
      type: secret
    - KEY: ${API_KEY}
      type: secret
    - WHOLE: $API_KEY
      type: password
    - MIXED: https://user:${OTHER_KEY}@example.com/$${x}
      type: secret
services:
  - redis:
      image: doprax-test/redis:7
      envs:
        - SHARED: random
        - ONE: random_1
        - TWO: random_2
";

/// The value of a variable in a container.
#[track_caller]
fn variable(docker: &Docker, service: &str, name: &str) -> String {
    let inspected = docker.inspect("tiny", service);
    let values = inspected["Config"]["Env"].as_array().unwrap().iter();
    let prefix = format!("{name}=");
    let mut found =
        values.filter_map(|value| value.as_str()?.strip_prefix(&prefix).map(str::to_owned));
    found
        .next()
        .unwrap_or_else(|| panic!("{service} has no {name}"))
}

/// All generated and given values.
#[track_caller]
fn values(docker: &Docker) -> Vec<String> {
    let main =
        ["SHARED", "ONE", "NUMBER", "KEY", "MIXED"].map(|name| variable(docker, "main", name));
    main.into_iter()
        .chain([variable(docker, "redis", "TWO")])
        .collect()
}

#[test]
fn the_same_word_is_the_same_secret_for_good() {
    let app = App::tiny("tiny", MANIFEST);
    let Some(mut host) = host() else { return };
    let cli = host.cli();

    let refused = cli.fails(1, ["up", app.path(), "--yes"]);
    refused.says(&["API_KEY", "OTHER_KEY"]);
    assert_eq!(host.docker.names("container", "tiny"), [""; 0]);

    let up = |host: &Host| {
        let command = host.cli().command(["up", app.path(), "--yes"]);
        command
            .env("API_KEY", "given-on-the-way-61")
            .env("OTHER_KEY", "given-on-the-way-62")
            .run()
            .succeeded()
    };
    up(&host);
    let docker = host.docker.clone();
    let first = values(&docker);
    assert_eq!(variable(&docker, "redis", "SHARED"), first[0]);
    assert_eq!(variable(&docker, "redis", "ONE"), first[1]);
    let mut distinct = first.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), first.len(), "{first:?}");
    assert!(first[0].len() >= 16, "{first:?}");
    assert_eq!(
        first[2].split('-').map(str::len).collect::<Vec<_>>(),
        [8, 4, 4, 4, 12],
        "{first:?}"
    );
    assert_eq!(first[3], "given-on-the-way-61");
    assert_eq!(variable(&docker, "main", "WHOLE"), "given-on-the-way-61");
    assert_eq!(
        first[4],
        "https://user:given-on-the-way-62@example.com/${x}"
    );

    app.write("index.html", "second\n");
    up(&host);
    assert_eq!(values(&docker), first, "after a redeploy");
    host.kill();
    host.resume();
    app.write("index.html", "third\n");
    // What was given once is kept with the app.
    host.cli().ok(["up", app.path(), "--yes"]);
    assert_eq!(values(&docker), first, "after a restart of the host");
    host.docker
        .run(&["rm", "--force", &docker.container("tiny", "main")]);
    doprax_e2e::wait_for("another main", 20, || docker.id("tiny", "main"));
    assert_eq!(values(&docker), first, "after a repair");
}

#[test]
fn values_are_nowhere_but_in_the_containers() {
    let app = App::tiny("tiny", MANIFEST);
    let Some(mut host) = host() else { return };
    let cli = host
        .cli()
        .env("API_KEY", "given-on-the-way-61")
        .env("OTHER_KEY", "given-on-the-way-62");
    let mut said = Vec::new();
    let mut hear = |outcome: doprax_e2e::Outcome| said.push(outcome.stdout + &outcome.stderr);
    hear(cli.ok(["plan", app.path()]));
    hear(cli.ok(["plan", app.path(), "--json"]));
    hear(cli.ok(["up", app.path(), "--yes", "--verbose"]));
    app.replace(
        "doprax.yaml",
        "TWO: random_2",
        "THREE: random_3\n        - TWO: random_2",
    );
    hear(cli.ok(["plan", app.path()]));
    hear(cli.ok(["plan", app.path(), "--json"]));
    hear(cli.ok(["status", "tiny"]));
    hear(cli.ok(["status", "tiny", "--json"]));
    hear(cli.ok(["up", app.path(), "--yes", "--json"]));
    hear(cli.ok(["doctor"]));
    let mut values = values(&host.docker);
    values.push("given-on-the-way-62".to_owned());
    for service in ["main", "redis"] {
        said.push(host.docker.processes("tiny", service));
    }
    said.push(
        String::from_utf8_lossy(
            &std::fs::read(format!("/proc/{}/cmdline", host.process())).unwrap(),
        )
        .into_owned(),
    );
    said.push(host.log());
    for text in &said {
        for value in &values {
            assert!(!text.contains(value.as_str()), "{value:?} in\n{text}");
        }
    }
    // Also not once everything is written down.
    nothing_holds(host.state(), &values);
    host.stop();
    nothing_holds(host.state(), &values);
    host.resume();
}

/// Panics if a file below a folder holds one of the values.
#[track_caller]
fn nothing_holds(folder: &Path, values: &[String]) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            nothing_holds(&entry.path(), values);
        } else if kind.is_file() {
            let content = std::fs::read(entry.path()).unwrap();
            for value in values {
                let found = content
                    .windows(value.len())
                    .any(|window| window == value.as_bytes());
                assert!(!found, "{value:?} in {}", entry.path().display());
            }
        }
    }
}

#[test]
fn a_value_set_by_hand_is_used_by_the_next_deploy() {
    let app = App::tiny(
        "tiny",
        "main:\n  envs:\n    - KEY: ${API_KEY}\n      type: secret\n",
    );
    let Some(host) = host() else { return };
    let cli = host.cli();
    cli.fails(1, ["up", app.path(), "--yes"]).says(&["API_KEY"]);
    cli.command(["secret", "set", "tiny", "API_KEY"])
        .input("by-hand-1\n")
        .run()
        .succeeded()
        .says(&["no app tiny yet"]);
    cli.ok(["secret", "list", "tiny"])
        .says(&["API_KEY"])
        .says_none(&["by-hand-1"]);
    cli.ok(["up", app.path(), "--yes"]);
    assert_eq!(variable(&host.docker, "main", "KEY"), "by-hand-1");
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);

    cli.command(["secret", "set", "tiny", "API_KEY"])
        .input("by-hand-2")
        .run()
        .succeeded();
    let plan = cli
        .ok(["plan", app.path()])
        .says(&["main"])
        .says_none(&["by-hand", "nothing to do"]);
    assert!(plan.stdout.contains("KEY"), "{plan}");
    // Until it is deployed, what is mended is made with the value that it had.
    let lost = host.docker.id("tiny", "main");
    host.docker
        .run(&["rm", "--force", &host.docker.container("tiny", "main")]);
    doprax_e2e::wait_for("a new copy of main", 60, || {
        let found = host.docker.id("tiny", "main");
        (found.is_some() && found != lost).then_some(())
    });
    assert_eq!(variable(&host.docker, "main", "KEY"), "by-hand-1");
    cli.fails(1, ["secret", "unset", "tiny", "API_KEY"])
        .says(&["current release", "help:"]);
    cli.ok(["up", app.path(), "--yes"]);
    assert_eq!(variable(&host.docker, "main", "KEY"), "by-hand-2");
    // The environment of the command goes first.
    cli.env("API_KEY", "on-the-way-3")
        .ok(["up", app.path(), "--yes"]);
    assert_eq!(variable(&host.docker, "main", "KEY"), "on-the-way-3");
}

#[test]
fn a_secret_has_one_home() {
    let manifest = "main:\n  envs:\n    - KEY: ${API_KEY}\n      type: secret\n";
    let app = App::tiny("tiny", manifest);
    let Some(host) = host() else { return };
    let cli = host.cli();
    let key = || variable(&host.docker, "main", "KEY");
    cli.command(["up", app.path(), "--yes"])
        .env("API_KEY", "given-on-the-way")
        .run()
        .succeeded();
    assert_eq!(key(), "given-on-the-way");
    cli.command(["secret", "set", "tiny", "API_KEY"])
        .input("by-hand")
        .run()
        .succeeded();
    cli.ok(["env", "set", "tiny", "OTHER=1"]);
    assert_eq!(key(), "by-hand");
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);
    cli.command(["up", app.path(), "--yes"])
        .env("API_KEY", "given-again")
        .run()
        .succeeded();
    cli.ok(["env", "set", "tiny", "OTHER=2"]);
    assert_eq!(key(), "given-again");
}

#[test]
fn a_removal_says_what_becomes_of_secrets() {
    let manifest = "main:\n  envs:\n    - NUMBER: uuid\n      type: secret\n";
    let app = App::tiny("tiny", manifest);
    let Some(host) = host() else { return };
    let cli = host.cli();
    let number = || {
        cli.ok(["up", app.path(), "--yes"]);
        variable(&host.docker, "main", "NUMBER")
    };
    let first = number();
    cli.ok(["remove", "tiny", "--yes", "--keep-secrets"])
        .says(&["its secrets stay: a generated one"]);
    assert_eq!(number(), first);
    cli.ok(["remove", "tiny", "--yes"]).says(&[
        "its secrets are forgotten: a generated one",
        "--keep-secrets",
    ]);
    let second = number();
    assert_ne!(second, first);

    app.write(
        "doprax.yaml",
        format!("{manifest}  volumes:\n    - {{ name: data, mount: /data }}\n"),
    );
    assert_eq!(number(), second);
    cli.ok(["remove", "tiny", "--yes"])
        .says(&["its secrets stay: a generated one", "--forget-secrets"]);
    assert_eq!(number(), second);
    cli.ok(["remove", "tiny", "--yes", "--forget-secrets"])
        .says(&["its secrets are forgotten"]);
    assert_ne!(number(), second);

    // What was kept goes later too.
    cli.ok(["remove", "tiny", "--yes", "--keep-secrets"]);
    cli.ok(["remove", "tiny", "--yes", "--forget-secrets"])
        .says(&["its secrets are forgotten"]);
    cli.fails(1, ["remove", "tiny", "--yes", "--forget-secrets"])
        .says(&["no app tiny"]);
}

#[test]
fn what_a_crashing_app_prints_is_sealed() {
    let app = App::tiny(
        "tiny",
        "main:\n  envs:\n    - KEY: random\n      type: secret\n  health: { timeout: 5s }\n",
    );
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\nCMD [\"sh\", \"-c\", \"echo bad-key-$KEY; exit 7\"]\n",
    );
    let Some(mut host) = host() else { return };
    host.cli()
        .fails(1, ["up", app.path(), "--yes"])
        .says(&["bad-key-"]);
    let printed = vec!["bad-key-".to_owned()];
    nothing_holds(host.state(), &printed);
    host.stop();
    nothing_holds(host.state(), &printed);
    host.resume();
}
