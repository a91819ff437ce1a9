//! The stream of what changes, live, from a place on, and over a restart of the host.

use crate::{deployed, host};
use doprax_e2e::{App, Cli, Host, Running, Setup, Terminal, engine, wait_for};
use serde_json::{Value, json};

/// The events that a command has printed so far.
fn printed(running: &Running) -> Vec<Value> {
    let stdout = running.stdout();
    let whole = stdout.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// Waits until an event of this kind has this in this field. Returns all up to then.
#[track_caller]
fn wait_for_event(
    running: &Running,
    kind: &str,
    field: &str,
    value: impl Into<Value>,
) -> Vec<Value> {
    let value = value.into();
    wait_for(&format!("an event {kind} {value}"), 60, || {
        let events = printed(running);
        let found = events.iter().any(|event| {
            let field = event.pointer(field).unwrap_or(&Value::Null);
            event["event"] == kind && *field == value
        });
        found.then_some(events)
    })
}

fn id(event: &Value) -> &str {
    event["id"].as_str().unwrap()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let kinds = events.iter().map(|event| event["event"].as_str().unwrap());
    kinds.collect()
}

fn lines(cli: &Cli, arguments: &[&str]) -> Vec<Value> {
    cli.ok(arguments).lines()
}

#[test]
fn a_deploy_is_watched_live_and_taken_up_again_where_it_was_left() {
    let Some(mut host) = host() else { return };
    let cli = host.cli();
    let app = App::tiny("tiny", "app: tiny\n");
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\nRUN echo what the build prints\n\
         COPY index.html /usr/share/nginx/html/index.html\n",
    );
    let mut watcher = cli.command(["events", "tiny", "-f", "--json"]).spawn();
    cli.ok(["up", app.path(), "--yes"]);
    let seen = wait_for_event(&watcher, "operation", "/operation/state", "done");
    assert!(!watcher.stdout().contains("what the build prints"));
    let kinds_seen = kinds(&seen);
    let first = |kind: &str| kinds_seen.iter().position(|seen| *seen == kind).unwrap();
    assert_eq!(first("operation"), 0, "{seen:?}");
    assert!(first("progress") < first("route"), "{seen:?}");
    let started = |event: &&Value| event["progress"] == "step-started";
    assert!(seen.iter().filter(started).count() >= 2, "{seen:?}");
    wait_for_event(&watcher, "release", "/release", 1);
    wait_for_event(&watcher, "container", "/state", "running");
    wait_for_event(&watcher, "app", "/state", "running");

    // Whoever comes back gets what came meanwhile, and nothing twice.
    watcher.kill();
    let last = printed(&watcher).pop().unwrap();
    cli.ok(["stop", "tiny"]);
    let other = App::tiny("other", "app: other\n");
    cli.ok(["up", other.path(), "--yes"]);
    let meanwhile = lines(&cli, &["events", "tiny", "--after", id(&last), "--json"]);
    assert!(
        meanwhile.iter().all(|event| event["app"] == "tiny"),
        "{meanwhile:?}"
    );
    let states: Vec<&Value> = meanwhile
        .iter()
        .filter(|event| event["event"] == "container")
        .map(|event| &event["state"])
        .collect();
    assert_eq!(states, ["stopped"], "{meanwhile:?}");
    assert!(!kinds(&meanwhile).contains(&"gap"), "{meanwhile:?}");
    cli.ok(["events", "tiny"]).says(&[
        "release 1",
        "main is running",
        "main is stopped (was running)",
    ]);

    // Another host is not taken for the one from before.
    let follower = cli.command(["events", "tiny", "-f", "--json"]).spawn();
    let before = wait_for_event(&follower, "container", "/state", "stopped");
    host.kill();
    host.resume();
    follower.wait_for("the host is back", 60);
    cli.ok(["start", "tiny"]);
    let after = wait_for_event(&follower, "gap", "/missed", Value::Null);
    let gap = after.iter().find(|event| event["event"] == "gap").unwrap();
    assert_eq!(gap["after"], before.last().unwrap()["id"], "{after:?}");
    let after = wait_for_event(&follower, "container", "/was", "stopped");
    assert_eq!(after.last().unwrap()["app"], "tiny");
    let again = lines(&cli, &["events", "--after", id(&last), "--json"]);
    assert_eq!(again[0]["event"], "gap", "{again:?}");
}

#[test]
fn a_status_is_shown_again_when_something_changes() {
    let app = App::tiny("tiny", "app: tiny\n");
    let Some(host) = deployed(&app) else { return };
    let cli = host.cli();
    let mut script = cli.command(["status", "tiny", "--watch", "--json"]).spawn();
    script.wait_for("\n", 30);
    let mut person = Terminal::start(&cli, &["status", "tiny", "--watch"], 120, 40);
    person.wait_for("running");
    // It comes up again by itself, which a look now and then would miss.
    host.docker.exec("tiny", "main", &["nginx", "-s", "stop"]);
    cli.ok(["stop", "tiny"]);
    person.wait_for("stopped");
    let states = wait_for("the state in JSON", 30, || {
        let states = printed(&script);
        (states.last()?["state"] == "stopped").then_some(states)
    });
    assert_eq!(states[0]["state"], "running", "{states:?}");
    person.press("\u{3}");
    person.end();
    cli.ok(["remove", "tiny", "--yes"]);
    script.end(30).succeeded().says(&["was removed"]);
}

#[test]
fn host_names_and_their_certificates_are_told() {
    let Some(engine) = engine() else { return };
    let host = Host::start_with(Setup::new(&engine).with_https());
    let cli = host.cli();
    let watcher = cli.command(["events", "tiny", "-f", "--json"]).spawn();
    let app = App::tiny("tiny", "app: tiny\n");
    cli.ok(["up", app.path(), "--yes"]);
    // That of the host's own CA comes at once.
    let valid = |name: &str| {
        wait_for(&format!("the certificate of {name}"), 30, || {
            let events = printed(&watcher);
            let wanted =
                |event: &&Value| event["names"] == json!([name]) && event["state"] == "valid";
            events.iter().find(wanted).cloned()
        })
    };
    let told = valid("tiny.localhost");
    assert_eq!(
        (&told["app"], &told["failing"]),
        (&json!("tiny"), &json!(false))
    );
    cli.ok(["domain", "add", "tiny", "shop.internal"]);
    wait_for_event(&watcher, "domain", "/change", "added");
    valid("shop.internal");
    cli.ok(["domain", "remove", "tiny", "shop.internal"]);
    wait_for_event(&watcher, "domain", "/change", "removed");
    wait_for("the certificate to be given up", 30, || {
        let events = printed(&watcher);
        let gone =
            |event: &Value| event["names"] == json!(["shop.internal"]) && event["state"].is_null();
        events.iter().any(gone).then_some(())
    });
    cli.ok(["events", "tiny"]).says(&[
        "domain shop.internal added",
        "the certificate of shop.internal is valid",
        "the certificate of shop.internal is not kept any more",
    ]);
}
