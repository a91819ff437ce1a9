//! HTTPS: the host's own CA for private names, and a real ACME CA for public ones.

use doprax_e2e::{App, Dns, Docker, Host, Pebble, Setup, engine, secure, wait_for};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The certificate for a name, as `doprax certs` shows it.
fn certificate(host: &Host, name: &str) -> Option<Value> {
    let all = host.cli().json(["certs"]);
    let named = |one: &&Value| one["names"].as_array().unwrap().iter().any(|n| n == name);
    all.as_array().unwrap().iter().find(named).cloned()
}

#[track_caller]
fn await_certificate(host: &Host, name: &str) {
    wait_for("a certificate", 60, || {
        let found = certificate(host, name)?;
        (found["state"] == "valid").then_some(())
    });
}

/// The CA's own certificate, in a file beside the host's state.
fn own_ca(host: &Host) -> PathBuf {
    let file = host.state().join("ca-of-the-test.pem");
    std::fs::write(&file, host.cli().ok(["ca"]).stdout).unwrap();
    file
}

/// The serial number of what is served for a name.
#[track_caller]
fn served(host: &Host, name: &str) -> String {
    let port = host.setup.https_port.unwrap();
    let script = format!(
        "openssl s_client -connect 127.0.0.1:{port} -servername {name} </dev/null 2>/dev/null \
         | openssl x509 -noout -serial"
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .output();
    let text = String::from_utf8_lossy(&output.unwrap().stdout).into_owned();
    assert!(text.starts_with("serial="), "{text}");
    text
}

/// A host below `apps.example.net`, with name servers and a CA that see it as public.
struct Public<'a> {
    setup: Setup,
    dns: Dns<'a>,
    ca: Pebble,
}

impl<'a> Public<'a> {
    /// `zone` is what the name servers say of `example.net`. Nothing where there is no CA.
    fn start(setup: Setup, docker: &'a Docker, zone: &str) -> Option<Self> {
        let dns = Dns::start(docker);
        dns.write("example.net", zone);
        let ports = (setup.port, setup.https_port.unwrap());
        let Some(ca) = Pebble::start(ports, dns.authority()) else {
            docker.clean();
            return None;
        };
        let setup = with(setup, ["--base-domain", "apps.example.net"]);
        let setup = with(setup, ["--dns", &dns.cache().to_string()]);
        let setup = with(setup, ["--acme", &ca.named()]);
        Some(Self { setup, dns, ca })
    }
}

fn with(mut setup: Setup, option: [&str; 2]) -> Setup {
    setup.more.extend(option.map(str::to_owned));
    setup
}

#[test]
fn private_names_are_served_by_the_hosts_own_ca() {
    let Some(engine) = engine() else { return };
    let mut host = Host::start_with(Setup::new(&engine).with_https());
    let app = App::tiny("tiny", "");
    host.cli().ok(["up", app.path(), "--yes"]);
    await_certificate(&host, "tiny.localhost");
    let port = host.setup.https_port.unwrap();
    let url = format!("https://tiny.localhost:{port}/");
    let ca = own_ca(&host);
    let page = secure(&url, Some(&ca));
    assert_eq!(
        (page.status, page.body.as_str()),
        (200, "first\n"),
        "{page:?}"
    );
    assert_eq!(page.version, "2");
    assert_eq!(secure(&url, None).code, 60, "nobody else trusts it");
    // Nobody is sent to what his browser does not trust.
    host.site("tiny").get("/").with_status(200);
    host.cli()
        .ok(["ca", "trust"])
        .says(&["update-ca-certificates", "Firefox"]);
    let unknown = secure(&format!("https://other.localhost:{port}/"), Some(&ca));
    assert_eq!(
        unknown.code, 35,
        "no certificate, no handshake: {unknown:?}"
    );

    let before = served(&host, "tiny.localhost");
    host.kill();
    host.resume();
    assert_eq!(served(&host, "tiny.localhost"), before);
    host.cli().ok(["remove", "tiny", "--yes"]);
    assert_eq!(host.cli().json(["certs"]), serde_json::json!([]));
}

