//! Volumes: named as people name them, shared, and never removed unasked.

use crate::{deployed, host};
use doprax_e2e::{App, Docker, wait_for};

#[test]
fn a_name_with_blanks_is_shared_and_stays_until_it_is_removed() {
    let with_volume = "\
main:
  volumes:
    - name: new volume 01
      mount: /shared/
services:
  - redis:
      image: doprax-test/redis:7
      volumes:
        - name: new volume 01
          mount: /elsewhere
";
    let app = App::tiny("tiny", with_volume);
    let Some(host) = host() else { return };
    let (cli, docker) = (host.cli(), &host.docker);
    cli.ok(["up", app.path(), "--yes"]);
    let (code, said) = docker.exec(
        "tiny",
        "main",
        &["sh", "-c", "echo from main >/shared/note"],
    );
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        docker.exec("tiny", "redis", &["cat", "/elsewhere/note"]).1,
        "from main"
    );
    cli.ok(["volume", "list"])
        .says(&["new volume 01", "main:/shared", "redis:/elsewhere"]);
    cli.fails(1, ["volume", "remove", "tiny", "new volume 01", "--yes"])
        .says(&["in use"]);

    // A manifest that no longer names it leaves it alone.
    app.write(
        "doprax.yaml",
        "services:\n  - redis:\n      image: doprax-test/redis:7\n",
    );
    cli.ok(["up", app.path(), "--yes"]);
    assert_ne!(docker.exec("tiny", "main", &["ls", "/shared"]).0, 0);
    cli.ok(["volume", "list", "tiny"])
        .says(&["new volume 01", "(nowhere)"]);
    app.write("doprax.yaml", with_volume);
    cli.ok(["up", app.path(), "--yes"]);
    assert_eq!(
        docker.exec("tiny", "redis", &["cat", "/elsewhere/note"]).1,
        "from main"
    );

    cli.ok(["remove", "tiny", "--yes"])
        .says(&["\"new volume 01\""]);
    cli.fails(2, ["volume", "remove", "tiny", "new volume 01"])
        .says(&["--yes"]);
    cli.ok(["volume", "remove", "tiny", "new volume 01", "--yes"]);
    cli.ok(["volume", "list", "tiny"])
        .says_none(&["new volume 01"]);
}

#[test]
fn data_that_no_volume_keeps_is_pointed_out() {
    let app = App::tiny(
        "tiny",
        "services:\n  - redis:\n      image: doprax-test/redis:7\n",
    );
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\nCOPY index.html /usr/share/nginx/html/index.html\n\
         VOLUME /srv/kept /srv/lost\n",
    );
    let Some(host) = host() else { return };
    let cli = host.cli();
    cli.ok(["up", app.path(), "--yes"]);
    cli.ok(["status", "tiny"]).says(&["/srv/kept", "/srv/lost"]);
    app.write(
        "doprax.yaml",
        "main:\n  volumes:\n    - { name: kept, mount: /srv/kept }\n\
         services:\n  - redis:\n      image: doprax-test/redis:7\n",
    );
    cli.ok(["up", app.path(), "--yes"]);
    cli.ok(["status", "tiny"])
        .says(&["what it writes to /srv/lost is lost"])
        // Redis has its data in a volume by default.
        .says_none(&["/srv/kept is lost", "/data is lost"]);
}

/// Takes a volume away behind the host's back, with the container that has it.
#[track_caller]
fn lose(docker: &Docker, service: &str, volume: &str) {
    // The host may make the container anew, and with it keep the volume, in between.
    wait_for("the volume to be gone", 20, || {
        docker.attempt(&["rm", "--force", &docker.container("tiny", service)]);
        let removed = docker.attempt(&["volume", "rm", volume]);
        removed.status.success().then_some(())
    });
}

