//! A new release under the eyes of its visitors.

use crate::deployed;
use doprax_e2e::{App, Load, wait_for};

#[test]
fn behind_nginx_no_request_fails() {
    let app = App::copy("guestbook");
    let Some(host) = deployed(&app) else { return };
    let (cli, site) = (host.cli(), host.site("guestbook"));
    let release = || {
        site.get("/info").with_status(200).json()["release"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(release(), "first");
    let load = Load::start(
        &site,
        &[
            ("GET", "/entries", ""),
            ("POST", "/entries", "author=Ada&text=hello"),
        ],
    );
    load.wait_for(40);
    for name in ["second", "third"] {
        app.write("release.txt", format!("{name}\n"));
        let plan = cli.ok(["plan", app.path()]);
        assert!(plan.stdout.contains("main"), "{plan}");
        cli.ok(["up", app.path(), "--yes"]);
        assert_eq!(release(), name);
        load.wait_for(40);
    }
    let tally = load.stop();
    assert!(
        tally.failures.is_empty(),
        "{} good, {:#?}",
        tally.good,
        tally.failures
    );
    wait_for("the old copies to be gone", 30, || {
        (host.docker.names("container", "guestbook").len() == 4).then_some(())
    });
    assert_eq!(cli.status("guestbook")["release"].as_u64(), Some(3));
}

#[test]
fn without_a_proxy_no_request_fails() {
    let app = App::tiny("tiny", "front: main\n");
    let Some(host) = deployed(&app) else { return };
    let site = host.site("tiny");
    assert_eq!(site.get("/").with_status(200).text(), "first\n");
    let load = Load::start(&site, &[("GET", "/", "")]);
    load.wait_for(40);
    for name in ["second\n", "third\n", "fourth\n"] {
        app.write("index.html", name);
        host.cli().ok(["up", app.path(), "--yes"]);
        assert_eq!(site.get("/").with_status(200).text(), name);
    }
    let tally = load.stop();
    assert!(
        tally.failures.is_empty(),
        "{} good, {:#?}",
        tally.good,
        tally.failures
    );
}

/// With no request under way that a drain would wait for, the old main goes as soon as
/// the command has ended that makes Nginx look again.
#[test]
fn behind_nginx_no_request_goes_to_a_main_that_goes_at_once() {
    let app = App::tiny(
        "tiny",
        "services:\n  - nginx:\n      image: doprax-test/nginx:1.22\n",
    );
    let Some(host) = deployed(&app) else { return };
    let site = host.site("tiny");
    let load = Load::start(&site, &[("GET", "/", ""), ("GET", "/index.html", "")]);
    load.wait_for(40);
    for name in ["second\n", "third\n", "fourth\n"] {
        app.write("index.html", name);
        host.cli().ok(["up", app.path(), "--yes"]);
        assert_eq!(site.get("/").with_status(200).text(), name);
        load.wait_for(40);
    }
    let tally = load.stop();
    assert!(
        tally.failures.is_empty(),
        "{} good, {:#?}",
        tally.good,
        tally.failures
    );
}

#[test]
fn a_deploy_waits_for_no_websocket() {
    let app = App::copy("soak");
    // Were it counted as a request, the old copy would go on for five minutes.
    let drain = "drain: { requests: 5m, upgraded: 0s }\nstop-grace: 5s\n";
    app.write(
        "doprax.yaml",
        format!("app: soak\nhealth: {{ path: /up }}\n{drain}"),
    );
    let Some(host) = deployed(&app) else { return };
    let mut socket = host.site("soak").open_websocket("/ws");
    assert_eq!(socket.echo("before"), "before");
    app.write("release.txt", "second\n");
    host.cli().ok(["up", app.path(), "--yes"]);
    wait_for("the old copy to end", 40, || {
        (host.docker.names("container", "soak").len() == 1).then_some(())
    });
}

#[test]
fn a_strategy_of_recreate_never_runs_two_copies() {
    let app = App::tiny("tiny", "main:\n  strategy: recreate\n");
    let Some(host) = deployed(&app) else { return };
    let site = host.site("tiny");
    let before = host.docker.id("tiny", "main").unwrap();
    app.write("index.html", "second\n");
    let mut up = host.cli().command(["up", app.path(), "--yes"]).spawn();
    let mut most = 0;
    while !up.stdout().contains("runs") {
        let running = host.docker.run(&["ps", "--format", "{{.Names}}"]);
        most = most.max(
            running
                .lines()
                .filter(|name| name.ends_with(&format!(".tiny.{}.internal", host.setup.instance)))
                .count(),
        );
        assert!(most <= 1, "{running}");
        if up.stderr().contains("error:") {
            break;
        }
    }
    up.end(10).succeeded();
    assert_eq!(most, 1);
    assert_ne!(host.docker.id("tiny", "main").unwrap(), before);
    assert_eq!(site.get("/").with_status(200).text(), "second\n");
}

#[test]
fn one_that_fails_leaves_the_old_release_serving() {
    let app = App::tiny(
        "tiny",
        "main:\n  health: { path: /up.html, interval: 200ms, timeout: 3s }\n",
    );
    app.write("up.html", "ok\n");
    let dockerfile = "FROM doprax-test/nginx:1.22\nCOPY *.html /usr/share/nginx/html/\n";
    app.write("Dockerfile", dockerfile);
    let Some(host) = deployed(&app) else { return };
    let (cli, site) = (host.cli(), host.site("tiny"));
    let before = host.docker.ids("tiny");

    // Each of these never answers as its health check wants.
    let silent =
        format!("{dockerfile}CMD [\"sh\", \"-c\", \"echo I wait for nothing; exec sleep 1000\"]\n");
    let crashing = format!("{dockerfile}CMD [\"sh\", \"-c\", \"echo I cannot go on; exit 3\"]\n");
    let wrong = format!("{dockerfile}RUN rm /usr/share/nginx/html/up.html\n");
    for (dockerfile, log, reason) in [
        (silent, "I wait for nothing", "/up.html"),
        (crashing, "I cannot go on", "its process ended"),
        (wrong, "/up.html", "404"),
    ] {
        app.write("Dockerfile", dockerfile);
        let failed = cli
            .command(["up", app.path(), "--yes"])
            .within(60)
            .run()
            .ended_with(1);
        failed.says(&["main did not become ready", log, reason]);
        assert_eq!(site.get("/").with_status(200).text(), "first\n");
        wait_for("only the old release to be left", 40, || {
            (host.docker.ids("tiny") == before).then_some(())
        });
        let status = cli.status("tiny");
        assert_eq!(
            (status["state"].as_str(), status["release"].as_u64()),
            (Some("running"), Some(1))
        );
        assert!(
            status["last_error"]
                .as_str()
                .is_some_and(|error| error.contains("ready")),
            "{status}"
        );
    }
}

#[test]
fn a_service_that_fails_leaves_the_old_release_serving() {
    let app = App::tiny(
        "tiny",
        "services:\n  - container:\n      name: worker\n      image: doprax-test/redis:7\n",
    );
    let Some(host) = deployed(&app) else { return };
    let (cli, site) = (host.cli(), host.site("tiny"));
    let worker = || host.docker.inspect("tiny", "worker")["Config"]["Cmd"].to_string();
    let before = worker();
    app.replace(
        "doprax.yaml",
        "redis:7\n",
        "redis:7\n      command: [sh, -c, 'echo I cannot go on; exit 4']\n",
    );
    let failed = cli.command(["up", app.path(), "--yes"]).within(90).run();
    failed.ended_with(1).says(&[
        "worker did not become ready",
        "I cannot go on",
        "its process ended",
    ]);
    assert_eq!(site.get("/").with_status(200).text(), "first\n");
    assert_eq!(worker(), before);
    let status = cli.status("tiny");
    assert_eq!(status["state"].as_str(), Some("running"), "{status}");
}

#[test]
fn the_next_operation_begins_while_the_old_copy_ends() {
    let app = App::tiny("tiny", "");
    let dockerfile =
        "FROM doprax-test/nginx:1.22\nCOPY index.html /usr/share/nginx/html/index.html\n";
    // It takes its time to end, up to the 30 s that it has.
    let slow = "STOPSIGNAL SIGUSR1\nCMD [\"sh\", \"-c\", \"trap '' USR1; nginx -g 'daemon off;' & wait; sleep 60\"]\n";
    app.write("Dockerfile", format!("{dockerfile}{slow}"));
    let Some(host) = deployed(&app) else { return };
    let (cli, site) = (host.cli(), host.site("tiny"));
    let old = host.docker.id("tiny", "main").unwrap();
    let runs = || {
        let state = host
            .docker
            .attempt(&["inspect", "--format", "{{.State.Running}}", &old]);
        String::from_utf8_lossy(&state.stdout).trim() == "true"
    };
    app.write("Dockerfile", dockerfile);
    for page in ["second\n", "third\n"] {
        app.write("index.html", page);
        cli.command(["up", app.path(), "--yes"])
            .within(25)
            .run()
            .succeeded();
        assert_eq!(site.get("/").with_status(200).text(), page);
    }
    assert!(runs(), "it was not ended by force");
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);
    // It is the same again: what is still ending cannot be taken back.
    app.write("index.html", "first\n");
    app.write("Dockerfile", format!("{dockerfile}{slow}"));
    cli.command(["up", app.path(), "--yes"])
        .within(60)
        .run()
        .succeeded();
    assert!(!runs());
    assert_eq!(site.get("/").with_status(200).text(), "first\n");
}
