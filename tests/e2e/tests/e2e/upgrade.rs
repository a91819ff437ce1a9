//! One host takes over from another, or fails to.

use crate::deployed;
use doprax_e2e::{App, Host, Load, Program, Setup, Tally, binary, engine, wait_for};
use std::path::Path;
use std::time::Instant;

/// A program that waits to take over, and then fails.
const FAILING: &str = env!("CARGO_BIN_EXE_failing-successor");

const GOES_ON: &str = "this process goes on as the host";

#[track_caller]
fn assert_none_failed(tally: &Tally) {
    let Tally { good, failures } = tally;
    assert!(failures.is_empty(), "{good} good, {failures:#?}");
}

/// A host whose program can be replaced, with this app.
#[track_caller]
fn replaceable(app: &App) -> Option<(Program, Host)> {
    let program = Program::new();
    let mut setup = Setup::new(&engine()?);
    setup.command = vec![program.path().into()];
    let host = Host::start_with(setup);
    host.cli().ok(["up", app.path(), "--yes"]);
    Some((program, host))
}

/// Asks for a successor, and waits until the host has said this once more.
#[track_caller]
fn fails_to_upgrade(host: &Host, said: &str, meanwhile: impl FnOnce()) {
    let count = || host.log().matches(said).count();
    let before = count();
    host.signal("USR2");
    meanwhile();
    wait_for(said, 60, || (count() > before).then_some(()));
}

#[test]
fn while_a_host_takes_over_from_another_no_request_fails() {
    let app = App::tiny("tiny", "front: main\n");
    let Some(mut host) = deployed(&app) else {
        return;
    };
    let site = host.site("tiny");
    let load = Load::start(&site, &[("GET", "/", "")]);
    load.wait_for(40);
    for _ in 0..2 {
        host.upgrade();
        load.wait_for(40);
    }
    // The successor is a host like any other.
    app.write("index.html", "second\n");
    host.cli().ok(["up", app.path(), "--yes"]);
    let tally = load.stop();
    assert_none_failed(&tally);
    assert_eq!(site.get("/").with_status(200).text(), "second\n");
}

#[test]
fn a_program_that_does_not_start_changes_nothing() {
    let app = App::tiny("tiny", "");
    let Some((program, host)) = replaceable(&app) else {
        return;
    };
    let process = host.process();
    program.replace_by_text("no program");
    fails_to_upgrade(&host, "Permission denied", || {});
    program.replace(Path::new(FAILING));
    program.write("fails", "at-once");
    fails_to_upgrade(&host, "it ended early (exit status: 1)", || {});
    assert_eq!(host.holder(), process);
    assert!(!host.log().contains(GOES_ON), "it never let go");
    app.write("index.html", "second\n");
    host.cli().ok(["up", app.path(), "--yes"]);
}

#[test]
fn where_a_successor_fails_the_host_goes_on_and_no_request_fails() {
    let app = App::tiny("tiny", "front: main\n");
    let Some((program, mut host)) = replaceable(&app) else {
        return;
    };
    let (process, site) = (host.process(), host.site("tiny"));
    let load = Load::start(&site, &[("GET", "/", "")]);
    load.wait_for(40);
    program.replace(Path::new(FAILING));
    program.write("fails", "with-the-folder");
    fails_to_upgrade(&host, GOES_ON, || {});
    load.wait_for(40);

    program.write("fails", "never");
    fails_to_upgrade(&host, GOES_ON, || {
        wait_for("the successor to have the state folder", 60, || {
            (![0, process].contains(&host.holder())).then_some(())
        });
        // Nobody is the host, and visitors are served.
        load.wait_for(40);
        host.signal("KILL");
    });
    load.wait_for(40);
    assert_eq!(host.holder(), process);

    // It is a host like any other, and the next upgrade is one.
    app.write("index.html", "second\n");
    host.cli().ok(["up", app.path(), "--yes"]);
    program.replace(&binary());
    host.upgrade();
    load.wait_for(40);
    assert_ne!(host.holder(), process);
    app.write("index.html", "third\n");
    host.cli().ok(["up", app.path(), "--yes"]);
    assert_none_failed(&load.stop());
    assert_eq!(site.get("/").with_status(200).text(), "third\n");
}

#[test]
fn a_host_that_is_to_end_while_it_hands_over_ends_with_its_successor() {
    let program = Program::new();
    let mut setup = Setup::new("unix:///nowhere/docker.sock");
    setup.command = vec![program.path().into()];
    let mut host = Host::start_with(setup);
    let process = host.process();
    program.replace(Path::new(FAILING));
    program.write("fails", "never");
    host.signal("USR2");
    let successor = wait_for("the successor to have the state folder", 60, || {
        Some(host.holder()).filter(|holder| ![0, process].contains(holder))
    });
    host.stop();
    let path = format!("/proc/{successor}/exe");
    wait_for("the successor to end", 20, || {
        std::fs::read_link(&path).is_err().then_some(())
    });
}

#[test]
fn a_host_that_cannot_go_on_serves_visitors_until_it_can() {
    let app = App::tiny("tiny", "front: main\n");
    let Some((program, mut host)) = replaceable(&app) else {
        return;
    };
    let load = Load::start(&host.site("tiny"), &[("GET", "/", "")]);
    load.wait_for(40);
    program.replace(Path::new(FAILING));
    program.write("fails", "after-a-change");
    fails_to_upgrade(&host, "Is a directory", || {});
    load.wait_for(40);
    host.cli().fails(1, ["apps"]).says(&["no host answers"]);

    let database = host.state().join("doprax.db");
    std::fs::remove_dir(&database).unwrap();
    std::fs::rename(database.with_extension("db.away"), database).unwrap();
    wait_for("the host to go on", 60, || {
        host.log().contains(GOES_ON).then_some(())
    });
    host.cli().ok(["up", app.path(), "--yes"]);
    load.wait_for(40);
    assert_none_failed(&load.stop());
    host.stop();
}

#[test]
fn what_is_open_goes_on_while_a_host_takes_over() {
    let app = App::copy("soak");
    let health = "{ path: /up, interval: 200ms, timeout: 60s }";
    app.write(
        "doprax.yaml",
        format!("app: soak\nmain:\n  health: {health}\n"),
    );
    let Some(mut host) = deployed(&app) else {
        return;
    };
    let (cli, site) = (host.cli(), host.site("soak"));
    let mut socket = site.open_websocket("/ws");
    let mut events = site.open_endless("/events");
    let begin = Instant::now();
    assert_eq!(socket.echo("before"), "before");
    events.read_to("data: 1\n");

    host.hand_over();
    assert_eq!(socket.echo("after"), "after");
    // There is one every 100 ms: this one comes after the successor has begun.
    let next = begin.elapsed().as_millis() / 100 + 5;
    events.read_to(&format!("data: {next}\n"));

    // A host knows the requests that it served itself.
    let served = || {
        let records = cli.ok(["logs", "soak", "--access"]).stdout;
        records.lines().count()
    };
    wait_for("the successor to serve each new request", 30, || {
        let before = served();
        for _ in 0..10 {
            site.get("/").with_status(200);
        }
        (served() == before + 10).then_some(())
    });
    assert_eq!(socket.echo("later"), "later");
    events.read_to(&format!("data: {}\n", next + 10));
    drop((socket, events));
    host.wait_for_former();
    site.get("/").with_status(200);
}
