//! What others change on the engine behind the host's back, and how it is put right.

use crate::{deployed, host};
use doprax_e2e::{App, Host, wait_for};

const WITH_REDIS: &str = "services:\n  - redis:\n      image: doprax-test/redis:7\n";

/// The address of a container, as `status` has it.
fn address(host: &Host, container: &str) -> Option<String> {
    let status = host.cli().status("tiny");
    let containers = status["containers"].as_array()?;
    let found = containers.iter().find(|found| found["name"] == container)?;
    found["address"].as_str().map(str::to_owned)
}

#[test]
fn a_container_that_was_taken_from_its_network_is_connected_again() {
    let app = App::tiny("tiny", WITH_REDIS);
    let Some(host) = deployed(&app) else { return };
    let docker = &host.docker;
    let network = docker.names("network", "tiny").remove(0);
    let ids = docker.ids("tiny");
    for service in ["main", "redis"] {
        docker.run(&[
            "network",
            "disconnect",
            &network,
            &docker.container("tiny", service),
        ]);
        wait_for("its address", 5, || address(&host, service));
    }
    host.site("tiny").wait_until_ok("/", 5);
    // Neither lost its process, and both know each other by every name.
    assert_eq!(docker.ids("tiny"), ids);
    for name in ["redis", &docker.container("tiny", "redis")] {
        let (code, said) = docker.exec("tiny", "main", &["getent", "hosts", name]);
        assert_eq!(code, 0, "{name}: {said}");
    }
    // One that is stopped can start again.
    host.cli().ok(["stop", "tiny"]);
    docker.run(&[
        "network",
        "disconnect",
        "--force",
        &network,
        &docker.container("tiny", "main"),
    ]);
    host.cli().ok(["start", "tiny"]);
    host.site("tiny").wait_until_ok("/", 5);
}

#[test]
fn what_was_killed_runs_again_at_once() {
    let app = App::tiny("tiny", WITH_REDIS);
    let Some(host) = deployed(&app) else { return };
    for service in ["redis", "main", "main"] {
        host.docker
            .run(&["kill", &host.docker.container("tiny", service)]);
        wait_for("a process again", 4, || {
            let found = host.docker.inspect("tiny", service);
            (found["State"]["Running"] == true).then_some(())
        });
    }
    host.site("tiny").wait_until_ok("/", 4);
}

#[test]
fn what_docker_update_changed_is_put_right_at_once() {
    let manifest = format!("main:\n  resources: {{ memory: 128MiB }}\n{WITH_REDIS}");
    let app = App::tiny("tiny", &manifest);
    let Some(host) = deployed(&app) else { return };
    let ids = host.docker.ids("tiny");
    let limits = |service: &str| {
        let found = &host.docker.inspect("tiny", service)["HostConfig"];
        (
            found["Memory"].clone(),
            found["RestartPolicy"]["Name"].clone(),
        )
    };
    for (service, change) in [
        ("main", ["--memory=96m", "--memory-swap=96m"]),
        ("redis", ["--restart=no", "--cpu-shares=512"]),
        ("main", ["--restart=no", "--cpu-shares=512"]),
    ] {
        let before = limits(service);
        let container = host.docker.container("tiny", service);
        let update = [&["update"][..], &change, &[&container]].concat();
        host.docker.run(&update);
        wait_for("what the release has", 4, || {
            (limits(service) == before).then_some(())
        });
    }
    assert_eq!(host.docker.ids("tiny"), ids);
}

/// Makes a network of somebody else's with the app's subnet, in the place of the app's.
fn take_subnet(host: &Host, subnet: &str) {
    let docker = &host.docker;
    let label = format!("doprax.instance={}", host.setup.instance);
    let name = format!("{}-other", host.setup.instance);
    let create = [
        "network", "create", "--subnet", subnet, "--label", &label, &name,
    ];
    wait_for("the subnet to be somebody else's", 30, || {
        for container in docker.names("container", "tiny") {
            docker.attempt(&["rm", "--force", &container]);
        }
        for network in docker.names("network", "tiny") {
            docker.attempt(&["network", "rm", &network]);
        }
        docker.attempt(&create).status.success().then_some(())
    });
}

#[test]
fn an_app_whose_subnet_is_taken_moves_to_another() {
    let app = App::tiny("tiny", "");
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\nCMD [\"false\"]\n",
    );
    let Some(host) = host() else { return };
    let cli = host.cli();
    let subnet = || cli.status("tiny")["subnet"].as_str().unwrap().to_owned();

    // The first deploy failed, and left only the choice.
    cli.fails(1, ["up", app.path(), "--yes"]);
    let first = subnet();
    let doctor = || cli.command(["doctor"]).run();
    doctor().says_none(&["overlaps"]);
    take_subnet(&host, &first);
    doctor().says(&[
        &format!("the subnet {first} of tiny overlaps"),
        "doprax start tiny",
    ]);
    app.write("Dockerfile", "FROM doprax-test/nginx:1.22\n");
    cli.ok(["up", app.path(), "--yes"]);
    let second = subnet();
    assert_ne!(first, second);
    host.site("tiny").wait_until_ok("/", 5);

    // It runs, and loses its network and its subnet.
    let name = format!("{}-other", host.setup.instance);
    host.docker.run(&["network", "rm", &name]);
    take_subnet(&host, &second);
    host.site("tiny").wait_until_ok("/", 30);
    assert_ne!(second, subnet());
    assert!(host.docker.names("network", "tiny").len() == 1);
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);
}