#[test]
fn public_names_get_certificates_of_a_ca() {
    let Some(engine) = engine() else { return };
    let zone = "*.apps IN A 127.0.0.1\nshop IN A 192.0.2.7\nwww.shop IN A 127.0.0.1";
    let setup = Setup::new(&engine).with_https();
    let docker = Docker::new(&engine, &setup.instance);
    let Some(public) = Public::start(setup, &docker, zone) else {
        return;
    };
    let (dns, mut ca) = (public.dns, public.ca);
    let setup = with(public.setup, ["--address", "127.0.0.1"]);
    let setup = with(setup, ["--acme-email", "ops@example.net"]);
    let (http, https) = (setup.port, setup.https_port.unwrap());
    let mut host = Host::start_with(setup);
    let app = App::tiny("tiny", "");
    host.cli().ok(["up", app.path(), "--yes"]);

    // The free subdomain, at the first run.
    await_certificate(&host, "tiny.apps.example.net");
    let roots = ca.roots();
    let free = format!("https://tiny.apps.example.net:{https}/");
    let page = |url: &str, roots: &Path| {
        let page = secure(url, Some(roots));
        assert_eq!(
            (page.status, page.body.as_str()),
            (200, "first\n"),
            "{page:?}"
        );
    };
    page(&free, &roots);
    host.cli()
        .ok(["status", "tiny"])
        .says(&[free.trim_end_matches('/')]);
    let insecure = secure(&format!("http://tiny.apps.example.net:{http}/a?b=c"), None);
    assert_eq!(insecure.status, 308, "{insecure:?}");
    assert_eq!(insecure.location, format!("{free}a?b=c"));

    // A domain, as soon as it leads here.
    host.cli().ok([
        "domain",
        "add",
        "tiny",
        "shop.example.net",
        "--www",
        "--hsts",
    ]);
    host.cli()
        .fails(1, ["domain", "verify", "tiny"])
        .says(&["shop.example.net leads to 192.0.2.7"]);
    assert_eq!(certificate(&host, "shop.example.net"), None);
    assert_eq!(
        secure(&format!("http://shop.example.net:{http}/"), None).status,
        200,
        "HTTP serves until there is a certificate"
    );
    dns.write(
        "example.net",
        "*.apps IN A 127.0.0.1\nshop IN A 127.0.0.1\nwww.shop IN A 127.0.0.1",
    );
    wait_for("the name to lead here", 20, || {
        let found = host.cli().command(["domain", "verify", "tiny"]).run();
        (found.code == 0).then_some(())
    });
    await_certificate(&host, "shop.example.net");
    await_certificate(&host, "www.shop.example.net");
    page(&format!("https://shop.example.net:{https}/"), &roots);
    let www = secure(
        &format!("https://www.shop.example.net:{https}/a"),
        Some(&roots),
    );
    assert_eq!(www.status, 308, "{www:?}");
    assert_eq!(www.location, format!("https://shop.example.net:{https}/a"));
    let names = certificate(&host, "shop.example.net").unwrap()["names"].clone();
    assert_eq!(
        names.as_array().unwrap().len(),
        2,
        "both share one: {names}"
    );
    host.cli().ok(["certs"]).says(&["valid", "Pebble", "days"]);

    // What there is is served at once when the host is back, without asking again.
    let before = [
        served(&host, "shop.example.net"),
        served(&host, "tiny.apps.example.net"),
    ];
    ca.end();
    for end in [Host::stop, Host::kill] {
        end(&mut host);
        host.resume();
        let after = [
            served(&host, "shop.example.net"),
            served(&host, "tiny.apps.example.net"),
        ];
        assert_eq!(after, before);
    }
    // A domain that has moved away is not renewed; what there is stays.
    dns.write("example.net", "*.apps IN A 127.0.0.1");
    wait_for("the names to have moved", 20, || {
        let found = host.cli().command(["domain", "verify", "tiny"]).run();
        let all = host.cli().json(["domain", "list", "tiny"]);
        let mut all = all.as_array().unwrap().iter();
        (found.code == 1 && all.all(|one| one["verified_ms"].is_null())).then_some(())
    });
    assert_eq!(certificate(&host, "shop.example.net"), None);
    assert_eq!(served(&host, "shop.example.net"), before[0]);
    // The keys are nowhere in clear.
    for file in std::fs::read_dir(host.state()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("PRIVATE KEY"), "{}", path.display());
    }
}

/// The hook is called in the middle of an order, and here it lasts until it is told to go
/// on.
#[test]
fn an_order_that_a_kill_interrupts_is_gone_on_with() {
    let Some(engine) = engine() else { return };
    let setup = Setup::new(&engine).with_https();
    let docker = Docker::new(&engine, &setup.instance);
    let zone = "*.apps IN A 127.0.0.1";
    let Some(Public { setup, dns, ca }) = Public::start(setup, &docker, zone) else {
        return;
    };
    let https = setup.https_port.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (hook, asked, go) = (path("hook"), path("asked"), path("go"));
    let script = format!(
        "#!/bin/sh\necho \"$@\" >>{}\n[ $1 = cleanup ] || until [ -e {} ]; do sleep 0.05; done\n",
        asked.display(),
        go.display()
    );
    std::fs::write(&hook, script).unwrap();
    std::fs::set_permissions(&hook, PermissionsExt::from_mode(0o700)).unwrap();
    let setup = with(setup, ["--acme-dns-hook", hook.to_str().unwrap()]);
    let mut host = Host::start_with(setup);
    let app = App::tiny("tiny", "");
    host.cli().ok(["up", app.path(), "--yes"]);

    let presented = || {
        let asked = std::fs::read_to_string(&asked).unwrap_or_default();
        let lines = asked.lines().filter(|line| line.starts_with("present "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    wait_for("the hook to be called", 60, || {
        (!presented().is_empty()).then_some(())
    });
    host.kill();
    host.resume();
    wait_for("the hook to be called again", 60, || {
        (presented().len() > 1).then_some(())
    });
    let asked = presented();
    assert_eq!(asked[0], asked[1], "the same proof of the same order");
    let value = asked[0]
        .strip_prefix("present _acme-challenge.apps.example.net ")
        .unwrap_or_else(|| panic!("{asked:?}"));
    dns.write(
        "example.net",
        &format!("{zone}\n_acme-challenge.apps IN TXT \"{value}\""),
    );
    std::fs::write(&go, "").unwrap();

    await_certificate(&host, "*.apps.example.net");
    assert_eq!(ca.orders(), 1);
    let page = secure(
        &format!("https://tiny.apps.example.net:{https}/"),
        Some(&ca.roots()),
    );
    assert_eq!(
        (page.status, page.body.as_str()),
        (200, "first\n"),
        "{page:?}"
    );
}
