//! The engine, looked at and harmed behind the host's back with its own client.

use ipnet::Ipv4Net;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::{Command, Output};

/// Kinds of objects that a host makes, in the order in which they can be removed.
const KINDS: [&str; 4] = ["container", "network", "volume", "image"];

/// Removes the chains of rules for subnets of a pool, such as `10.128.0.0/20`, from the
/// machine. There are none where a test came to its end.
pub(crate) fn drop_rules(pool: &str) {
    let iptables = |table: &str, arguments: &[&str]| {
        let output = Command::new("iptables")
            .args(["-w", "5", "-t", table])
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let pool: Ipv4Net = pool.parse().unwrap();
    let is_ours = |word: &str| {
        word.parse()
            .is_ok_and(|subnet: Ipv4Net| pool.contains(&subnet))
    };
    for (table, hooks) in [
        ("filter", &["INPUT", "DOCKER-USER", "FORWARD"][..]),
        ("mangle", &["POSTROUTING"]),
    ] {
        let rules = iptables(table, &["-S"]);
        let ours = rules
            .lines()
            .filter(|line| line.starts_with("-A DOPRAX-") && line.split_whitespace().any(is_ours));
        let chains: BTreeSet<&str> = ours
            .filter_map(|line| line.split_whitespace().nth(1))
            .collect();
        for chain in &chains {
            for hook in hooks {
                iptables(table, &["-D", hook, "-j", chain]);
            }
            iptables(table, &["-F", chain]);
        }
        for chain in chains {
            iptables(table, &["-X", chain]);
        }
    }
}

/// The engine's objects of one instance.
#[derive(Clone)]
pub struct Docker {
    engine: String,
    instance: String,
}

impl Docker {
    /// The objects of `instance` on the engine at this address.
    pub fn new(engine: &str, instance: &str) -> Self {
        Self {
            engine: engine.to_owned(),
            instance: instance.to_owned(),
        }
    }

    /// Runs `docker` with these arguments, whatever comes of it.
    pub fn attempt(&self, arguments: &[&str]) -> Output {
        Command::new("docker")
            .args(arguments)
            .env("DOCKER_HOST", &self.engine)
            .output()
            .unwrap()
    }

    /// Runs `docker` with these arguments, and returns what it printed.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.attempt(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "docker {}: {error}",
            arguments.join(" ")
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Starts a container of the test's own that goes with the instance's objects, and
    /// returns its id.
    #[track_caller]
    pub fn run_labelled(&self, image: &str, command: &[&str]) -> String {
        let label = format!("doprax.instance={}", self.instance);
        let run = ["run", "--detach", "--label", &label, image];
        self.run(&[&run, command].concat())
    }

    /// The name of the container of an app that serves as `service`.
    pub fn container(&self, app: &str, service: &str) -> String {
        format!("{service}.{app}.{}.internal", self.instance)
    }

    /// What the engine says about that container.
    #[track_caller]
    pub fn inspect(&self, app: &str, service: &str) -> Value {
        let text = self.run(&["container", "inspect", &self.container(app, service)]);
        serde_json::from_str::<Value>(&text).unwrap()[0].take()
    }

    /// Its id, if it exists: another id is another container.
    pub fn id(&self, app: &str, service: &str) -> Option<String> {
        let output = self.attempt(&[
            "container",
            "inspect",
            "--format",
            "{{.Id}}",
            &self.container(app, service),
        ]);
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The ids of all containers of an app, in the order of their names.
    pub fn ids(&self, app: &str) -> Vec<String> {
        let output = self.list("container", app, "{{.Names}} {{.ID}}");
        let mut lines: Vec<String> = output.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// The names of an app's objects of a kind: `container`, `network`, `volume`, `image`.
    pub fn names(&self, kind: &str, app: &str) -> Vec<String> {
        let format = match kind {
            "container" => "{{.Names}}",
            "image" => "{{.Repository}}:{{.Tag}}",
            _ => "{{.Name}}",
        };
        let mut names: Vec<String> = self
            .list(kind, app, format)
            .lines()
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    }

    /// The ids of an app's own images, each once however many names it has.
    pub fn images(&self, app: &str) -> Vec<String> {
        let ids = self.list("image", app, "{{.ID}}");
        let mut ids: Vec<String> = ids.lines().map(str::to_owned).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    fn list(&self, kind: &str, app: &str, format: &str) -> String {
        let instance = format!("label=doprax.instance={}", self.instance);
        let app = format!("label=doprax.app={app}");
        let mut arguments = vec![
            kind, "ls", "--filter", &instance, "--filter", &app, "--format", format,
        ];
        if kind == "container" {
            arguments.extend(["--all", "--no-trunc"]);
        }
        self.run(&arguments)
    }

    /// Runs a command in a container, and returns its exit code and what it printed.
    pub fn exec(&self, app: &str, service: &str, command: &[&str]) -> (i32, String) {
        let container = self.container(app, service);
        let arguments: Vec<&str> = ["exec", &container]
            .into_iter()
            .chain(command.iter().copied())
            .collect();
        let output = self.attempt(&arguments);
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&text).trim().to_owned(),
        )
    }

    /// The command lines of what runs in a container.
    #[track_caller]
    pub fn processes(&self, app: &str, service: &str) -> String {
        let (code, text) = self.exec(
            app,
            service,
            &["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"],
        );
        assert_eq!(code, 0, "{text}");
        text
    }

    /// The host's own references to images, those of others among them.
    fn references(&self) -> Vec<String> {
        let list = ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"];
        let listed = self.attempt(&list);
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let own = format!("doprax.{}-", self.instance);
        let references = listed.lines().filter(|name| name.starts_with(&own));
        references.map(str::to_owned).collect()
    }

    /// Removes everything of the instance, and says on standard error what would not go.
    pub fn clean(&self) {
        self.clean_kinds();
        // Images of others that were kept for releases lose only the reference.
        for reference in self.references() {
            self.attempt(&["image", "rm", &reference]);
        }
    }

    fn clean_kinds(&self) {
        let filter = format!("label=doprax.instance={}", self.instance);
        for kind in KINDS {
            let mut list = vec![kind, "ls", "--quiet", "--filter", &filter];
            let mut remove = vec![kind, "rm"];
            match kind {
                "container" => {
                    list.push("--all");
                    remove.extend(["--force", "--volumes"]);
                }
                "image" => remove.push("--force"),
                _ => {}
            }
            let found = self.attempt(&list);
            let found = String::from_utf8_lossy(&found.stdout).into_owned();
            let mut ids: Vec<&str> = found.split_whitespace().collect();
            ids.sort_unstable();
            ids.dedup();
            if ids.is_empty() {
                continue;
            }
            let removed = self.attempt(&remove.into_iter().chain(ids).collect::<Vec<_>>());
            if !removed.status.success() {
                eprintln!(
                    "left of {}: {}",
                    self.instance,
                    String::from_utf8_lossy(&removed.stderr)
                );
            }
        }
    }
}
