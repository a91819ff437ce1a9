//! What a person confirmed is what is carried out, or nothing is.

use crate::deployed;
use crate::operation::HANGS;
use doprax_e2e::{App, Terminal, wait_for};

const MANIFEST: &str = "app: tiny\nmain:\n  envs:\n    - COLOUR: red\n";

#[test]
fn a_change_between_plan_and_confirmation_is_shown_before_anything_is_done() {
    let app = App::tiny("tiny", MANIFEST);
    let Some(host) = deployed(&app) else { return };
    let cli = host.cli();
    let release = || cli.status("tiny")["release"].as_u64().unwrap();
    app.replace("doprax.yaml", "red", "blue");
    let mut up = Terminal::start(&cli, &["up", app.path()], 120, 40);
    up.wait_for("Apply?");
    assert!(!up.shows("SHAPE"));
    cli.ok(["env", "set", "tiny", "SHAPE=round"]);
    up.press("y\n");
    up.wait_for("something has changed meanwhile, so nothing was done yet");
    up.wait_for("main.env.SHAPE was added by hand and stays");
    assert_eq!(release(), 2);
    up.press("n\n");
    up.wait_for("nothing was done");
    assert_eq!((up.end(), release()), (1, 2));

    // Nothing has changed since this was shown.
    let mut up = Terminal::start(&cli, &["up", app.path()], 120, 40);
    up.wait_for("Apply?");
    up.press("y\n");
    up.wait_for("runs at");
    assert_eq!((up.end(), release()), (0, 3));

    // With --yes nobody has looked at anything.
    app.replace("doprax.yaml", "blue", "green");
    cli.ok(["up", app.path(), "--yes"]);
    assert_eq!(release(), 4);
}

#[test]
fn a_removal_that_takes_something_else_by_now_is_shown_before_anything_is_done() {
    let app = App::tiny("tiny", MANIFEST);
    let Some(host) = deployed(&app) else { return };
    let cli = host.cli();
    let mut remove = Terminal::start(&cli, &["remove", "tiny"], 120, 40);
    remove.wait_for("Remove tiny?");
    assert!(!remove.shows("data"));
    // Another volume, and so secrets that stay.
    app.replace(
        "doprax.yaml",
        "  envs:",
        "  volumes: [{ name: data, mount: /data }]\n  envs:",
    );
    cli.ok(["up", app.path(), "--yes"]);
    remove.press("y\n");
    remove.wait_for("something has changed meanwhile, so nothing was done yet");
    remove.wait_for("data");
    assert_eq!(cli.status("tiny")["release"], 2);
    remove.press("y\n");
    remove.wait_for("its volumes stay");
    assert_eq!(remove.end(), 0);
}

#[test]
fn a_change_while_a_deploy_waits_for_its_turn_ends_it() {
    let app = App::tiny("tiny", MANIFEST);
    let Some(host) = deployed(&app) else { return };
    let cli = host.cli();
    let slow = App::tiny("slow", MANIFEST);
    slow.write("Dockerfile", HANGS);
    let mut begun = cli.command(["up", slow.path(), "--yes"]).spawn();
    begun.wait_for("it hangs now", 30);
    let mut edit = cli.command(["env", "set", "tiny", "SHAPE=round"]).spawn();
    wait_for("the change to wait", 10, || {
        let listed = cli.json(["operation", "list", "tiny"]);
        let listed = listed.as_array().unwrap().clone();
        listed.into_iter().find(|found| found["state"] == "waiting")
    });

    app.replace("doprax.yaml", "red", "blue");
    let mut up = Terminal::start(&cli, &["up", app.path()], 120, 40);
    up.wait_for("Apply?");
    up.press("y\n");
    up.wait_for("it begins once");
    let listed = cli.json(["operation", "list", "tiny"]);
    let running = listed.as_array().unwrap().iter();
    let mut running = running.filter(|found| found["state"] == "running");
    let id = running.next().unwrap()["id"].as_str().unwrap();
    cli.ok(["operation", "cancel", id]);
    begun.end(30);
    edit.end(60).succeeded();
    up.wait_for("has changed since that was confirmed");
    assert_eq!(up.end(), 1);
    assert_eq!(cli.status("tiny")["release"], 2);
}

#[test]
fn a_plan_shows_only_what_is_known_to_change() {
    // The port is the base image's: the Dockerfile does not tell it.
    let app = App::tiny("tiny", "app: tiny\n");
    let Some(host) = deployed(&app) else { return };
    app.write("index.html", "second\n");
    let cli = host.cli();
    let plan = cli.ok(["plan", app.path()]);
    plan.says(&["a new copy runs beside the old one", "~ image"])
        .says_none(&["port", "ready  ", "front", "once it is built"]);
    cli.ok(["up", app.path(), "--yes"]);
    host.site("tiny").get("/").with_status(200);
}
