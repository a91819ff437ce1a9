//! The guestbook: main with MySQL, Redis, and Nginx in front, used by its visitors and
//! by the one who runs it.

use crate::{deployed, host};
use bytes::Bytes;
use doprax_e2e::{App, Host, Site, wait_for};
use serde_json::Value;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

/// Signs the guestbook.
#[track_caller]
fn sign(site: &Site, text: &str) {
    site.post_form("/entries", &format!("author=Ada&text={text}"))
        .with_status(303);
}

/// The texts of its entries, the newest first.
#[track_caller]
fn entries(site: &Site) -> Vec<String> {
    let entries = site.get("/entries").with_status(200).json();
    let texts = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["text"].as_str().unwrap().to_owned());
    texts.collect()
}

/// The state of each of an app's containers.
#[track_caller]
fn states(host: &Host) -> Vec<(String, String)> {
    let status = host.cli().status("guestbook");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let containers = status["containers"].as_array().unwrap().iter();
    let mut states: Vec<_> = containers
        .map(|container| (text(&container["name"]), text(&container["state"])))
        .collect();
    states.sort();
    states
}

#[track_caller]
fn all(state: &str) -> Vec<(String, String)> {
    ["main", "mysql", "nginx", "redis"]
        .map(|name| (name.to_owned(), state.to_owned()))
        .to_vec()
}

#[test]
fn is_deployed_and_used_through_the_ingress() {
    let app = App::copy("guestbook");
    let Some(host) = host() else { return };
    let cli = host.cli();
    let url = format!("http://guestbook.localhost:{}", host.setup.port);
    cli.ok(["plan", app.path()])
        .says(&["mysql", "redis", "nginx", "8000"]);
    assert_eq!(
        host.docker.names("container", "guestbook"),
        [""; 0],
        "a plan changes nothing"
    );
    cli.ok(["up", app.path(), "--yes"]).says(&[&url]);
    assert_eq!(states(&host), all("running"));
    let apps = cli.json(["apps"]);
    assert_eq!(
        (apps[0]["app"].as_str(), apps[0]["state"].as_str()),
        (Some("guestbook"), Some("running"))
    );
    assert_eq!(apps[0]["url"].as_str(), Some(url.as_str()));

    let site = host.site("guestbook");
    sign(&site, "hello");
    sign(&site, "again");
    assert_eq!(entries(&site), ["again", "hello"]);
    let page = site.get("/").with_status(200).text();
    assert!(
        page.contains("hello") && page.contains("Visit 1."),
        "{page}"
    );

    // Nginx serves what main put on the volume that both mount.
    let style = site.get("/static/style.css").with_status(200);
    assert!(
        style.header("server").unwrap_or_default().contains("nginx"),
        "{style:?}"
    );
    assert!(style.text().contains("font:"), "{style:?}");

    everything_passes(&site);

    let before = host.docker.ids("guestbook");
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);
    assert_eq!(host.docker.ids("guestbook"), before, "nothing was replaced");
    assert!(!cli.json(["plan", app.path()])["changes"].as_bool().unwrap());

    app.replace(
        "nginx.conf",
        "worker_connections 1024",
        "worker_connections 2048",
    );
    let plan = cli
        .ok(["plan", app.path()])
        .says(&["~ nginx"])
        .says_none(&["~ main", "~ mysql", "~ redis"]);
    assert!(plan.stdout.contains("nginx.conf"), "{plan}");
    cli.ok(["up", app.path(), "--yes"]);
    let after = host.docker.ids("guestbook");
    let kept = |service: &str| {
        before
            .iter()
            .any(|line| after.contains(line) && line.starts_with(service))
    };
    assert!(
        kept("mysql.") && kept("redis.") && !kept("nginx."),
        "{before:?}\n{after:?}"
    );
    assert_eq!(entries(&site), ["again", "hello"]);
}

