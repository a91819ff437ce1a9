//! What containers print, as `doprax logs` shows it.

use crate::deployed;
use doprax_e2e::{App, Host, Setup, Site};

#[test]
fn of_all_of_one_the_last_the_newest_and_those_to_come() {
    let app = App::tiny(
        "tiny",
        "services:\n  - redis:\n      image: doprax-test/redis:7\n",
    );
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\n\
         CMD [\"sh\", \"-c\", \"for i in 1 2 3 4 5; do echo line $i; done; echo oops >&2; exec nginx -g 'daemon off;'\"]\n",
    );
    let Some(host) = deployed(&app) else { return };
    let cli = host.cli();
    let lines = |arguments: &[&str]| -> Vec<String> {
        let all = ["logs", "tiny"].iter().chain(arguments);
        let outcome = cli.ok(all).stdout;
        outcome.lines().map(str::to_owned).collect()
    };
    let of_main = |lines: &[String]| {
        lines
            .iter()
            .filter(|line| line.starts_with("line "))
            .cloned()
            .collect::<Vec<_>>()
    };

    let all = lines(&[]);
    assert!(
        all.iter()
            .any(|line| line.starts_with("main") && line.ends_with("line 3")),
        "{all:#?}"
    );
    assert!(
        all.iter()
            .any(|line| line.starts_with("redis") && line.contains("Ready to accept")),
        "{all:#?}"
    );
    let main = lines(&["main"]);
    assert_eq!(
        of_main(&main),
        ["line 1", "line 2", "line 3", "line 4", "line 5"]
    );
    assert!(
        main.contains(&"oops".to_owned())
            && !main.iter().any(|line| line.contains("Ready to accept")),
        "{main:#?}"
    );
    assert_eq!(lines(&["main", "--tail", "2"]).len(), 2);
    assert_eq!(lines(&["main", "--since", "2030-01-01T00:00:00Z"]), [""; 0]);
    assert_eq!(of_main(&lines(&["main", "--since", "10m"])).len(), 5);

    let records = cli.ok(["logs", "tiny", "main", "--json"]).lines();
    let oops = records
        .iter()
        .find(|record| record["text"] == "oops")
        .unwrap();
    assert_eq!(oops["stderr"], true, "{oops}");
    assert!(oops["time"].as_str().unwrap().contains('T'), "{oops}");

    let mut following = cli
        .command(["logs", "tiny", "main", "--follow", "--tail", "0"])
        .spawn();
    let site = host.site("tiny");
    doprax_e2e::wait_for("a request to be in the log that is followed", 20, || {
        site.get("/followed").with_status(404);
        following.stdout().contains("GET /followed").then_some(())
    });
    assert!(
        !following.stdout().contains("line 1"),
        "{}",
        following.stdout()
    );
    // SIGINT is ignored by whatever a shell started in the background, tests included.
    following.signal("TERM");
    following.end(5);

    cli.fails(1, ["logs", "tiny", "nothing"])
        .says(&["no container nothing", "main", "redis"]);
}

#[test]
fn requests_are_recorded_and_counted() {
    let app = App::tiny("tiny", "");
    let Some(engine) = doprax_e2e::engine() else {
        return;
    };
    let mut setup = Setup::new(&engine);
    let metrics = format!("127.0.0.1:{}", setup.port + 1);
    setup.more.extend(["--metrics".to_owned(), metrics.clone()]);
    let host = Host::start_with(setup);
    let cli = host.cli();
    cli.ok(["up", app.path(), "--yes"]);
    let site = host.site("tiny");
    let follow = cli
        .command(["logs", "tiny", "--access", "--follow"])
        .spawn();
    site.get("/?token=secret").with_status(200);
    site.get("/nothing").with_status(404);
    follow.wait_for("404 GET tiny.localhost/nothing", 10);
    let all = cli.ok(["logs", "tiny", "--access"]);
    all.says(&["127.0.0.1 200 GET tiny.localhost/ "])
        .says_none(&["secret"]);
    assert_eq!(
        cli.ok(["logs", "tiny", "--access", "--tail", "1"])
            .stdout
            .lines()
            .count(),
        1
    );

    // A page of the ingress has an id, and the record has it too.
    cli.ok(["stop", "tiny"]);
    let page = site.get("/").with_status(503).text();
    let record = &cli
        .ok(["logs", "tiny", "--access", "--tail", "1", "--json"])
        .lines()[0];
    let id = record["request_id"].as_str().unwrap();
    assert!(page.contains(id), "{page}");
    assert_eq!(record["status"], 503);

    // What is for no app is in nobody's log but the host's.
    let page = host.site("nobody").get("/").with_status(404).text();
    let record = &cli
        .ok(["logs", "--access", "--tail", "1", "--json"])
        .lines()[0];
    assert!(page.contains(record["request_id"].as_str().unwrap()));
    assert_eq!(
        (&record["host"], &record["app"]),
        (&"nobody.localhost".into(), &().into())
    );
    cli.ok(["logs", "--access"])
        .says(&["tiny.localhost/nothing", "nobody.localhost/"]);
    cli.ok(["logs", "tiny", "--access"]).says_none(&["nobody"]);

    let scraped = Site::new(metrics.parse().unwrap(), "localhost")
        .get("/metrics")
        .with_status(200);
    assert!(
        scraped
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    let text = scraped.text();
    for line in [
        "doprax_ingress_requests_total{app=\"tiny\",status=\"2xx\"} 1",
        "doprax_ingress_requests_total{app=\"tiny\",status=\"4xx\"} 1",
        "doprax_ingress_requests_total{app=\"tiny\",status=\"5xx\"} 1",
        "doprax_ingress_request_duration_seconds_count{app=\"tiny\"} 3",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    Site::new(metrics.parse().unwrap(), "localhost")
        .get("/v1/apps")
        .with_status(404);
}
