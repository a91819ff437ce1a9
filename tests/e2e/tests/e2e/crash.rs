//! The host killed in the middle of its work, at every kind of moment.

use crate::host;
use doprax_e2e::{App, Host};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Slow enough at each stage that the host can be killed in it.
const DOCKERFILE: &str = "\
FROM doprax-test/nginx:1.22
COPY index.html /usr/share/nginx/html/index.html
RUN echo building; sleep 2
CMD [\"sh\", \"-c\", \"sleep 1; exec nginx -g 'daemon off;'\"]
";

const MANIFEST: &str = "\
main:
  health: { path: /, interval: 200ms, timeout: 20s }
services:
  - redis:
      image: doprax-test/redis:7
";

/// Kills the host, brings it back, and follows the deploy, that goes on, to its end.
#[track_caller]
fn kill_and_follow(host: &mut Host, mut up: doprax_e2e::Running, page: &str) {
    host.kill();
    host.resume();
    up.end(60).succeeded();
    assert_eq!(host.site("tiny").get("/").with_status(200).text(), page);
    let names: Vec<String> = ["main", "redis"]
        .map(|service| host.docker.container("tiny", service))
        .to_vec();
    doprax_e2e::wait_for("only the new release to be left", 10, || {
        (host.docker.names("container", "tiny") == names).then_some(())
    });
    assert_eq!(host.docker.names("network", "tiny").len(), 1);
    let status = host.cli().status("tiny");
    assert_eq!(status["state"].as_str(), Some("running"), "{status}");
    assert!(status["operation"].is_null(), "{status}");
}

#[test]
fn a_deploy_goes_on_whatever_it_was_at() {
    let app = App::tiny("tiny", MANIFEST);
    app.write("Dockerfile", DOCKERFILE);
    let Some(mut host) = host() else { return };
    // What the client shows says how far it is.
    let first_deploys = ["building", "create redis", "start main"].map(|moment| (true, moment));
    let redeploys = [
        "building",
        "create main",
        "wait until main",
        "see that main",
    ]
    .map(|moment| (false, moment));
    for (number, (first, moment)) in first_deploys.into_iter().chain(redeploys).enumerate() {
        if first && number > 0 {
            host.cli().ok(["remove", "tiny", "--yes"]);
        }
        let page = format!("page {number}\n");
        app.write("index.html", &page);
        let up = host
            .cli()
            .command(["up", app.path(), "--yes", "--verbose"])
            .spawn();
        up.wait_for(moment, 30);
        kill_and_follow(&mut host, up, &page);
    }
    host.cli()
        .ok(["up", app.path(), "--yes"])
        .says(&["nothing to do"]);
}

#[test]
fn a_deploy_goes_on_whenever_it_is_killed() {
    let app = App::tiny("tiny", MANIFEST);
    let Some(mut host) = host() else { return };
    host.cli().ok(["up", app.path(), "--yes"]);
    for (number, milliseconds) in [50, 150, 300, 500, 800, 1200].into_iter().enumerate() {
        let page = format!("page {number}\n");
        app.write("index.html", &page);
        let begun = host.cli().json(["up", app.path(), "--yes", "--detach"]);
        let operation = begun["operation"].as_str().unwrap().to_owned();
        let end = Instant::now() + Duration::from_millis(milliseconds);
        let up = host.cli().command(["operation", &operation]).spawn();
        doprax_e2e::wait_for("the moment", 5, || (Instant::now() >= end).then_some(()));
        kill_and_follow(&mut host, up, &page);
        // Whoever comes back later sees the same.
        host.cli().ok(["operation", &operation]).says(&["done"]);
    }
}

#[test]
fn a_reload_that_a_crash_prevented_is_made_good() {
    let manifest = format!("{MANIFEST}  - nginx:\n      image: doprax-test/nginx:1.22\n");
    let app = App::tiny("tiny", &manifest);
    app.write("Dockerfile", DOCKERFILE);
    let Some(mut host) = host() else { return };
    host.cli().ok(["up", app.path(), "--yes"]);
    // Files of their processes, by number. The pattern does not match itself.
    let workers = |host: &Host| -> BTreeSet<String> {
        let find = "grep -l '[w]orker process' /proc/[0-9]*/cmdline 2>/dev/null";
        let (_, found) = host.docker.exec("tiny", "nginx", &["sh", "-c", find]);
        found.lines().map(str::to_owned).collect()
    };
    let before = workers(&host);
    assert!(!before.is_empty());

    // The host dies while it waits for the new main, before Nginx is told of it.
    let lost = host.docker.id("tiny", "main");
    host.docker
        .run(&["rm", "--force", &host.docker.container("tiny", "main")]);
    doprax_e2e::wait_for("a new main that runs", 30, || {
        let found = host.docker.id("tiny", "main")?;
        let state = host
            .docker
            .run(&["inspect", "--format", "{{.State.Status}}", &found]);
        (Some(&found) != lost.as_ref() && state.trim() == "running").then_some(())
    });
    host.kill();
    assert_eq!(workers(&host), before);
    host.resume();
    doprax_e2e::wait_for("Nginx to reload", 30, || {
        let now = workers(&host);
        (!now.is_empty() && now.is_disjoint(&before)).then_some(())
    });
    // Main was just starting when it lost its host.
    doprax_e2e::wait_for("main behind Nginx", 30, || {
        (host.site("tiny").get("/").status == 200).then_some(())
    });
    host.cli()
        .ok(["up", app.path(), "--yes"])
        .says(&["nothing to do"]);
}

#[test]
fn a_removal_goes_on() {
    let app = App::tiny("tiny", MANIFEST);
    let Some(mut host) = host() else { return };
    host.cli().ok(["up", app.path(), "--yes"]);
    let begun = host.cli().json(["remove", "tiny", "--yes", "--detach"]);
    host.kill();
    host.resume();
    host.cli()
        .ok(["operation", begun["operation"].as_str().unwrap()]);
    assert_eq!(host.docker.names("container", "tiny"), [""; 0]);
    assert_eq!(host.docker.names("network", "tiny"), [""; 0]);
    assert_eq!(host.cli().json(["apps"]), serde_json::json!([]));
}

#[test]
fn a_client_that_leaves_can_come_back() {
    let app = App::tiny("tiny", MANIFEST);
    app.write("Dockerfile", DOCKERFILE);
    let Some(host) = host() else { return };
    let mut up = host.cli().command(["up", app.path(), "--yes"]).spawn();
    up.wait_for("building", 30);
    up.signal("INT");
    let left = up.end(5).ended_with(1).says(&["doprax operation"]);
    let (_, operation) = left.stderr.split_once("doprax operation ").unwrap();
    let operation = operation.split('`').next().unwrap();
    let busy = host
        .cli()
        .fails(1, ["up", app.path(), "--yes", "--no-wait"]);
    busy.says(&["busy", operation]);
    host.cli()
        .ok(["operation", operation])
        .says(&["building", "done"]);
    assert_eq!(
        host.site("tiny").get("/").with_status(200).text(),
        "first\n"
    );
    host.cli()
        .fails(1, ["operation", "0000"])
        .says(&["no operation 0000"]);
}
