//! Long work: listed, read again, ended early, bounded in time; and what it leaves.

use crate::host;
use doprax_e2e::{App, Host, Setup, Terminal, engine};
use std::time::{Duration, Instant};

/// A build that never ends by itself.
pub(crate) const HANGS: &str = "FROM doprax-test/nginx:1.22\nRUN echo it hangs now; sleep 86399\n";

/// An app whose build hangs, and a deploy of it that has come so far.
pub(crate) fn hanging(host: &Host) -> (App, String) {
    let app = App::tiny("hanging", "app: hanging\n");
    app.write("Dockerfile", HANGS);
    let begun = host.cli().json(["up", app.path(), "--yes", "--detach"]);
    let operation = begun["operation"].as_str().unwrap().to_owned();
    let follower = host.cli().command(["operation", &operation]).spawn();
    follower.wait_for("it hangs now", 30);
    (app, operation)
}

/// The archives and what was half received.
pub(crate) fn sources(host: &Host) -> usize {
    std::fs::read_dir(host.state().join("sources"))
        .unwrap()
        .count()
}

#[test]
fn a_build_that_hangs_holds_nobody_and_is_cancelled() {
    let Some(mut host) = host() else { return };
    let cli = host.cli();
    let (_hanging, operation) = hanging(&host);

    let tiny = App::tiny("tiny", "app: tiny\n");
    cli.ok(["up", tiny.path(), "--yes"]);
    cli.ok(["restart", "tiny"]);
    let listed = cli.json(["operation", "list", "hanging"]);
    assert_eq!(listed[0]["id"], operation.as_str(), "{listed}");
    assert_eq!(listed[0]["state"], "running", "{listed}");

    let begun = Instant::now();
    cli.ok(["operation", "cancel", "hanging"])
        .says(&[&operation]);
    cli.fails(1, ["operation", &operation]).says(&["cancelled"]);
    assert!(begun.elapsed() < Duration::from_secs(10));
    cli.ok(["operation", "list"])
        .says(&["cancelled", "restart", "done"]);
    cli.fails(1, ["operation", "cancel", &operation])
        .says(&["has ended"]);
    cli.fails(1, ["operation", "cancel", "hanging"])
        .says(&["nothing is done"]);
    assert_eq!(sources(&host), 1, "only that of tiny");

    // What is read again is there for the next host too.
    host.kill();
    // As one that was killed in the middle of an upload.
    std::fs::write(host.state().join("sources/.tmpAbC123"), "half").unwrap();
    host.resume();
    host.cli()
        .fails(1, ["operation", &operation])
        .says(&["it hangs now", "cancelled"]);
    assert_eq!(sources(&host), 1, "only that of tiny");
}

#[test]
fn a_build_has_a_time_limit() {
    let Some(engine) = engine() else { return };
    let host = Host::start_with(Setup {
        more: vec!["--build-timeout".to_owned(), "3s".to_owned()],
        ..Setup::new(&engine)
    });
    let app = App::tiny("tiny", "app: tiny\n");
    app.write("Dockerfile", HANGS);
    host.cli().fails(1, ["up", app.path(), "--yes"]).says(&[
        "did not end within 3 s",
        "it hangs now",
        "--build-timeout",
    ]);
}

#[test]
fn ctrl_c_asks_whether_to_cancel() {
    let Some(host) = host() else { return };
    let app = App::tiny("tiny", "app: tiny\n");
    app.write("Dockerfile", HANGS);
    let up = |host: &Host| {
        let mut up = Terminal::start(&host.cli(), &["up", app.path(), "--yes"], 120, 40);
        up.wait_for("it hangs now");
        up.press("\u{3}");
        up.wait_for("Cancel it instead?");
        up
    };
    let mut left = up(&host);
    left.press("\u{3}");
    left.wait_for("left before the end");
    assert_eq!(left.end(), 1);
    let listed = host.cli().json(["operation", "list", "tiny"]);
    assert_eq!(listed[0]["state"], "running", "{listed}");
    host.cli().ok(["operation", "cancel", "tiny"]);
    host.cli()
        .fails(1, ["operation", listed[0]["id"].as_str().unwrap()]);

    let mut cancelled = up(&host);
    cancelled.press("y\n");
    cancelled.wait_for("cancelled");
    assert_eq!(cancelled.end(), 1);
}

