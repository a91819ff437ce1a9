//! What was changed by hand, against what doprax.yaml says.

use crate::{deployed, host};
use doprax_e2e::App;
use std::process::Command;

#[test]
fn what_was_set_by_hand_stays_until_the_manifest_changes_it() {
    let manifest = "main:\n  envs:\n    - COLOUR: red\n    - SIZE: small\n";
    let app = App::tiny("tiny", manifest);
    let Some(host) = deployed(&app) else { return };
    let cli = host.cli();
    let value = |name: &str| {
        cli.command(["shell", "tiny", "--", "printenv", name])
            .run()
            .stdout
            .trim()
            .to_owned()
    };
    cli.ok(["env", "set", "tiny", "SHAPE=round", "SIZE=large"]);
    assert_eq!(
        (value("SHAPE").as_str(), value("SIZE").as_str()),
        ("round", "large")
    );
    cli.ok(["env", "list", "tiny"])
        .says(&["SHAPE", "round", "large", "red"]);

    // A deploy of the same manifest changes nothing; one of another only what it names.
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);
    app.replace("doprax.yaml", "COLOUR: red", "COLOUR: blue");
    cli.ok(["up", app.path(), "--yes"]);
    assert_eq!(
        (value("SHAPE").as_str(), value("SIZE").as_str()),
        ("round", "large")
    );
    assert_eq!(value("COLOUR"), "blue");

    // What the manifest once had and no longer names goes.
    app.replace("doprax.yaml", "    - COLOUR: blue\n", "");
    cli.ok(["plan", app.path()]).says(&["COLOUR"]);
    cli.ok(["up", app.path(), "--yes"]);
    assert_eq!(
        (value("COLOUR").as_str(), value("SHAPE").as_str()),
        ("", "round")
    );
    cli.ok(["env", "unset", "tiny", "SHAPE"]);
    assert_eq!(value("SHAPE"), "");
}

#[test]
fn what_was_changed_by_hand_is_shown_and_can_be_undone() {
    let manifest = "\
main:
  envs:
    - COLOUR: red
    - SIZE: small
    - ADDRESS: ${app.url} ${app.name} ${release.number}
services:
  - redis:
      image: doprax-test/redis:7
";
    let app = App::tiny("tiny", manifest);
    let Some(host) = deployed(&app) else { return };
    let cli = host.cli();
    let value = |name: &str| {
        cli.command(["shell", "tiny", "--", "printenv", name])
            .run()
            .stdout
            .trim()
            .to_owned()
    };
    assert_eq!(value("DOPRAX_APP_URL"), "tiny.localhost");
    let address = value("ADDRESS");
    assert!(address.starts_with("http://tiny.localhost:"), "{address}");
    assert!(address.ends_with(" tiny 1"), "{address}");
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);

    app.write(
        "vars.env",
        "# by hand\nexport SIZE='x l'\nKEY=\"a\nb\" # two lines\n",
    );
    let redis = host.docker.id("tiny", "redis");
    cli.ok(["env", "unset", "tiny", "COLOUR"]);
    let file = app.at("vars.env");
    cli.ok(["env", "import", "tiny", file.to_str().unwrap()]);
    app.remove("vars.env");
    assert_eq!(
        (value("SIZE").as_str(), value("KEY").as_str()),
        ("x l", "a\nb")
    );
    assert_eq!(
        host.docker.id("tiny", "redis"),
        redis,
        "no reason to make it anew"
    );
    cli.ok(["env", "list", "tiny"]).says(&[
        "(removed)",
        "by hand, over doprax.yaml",
        "image",
        "host",
        "PATH",
    ]);
    for shown in [
        cli.ok(["plan", app.path()]),
        cli.ok(["up", app.path(), "--yes"]),
        cli.ok(["status", "tiny"]),
    ] {
        shown.says(&["COLOUR", "SIZE", "KEY", "hand"]);
    }

    cli.fails(1, ["env", "unset", "tiny", "PATH"])
        .says(&["image"]);
    cli.fails(1, ["env", "unset", "tiny", "NOTHING"]);
    cli.fails(1, ["env", "reset", "tiny", "PATH"]);
    cli.ok(["env", "reset", "tiny", "COLOUR"]);
    assert_eq!(
        (value("COLOUR").as_str(), value("SIZE").as_str()),
        ("red", "x l")
    );
    cli.ok(["env", "reset", "tiny"]);
    assert_eq!(
        (value("SIZE").as_str(), value("KEY").as_str()),
        ("small", "")
    );
    cli.fails(1, ["env", "reset", "tiny"]).says(&["by hand"]);
    cli.ok(["up", app.path(), "--yes"])
        .says(&["nothing to do"])
        .says_none(&["hand"]);
}

#[test]
fn values_from_a_file_go_after_the_environment() {
    let app = App::tiny(
        "tiny",
        "main:\n  envs:\n    - A: ${FIRST}\n    - B: ${SECOND}\n",
    );
    let Some(host) = crate::host() else { return };
    app.write("values.env", "FIRST=file\nSECOND=file\nTHIRD=unused\n");
    let file = app.at("values.env");
    let file = file.to_str().unwrap();
    let up = ["up", app.path(), "--yes", "--env-file", file];
    host.cli()
        .command(up)
        .env("SECOND", "environment")
        .run()
        .succeeded();
    let printed = host
        .cli()
        .ok(["shell", "tiny", "--", "sh", "-c", "echo $A $B"]);
    assert_eq!(printed.stdout, "file environment\n");
    let refused = host
        .cli()
        .fails(1, ["plan", app.path(), "--env-file", "/dev/zero"]);
    refused.says(&["/dev/zero", "larger"]);
}

#[test]
fn an_app_knows_the_commit_that_its_folder_is_at() {
    let app = App::tiny(
        "tiny",
        "main:\n  envs:\n    - COMMIT: at ${release.commit}\n",
    );
    let git = |arguments: &[&str]| {
        let ran = Command::new("git")
            .args([
                "-C",
                app.path(),
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@b.c",
            ])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .output()
            .unwrap();
        assert!(ran.status.success(), "git {arguments:?}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap().trim().to_owned()
    };
    let Some(host) = host() else { return };
    let deployed = || {
        host.cli().ok(["up", app.path(), "--yes"]);
        let asked = host.cli().ok(["shell", "tiny", "--", "printenv", "COMMIT"]);
        asked.stdout.trim().to_owned()
    };
    assert_eq!(deployed(), "at", "the folder is at none");
    git(&["init", "--quiet"]);
    for message in ["one", "two"] {
        git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        let commit = git(&["rev-parse", "HEAD"]);
        assert_eq!(deployed(), format!("at {commit}"));
    }
    host.cli()
        .ok(["up", app.path(), "--yes"])
        .says(&["nothing to do"]);
}
