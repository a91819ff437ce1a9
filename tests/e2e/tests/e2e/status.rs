//! How apps are, told alike wherever it is told, and so that a person can mend them.

use crate::{deployed, host};
use doprax_e2e::{App, Host, Setup, Terminal, wait_for};
use std::net::TcpListener;

#[test]
fn a_crash_loop_is_told_everywhere_alike() {
    let app = App::tiny(
        "tiny",
        "main:\n  volumes:\n    - { name: state, mount: /state }\n",
    );
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\n\
         CMD [\"sh\", \"-c\", \"if [ -e /state/broken ]; then printf 'no licence \\\\033]0;mine\\\\007\\\\n'; exit 3; fi; exec nginx -g 'daemon off;'\"]\n",
    );
    let Some(host) = deployed(&app) else { return };
    let cli = host.cli();
    let break_it = "touch /state/broken; nginx -s stop";
    host.docker.exec("tiny", "main", &["sh", "-c", break_it]);
    let status = wait_for("the loop to be seen", 30, || {
        let status = cli.status("tiny");
        let main = &status["containers"][0];
        (main["state"] == "crashing (3)" && main["next_try_ms"].is_i64()).then_some(status)
    });
    assert_eq!(status["state"], "failed", "{status}");
    assert_eq!(status["running"], 0, "{status}");
    let main = &status["containers"][0];
    assert_eq!(main["exit_code"], 3, "{main}");
    let last = main["last_lines"].as_array().unwrap().last().unwrap();
    assert!(last.as_str().unwrap().contains("no licence"), "{main}");
    assert_eq!(cli.json(["apps"])[0]["state"], "failed");
    let site = host.site("tiny");
    let page = wait_for("the page of a failed app", 30, || {
        let page = site.get("/");
        let text = page.text();
        assert!(!text.contains("is starting"), "{text}");
        (page.status == 503).then_some(text)
    });
    assert!(page.contains("tiny has failed"), "{page}");
    assert!(!page.contains("licence"), "{page}");

    // What it printed reaches no terminal as it is.
    let told = wait_for("the status between two tries", 30, || {
        let told = cli.ok(["status", "tiny"]);
        told.stdout.contains("next try within").then_some(told)
    });
    let shown = "no licence \\u{1b}]0;mine\\u{7}";
    told.says(&["ended with exit code 3", shown])
        .says_none(&["\x1b", "\x07"]);
    let logs = ["logs", "tiny", "main", "--tail", "1"];
    cli.ok(logs).says(&[shown]).says_none(&["\x1b", "\x07"]);
    let raw = cli.ok(logs.iter().chain(&["--raw"]));
    raw.says(&["no licence \x1b]0;mine\x07"]);

    cli.ok(["stop", "tiny"]);
    assert_eq!(cli.json(["apps"])[0]["state"], "stopped");
}

/// An app that serves at first, and does something else once `broken` is in its volume.
fn breakable(name: &str, main: &str, then: &str) -> App {
    let app = App::empty(name);
    let volume = "volumes: [ { name: state, mount: /state } ]";
    app.write("doprax.yaml", format!("main: {{ {main}{volume} }}\n"));
    let command = [
        "sh",
        "-c",
        &format!("if [ -e /state/broken ]; then {then}; fi; exec python3 -m http.server 8000"),
    ];
    let command = serde_json::json!(command);
    app.write(
        "Dockerfile",
        format!("FROM doprax-test/python:3.11\nEXPOSE 8000\nCMD {command}\n"),
    );
    app
}

