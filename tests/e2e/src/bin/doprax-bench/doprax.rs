//! The side of Doprax.

use crate::figures::{Figures, Row, time};
use crate::{INSTANCE, REDIS};
use doprax_e2e::{App, Cli, Host, Setup};

/// The reference under which main's image outlives a removal.
const KEPT: &str = "doprax-test/bench-kept:1";

/// A host, and the app that it deploys in every round.
pub(crate) struct Doprax {
    host: Host,
    cli: Cli,
    app: App,
    /// Its memory before the first app, in bytes.
    idle: u64,
}

impl Doprax {
    /// Starts a host. Its main is built once, so that every round finds the image.
    pub(crate) fn start(engine: &str) -> Self {
        let host = Host::start_with(Setup {
            instance: INSTANCE.to_owned(),
            ..Setup::new(engine)
        });
        let idle = memory(host.process());
        let cli = host.cli();
        let doprax = Self {
            host,
            cli,
            app: App::tiny("bench", &manifest(REDIS)),
            idle,
        };
        doprax.deploy();
        doprax
    }

    fn deploy(&self) {
        self.cli.ok(["up", self.app.path(), "--yes"]);
    }

    fn remove(&self) {
        self.cli.ok(["remove", "bench", "--yes"]);
        for number in 1..=REDIS {
            self.cli.ok([
                "volume",
                "remove",
                "bench",
                &format!("data{number}"),
                "--yes",
            ]);
        }
    }

    /// Measures everything once. Begins with a deployed app and ends with one.
    pub(crate) fn round(&mut self, figures: &mut Figures) {
        // A removal takes main's image along, which Compose keeps; this keeps it too.
        let image = self.host.docker.names("image", "bench").remove(0);
        self.host.docker.run(&["tag", &image, KEPT]);
        self.remove();
        self.host.docker.run(&["tag", KEPT, &image]);
        self.host.docker.run(&["image", "rm", KEPT]);
        self.app.write("doprax.yaml", manifest(REDIS));
        figures.doprax(Row::First, || self.deploy());
        figures.doprax(Row::Nothing, || self.deploy());
        self.app.replace(
            "doprax.yaml",
            "name: redis1\n",
            "name: redis1\n      envs:\n        - CHANGED: 1\n",
        );
        figures.doprax(Row::Change, || self.deploy());
        figures.doprax(Row::Remove, || self.remove());
        figures.built(|| self.deploy());
    }

    pub(crate) fn print_memory(&self) {
        let now = memory(self.host.process());
        println!(
            "\nmemory of the host: {} MB before the first app, {} MB after the rounds",
            self.idle >> 20,
            now >> 20
        );
    }

    /// The whole command, from reading the source to the printed plan.
    pub(crate) fn print_planning(&self) {
        let app = App::tiny("large", &manifest(255));
        let mut planned: Vec<_> = (0..5)
            .map(|_| time(|| drop(self.cli.ok(["plan", app.path()]))))
            .collect();
        planned.sort();
        println!(
            "plan of an app with 256 containers, the whole command: {:.3} s",
            planned[2].as_secs_f64()
        );
    }
}

impl Drop for Doprax {
    fn drop(&mut self) {
        // What the host leaves is removed with it; Compose's image bears its label.
        self.cli.command(["remove", "bench", "--yes"]).run();
    }
}

fn manifest(services: usize) -> String {
    let service = |number: usize| {
        format!(
            "  - redis:\n      name: redis{number}\n      image: doprax-test/redis:7\n      volumes:\n        - name: data{number}\n          mount: /data\n"
        )
    };
    format!(
        "services:\n{}",
        (1..=services).map(service).collect::<String>()
    )
}

/// What a process holds in memory, in bytes (proc(5), VmRSS).
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().unwrap();
    kilobytes << 10
}