#[test]
fn a_cancelled_deploy_leaves_what_was_there() {
    let Some(host) = host() else { return };
    let cli = host.cli();
    let app = App::tiny("tiny", "app: tiny\n");
    cli.ok(["up", app.path(), "--yes"]);
    let before = host.docker.id("tiny", "main");
    // It never answers.
    app.write("index.html", "second\n");
    app.write(
        "doprax.yaml",
        "app: tiny\nmain:\n  health: { path: /missing, timeout: 100s }\n",
    );
    let mut up = cli
        .command(["up", app.path(), "--yes", "--verbose"])
        .spawn();
    up.wait_for("wait until main", 30);
    cli.ok(["operation", "cancel", "tiny"]);
    up.end(30).ended_with(1).says(&["going back", "cancelled"]);
    assert_eq!(host.docker.id("tiny", "main"), before);
    let page = host.site("tiny").get("/").with_status(200).text();
    assert_eq!(page, "first\n");
}

#[test]
fn a_failed_deploy_leaves_neither_image_nor_archive() {
    let Some(host) = host() else { return };
    let cli = host.cli();
    // A copy that a failed deploy made may be ending still.
    let left = |expected: (usize, usize)| {
        doprax_e2e::wait_for(&format!("{expected:?} images and archives"), 20, || {
            let found = (host.docker.images("tiny").len(), sources(&host));
            (found == expected).then_some(())
        });
    };
    let app = App::tiny(
        "tiny",
        "app: tiny\nmain:\n  health: { path: /missing, timeout: 2s }\n",
    );
    cli.fails(1, ["up", app.path(), "--yes"]);
    left((0, 0));

    app.write("doprax.yaml", "app: tiny\n");
    cli.ok(["up", app.path(), "--yes"]);
    left((1, 1));
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\nCMD [\"false\"]\n",
    );
    app.write(
        "doprax.yaml",
        "app: tiny\nmain:\n  health: { timeout: 3s }\n",
    );
    cli.fails(1, ["up", app.path(), "--yes"]);
    left((1, 1));
    let page = host.site("tiny").get("/").with_status(200).text();
    assert_eq!(page, "first\n");
}

#[test]
fn the_build_cache_is_bounded() {
    let Some(engine) = engine() else { return };
    let host = Host::start_with(Setup {
        more: vec!["--build-cache".to_owned(), "1MiB".to_owned()],
        ..Setup::new(&engine)
    });
    let app = App::tiny("tiny", "app: tiny\n");
    // Megabytes that no image has: a file that the next step takes away.
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\nRUN head -c 40000000 /dev/urandom >/big\nRUN rm /big\n\
         FROM doprax-test/nginx:1.22\nCOPY --from=0 /etc/hostname /\n",
    );
    host.cli().ok(["up", app.path(), "--yes"]);
    doprax_e2e::wait_for("the cache to be pruned", 60, || {
        host.log()
            .contains("the build cache was pruned")
            .then_some(())
    });
    host.cli().command(["doctor"]).run().says(&["build cache"]);
}

/// Keeps a database locked until its standard input ends.
const LOCK: &str = "\
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute('BEGIN IMMEDIATE')
print('locked', flush=True)
sys.stdin.read()
";

#[test]
fn an_app_is_held_until_the_end_of_its_operation_is_written_down() {
    let Some(mut host) = host() else { return };
    let cli = host.cli();
    let app = App::tiny("tiny", "app: tiny\n");
    cli.ok(["up", app.path(), "--yes"]);
    app.write("index.html", "second\n");
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\nCOPY index.html /usr/share/nginx/html/index.html\n\
         RUN echo building; sleep 3\n",
    );
    let mut up = cli.command(["up", app.path(), "--yes"]).spawn();
    up.wait_for("building", 30);
    let locked = std::process::Command::new("python3")
        .args(["-c", LOCK])
        .arg(host.state().join("doprax.db"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(mut lock) = locked else {
        eprintln!("SKIPPED a locked database: there is no python3");
        return;
    };
    let mut said = [0; 6];
    std::io::Read::read_exact(lock.stdout.as_mut().unwrap(), &mut said).unwrap();
    assert_eq!(&said, b"locked");

    up.wait_for("held until", 60);
    cli.fails(1, ["up", app.path(), "--yes", "--no-wait"])
        .says(&["busy"]);
    host.site("tiny").get("/").with_status(200);
    drop(lock.stdin.take());
    lock.wait().unwrap();
    up.end(30).ended_with(1).says(&["locked"]);

    cli.ok(["up", app.path(), "--yes"]);
    host.kill();
    host.resume();
    let listed = host.cli().json(["operation", "list", "tiny"]);
    let states: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["done", "failed", "done"]);
    let page = host.site("tiny").get("/").with_status(200).text();
    assert_eq!(page, "second\n");
}
