//! Why a deploy failed, in words, with what to do about it.

use crate::host;
use doprax_e2e::App;

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
