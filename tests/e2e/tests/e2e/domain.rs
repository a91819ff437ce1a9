//! Host names of apps beside their free subdomains.

use doprax_e2e::{App, Dns, Docker, Host, Setup, engine, wait_for};
use serde_json::Value;

/// A host that is said to be at 192.0.2.10 and 2001:db8::10, and servers for its names.
fn host(docker: &Docker, mut setup: Setup) -> (Host, Dns<'_>) {
    let dns = Dns::start(docker);
    let cache = dns.cache().to_string();
    let more = [
        "--address",
        "192.0.2.10",
        "--address",
        "2001:db8::10",
        "--dns",
        &cache,
    ];
    setup.more.extend(more.map(str::to_owned));
    (Host::start_with(setup), dns)
}

#[test]
fn a_domain_is_given_verified_and_taken_away() {
    let Some(engine) = engine() else { return };
    let setup = Setup::new(&engine);
    let docker = Docker::new(&engine, &setup.instance);
    let (host, dns) = host(&docker, setup);
    let cli = host.cli();
    let (shop, blog) = (App::tiny("shop", ""), App::tiny("blog", ""));
    shop.write("index.html", "shop\n");
    cli.ok(["up", shop.path(), "--yes"]);
    cli.ok(["up", blog.path(), "--yes"]);

    cli.ok(["domain", "add", "shop", "example.net", "--www"])
        .says(&[
            "shop answers to example.net and www.example.net (sent on to example.net)",
            "A     example.net      192.0.2.10",
            "AAAA  www.example.net  2001:db8::10",
        ]);
    let site = host.site("shop");
    assert_eq!(
        site.named("example.net").get("/").with_status(200).text(),
        "shop\n"
    );
    // It belongs to one app, whoever asks and however.
    cli.fails(1, ["domain", "add", "blog", "example.net"])
        .says(&["belongs to app shop"]);
    blog.write("doprax.yaml", "domains:\n  - { name: www.example.net }\n");
    let path = blog.path();
    for command in [vec!["plan", path], vec!["up", path, "--yes"]] {
        cli.fails(1, command)
            .says(&["www.example.net belongs to app shop"]);
    }
    for (wrong, why) in [
        ("blog.localhost", "within localhost"),
        ("https://example.org/", "example.org"),
        ("192.0.2.1", "no host name"),
    ] {
        cli.fails(1, ["domain", "add", "blog", wrong])
            .says(&[why, "help:"])
            .says_none(&["name: "]);
    }
    cli.ok(["domain", "add", "blog", "blog.internal"])
        .says(&["own CA (doprax ca)", "to this host, 192.0.2.10"])
        .says_none(&["DNS provider"]);

    // What the servers say counts, not what a cache heard an hour ago.
    let verify = || cli.command(["domain", "verify", "shop", "--json"]).run();
    let found = |name: &str| -> (bool, Value) {
        let all: Value = serde_json::from_str(&verify().stdout).unwrap();
        let all = all.as_array().unwrap();
        let one = all.iter().find(|one| one["name"] == name).unwrap();
        (one["verified"].as_bool().unwrap(), one["found"].clone())
    };
    dns.write(
        "example.net",
        "@ IN A 192.0.2.7\nwww IN CNAME shop.example.org.",
    );
    wait_for("the old record", 10, || {
        (found("example.net").1 == serde_json::json!(["192.0.2.7"])).then_some(())
    });
    cli.fails(1, ["domain", "verify", "shop", "example.net"])
        .says(&[
            "example.net leads to 192.0.2.7, say the name servers of example.net",
            "it should lead to 192.0.2.10, 2001:db8::10 and nowhere else",
        ]);
    cli.ok(["domain", "list"]).says(&["example.net", "not yet"]);
    dns.write("example.org", "shop IN AAAA 2001:db8::10");
    dns.write(
        "example.net",
        "@ IN A 192.0.2.10\nwww IN CNAME shop.example.org.",
    );
    wait_for("both names to lead here", 10, || {
        (found("example.net").0 && found("www.example.net").0).then_some(())
    });
    cli.ok(["domain", "verify", "shop"])
        .says(&["www.example.net leads to 2001:db8::10, say the name servers of example.org"]);
    cli.ok(["domain", "list", "shop"])
        .says(&["yes"])
        .says_none(&["not yet"]);

    // One that has moved away is verified no more.
    dns.write(
        "example.net",
        "@ IN A 192.0.2.7\nwww IN CNAME shop.example.org.",
    );
    let verified = |name: &str| {
        let all = cli.json(["domain", "list", "shop"]);
        let mut all = all.as_array().unwrap().iter();
        let one = all.find(|one| one["name"] == name).unwrap();
        !one["verified_ms"].is_null()
    };
    wait_for("the name to have moved", 10, || {
        (!found("example.net").0).then_some(())
    });
    assert!(!verified("example.net") && verified("www.example.net"));
    // Where nobody can be asked, nothing is known.
    dns.end_cache();
    cli.fails(1, ["domain", "verify", "shop"])
        .says(&["no DNS server could be asked about www.example.net"])
        .says_none(&["Query {"]);
    assert!(!verified("example.net") && verified("www.example.net"));

    cli.ok(["domain", "remove", "shop", "example.net"]);
    site.named("example.net").get("/").with_status(404);
    site.named("www.example.net").get("/").with_status(404);
    cli.fails(1, ["domain", "remove", "shop", "example.net"])
        .says(&["no domain example.net"]);
    cli.ok(["up", blog.path(), "--yes"])
        .says(&["www.example.net"]);
    site.named("www.example.net").get("/").with_status(200);
}

#[test]
fn domains_of_the_manifest_come_and_go_with_it() {
    let Some(engine) = engine() else { return };
    let mut host = Host::start(&engine);
    let app = App::tiny("tiny", "domains:\n  - { name: example.net, www: true }\n");
    host.cli()
        .ok(["up", app.path(), "--yes"])
        .says(&["example.net", "www.example.net, sent on to example.net"]);
    host.cli()
        .ok(["domain", "add", "tiny", "Example.ORG."])
        .says(&[
            "tiny answers to example.org",
            "no public address of itself",
            "--address",
        ]);
    host.cli()
        .fails(1, ["domain", "remove", "tiny", "example.net"])
        .says(&["doprax.yaml", "deploy"]);
    let site = host.site("tiny");
    let answers = |name: &str, status: u16| {
        site.named(name).get("/").with_status(status);
    };
    // A deploy that fails changes nothing.
    app.write("doprax.yaml", "domains:\n  - { name: other.example.net }\n");
    let dockerfile = std::fs::read_to_string(app.at("Dockerfile")).unwrap();
    app.write("Dockerfile", format!("{dockerfile}RUN exit 3\n"));
    host.cli().fails(1, ["up", app.path(), "--yes"]);
    answers("example.net", 200);
    answers("other.example.net", 404);
    app.write("Dockerfile", dockerfile);
    host.cli().ok(["up", app.path(), "--yes"]);
    for end in [Host::stop, Host::kill] {
        answers("other.example.net", 200);
        answers("example.org", 200);
        answers("example.net", 404);
        end(&mut host);
        host.resume();
    }
    host.cli().ok(["remove", "tiny", "--yes"]);
    answers("example.org", 404);
    assert_eq!(host.cli().json(["domain", "list"]), serde_json::json!([]));
}