#[test]
fn the_status_of_what_broke_says_why_and_what_to_do() {
    let fill = "exec python3 -c 'x = [b\"x\" * (1 << 20) for _ in range(300)]'";
    let inner = "exec python3 -m http.server 8000 --bind 127.0.0.1";
    // Name, what main is given, what becomes of it, its state, what is said.
    type Case<'a> = (&'a str, &'a str, &'a str, &'a str, &'a [&'a str]);
    let cases: &[Case] = &[
        (
            "gone",
            "",
            "nosuch || exit",
            "crashing (127)",
            &[
                "the image has no program nosuch",
                "help:",
                "install or COPY",
            ],
        ),
        (
            "brief",
            "",
            "exit 0",
            "crashing (0)",
            &["without an error (exit code 0)", "foreground"],
        ),
        (
            "hungry",
            "resources: { memory: 64MiB }, ",
            fill,
            "crashing (137)",
            &[
                "ran out of memory",
                "limit of 64 MiB",
                "resources: { memory",
            ],
        ),
        (
            "inner",
            "health: { path: /, interval: 500ms, timeout: 20s }, ",
            inner,
            "unhealthy",
            &["it listens on 127.0.0.1:8000 only", "0.0.0.0"],
        ),
    ];
    let Some(host) = host() else { return };
    std::thread::scope(|scope| {
        for (name, main, then, state, texts) in cases {
            let host = &host;
            scope.spawn(move || {
                let cli = host.cli();
                let app = breakable(name, main, then);
                cli.ok(["up", app.path(), "--yes"]);
                host.docker.exec(name, "main", &["touch", "/state/broken"]);
                // Its process ends, and the engine starts it again.
                let end = "kill -TERM $(pgrep -f '[h]ttp.server')";
                host.docker.exec(name, "main", &["sh", "-c", end]);
                wait_for(&format!("{name} to be {state}"), 60, || {
                    let status = cli.status(name);
                    (status["containers"][0]["state"] == *state).then_some(())
                });
                wait_for(&format!("why {name} is {state}"), 60, || {
                    let told = cli.ok(["status", name]).stdout;
                    texts.iter().all(|text| told.contains(text)).then_some(())
                });
            });
        }
    });
}

#[test]
fn a_first_deploy_that_fails_says_why_and_leaves_its_logs() {
    let app = App::tiny("tiny", "");
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\n\
         CMD [\"sh\", \"-c\", \"echo looking for the licence; echo there is none; exit 4\"]\n",
    );
    let Some(host) = host() else { return };
    let cli = host.cli();
    let failed = cli.fails(1, ["up", app.path(), "--yes"]);
    failed
        .says(&["exit code 4", "there is none", "ends by itself"])
        .says_none(&["raise its timeout", "within 300"]);
    assert!(host.log().contains("an operation failed"), "{}", host.log());
    cli.ok(["logs", "tiny"])
        .says(&["looking for the licence", "there is none"]);
    cli.ok(["logs", "tiny", "main", "--tail", "1"])
        .says(&["there is none"])
        .says_none(&["looking for"]);
    assert_eq!(cli.status("tiny")["state"], "failed");
    let page = host.site("tiny").get("/").with_status(503).text();
    assert!(page.contains("tiny has failed"), "{page}");
    assert!(!page.contains("exit code"), "{page}");

    app.write("Dockerfile", "FROM doprax-test/nginx:1.22\n");
    cli.ok(["up", app.path(), "--yes"]);
    cli.ok(["logs", "tiny"]).says_none(&["there is none"]);
}

#[test]
fn an_app_is_shown_as_it_was_while_the_engine_is_away() {
    let Some(engine) = doprax_e2e::engine() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("engine.sock");
    let socket = engine.strip_prefix("unix://").unwrap();
    let connect = || std::os::unix::fs::symlink(socket, &link).unwrap();
    connect();
    let setup = Setup::new(&format!("unix://{}", link.display()));
    let host = Host::start_with(setup);
    let cli = host.cli();
    let app = App::tiny("tiny", "");
    cli.ok(["up", app.path(), "--yes"]);
    assert!(cli.status("tiny")["engine_away_ms"].is_null());

    // In its own folder an app need not be named.
    let inside = |arguments: &[&str]| cli.command(arguments).inside(app.path());
    inside(&["status"]).run().succeeded().says(&["tiny"]);
    inside(&["logs", "main"]).run().succeeded();
    let completed = |words: &[&str]| {
        let words = ["--", "doprax"].iter().chain(words);
        let asked = cli.command(words).env("DOPRAX_COMPLETE", "fish");
        asked.run().succeeded().stdout
    };
    assert!(completed(&["status", ""]).contains("tiny"));
    assert!(completed(&["logs", "tiny", ""]).contains("main"));
    assert!(completed(&["plugin", "inspect", "my"]).contains("mysql"));
    let plan = || inside(&["plan", "--exit-code"]).run();
    plan().ended_with(0);
    app.write("index.html", "second\n");
    plan().ended_with(3);

    std::fs::remove_file(&link).unwrap();
    let status = wait_for("the engine to be missed", 20, || {
        let status = cli.status("tiny");
        status["engine_away_ms"].is_i64().then_some(status)
    });
    assert_eq!(status["state"], "running", "{status}");
    assert_eq!(status["containers"][0]["state"], "running", "{status}");
    cli.ok(["status", "tiny"]).says(&["away", "running"]);
    cli.ok(["apps"]).says(&["away", "running"]);
    connect();
    wait_for("the engine to be back", 20, || {
        let status = cli.status("tiny");
        status["engine_away_ms"].is_null().then_some(())
    });
}

#[test]
fn a_volume_that_cannot_be_removed_is_not_asked_about() {
    let Some(host) = host() else { return };
    let arguments = ["volume", "remove", "tiny", "nothing"];
    let terminal = Terminal::start(&host.cli(), &arguments, 80, 24);
    terminal.wait_for("has no volume \"nothing\"");
    assert_eq!(terminal.end(), 1);
}

#[test]
fn an_image_that_is_nowhere_is_told_before_a_build_ends() {
    // A registry that takes connections and says nothing.
    let registry = TcpListener::bind("127.0.0.1:0").unwrap();
    let image = format!("{}/redis:7", registry.local_addr().unwrap());
    let app = App::tiny(
        "tiny",
        &format!("services:\n  - redis:\n      image: {image}\n"),
    );
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\nRUN echo it is being built; sleep 86399\n",
    );
    let Some(host) = host() else { return };
    let mut up = host.cli().command(["up", app.path(), "--yes"]).spawn();
    up.wait_for("it is being built", 60);
    // It goes while the build is under way, which by itself would not end.
    drop(registry);
    up.end(40).ended_with(1).says(&[&image, "error:"]);
}
