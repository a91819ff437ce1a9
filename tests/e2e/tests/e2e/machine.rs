//! A machine that is not as it should be, and wishes that make no sense.

use crate::host;
use doprax_e2e::{App, Cli, Host, Setup, engine};

#[test]
fn without_a_host_commands_say_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let cli = Cli::new(folder.path().to_str().unwrap());
    let app = App::tiny("tiny", "");
    for arguments in [
        vec!["apps"],
        vec!["status", "tiny"],
        vec!["up", app.path(), "--yes"],
        vec!["doctor"],
    ] {
        cli.fails(1, &arguments)
            .says(&["no host answers", "doprax serve"]);
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let cli = Cli::new(folder.path().to_str().unwrap());
    for arguments in [
        &["upp"][..],
        &["up", "--no-such-option"],
        &["status"],
        &["status", "No_Such"],
        &["logs", "x", "--since", "soon"],
    ] {
        cli.fails(2, arguments).says(&["error"]);
    }
    cli.ok(["--help"]).says(&["doprax up", "Exit codes"]);
    cli.ok(["up", "--help"]).says(&["Examples"]);
    cli.ok(["--version"]).says(&["doprax 0."]);
}

#[test]
fn without_an_engine_the_host_says_so_and_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let host = Host::start_with(Setup::new(&format!("unix://{}", socket.display())));
    let cli = host.cli();
    cli.fails(1, ["doctor"])
        .says(&["engine", "engine.sock", "→"]);
    let app = App::tiny("tiny", "");
    cli.fails(1, ["up", app.path(), "--yes"])
        .says(&["engine", "doprax doctor"]);
}

#[test]
fn a_host_that_ended_takes_its_socket_away() {
    let folder = tempfile::tempdir().unwrap();
    let engine = folder.path().join("engine.sock");
    let mut host = Host::start_with(Setup::new(&format!("unix://{}", engine.display())));
    let socket = host.state().join("doprax.sock");
    assert!(socket.exists());
    host.stop();
    assert!(!socket.exists());
    host.cli()
        .fails(1, ["apps"])
        .says(&["no host answers", "doprax serve"]);
}

#[test]
fn where_nobody_can_be_asked_nothing_is_done() {
    let app = App::tiny("tiny", "");
    let Some(host) = host() else { return };
    let cli = host.cli();
    cli.fails(2, ["up", app.path()]).says(&["--yes"]);
    assert_eq!(host.docker.names("container", "tiny"), [""; 0]);
    cli.ok(["up", app.path(), "--yes"]);
    cli.fails(2, ["remove", "tiny"]).says(&["--yes"]);
    assert_eq!(host.docker.names("container", "tiny").len(), 1);
}

#[test]
fn unknown_names_are_refused_with_the_known_ones() {
    let app = App::tiny("tiny", "");
    let Some(host) = host() else { return };
    let cli = host.cli();
    cli.ok(["up", app.path(), "--yes"]);
    for arguments in [
        &["status", "tony"][..],
        &["logs", "tony"],
        &["stop", "tony"],
        &["remove", "tony", "--yes"],
        &["shell", "tony", "--", "true"],
    ] {
        cli.fails(1, arguments)
            .says(&["no app tony", "doprax apps"]);
    }
    for arguments in [
        &["restart", "tiny", "redis"][..],
        &["logs", "tiny", "redis"],
        &["shell", "tiny", "redis", "--", "true"],
    ] {
        cli.fails(1, arguments)
            .says(&["no container redis", "main"]);
    }
    let failure = cli.fails(1, ["status", "tony", "--json"]).stderr;
    let failure: serde_json::Value = serde_json::from_str(&failure).unwrap();
    assert_eq!(failure["error"], "there is no app tony");
    let unknown = host.site("tony").get("/").with_status(404);
    assert!(unknown.text().contains("tony.localhost"), "{unknown:?}");
}

#[test]
fn a_pool_that_is_used_up_is_named_with_the_remedy() {
    let Some(engine) = engine() else { return };
    let mut setup = Setup::new(&engine);
    // Room for one app.
    setup.pool = setup.pool.replace("/20", "/23");
    let host = Host::start_with(setup);
    let cli = host.cli();
    let (one, two) = (App::tiny("one", ""), App::tiny("two", ""));
    cli.ok(["up", one.path(), "--yes"]);
    cli.fails(1, ["up", two.path(), "--yes"])
        .says(&["pool", &host.setup.pool, "--pool"]);
    assert_eq!(host.docker.names("container", "two"), [""; 0]);
    cli.fails(1, ["doctor"]).says(&["pool"]);
    cli.ok(["remove", "one", "--yes"]);
    cli.ok(["up", two.path(), "--yes"]);
}

#[test]
fn a_taken_port_or_state_folder_is_named_with_the_remedy() {
    let first = Host::start_with(Setup::new("unix:///nowhere/engine.sock"));
    let mut setup = Setup::new("unix:///nowhere/engine.sock");
    setup.port = first.setup.port;
    let second = Host::prepare(setup);
    let port = format!("127.0.0.1:{}", first.setup.port);
    second
        .cli()
        .command(second.arguments())
        .within(20)
        .run()
        .ended_with(1)
        .says(&[&port, "--http"]);
    let serve = first
        .cli()
        .command(second.arguments())
        .within(20)
        .run()
        .ended_with(1);
    serve.says(&["another host runs", "--state"]);
}

#[test]
fn a_good_machine_is_found_good() {
    let Some(host) = host() else { return };
    let findings = host.cli().command(["doctor", "--json"]).run();
    let findings = &findings.lines()[0];
    let subject = |name: &str| {
        findings
            .as_array()
            .unwrap()
            .iter()
            .find(|finding| finding["subject"] == name)
    };
    for name in ["host", "engine", "pool", "ingress"] {
        let finding = subject(name).unwrap_or_else(|| panic!("nothing about {name}: {findings}"));
        assert_eq!(finding["level"], "good", "{finding}");
    }
    assert!(subject("disk quota").is_some(), "{findings}");
}