/// What a proxy could break: a stream, a WebSocket, a large body, the headers.
#[track_caller]
fn everything_passes(site: &Site) {
    let events = site.stream("/events?count=4&pause=0.3");
    let text: Vec<u8> = events
        .iter()
        .flat_map(|(_, piece)| piece.to_vec())
        .collect();
    assert_eq!(
        String::from_utf8(text).unwrap(),
        "data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\n"
    );
    let (first, last) = (events.first().unwrap().0, events.last().unwrap().0);
    assert!(
        last - first > Duration::from_millis(600),
        "the events came at once: {events:?}"
    );

    let messages = ["hello".to_owned(), "x".repeat(70_000)].map(Message::text);
    assert_eq!(site.echo("/ws", &messages), messages);

    let large = Bytes::from(vec![b'x'; 32 << 20]);
    let counted = site
        .post("/upload", "application/octet-stream", large)
        .with_status(200)
        .json();
    assert_eq!(counted["bytes"].as_u64(), Some(32 << 20));
    // printf 'x%.0s' {1..33554432} | sha256sum
    assert_eq!(counted["sha256"].as_str().unwrap().len(), 64);

    let seen = site.get("/headers").with_status(200).json();
    let headers: Vec<(String, String)> = serde_json::from_value(seen["headers"].clone()).unwrap();
    let header = |wanted: &str| {
        let found = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found
            .unwrap_or_else(|| panic!("no {wanted} in {headers:?}"))
            .1
            .clone()
    };
    assert_eq!(header("host"), site.authority());
    assert!(
        header("x-forwarded-for").starts_with("127.0.0.1"),
        "{headers:?}"
    );
    assert_eq!(header("x-forwarded-proto"), "http");
    assert_eq!(header("x-forwarded-host"), site.authority());
}

#[test]
fn outlives_its_host() {
    let app = App::copy("guestbook");
    let Some(mut host) = deployed(&app) else {
        return;
    };
    let site = host.site("guestbook");
    sign(&site, "hello");
    let before = host.docker.ids("guestbook");
    for end in [Host::stop, Host::kill] {
        end(&mut host);
        assert_eq!(host.docker.ids("guestbook"), before);
        let (code, answer) = host.docker.exec(
            "guestbook",
            "nginx",
            &["curl", "-sf", "http://main:8000/up"],
        );
        assert_eq!(
            (code, answer.as_str()),
            (0, "ok"),
            "the app serves while its host is away"
        );
        host.resume();
        // From the first moment, not from some later look at the engine.
        assert_eq!(entries(&site), ["hello"]);
        assert_eq!(
            host.docker.ids("guestbook"),
            before,
            "a host that comes back changes nothing"
        );
        host.cli()
            .ok(["up", app.path(), "--yes"])
            .says(&["nothing to do"]);
    }

    // What happened while it was away, it puts right when it is back.
    host.kill();
    host.docker.run(&[
        "rm",
        "--force",
        &host.docker.container("guestbook", "redis"),
    ]);
    host.docker.run(&[
        "stop",
        "--time",
        "1",
        &host.docker.container("guestbook", "main"),
    ]);
    host.resume();
    site.wait_until_ok("/up", 60);
    assert_eq!(states(&host), all("running"));
    assert_eq!(entries(&site), ["hello"]);
}

#[test]
fn what_dies_comes_back() {
    let app = App::copy("guestbook");
    let Some(host) = deployed(&app) else { return };
    let site = host.site("guestbook");
    sign(&site, "hello");

    let started =
        |service: &str| host.docker.inspect("guestbook", service)["State"]["StartedAt"].to_string();
    let before = started("main");
    host.docker.run(&[
        "kill",
        "--signal",
        "KILL",
        &host.docker.container("guestbook", "main"),
    ]);
    wait_for("main to run again", 10, || {
        (started("main") != before).then_some(())
    });
    site.wait_until_ok("/up", 30);

    // The process itself, which the engine starts again at once.
    let before = started("main");
    let process = host.docker.inspect("guestbook", "main")["State"]["Pid"].to_string();
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &process])
        .status();
    assert!(killed.unwrap().success());
    wait_for("main to run again", 10, || {
        (started("main") != before).then_some(())
    });
    site.wait_until_ok("/up", 30);

    for service in ["mysql", "redis", "nginx", "main"] {
        let before = host.docker.id("guestbook", service).unwrap();
        host.docker.run(&[
            "rm",
            "--force",
            &host.docker.container("guestbook", service),
        ]);
        wait_for(&format!("another {service}"), 30, || {
            host.docker
                .id("guestbook", service)
                .filter(|after| *after != before)
        });
        site.wait_until_ok("/up", 60);
        assert_eq!(entries(&site), ["hello"], "after {service} was removed");
    }
    // The last one answers before Nginx has taken notice of it.
    wait_for("nothing that is owed", 30, || {
        let plan = host
            .cli()
            .command(["plan", app.path(), "--exit-code"])
            .run();
        (plan.code == 0).then_some(())
    });
    host.cli()
        .ok(["up", app.path(), "--yes"])
        .says(&["nothing to do"]);
}

