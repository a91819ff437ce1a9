//! When a container counts as one that serves, and what becomes of one that does not.

use crate::{deployed, host};
use doprax_e2e::{App, Host, Load, wait_for};

/// A server that does as `behave` says, which has `Handler` and `serve`.
fn python(name: &str, manifest: &str, behave: &str) -> App {
    let app = App::empty(name);
    app.write("doprax.yaml", manifest);
    app.write(
        "Dockerfile",
        "FROM doprax-test/python:3.11\nCOPY app.py /app.py\nEXPOSE 8000\nCMD [\"python3\", \"/app.py\"]\n",
    );
    behaves(&app, behave);
    app
}

fn behaves(app: &App, behave: &str) {
    let before = "\
import os, signal, socket, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
START = time.monotonic()
def answer(handler, status, text):
    handler.send_response(status)
    handler.send_header('Content-Length', str(len(text)))
    handler.end_headers()
    handler.wfile.write(text.encode())
class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self): answer(self, 200, 'fine\\n')
def serve(handler=Handler, port=8000): ThreadingHTTPServer(('0.0.0.0', port), handler).serve_forever()
def end_after(seconds): threading.Timer(seconds, lambda: (print('cannot go on', flush=True), os._exit(7))).start()
";
    app.write("app.py", format!("{before}{behave}\n"));
}

#[test]
fn a_main_that_crashes_again_and_again_is_replaced() {
    let app = App::tiny("tiny", "");
    let dockerfile =
        "FROM doprax-test/nginx:1.22\nCOPY index.html /usr/share/nginx/html/index.html\n";
    app.write(
        "Dockerfile",
        format!("{dockerfile}CMD [\"sh\", \"-c\", \"test -e /broken && exit 9; exec nginx -g 'daemon off;'\"]\n"),
    );
    let Some(host) = deployed(&app) else { return };
    let main = host.docker.container("tiny", "main");
    host.docker.exec("tiny", "main", &["touch", "/broken"]);
    host.docker.run(&["exec", &main, "nginx", "-s", "quit"]);
    let pausing = || {
        let state = &host.docker.inspect("tiny", "main")["State"];
        (state["Status"].as_str() == Some("restarting")).then_some(())
    };
    // The engine's pauses grow: the later ones cannot be missed.
    wait_for("main between two restarts", 30, || {
        let restarts = host.docker.inspect("tiny", "main")["RestartCount"].as_u64();
        restarts.filter(|count| *count >= 4).and_then(|_| pausing())
    });
    app.write("Dockerfile", dockerfile);
    app.write("index.html", "second\n");
    host.cli().ok(["up", app.path(), "--yes"]);
    assert_eq!(
        host.site("tiny").get("/").with_status(200).text(),
        "second\n"
    );
    wait_for("the old copy to be gone", 10, || {
        (host.docker.names("container", "tiny").len() == 1).then_some(())
    });
}

#[test]
fn a_copy_that_ends_right_after_it_answered_replaces_nothing() {
    let app = python("brief", "", "serve()");
    let Some(host) = deployed(&app) else { return };
    let (cli, site) = (host.cli(), host.site("brief"));
    let before = host.docker.ids("brief");
    let load = Load::start(&site, &[("GET", "/", "")]);
    load.wait_for(20);
    let silent = "s = socket.socket(); s.bind(('0.0.0.0', 8000)); s.listen(); end_after(1.5)";
    for behave in ["end_after(1.5); serve()", silent] {
        behaves(&app, behave);
        let up = cli.command(["up", app.path(), "--yes"]).within(60).run();
        up.ended_with(1)
            .says(&["main", "exit code 7", "cannot go on"]);
        wait_for("only the old release to be left", 40, || {
            (host.docker.ids("brief") == before).then_some(())
        });
    }
    load.wait_for(20);
    let tally = load.stop();
    assert!(tally.failures.is_empty(), "{:#?}", tally.failures);
    assert_eq!(cli.status("brief")["state"].as_str(), Some("running"));
}

