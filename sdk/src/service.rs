//! Building a service and its ports.

use crate::{
    Audience, Capability, Derivation, DerivedSecret, Encoding, EnvEntry, File, FileOwner, Liveness,
    Output, Part, PortEntry, Probe, RandomBytes, Resources, Secret, SecretSource, Service, Signal,
    Sysctl, SysctlName, Text, Tmpfs, Transport, Ulimit, UlimitKind, Volume,
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
            tmpfs: Vec::new(),
            read_only_root: false,
            working_directory: None,
            groups: Vec::new(),
            init: None,
            sysctls: Vec::new(),
            ports: Vec::new(),
            probes: Vec::new(),
            ready_timeout_ms: 60_000,
            alive: None,
            needs: Vec::new(),
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
            owner: FileOwner::Root,
        });
        self
    }

    /// Adds a file that the user whom the process runs as may read, and nobody else.
    pub fn private_file(mut self, path: &str, content: Text) -> Self {
        self.files.push(File {
            path: path.to_owned(),
            mode: 0o400,
            content,
            owner: FileOwner::Process,
        });
        self
    }

    /// Adds a volume; one of the user's on the same path takes its place.
    pub fn volume(mut self, path: &str, name: impl Into<String>) -> Self {
        self.volumes.push(Volume {
            name: name.into(),
            path: path.to_owned(),
            read_only: false,
            owner: None,
        });
        self
    }

    /// Gives the topmost folder of the volume at this path to a user: `NAME`, `ID` or
    /// `ID:GROUP`. Where no volume is there: nothing.
    pub fn volume_owner(mut self, path: &str, owner: &str) -> Self {
        for volume in self.volumes.iter_mut().filter(|volume| volume.path == path) {
            volume.owner = Some(owner.to_owned());
        }
        self
    }

    /// Adds a folder in memory of at most this many bytes, which everybody may write to.
    pub fn tmpfs(mut self, path: &str, size: u64) -> Self {
        self.tmpfs.push(Tmpfs {
            path: path.to_owned(),
            size,
            mode: 0o1777,
        });
        self
    }

    /// Lets nothing but volumes and folders in memory be written.
    pub fn read_only_root(mut self) -> Self {
        self.read_only_root = true;
        self
    }

    /// Begins in this folder.
    pub fn working_directory(mut self, path: &str) -> Self {
        self.working_directory = Some(path.to_owned());
        self
    }

    /// Adds a group of the process, a name or a number.
    pub fn group(mut self, group: &str) -> Self {
        self.groups.push(group.to_owned());
        self
    }

    /// Says whether an init is its first process.
    pub fn init(mut self, init: bool) -> Self {
        self.init = Some(init);
        self
    }

    /// Sets a kernel parameter of the container: numbers, with a space between two.
    pub fn sysctl(mut self, name: SysctlName, value: &str) -> Self {
        self.sysctls.push(Sysctl {
            name,
            value: value.to_owned(),
        });
        self
    }

    /// Adds a TCP port for the app's other containers, the most important first.
    pub fn port(self, number: u16, role: &str) -> Self {
        self.listen(PortEntry::new(number, role))
    }

    /// Adds a port, the most important first.
    pub fn listen(mut self, port: PortEntry) -> Self {
        self.ports.push(port);
        self
    }

    /// Restarts it where it was ready and this many rounds of its probes in a row, with
    /// this many seconds between two, say that it is not any more.
    pub fn alive(mut self, seconds: u32, failures: u16) -> Self {
        self.alive = Some(Liveness {
            interval_ms: seconds.saturating_mul(1000),
            failures,
        });
        self
    }

    /// Starts it only when this service of the app is ready.
    pub fn needs(mut self, service: &str) -> Self {
        self.needs.push(service.to_owned());
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
    pub fn secret(self, name: &str, length: u16) -> Self {
        self.secret_from(name, SecretSource::Random(length))
    }

    /// Declares a secret of this many random bytes, written so.
    pub fn secret_bytes(self, name: &str, count: u16, encoding: Encoding) -> Self {
        self.secret_from(name, SecretSource::Bytes(RandomBytes { count, encoding }))
    }

    /// Declares a secret that is made of another of this service.
    pub fn secret_derived(self, name: &str, secret: &str, derivation: Derivation) -> Self {
        let secret = secret.to_owned();
        self.secret_from(
            name,
            SecretSource::Derived(DerivedSecret { secret, derivation }),
        )
    }

    /// Declares a secret that only a person can give, with what it is.
    pub fn secret_given(self, name: &str, what: &str) -> Self {
        self.secret_from(name, SecretSource::Given(what.to_owned()))
    }

    fn secret_from(mut self, name: &str, source: SecretSource) -> Self {
        self.secrets.push(Secret {
            name: name.to_owned(),
            source,
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

impl PortEntry {
    /// A TCP port for the app's other containers, without TLS. `role` says what it is for.
    pub fn new(number: u16, role: &str) -> Self {
        Self {
            number,
            role: role.to_owned(),
            transport: Transport::Tcp,
            tls: false,
            audience: Audience::Containers,
        }
    }

    /// The same by UDP.
    pub fn udp(mut self) -> Self {
        self.transport = Transport::Udp;
        self
    }

    /// The same with TLS from the first byte on.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// The same for visitors: the service stands in front of the app.
    pub fn visitors(mut self) -> Self {
        self.audience = Audience::Visitors;
        self
    }

    /// The same for who runs the app: a console or an admin page.
    pub fn operators(mut self) -> Self {
        self.audience = Audience::Operators;
        self
    }
}
