//! Why a deploy failed, in words, with what to do about it.

use crate::{deployed, host};
use doprax_e2e::{App, wait_for};

/// An app of this name whose main is made so, and what its failed deploy says.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

#[test]
fn a_failed_deploy_says_why_and_what_to_do() {
    let cases: &[Case] = &[
        (
            "crlf",
            "COPY --chmod=755 start.sh /start.sh\nEXPOSE 8000\nCMD [\"/start.sh\"]\n",
            "{}",
            &["/start.sh has Windows line ends", "sed -i"],
        ),
        (
            "missing",
            "EXPOSE 8000\nCMD [\"nosuch\", \"app\"]\n",
            "{}",
            &["the image has no program nosuch", "ENTRYPOINT"],
        ),
        (
            "inner",
            "EXPOSE 8000\nCMD [\"python3\", \"-m\", \"http.server\", \"8000\", \"--bind\", \"127.0.0.1\"]\n",
            "{ health: { timeout: 4s } }",
            &["it listens on 127.0.0.1:8000 only", "0.0.0.0"],
        ),
        (
            "other",
            "EXPOSE 8000\nCMD [\"python3\", \"-m\", \"http.server\", \"9000\"]\n",
            "{ health: { timeout: 4s } }",
            &["it listens on 0.0.0.0:9000", "port: 9000"],
        ),
        (
            "hungry",
            "EXPOSE 8000\nCMD [\"python3\", \"-c\", \"x = [b'x' * (1 << 20) for _ in range(300)]\"]\n",
            "{ resources: { memory: 64MiB } }",
            &["out of memory: its limit is 64 MiB", "resources: { memory"],
        ),
        (
            "brief",
            "EXPOSE 8000\nCMD [\"true\"]\n",
            "{}",
            &["without an error (exit code 0)", "foreground"],
        ),
        (
            "filed",
            "RUN touch /srv/app.db\nEXPOSE 8000\nCMD [\"sleep\", \"99\"]\n",
            "{ volumes: [ { name: db, mount: /srv/app.db } ] }",
            &[
                "file at /srv/app.db",
                "doprax.yaml:1:",
                "volume is a folder",
            ],
        ),
        (
            "large",
            "EXPOSE 8000\nCMD [\"sleep\", \"99\"]\n",
            "{ envs: [ { LARGE: \"${LV}\" } ] }",
            &["variable LARGE has 128 KiB", "files"],
        ),
    ];
    let Some(host) = host() else { return };
    std::thread::scope(|scope| {
        for (name, dockerfile, main, texts) in cases {
            let host = &host;
            scope.spawn(move || {
                let app = App::empty(name);
                app.write("doprax.yaml", format!("main: {main}\n"));
                app.write("start.sh", "#!/bin/sh\r\nexec sleep 99\r\n");
                app.write(
                    "Dockerfile",
                    format!("FROM doprax-test/python:3.11\n{dockerfile}"),
                );
                host.cli()
                    .command(["up", app.path(), "--yes"])
                    .env("LV", &"x".repeat((128 << 10) - 4))
                    .within(60)
                    .run()
                    .ended_with(1)
                    .says(texts);
            });
        }
    });
    // Nothing is left of what could not be.
    for kind in ["container", "volume"] {
        assert_eq!(host.docker.names(kind, "filed"), [""; 0]);
    }
}

#[test]
fn a_failed_build_says_why_and_what_to_do() {
    let Some(host) = host() else { return };
    let cli = host.cli();
    let app = App::empty("tiny");
    app.write("doprax.yaml", "main: { port: none }\n");
    let run = "FROM doprax-test/python:3.11\nCMD [\"sleep\", \"99\"]\n";
    // Nothing listens there.
    app.write(
        "Dockerfile",
        format!("# syntax=127.0.0.1:1/docker/dockerfile:1.7\n{run}"),
    );
    cli.fails(1, ["up", app.path(), "--yes"]).says(&[
        "`# syntax=127.0.0.1:1/docker/dockerfile:1.7` asks for a builder from a registry",
        "remove the line",
    ]);

    app.write("Dockerfile", format!("{run}RUN <<EOF\necho a >/a\nEOF\n"));
    let up = cli.command(["up", app.path(), "--yes"]).run();
    let version = ["version", "--format", "{{.Server.Version}}"];
    let version = host.docker.run(&version);
    let (major, _) = version.split_once('.').unwrap();
    match major.parse::<u32>().unwrap() {
        23.. => up.succeeded(),
        _ => up.ended_with(1).says(&["here-documents", "Docker 23"]),
    };

    let outside = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(outside.path(), run).unwrap();
    app.remove("Dockerfile");
    std::os::unix::fs::symlink(outside.path(), app.at("Dockerfile")).unwrap();
    cli.fails(1, ["up", app.path(), "--yes"]).says(&[
        "Dockerfile leads out of the source folder",
        "put a copy of the file itself",
    ]);
}