#[test]
fn an_app_that_asks_for_a_host_of_its_own_becomes_ready() {
    let behave = "\
class Picky(Handler):
    def do_GET(self):
        good = self.headers.get('Host', '').rsplit(':', 1)[0] == os.environ['ALLOWED_HOST'] and 'x-probe' not in self.headers
        answer(self, 200 if good else 400, 'fine\\n' if good else 'Invalid HTTP_HOST header\\n')
serve(Picky)";
    let manifest = |allowed: &str, rest: &str| {
        format!(
            "main:\n  health: {{ path: /up, timeout: 10s }}\n  envs:\n    - ALLOWED_HOST: {allowed}\n{rest}"
        )
    };
    let app = python("picky", "", behave);
    let Some(host) = host() else { return };
    let free = host.site("picky").authority();
    let free = free.split(':').next().unwrap();
    let domain = "domains:\n  - { name: shop.test, www: true }\n";
    for manifest in [manifest(free, ""), manifest("shop.test", domain)] {
        app.write("doprax.yaml", manifest);
        host.cli().ok(["up", app.path(), "--yes"]);
    }
    // What it wants instead is said by the one who deploys it, and shown where it fails.
    let other = manifest("inner.test", domain);
    app.write("doprax.yaml", &other);
    let failed = host
        .cli()
        .command(["up", app.path(), "--yes"])
        .within(60)
        .run();
    failed
        .ended_with(1)
        .says(&["400", "Invalid HTTP_HOST header"]);
    app.write(
        "doprax.yaml",
        other.replace("path: /up", "path: /up, host: inner.test"),
    );
    host.cli().ok(["up", app.path(), "--yes"]);
    app.write(
        "doprax.yaml",
        other.replace("path: /up", "path: /up, status: [200, 400]"),
    );
    host.cli().ok(["up", app.path(), "--yes"]);
}

#[test]
fn the_healthcheck_of_an_image_decides_when_it_takes_over() {
    let behave = "\
class Warming(Handler):
    def do_GET(self):
        warm = time.monotonic() - START > 4
        answer(self, 200 if warm else 503, os.environ['RELEASE'] if warm else 'warming up')
serve(Warming)";
    let manifest = |release: &str| format!("main:\n  envs:\n    - RELEASE: {release}\n");
    let app = python("warming", &manifest("one"), behave);
    app.replace(
        "Dockerfile",
        "EXPOSE 8000\n",
        "EXPOSE 8000\nHEALTHCHECK --interval=30s --retries=2 CMD curl -fsS http://127.0.0.1:8000/ || exit 1\n",
    );
    let Some(host) = deployed(&app) else { return };
    let site = host.site("warming");
    assert_eq!(site.get("/").with_status(200).text(), "one");
    let load = Load::start(&site, &[("GET", "/", "")]);
    app.write("doprax.yaml", manifest("two"));
    host.cli().ok(["up", app.path(), "--yes"]);
    assert_eq!(site.get("/").with_status(200).text(), "two");
    let tally = load.stop();
    assert!(tally.failures.is_empty(), "{:#?}", tally.failures);
}

#[test]
fn one_that_stops_serving_is_unhealthy_and_restarted_where_that_is_wanted() {
    let manifest = "main:\n  health: { path: /up.html, interval: 1s, timeout: 20s }\n";
    let app = App::tiny("tiny", manifest);
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\nCMD [\"sh\", \"-c\", \"echo up > /usr/share/nginx/html/up.html; exec nginx -g 'daemon off;'\"]\n",
    );
    let Some(host) = deployed(&app) else { return };
    let cli = host.cli();
    let page = "/usr/share/nginx/html/up.html";
    let becomes = |state: &str| {
        wait_for(&format!("the state {state}"), 30, || {
            let apps = cli.json(["apps"]);
            (apps[0]["state"].as_str() == Some(state)).then_some(())
        });
    };
    host.docker.exec("tiny", "main", &["rm", page]);
    becomes("unhealthy");
    cli.ok(["status", "tiny"])
        .says(&["unhealthy", "404", "/up.html"]);
    let main = &cli.status("tiny")["containers"][0];
    assert_eq!(main["state"].as_str(), Some("unhealthy"), "{main}");
    host.docker.exec("tiny", "main", &["touch", page]);
    becomes("running");
    let restarts = || host.docker.inspect("tiny", "main")["State"]["StartedAt"].to_string();
    let before = restarts();

    // A change of that alone makes no container anew.
    app.replace(
        "doprax.yaml",
        "timeout: 20s",
        "timeout: 20s, restart-after: 2",
    );
    cli.ok(["up", app.path(), "--yes"]);
    assert_eq!(restarts(), before);
    host.docker.exec("tiny", "main", &["rm", page]);
    wait_for("a restart", 30, || (restarts() != before).then_some(()));
    wait_for("the page", 10, || {
        (host.site("tiny").get("/up.html").status == 200).then_some(())
    });
    becomes("running");
}

#[test]
fn a_worker_that_ends_soon_is_not_ready() {
    let app = App::tiny(
        "tiny",
        "services:\n  - container:\n      name: worker\n      image: doprax-test/redis:7\n      command: [sh, -c, 'sleep 1.5; echo no queue; exit 4']\n",
    );
    let Some(host) = host() else { return };
    let up = host
        .cli()
        .command(["up", app.path(), "--yes"])
        .within(90)
        .run();
    up.ended_with(1)
        .says(&["worker did not become ready", "no queue"]);
}

