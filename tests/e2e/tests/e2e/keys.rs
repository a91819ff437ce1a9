//! What a manifest says about containers beside images, variables and volumes.

use crate::host;
use doprax_e2e::App;
use serde_json::Value;

#[test]
fn a_worker_without_a_port_runs_and_has_no_address() {
    let app = App::tiny("tiny", "port: none\n");
    let Some(host) = host() else { return };
    let cli = host.cli();
    cli.ok(["plan", app.path()]).says(&["it has no address"]);
    cli.ok(["up", app.path(), "--yes"]);
    cli.ok(["apps"]).says(&["running", "1/1", "no port"]);
    let found = cli.status("tiny");
    assert_eq!(found["url"], Value::Null);
    assert_eq!(found["containers"][0]["port"], Value::Null);
    let site = host.site("tiny");
    let page = site.get("/").with_status(404).text();
    assert!(page.contains("tiny has no pages"), "{page}");
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);
    cli.ok(["restart", "tiny"]);

    app.write("doprax.yaml", "port: 80\n");
    cli.ok(["up", app.path(), "--yes"]).says(&["tiny runs at"]);
    site.get("/").with_status(200);
    app.write("doprax.yaml", "port: none\n");
    cli.ok(["up", app.path(), "--yes"]);
    site.get("/").with_status(404);
    cli.ok(["remove", "tiny", "--yes"]);
}

#[test]
fn main_is_built_from_a_folder_a_stage_and_arguments() {
    let app = App::empty("tiny");
    let manifest = |build: &str| app.write("doprax.yaml", format!("build: {build}\n"));
    app.write("web/index.html", "first\n");
    app.write(
        "web/docker/prod",
        "FROM doprax-test/nginx:1.22 AS prod\nARG WHO=nobody\nARG PORT=8080\nENV PORT=${PORT}\n\
         RUN sed -i \"s/listen 80;/listen $PORT;/\" /etc/nginx/conf.d/default.conf\n\
         COPY index.html /usr/share/nginx/html/\nRUN echo \"$WHO\" >/usr/share/nginx/html/who\n\
         EXPOSE $PORT\nVOLUME /srv/lost\nFROM prod\nRUN exit 9\n",
    );
    let Some(host) = host() else { return };
    let cli = host.cli();
    manifest("{ context: ./wob }");
    cli.fails(1, ["up", app.path(), "--yes"])
        .says(&["doprax.yaml:1:", "no folder wob"]);
    manifest("{ context: ./web }");
    cli.fails(1, ["up", app.path(), "--yes"])
        .says(&["no Dockerfile in", "/web"]);
    let build = |who: &str| {
        manifest(&format!(
            "{{ context: web, dockerfile: docker/prod, target: prod, args: {{ WHO: {who} }} }}"
        ));
    };
    build("me");
    cli.ok(["plan", app.path()])
        .says(&["docker/prod, stage prod", "8080", "/srv/lost is lost"]);
    cli.ok(["up", app.path(), "--yes"]);
    let site = host.site("tiny");
    assert_eq!(site.get("/").text(), "first\n");
    assert_eq!(site.get("/who").text(), "me\n");
    // What stands beside the folder is no part of the source.
    app.write("README.md", "new");
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);
    build("you");
    cli.ok(["up", app.path(), "--yes"]);
    assert_eq!(site.get("/who").text(), "you\n");
}

#[test]
fn new_limits_take_nothing_away() {
    let manifest = |limits: &str| {
        format!(
            "services:\n  - redis:\n      image: doprax-test/redis:7\n      resources: {limits}\n"
        )
    };
    let app = App::tiny("tiny", &manifest("{ memory: 64MiB }"));
    let Some(host) = host() else { return };
    let cli = host.cli();
    cli.ok(["up", app.path(), "--yes"]);
    let inspected = || host.docker.inspect("tiny", "redis");
    let before = inspected();
    app.write("doprax.yaml", manifest("{ memory: 96MiB, cpus: 0.5 }"));
    cli.ok(["up", app.path(), "--yes"])
        .says(&["it goes on running, with other limits", "memory 96 MiB"]);
    let after = inspected();
    assert_eq!(before["Id"], after["Id"]);
    assert_eq!(before["State"]["StartedAt"], after["State"]["StartedAt"]);
    assert_eq!(after["HostConfig"]["Memory"], 96 << 20);
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);
    app.write("doprax.yaml", manifest("{}"));
    cli.ok(["up", app.path(), "--yes"]);
    assert_eq!(inspected()["Id"], before["Id"]);
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);
}

#[test]
fn a_domain_may_have_letters_beyond_ascii() {
    let app = App::tiny("tiny", "domains:\n  - name: straße.example\n");
    let Some(host) = host() else { return };
    let cli = host.cli();
    cli.ok(["up", app.path(), "--yes"])
        .says(&["straße.example (xn--strae-oqa.example)"]);
    cli.ok(["domain", "add", "tiny", "Bücher.example"])
        .says(&["tiny answers to bücher.example (xn--bcher-kva.example)"]);
    let site = host.site("tiny");
    for name in ["xn--strae-oqa.example", "xn--bcher-kva.example"] {
        site.named(name).get("/").with_status(200);
    }
    cli.ok(["domain", "list", "tiny"]).says(&["bücher.example"]);
    cli.ok(["domain", "remove", "tiny", "bücher.example"]);
    site.named("xn--bcher-kva.example")
        .get("/")
        .with_status(404);
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);
}
