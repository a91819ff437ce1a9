//! Building a service and its probes.

use crate::{
    Capability, Check, EnvEntry, ExecCheck, ExecEnv, File, HttpCheck, Mount, Output, Part,
    PortEntry, Probe, Resources, Secret, SecretSource, Service, Signal, TcpCheck, Text, Ulimit,
    UlimitKind,
};

impl Service {
    /// A service of this image with what the image says, ready within a minute and
    /// ended within ten seconds.
    pub fn new(image: impl Into<String>) -> Self {
        Self {
            image: image.into(),
            env: Vec::new(),
            entrypoint: None,
            command: None,
            user: None,
            files: Vec::new(),
            volumes: Vec::new(),
            ports: Vec::new(),
            probes: Vec::new(),
            ready_timeout_ms: 60_000,
            after_main: false,
            shm_size: None,
            ulimits: Vec::new(),
            capabilities: Vec::new(),
            stop_signal: None,
            stop_grace_ms: 10_000,
            resources: Resources {
                memory: None,
                millicpus: None,
                disk: None,
            },
            secrets: Vec::new(),
            outputs: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a variable.
    pub fn env(mut self, name: &str, value: impl Into<Part>) -> Self {
        self.env.push(EnvEntry {
            name: name.to_owned(),
            value: vec![value.into()],
            masked: false,
        });
        self
    }

    /// Adds a variable whose value is the secret of this name.
    pub fn env_secret(mut self, name: &str, secret: &str) -> Self {
        self.env.push(EnvEntry {
            name: name.to_owned(),
            value: vec![Part::secret(secret)],
            masked: true,
        });
        self
    }

    /// Replaces the image's command.
    pub fn command<A: Into<String>>(mut self, command: impl IntoIterator<Item = A>) -> Self {
        self.command = Some(command.into_iter().map(Into::into).collect());
        self
    }

    /// Replaces the image's entrypoint.
    pub fn entrypoint<A: Into<String>>(mut self, entrypoint: impl IntoIterator<Item = A>) -> Self {
        self.entrypoint = Some(entrypoint.into_iter().map(Into::into).collect());
        self
    }

    /// Runs it as this user.
    pub fn user(mut self, user: &str) -> Self {
        self.user = Some(user.to_owned());
        self
    }

    /// Adds a file that everyone in the container may read.
    pub fn file(mut self, path: &str, content: Text) -> Self {
        self.files.push(File {
            path: path.to_owned(),
            mode: 0o644,
            content,
        });
        self
    }

    /// Adds a volume; one of the user's on the same path takes its place.
    pub fn volume(mut self, path: &str, name: impl Into<String>) -> Self {
        self.volumes.push(Mount {
            name: name.into(),
            path: path.to_owned(),
        });
        self
    }

    /// Adds a port, the most important first.
    pub fn port(mut self, number: u16, role: &str) -> Self {
        self.ports.push(PortEntry {
            number,
            role: role.to_owned(),
        });
        self
    }

    /// Adds a probe; all must pass, and are tried in order, so the cheapest first.
    pub fn probe(mut self, probe: Probe) -> Self {
        self.probes.push(probe);
        self
    }

    /// Lets it take this many seconds to become ready.
    pub fn ready_within(mut self, seconds: u32) -> Self {
        self.ready_timeout_ms = seconds.saturating_mul(1000);
        self
    }

    /// Ends it with this signal, within this many seconds.
    pub fn stop(mut self, signal: Signal, seconds: u32) -> Self {
        self.stop_signal = Some(signal);
        self.stop_grace_ms = seconds.saturating_mul(1000);
        self
    }

    /// Starts it after main instead of before it.
    pub fn after_main(mut self) -> Self {
        self.after_main = true;
        self
    }

    /// Gives `/dev/shm` this many bytes.
    pub fn shm_size(mut self, bytes: u64) -> Self {
        self.shm_size = Some(bytes);
        self
    }

    /// Sets a limit of its processes, soft and hard alike; none is unlimited.
    pub fn ulimit(mut self, kind: UlimitKind, limit: Option<u64>) -> Self {
        self.ulimits.push(Ulimit {
            kind,
            soft: limit,
            hard: limit,
        });
        self
    }

    /// Adds a capability.
    pub fn capability(mut self, capability: Capability) -> Self {
        self.capabilities.push(capability);
        self
    }

    /// Limits its memory to this many bytes where the user sets no limit.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.resources.memory = Some(bytes);
        self
    }

    /// Declares a secret of this many random characters.
    pub fn secret(mut self, name: &str, length: u16) -> Self {
        self.secrets.push(Secret {
            name: name.to_owned(),
            source: SecretSource::Random(length),
        });
        self
    }

    /// Adds a value for other containers and for people.
    pub fn output(mut self, name: &str, value: Text) -> Self {
        self.outputs.push(Output {
            name: name.to_owned(),
            value,
        });
        self
    }

    /// Adds a remark for the reader of the plan.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

impl Probe {
    /// A probe of this check, every 100 ms, each try within two seconds.
    pub fn new(check: Check) -> Self {
        Self {
            check,
            interval_ms: 100,
            timeout_ms: 2_000,
        }
    }

    /// The port accepts a connection.
    pub fn tcp(port: u16) -> Self {
        Self::new(Check::Tcp(TcpCheck { port, send: None }))
    }

    /// `GET path` is answered.
    pub fn http(port: u16, path: &str) -> Self {
        Self::new(Check::Http(HttpCheck {
            port,
            path: path.to_owned(),
        }))
    }

    /// A command in the container exits with 0. Dearer than the others: an engine
    /// takes tens of milliseconds for each.
    pub fn exec<A: Into<String>>(command: impl IntoIterator<Item = A>) -> Self {
        let command = command.into_iter().map(Into::into).collect();
        Self {
            interval_ms: 500,
            timeout_ms: 5_000,
            ..Self::new(Check::Exec(ExecCheck {
                command,
                env: Vec::new(),
            }))
        }
    }

    /// Of a TCP probe: sends this once connected, and waits for an answer. Of others:
    /// nothing.
    pub fn send(mut self, text: &str) -> Self {
        if let Check::Tcp(check) = &mut self.check {
            check.send = Some(text.to_owned());
        }
        self
    }

    /// Of a command: adds a variable. Of others: nothing.
    pub fn env(mut self, name: &str, value: Text) -> Self {
        if let Check::Exec(check) = &mut self.check {
            check.env.push(ExecEnv {
                name: name.to_owned(),
                value,
            });
        }
        self
    }

    /// Pauses this long between two tries, in milliseconds.
    pub fn every(mut self, milliseconds: u32) -> Self {
        self.interval_ms = milliseconds;
        self
    }
}