#[test]
fn nginx_is_told_of_any_neighbour_that_moved() {
    let app = App::tiny(
        "tiny",
        "\
services:
  - nginx:
      image: doprax-test/nginx:1.22
      config_file:
        - { source: ./proxy.conf, mount: /etc/nginx/nginx.conf, mode: r }
  - container:
      name: api
      image: doprax-test/python:3.11
      port: 9000
      command: [python3, -m, http.server, \"9000\", --directory, /etc]
      settings: { after-main: true }
      envs:
        - RELEASE: one
",
    );
    app.write(
        "proxy.conf",
        "\
events {}
http {
    upstream api { server api:9000; }
    server {
        listen 80;
        location /api/ { proxy_pass http://api/; }
        location / { proxy_pass http://main:80; }
    }
}
",
    );
    let Some(mut host) = deployed(&app) else {
        return;
    };
    let (cli, site) = (host.cli(), host.site("tiny"));
    let nginx =
        |host: &Host| host.docker.inspect("tiny", "nginx")["State"]["StartedAt"].to_string();
    let began = nginx(&host);
    let restarts = host.docker.inspect("tiny", "nginx")["RestartCount"].as_u64();
    assert_eq!(restarts, Some(0), "it found every name at its first start");
    site.get("/api/hostname").with_status(200);

    app.replace("doprax.yaml", "RELEASE: one", "RELEASE: two");
    cli.ok(["up", app.path(), "--yes"]);
    site.get("/api/hostname").with_status(200);

    // Something else takes its address while the host is away.
    let api = host.docker.container("tiny", "api");
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = host.docker.run(&["inspect", "--format", format, &api]);
    let network = host.docker.names("network", "tiny").remove(0);
    host.kill();
    host.docker.run(&["stop", "--time", "0", &api]);
    let label = format!("doprax.instance={}", host.setup.instance);
    let other = host.docker.run(&[
        "run",
        "--detach",
        "--label",
        &label,
        "--network",
        &network,
        "--ip",
        address.trim(),
        "doprax-test/redis:7",
    ]);
    host.docker.run(&["start", &api]);
    assert_ne!(
        host.docker.run(&["inspect", "--format", format, &api]),
        address
    );
    host.resume();
    site.wait_until_ok("/api/hostname", 60);
    host.docker.run(&["rm", "--force", other.trim()]);

    host.docker.run(&["rm", "--force", &api]);
    site.wait_until_ok("/api/hostname", 60);
    assert_eq!(nginx(&host), began, "nothing had to restart Nginx");
}

/// Speaks only TLS, with a certificate of its own making.
const ONLY_TLS: &str = "\
import ssl, subprocess
subprocess.run('openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=inner -keyout /key.pem -out /cert.pem'.split(), check=True)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('/cert.pem', '/key.pem')
server = ThreadingHTTPServer(('0.0.0.0', 8000), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()";

#[test]
fn a_front_that_speaks_tls_only_is_told_what_to_do() {
    let app = python("inner", "", ONLY_TLS);
    let Some(host) = host() else { return };
    let up = host
        .cli()
        .command(["up", app.path(), "--yes"])
        .within(60)
        .run();
    up.ended_with(1)
        .says(&["port 8000 speaks TLS", "`protocol: https`", "set `port`"]);
}

#[test]
fn a_front_that_speaks_tls_only_is_asked_by_tls_where_doprax_yaml_says_so() {
    let manifest = |health: &str| format!("main:\n  port: 8000\n  protocol: https\n{health}");
    let app = python("sealed", &manifest(""), ONLY_TLS);
    let Some(host) = deployed(&app) else { return };
    let (cli, site) = (host.cli(), host.site("sealed"));
    assert_eq!(site.get("/").with_status(200).text(), "fine\n");
    // Probes of a path speak it too, and no request fails while a copy takes over.
    app.write(
        "doprax.yaml",
        manifest("  health: { path: /, timeout: 10s }\n"),
    );
    behaves(&app, &format!("STATUS = 'second'\n{ONLY_TLS}"));
    let load = Load::start(&site, &[("GET", "/", "")]);
    load.wait_for(20);
    cli.ok(["up", app.path(), "--yes"]);
    load.wait_for(20);
    let tally = load.stop();
    assert!(tally.failures.is_empty(), "{:#?}", tally.failures);
    assert_eq!(cli.status("sealed")["state"].as_str(), Some("running"));
    // One that speaks none does not take over.
    behaves(&app, "serve()");
    let up = cli
        .command(["up", app.path(), "--yes", "--json"])
        .within(90);
    up.run().ended_with(1);
    assert_eq!(site.get("/").with_status(200).text(), "fine\n");
}
