//! Operations on one app that are asked for while another one is under way.

use crate::host;
use crate::operation::{hanging, sources};
use doprax_e2e::{Cli, Running, wait_for};
use serde_json::Value;

/// The state of each operation on an app, the latest first.
fn states(cli: &Cli, app: &str) -> Vec<String> {
    let listed = cli.json(["operation", "list", app]);
    let listed = listed.as_array().unwrap().iter();
    let states = listed.map(|operation| operation["state"].as_str().unwrap().to_owned());
    states.collect()
}

fn id(begun: &Value) -> String {
    begun["operation"].as_str().unwrap().to_owned()
}

/// A deploy that waits for this operation.
fn waiting(cli: &Cli, folder: &str, first: &str) -> Running {
    let up = cli.command(["up", folder, "--yes"]).spawn();
    up.wait_for(&format!("it begins once the deploy {first} has ended"), 30);
    up
}

#[test]
fn operations_on_an_app_wait_for_each_other_in_order_over_a_kill() {
    let Some(mut host) = host() else { return };
    let cli = host.cli();
    let (app, first) = hanging(&host);
    cli.fails(1, ["up", app.path(), "--yes", "--no-wait"])
        .says(&["busy with operation", &first]);

    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\nCOPY index.html /usr/share/nginx/html/\n",
    );
    let mut second = waiting(&cli, app.path(), &first);
    app.write("index.html", "third\n");
    let third = id(&cli.json(["up", app.path(), "--yes", "--detach"]));
    app.write("index.html", "never\n");
    let given_up = id(&cli.json(["up", app.path(), "--yes", "--detach"]));
    assert_eq!(
        states(&cli, "hanging"),
        ["waiting", "waiting", "waiting", "running"]
    );
    cli.ok(["status", "hanging"])
        .says(&["under way", &first, "then:", &third]);
    cli.ok(["operation", "cancel", &given_up]);
    cli.fails(1, ["operation", &given_up])
        .says(&["cancelled before it began"]);
    wait_for("its archive to go", 30, || {
        (sources(&host) == 3).then_some(())
    });
    // Nothing of it has failed.
    assert!(cli.status("hanging")["last_error"].is_null());

    host.kill();
    host.resume();
    let again = cli.command(["operation", &first]).spawn();
    again.wait_for("it hangs now", 30);
    let left = ["cancelled", "waiting", "waiting", "running"];
    assert_eq!(states(&cli, "hanging"), left);
    cli.ok(["operation", "cancel", &first]);
    second.end(60).succeeded();
    cli.ok(["operation", &third]);
    let ended = ["cancelled", "done", "done", "cancelled"];
    assert_eq!(states(&cli, "hanging"), ended);
    let page = host.site("hanging").get("/").with_status(200).text();
    assert_eq!(page, "third\n");
}