#[test]
fn a_volume_that_is_gone_is_not_replaced_by_an_empty_one() {
    let app = App::tiny(
        "tiny",
        "main:\n  volumes:\n    - { name: notes, mount: /srv/notes }\n\
         services:\n  - redis:\n      image: doprax-test/redis:7\n",
    );
    let Some(mut host) = host() else { return };
    let (cli, docker) = (host.cli(), host.docker.clone());
    cli.ok(["up", app.path(), "--yes"]);
    let write = ["sh", "-c", "echo kept >/srv/notes/note"];
    assert_eq!(docker.exec("tiny", "main", &write).0, 0);
    let names = docker.names("volume", "tiny");
    let volume = names.iter().find(|name| name.contains("notes")).unwrap();

    lose(&docker, "main", volume);
    let held = || cli.status("tiny").to_string().contains("volume recreate");
    wait_for("the volume to be missed", 10, || held().then_some(()));
    let what_to_do = ["notes", "volume recreate tiny", volume.as_str()];
    cli.ok(["status", "tiny"]).says(&what_to_do);
    cli.ok(["volume", "list", "tiny"]).says(&["gone"]);
    let state = cli.status("tiny")["state"].clone();
    assert!(state != "running" && state != "starting", "{state}");
    host.site("tiny")
        .get("/")
        .with_status(503)
        .text()
        .find("volume")
        .expect("the page says so");
    for refused in [
        ["up", app.path(), "--yes"].as_slice(),
        &["restart", "tiny"],
        &["restart", "tiny", "main"],
        &["env", "set", "tiny", "A=1"],
    ] {
        cli.fails(1, refused.iter().copied()).says(&what_to_do);
    }
    cli.ok(["restart", "tiny", "redis"]);
    // Neither the loop nor a new host has made anything in its place.
    host.kill();
    host.resume();
    cli.ok(["restart", "tiny", "redis"]);
    assert!(held());
    assert_eq!(docker.id("tiny", "main"), None);
    assert!(
        !docker
            .attempt(&["volume", "inspect", volume])
            .status
            .success()
    );

    // It is brought back, by its name alone.
    let mount = format!("{volume}:/notes");
    docker.run(&[
        "run",
        "--rm",
        "--volume",
        &mount,
        "doprax-test/redis:7",
        "sh",
        "-c",
        "echo restored >/notes/note",
    ]);
    host.site("tiny").wait_until_ok("/", 20);
    let read = ["cat", "/srv/notes/note"];
    assert_eq!(docker.exec("tiny", "main", &read).1, "restored");
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);
    cli.fails(1, ["volume", "recreate", "tiny", "notes", "--yes"])
        .says(&["is there"]);

    // Or an empty one is accepted.
    lose(&docker, "main", volume);
    cli.fails(2, ["volume", "recreate", "tiny", "notes"])
        .says(&["--yes"]);
    cli.ok(["volume", "recreate", "tiny", "notes", "--yes"]);
    host.site("tiny").wait_until_ok("/", 20);
    assert_ne!(docker.exec("tiny", "main", &read).0, 0);
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);

    // Nobody misses what a person removed.
    app.write("doprax.yaml", "");
    cli.ok(["up", app.path(), "--yes"]);
    cli.ok(["volume", "remove", "tiny", "notes", "--yes"]);
    app.write(
        "doprax.yaml",
        "main:\n  volumes:\n    - { name: notes, mount: /srv/notes }\n",
    );
    cli.ok(["up", app.path(), "--yes"]);
}

#[test]
fn the_plan_tells_of_the_data_that_a_removed_app_left() {
    let manifest = |image: &str, password: &str| {
        format!(
            "services:\n  - redis:\n      image: doprax-test/redis:{image}\n      envs:\n        \
             - REDIS_PASSWORD: {password}\n          type: password\n      volumes:\n        \
             - {{ name: data, mount: /data }}\n"
        )
    };
    let app = App::tiny("tiny", &manifest("7", "random_1"));
    let Some(host) = deployed(&app) else { return };
    let cli = host.cli();
    let plan = || cli.ok(["plan", app.path()]);
    let changes = "REDIS_PASSWORD changes, and volume data has data";
    cli.ok(["remove", "tiny", "--yes"]);
    plan()
        .says(&["first deploy"])
        .says_none(&["volume data has data"]);
    app.write("doprax.yaml", manifest("7", "another-one"));
    plan().says(&["first deploy", changes]);
    app.write("doprax.yaml", manifest("6", "random_1"));
    plan()
        .says(&["goes back from 7 to 6 on the data in volume data"])
        .says_none(&[changes]);

    // A deploy that fails changes nothing of that.
    cli.fails(1, ["up", app.path(), "--yes"]);
    plan().says(&["goes back from 7 to 6"]);
    cli.ok(["remove", "tiny", "--yes", "--forget-secrets"]);
    app.write("doprax.yaml", manifest("7", "random_1"));
    plan().says(&[changes]);

    cli.ok(["volume", "remove", "tiny", "data", "--yes"]);
    app.write("doprax.yaml", manifest("6", "random_1"));
    plan().says_none(&["on the data in", "has data"]);
}
