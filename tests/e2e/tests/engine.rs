//! The engine itself ends and comes back. A program of its own, because every other test
//! would feel it.
//!
//! Only the second engine of the tests is harmed; the machine's own may serve others.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
#![allow(clippy::print_stderr, reason = "says that it is skipped")]

use doprax_e2e::{App, Host, engine, wait_for};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The script that runs the second engine.
fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("engines/docker-28")
}

/// The second engine, if it is the one to test with.
fn second_engine() -> Option<String> {
    let engine = engine()?;
    let output = Command::new(script()).arg("socket").output().unwrap();
    let socket = String::from_utf8_lossy(&output.stdout);
    if engine == format!("unix://{}", socket.trim()) {
        return Some(engine);
    }
    doprax_e2e::skipped(&format!("{engine} may serve others, so it is not killed"));
    None
}

#[track_caller]
fn crash() {
    let output = Command::new(script()).arg("crash").output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Waits until the whole guestbook runs and has its entry.
#[track_caller]
fn comes_back(host: &Host) {
    let site = host.site("guestbook");
    wait_for("the guestbook to answer again", 120, || {
        let answer = site.try_get("/entries").ok()?;
        (answer.status == 200 && answer.text().contains("hello")).then_some(())
    });
    wait_for("every container to run", 60, || {
        let status = host.cli().command(["status", "guestbook", "--json"]).run();
        (status.code == 0 && status.lines()[0]["state"] == "running").then_some(())
    });
    assert_eq!(host.docker.names("container", "guestbook").len(), 4);
}

#[test]
fn apps_come_back_with_a_crashed_engine() {
    let Some(engine) = second_engine() else {
        return;
    };
    let app = App::copy("guestbook");
    let mut host = Host::start(&engine);
    host.cli().ok(["up", app.path(), "--yes"]);
    host.site("guestbook")
        .post_form("/entries", "author=Ada&text=hello")
        .with_status(303);
    // With the host at work, and with the host away.
    crash();
    comes_back(&host);
    host.kill();
    crash();
    host.resume();
    comes_back(&host);
    host.cli()
        .ok(["up", app.path(), "--yes"])
        .says(&["nothing to do"]);

    // In the middle of a deploy: it fails or goes on, and the app serves either way.
    app.write("release.txt", "second\n");
    let mut up = host
        .cli()
        .command(["up", app.path(), "--yes", "--verbose"])
        .spawn();
    up.wait_for("start main", 60);
    crash();
    up.end(180);
    comes_back(&host);
    host.cli().ok(["up", app.path(), "--yes"]);
    assert_eq!(
        host.site("guestbook").get("/info").json()["release"],
        "second"
    );
    wait_for("only the new release to be left", 60, || {
        (host.docker.names("container", "guestbook").len() == 4).then_some(())
    });
}