#[test]
fn stops_starts_and_restarts() {
    let app = App::copy("guestbook");
    let Some(mut host) = deployed(&app) else {
        return;
    };
    let (cli, site) = (host.cli(), host.site("guestbook"));
    sign(&site, "hello");

    cli.ok(["stop", "guestbook"]);
    assert_eq!(states(&host), all("stopped"));
    let page = site.get("/").with_status(503);
    assert!(page.text().contains("guestbook is stopped"), "{page:?}");
    host.stop();
    host.resume();
    assert_eq!(states(&host), all("stopped"), "what was stopped stays so");
    cli.ok(["start", "guestbook"]);
    assert_eq!(states(&host), all("running"));
    assert_eq!(entries(&site), ["hello"]);

    cli.ok(["stop", "guestbook", "redis"]);
    let stopped = states(&host)
        .into_iter()
        .filter(|(_, state)| state == "stopped");
    assert_eq!(stopped.map(|(name, _)| name).collect::<Vec<_>>(), ["redis"]);
    cli.ok(["start", "guestbook", "redis"]);
    site.wait_until_ok("/up", 20);

    let started =
        |service: &str| host.docker.inspect("guestbook", service)["State"]["StartedAt"].to_string();
    let (mysql, redis) = (started("mysql"), started("redis"));
    cli.ok(["restart", "guestbook", "redis"]);
    assert_ne!(started("redis"), redis);
    assert_eq!(started("mysql"), mysql);
    cli.ok(["restart", "guestbook"]);
    assert_ne!(started("mysql"), mysql);
    site.wait_until_ok("/up", 20);
    assert_eq!(entries(&site), ["hello"]);
}

#[test]
fn is_removed_and_finds_its_data_again() {
    let app = App::copy("guestbook");
    let Some(host) = deployed(&app) else { return };
    let (cli, site) = (host.cli(), host.site("guestbook"));
    sign(&site, "hello");

    cli.ok(["remove", "guestbook", "--yes"]).says(&[
        "guestbook is removed",
        "\"mysql_data\"",
        "\"static\"",
    ]);
    assert_eq!(host.docker.names("container", "guestbook"), [""; 0]);
    assert_eq!(host.docker.names("network", "guestbook"), [""; 0]);
    site.get("/").with_status(404);
    cli.fails(1, ["status", "guestbook"])
        .says(&["no app guestbook"]);
    cli.ok(["volume", "list"]).says(&["mysql_data", "static"]);

    // The database still wants the password that it was made with.
    cli.ok(["up", app.path(), "--yes"]);
    assert_eq!(entries(&site), ["hello"]);

    cli.fails(1, ["volume", "remove", "guestbook", "mysql_data", "--yes"])
        .says(&["in use", "mysql"]);
    cli.ok(["remove", "guestbook", "--yes"]);
    let volumes: Vec<String> = cli
        .json(["volume", "list"])
        .as_array()
        .unwrap()
        .iter()
        .map(|volume| volume["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(volumes.contains(&"mysql_data".to_owned()), "{volumes:?}");
    for volume in &volumes {
        cli.ok(["volume", "remove", "guestbook", volume, "--yes"]);
    }
    assert_eq!(host.docker.names("volume", "guestbook"), [""; 0]);
    cli.fails(1, ["volume", "remove", "guestbook", "mysql_data", "--yes"])
        .says(&["no volume"]);

    cli.ok(["up", app.path(), "--yes"]);
    assert_eq!(entries(&site), [""; 0]);
}
