//! How apps are, told alike wherever it is told, and so that a person can mend them.

use crate::{deployed, host};
use doprax_e2e::{App, Host, Setup, Terminal, wait_for};

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
    // Nothing listens there.
    let app = App::tiny(
        "tiny",
        "services:\n  - redis:\n      image: localhost:1/redis:7\n",
    );
    app.write("Dockerfile", "FROM doprax-test/nginx:1.22\nRUN sleep 60\n");
    let Some(host) = host() else { return };
    let up = host.cli().command(["up", app.path(), "--yes"]).within(40);
    up.run()
        .ended_with(1)
        .says(&["localhost:1/redis:7", "error:"]);
}
