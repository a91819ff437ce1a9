//! Networks: what an app's containers can reach, and under which names.

use crate::host;
use doprax_e2e::{App, Docker, Host, Setup, engine, wait_for};
use std::net::TcpListener;
use std::process::Command;

/// A container's address on its app's network.
#[track_caller]
fn address(docker: &Docker, app: &str, service: &str) -> String {
    let networks = docker.inspect(app, service)["NetworkSettings"]["Networks"].clone();
    let networks = networks.as_object().unwrap();
    assert_eq!(networks.len(), 1, "{networks:?}");
    networks.values().next().unwrap()["IPAddress"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Rules that let two containers through before the engine's own keep their networks apart,
/// as if those were not there.
struct Gap([String; 2]);

impl Gap {
    fn between(one: &str, other: &str) -> Self {
        let rule = |from: &str, to: &str| format!("-s {from} -d {to} -j ACCEPT");
        let gap = Self([rule(one, other), rule(other, one)]);
        assert!(gap.change("-I"), "rules are needed for this");
        gap
    }

    fn change(&self, how: &str) -> bool {
        self.0.iter().all(|rule| {
            let status = Command::new("iptables")
                .args(["-w", "5", how, "FORWARD"])
                .args(rule.split(' '))
                .status();
            status.unwrap().success()
        })
    }
}

impl Drop for Gap {
    fn drop(&mut self) {
        self.change("-D");
    }
}

#[test]
fn two_apps_cannot_reach_each_other() {
    let manifest = "services:\n  - redis:\n      image: doprax-test/redis:7\n";
    let (one, two) = (App::tiny("one", manifest), App::tiny("two", manifest));
    let Some(engine) = engine() else { return };
    let mut setup = Setup::new(&engine);
    setup.guarded = true;
    let host = Host::start_with(setup);
    for app in [&one, &two] {
        host.cli().ok(["up", app.path(), "--yes"]);
    }
    let docker = &host.docker;
    let connect = |from: &str, address: &str, port: u16| {
        docker
            .exec(
                from,
                "main",
                &[
                    "timeout",
                    "3",
                    "bash",
                    "-c",
                    &format!("exec 3<>/dev/tcp/{address}/{port}"),
                ],
            )
            .0
            == 0
    };
    for (from, other) in [("one", "two"), ("two", "one")] {
        for (service, port) in [("main", 80), ("redis", 6379)] {
            let own = address(docker, from, service);
            assert!(
                connect(from, &own, port),
                "{from} reaches its own {service}"
            );
            let foreign = address(docker, other, service);
            assert!(
                !connect(from, &foreign, port),
                "{from} reached {service} of {other} at {foreign}"
            );
            let name = docker.container(other, service);
            assert_ne!(
                docker.exec(from, "main", &["getent", "hosts", &name]).0,
                0,
                "{from} resolves {name}"
            );
        }
        // Whenever the engine makes a network it takes its own rules away for a moment.
        let foreign = address(docker, other, "redis");
        let gap = Gap::between(&address(docker, from, "main"), &foreign);
        assert!(
            !connect(from, &foreign, 6379),
            "{from} reached {other} through a gap in the engine's rules"
        );
        drop(gap);
        // Its own Redis answers to the name, whoever else has one.
        let own = address(docker, from, "redis");
        assert!(
            docker
                .exec(from, "main", &["getent", "hosts", "redis"])
                .1
                .starts_with(&own)
        );
    }
    assert_eq!(host.site("one").get("/").with_status(200).text(), "first\n");
    assert_eq!(host.site("two").get("/").with_status(200).text(), "first\n");
    let published = docker.inspect("one", "main")["NetworkSettings"]["Ports"]["80/tcp"].clone();
    assert!(
        published.is_null(),
        "nothing is published on the machine: {published}"
    );
}

#[test]
fn names_lead_to_their_containers() {
    let app = App::tiny(
        "shop",
        "services:\n\
         \x20 - redis:\n      image: doprax-test/redis:7\n\
         \x20 - redis:\n      name: queue\n      image: doprax-test/redis:7\n\
         \x20 - container:\n      name: worker\n      image: doprax-test/redis:7\n",
    );
    let Some(host) = host() else { return };
    host.cli().ok(["up", app.path(), "--yes"]);
    let docker = &host.docker;
    let full = |service: &str| docker.container("shop", service);
    let names = [
        (
            "main",
            vec!["main".to_owned(), full("main"), "shop".to_owned()],
        ),
        ("redis", vec!["redis".to_owned(), full("redis")]),
        ("queue", vec!["queue".to_owned(), full("queue")]),
        ("worker", vec!["worker".to_owned(), full("worker")]),
    ];
    for (service, names) in names {
        let expected = address(docker, "shop", service);
        for from in ["main", "worker"] {
            for name in &names {
                let (code, answer) = docker.exec("shop", from, &["getent", "ahostsv4", name]);
                assert!(
                    code == 0 && answer.starts_with(&expected),
                    "{name} from {from}: {answer:?}, not {expected}"
                );
            }
        }
    }
}

#[test]
fn two_hosts_of_one_instance_leave_each_others_apps_alone() {
    let manifest = "services:\n  - redis:\n      image: doprax-test/redis:7\n";
    let (app, other) = (App::tiny("tiny", manifest), App::tiny("other", ""));
    let Some(host) = host() else { return };
    host.cli().ok(["up", app.path(), "--yes"]);
    let before = host.docker.ids("tiny");

    // A state folder of its own, and by mistake the same instance.
    let mut setup = Setup::new(&host.setup.engine);
    setup.instance.clone_from(&host.setup.instance);
    let second = Host::start_with(setup);
    second
        .cli()
        .fails(1, ["up", app.path(), "--yes"])
        .says(&["another host", "--instance"]);
    // A whole deploy later it has looked at everything that the engine has.
    second.cli().ok(["up", other.path(), "--yes"]);
    assert_eq!(host.docker.ids("tiny"), before);
    host.cli()
        .ok(["up", app.path(), "--yes"])
        .says(&["nothing to do"]);
    assert_eq!(host.docker.ids("tiny"), before);
    second.cli().ok(["remove", "other", "--yes"]);
    assert_eq!(host.docker.ids("tiny"), before);
}

/// Whether a container gets a connection, and what it hears where it gets none.
fn connect(docker: &Docker, address: &str, port: u16) -> (bool, String) {
    let script = format!("exec 3<>/dev/tcp/{address}/{port}");
    let (code, said) = docker.exec("tiny", "main", &["timeout", "3", "bash", "-c", &script]);
    (code == 0, said)
}

#[test]
fn containers_do_not_reach_the_machine() {
    let Some(engine) = engine() else { return };
    let app = App::tiny(
        "tiny",
        "services:\n  - redis:\n      image: doprax-test/redis:7\n",
    );
    let mut setup = Setup::new(&engine);
    setup.guarded = true;
    let mut host = Host::start_with(setup);
    let docker = host.docker.clone();
    host.cli().ok(["up", app.path(), "--yes"]);
    let network = docker.inspect("tiny", "main")["NetworkSettings"]["Networks"].clone();
    let gateway = network.as_object().unwrap().values().next().unwrap()["Gateway"]
        .as_str()
        .unwrap()
        .to_owned();
    let service = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = service.local_addr().unwrap().port();
    // Refused at once, not for want of a way. A machine without one shows nothing of
    // addresses that are not its own.
    let routes = std::fs::read_to_string("/proc/net/route").unwrap();
    let has_way_out = routes
        .lines()
        .any(|route| route.split_whitespace().nth(1) == Some("00000000"));
    let reached = || {
        let mut reached = vec![connect(&docker, &gateway, port)];
        if has_way_out {
            reached.push(connect(&docker, "169.254.169.254", 80));
        }
        reached
    };
    let is_kept = || {
        let refused = |(connected, said): &(bool, String)| !connected && said.contains("refused");
        reached().iter().all(refused)
    };
    assert!(is_kept(), "{:?}", reached());
    host.cli().ok(["doctor"]).says(&["reach neither"]);
    // Everything else goes on: the ingress, neighbours, names.
    host.site("tiny").get("/").with_status(200);
    assert!(connect(&docker, "redis", 6379).0);

    // What somebody flushes is restored, and a host that ends opens nothing.
    let chain = || {
        let listed = Command::new("iptables").args(["-w", "5", "-S"]).output();
        let listed = String::from_utf8_lossy(&listed.unwrap().stdout).into_owned();
        let subnet = host.cli().status("tiny")["subnet"]
            .as_str()
            .map(str::to_owned);
        let rule = format!("-s {}", subnet.unwrap_or_default());
        let line = listed.lines().find(|line| line.contains(&rule))?.to_owned();
        Some(line.split_whitespace().nth(1)?.to_owned())
    };
    let name = chain().expect("a chain with rules for the subnet");
    let flush = Command::new("iptables")
        .args(["-w", "5", "-F", &name])
        .status();
    assert!(flush.unwrap().success());
    wait_for("the rules to be restored", 20, || is_kept().then_some(()));
    host.kill();
    assert!(is_kept());
    host.resume();

    // They go with the last app.
    host.cli().ok(["remove", "tiny", "--yes"]);
    wait_for("the rules to go", 20, || {
        let listed = Command::new("iptables")
            .args(["-w", "5", "-S", &name])
            .output();
        (!listed.unwrap().status.success()).then_some(())
    });
}
