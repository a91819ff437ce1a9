//! The side of Docker Compose, at its best on the engine.

use crate::figures::{Figures, Row};
use crate::{INSTANCE, REDIS};
use doprax_e2e::{App, Docker};
use std::process::{Command, Output, Stdio};

/// Main's image, built beforehand.
const MAIN: &str = "doprax-test/bench-main:1";

/// `start_interval` came with this version of the engine's API (Engine 25).
const START_INTERVAL: (u32, u32) = (1, 44);

/// A project of the same containers.
pub(crate) struct Compose {
    program: Vec<String>,
    engine: String,
    folder: App,
}

impl Compose {
    /// Builds main's image and writes the files.
    pub(crate) fn prepare(engine: &str, docker: &Docker, api: &str) -> Self {
        let folder = App::tiny("compose", "");
        docker.run(&[
            "build",
            "--quiet",
            "--label",
            &format!("doprax.instance={INSTANCE}"),
            "--tag",
            MAIN,
            folder.path(),
        ]);
        let (major, minor) = api.split_once('.').unwrap();
        let fast = (major.parse().unwrap(), minor.parse().unwrap()) >= START_INTERVAL;
        folder.write("compose.yaml", file(fast, false, false));
        folder.write("changed.yaml", file(fast, true, false));
        folder.write("ordered.yaml", file(fast, false, true));
        Self {
            program: program(engine),
            engine: engine.to_owned(),
            folder,
        }
    }

    pub(crate) fn version(&self) -> String {
        let output = self.attempt(&["version", "--short"]);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn attempt(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program[0]);
        command
            .args(&self.program[1..])
            .args(arguments)
            .env("DOCKER_HOST", &self.engine);
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn run(&self, arguments: &[&str]) {
        let output = self.attempt(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "compose {}: {error}",
            arguments.join(" ")
        );
    }

    fn up(&self, file: &str) {
        self.run(&["--file", file, "up", "--detach", "--wait"]);
    }

    /// Measures everything once.
    pub(crate) fn round(&self, figures: &mut Figures) {
        figures.compose(Row::First, || self.up("compose.yaml"));
        figures.compose(Row::Nothing, || self.up("compose.yaml"));
        figures.compose(Row::Change, || self.up("changed.yaml"));
        figures.compose(Row::Remove, || self.run(&["down", "--volumes"]));
        figures.ordered(|| self.up("ordered.yaml"));
        self.run(&["down", "--volumes"]);
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        // The project may be gone already.
        self.attempt(&["down", "--volumes"]);
    }
}

/// How Compose is called: by `DOPRAX_TEST_COMPOSE`, or as a part of `docker`.
fn program(engine: &str) -> Vec<String> {
    if let Ok(program) = std::env::var("DOPRAX_TEST_COMPOSE") {
        return vec![program];
    }
    let output = Docker::new(engine, INSTANCE).attempt(&["compose", "version"]);
    assert!(
        output.status.success(),
        "there is no `docker compose`; name its program in DOPRAX_TEST_COMPOSE"
    );
    vec!["docker".to_owned(), "compose".to_owned()]
}

/// The Compose file: with `fast`, health checks every 100 ms while starting, else every
/// second, which is the shortest; with `ordered`, main waits for all others.
fn file(fast: bool, changed: bool, ordered: bool) -> String {
    let pace = if fast {
        "interval: 5s, start_period: 60s, start_interval: 100ms"
    } else {
        "interval: 1s"
    };
    let redis = |number: usize| {
        let environment = if changed && number == 1 {
            "    environment: { CHANGED: '1' }\n"
        } else {
            ""
        };
        format!(
            "  redis{number}:\n    image: doprax-test/redis:7\n    restart: unless-stopped\n{environment}    volumes: ['data{number}:/data']\n    healthcheck: {{ test: [CMD, redis-cli, ping], {pace} }}\n"
        )
    };
    let depends =
        (1..=REDIS).map(|number| format!("redis{number}: {{ condition: service_healthy }}"));
    let depends = if ordered {
        format!(
            "    depends_on: {{ {} }}\n",
            depends.collect::<Vec<_>>().join(", ")
        )
    } else {
        String::new()
    };
    let volumes: String = (1..=REDIS)
        .map(|number| format!("  data{number}:\n"))
        .collect();
    format!(
        "name: doprax-bench\nservices:\n  main:\n    image: {MAIN}\n    restart: unless-stopped\n{depends}    healthcheck: {{ test: [CMD, curl, --fail, --silent, 'http://127.0.0.1/'], {pace} }}\n{}volumes:\n{volumes}",
        (1..=REDIS).map(redis).collect::<String>()
    )
}