#[test]
fn a_lock_that_the_old_copy_holds_is_told_as_that() {
    let app = App::empty("locked");
    let manifest = |more: &str| {
        format!(
            "main:\n  volumes: [ {{ name: data, mount: /data }} ]\n  envs: [ RELEASE: one ]\n{more}"
        )
    };
    app.write("doprax.yaml", manifest(""));
    app.write(
        "app.py",
        "\
import fcntl, os
lock = open('/data/lock', 'w')
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
os.set_inheritable(lock.fileno(), True)
os.execlp('python3', 'python3', '-m', 'http.server', '8000')
",
    );
    app.write(
        "Dockerfile",
        "FROM doprax-test/python:3.11\nCOPY app.py /\nEXPOSE 8000\nCMD [\"python3\", \"/app.py\"]\n",
    );
    let Some(host) = deployed(&app) else { return };
    let cli = host.cli();
    let second = |more: &str| manifest(more).replace("RELEASE: one", "RELEASE: two");
    app.write("doprax.yaml", second(""));
    cli.fails(1, ["up", app.path(), "--yes"])
        .says(&["finds its data locked", "strategy: recreate"]);
    host.site("locked").get("/").with_status(200);
    app.write("doprax.yaml", second("  strategy: recreate\n"));
    cli.ok(["up", app.path(), "--yes"]);
    host.site("locked").get("/").with_status(200);
}

#[test]
fn a_copy_that_was_ready_and_did_not_stay_so_says_why() {
    let app = App::empty("brief");
    let serve = |command: &str| {
        let command = serde_json::json!(["sh", "-c", command]);
        app.write(
            "Dockerfile",
            format!("FROM doprax-test/python:3.11\nEXPOSE 8000\nCMD {command}\n"),
        );
    };
    app.write("doprax.yaml", "app: brief\n");
    serve("exec python3 -m http.server 8000");
    let Some(host) = deployed(&app) else { return };
    let before = host.docker.ids("brief");
    // What it lets others see of itself ends before what it waits for has begun.
    serve("timeout 1.5 python3 -m http.server 8000; nosuch --serve");
    host.cli().fails(1, ["up", app.path(), "--yes"]).says(&[
        "main was ready and did not stay so",
        "the image has no program nosuch",
        "install or COPY what they name",
        "The copy before it goes on serving",
    ]);
    wait_for("only the old release to be left", 40, || {
        (host.docker.ids("brief") == before).then_some(())
    });
}

#[test]
fn a_variable_that_is_too_large_is_refused_before_anything_is_built() {
    let app = App::tiny("tiny", "main: { envs: [ { LARGE: \"${LV}\" } ] }\n");
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\nRUN echo it is being built; exit 3\n",
    );
    let Some(host) = host() else { return };
    let cli = host.cli();
    let large = "x".repeat(128 << 10);
    for value in [&large, &large[..(128 << 10) - "LARGE=".len()]] {
        let set = ["secret", "set", "tiny", "LV"];
        cli.command(set).input(value).run().succeeded();
        for command in [&["plan", app.path()][..], &["up", app.path(), "--yes"]] {
            cli.fails(1, command)
                .says(&["variable LARGE has 128 KiB", "files"])
                .says_none(&["it is being built"]);
        }
    }
    let set = ["secret", "set", "tiny", "LV"];
    let fits = &large[..(128 << 10) - "LARGE=".len() - 1];
    cli.command(set).input(fits).run().succeeded();
    cli.fails(1, ["up", app.path(), "--yes"])
        .says(&["it is being built"]);
}
