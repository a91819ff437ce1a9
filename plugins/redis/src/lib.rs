//! Redis, by its official image <https://hub.docker.com/_/redis>.

use doprax_sdk::{
    ByteSize, Diagnostic, Judge, Metadata, Observation, Part, Plugin, Probe, Request, Service,
    Signal, Verdict, text,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of a Redis service.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// Memory for data, such as `256MB`; unlimited where it is absent.
    max_memory: Option<ByteSize>,
    /// What is dropped when the memory for data is full.
    max_memory_policy: Option<Policy>,
    /// Whether every write is kept in a log on disk, beside the snapshots.
    #[serde(default)]
    append_only: bool,
    /// Whether clients must give a password, which is generated; it is the
    /// service's output `password`.
    #[serde(default)]
    password: bool,
}

/// What is dropped when the memory for data is full.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Nothing; writes fail.
    Noeviction,
    /// The least recently used keys.
    AllkeysLru,
    /// The least frequently used keys.
    AllkeysLfu,
    /// Keys at random.
    AllkeysRandom,
    /// The least recently used of the keys that expire.
    VolatileLru,
    /// The least frequently used of the keys that expire.
    VolatileLfu,
    /// Keys that expire, at random.
    VolatileRandom,
    /// Keys that expire soonest.
    VolatileTtl,
}

impl Policy {
    fn name(self) -> &'static str {
        match self {
            Self::Noeviction => "noeviction",
            Self::AllkeysLru => "allkeys-lru",
            Self::AllkeysLfu => "allkeys-lfu",
            Self::AllkeysRandom => "allkeys-random",
            Self::VolatileLru => "volatile-lru",
            Self::VolatileLfu => "volatile-lfu",
            Self::VolatileRandom => "volatile-random",
            Self::VolatileTtl => "volatile-ttl",
        }
    }
}

/// Where the image's documentation puts a configuration file of the user.
const CONFIG: &str = "/usr/local/etc/redis/redis.conf";

/// Holds the password: on the command line every process would see it.
const PASSWORD_CONFIG: &str = "/etc/doprax/redis.conf";

/// The plugin.
pub struct Redis;

impl Plugin for Redis {
    type Settings = Settings;

    fn metadata() -> Metadata {
        Metadata::new(
            "redis",
            "Redis",
            "A store for data structures in memory.",
            "0.1.0",
        )
        .versions(["7.4", "8.2", "8.0", "7.2", "6.2"])
        .category("cache")
        .home_page("https://redis.io/")
        .at_rest(8 << 20, 128 << 20)
        .architectures(["amd64", "arm64"])
        .image("docker.io/library/redis")
        .link("Image", "https://hub.docker.com/_/redis")
        .link("Documentation", "https://redis.io/docs/latest/")
    }

    fn plan(request: &Request, settings: Settings) -> Result<Service, Vec<Diagnostic>> {
        let service = Service::new(request.image_of("redis", "7.4"))
            .volume("/data", request.volume_name("data"))
            .port(6379, "redis")
            // An inline command; every version answers it, without authentication too.
            .probe(Probe::tcp(6379).send("PING\r\n"))
            // On SIGTERM it saves its data, which takes as long as there is data.
            .stop(Signal::Term, 30)
            .output("host", text![&request.name])
            .output("port", text!["6379"]);

        let own = request.has_file(&[CONFIG]).then_some(CONFIG);
        let config = if settings.password {
            Some(PASSWORD_CONFIG)
        } else {
            own
        };
        let mut command = vec!["redis-server".to_owned()];
        command.extend(config.map(str::to_owned));
        let mut option = |name: &str, value: String| command.extend([format!("--{name}"), value]);
        if let Some(ByteSize(bytes)) = settings.max_memory {
            option("maxmemory", bytes.to_string());
        }
        if let Some(policy) = settings.max_memory_policy {
            option("maxmemory-policy", policy.name().to_owned());
        }
        if settings.append_only {
            option("appendonly", "yes".to_owned());
        }
        let service = if command.len() > 1 {
            service.command(command)
        } else {
            service
        };

        if !settings.password {
            return Ok(service.output("url", text!["redis://", &request.name, ":6379"]));
        }
        let mut content = text!["requirepass ", Part::secret("password"), "\n"];
        content.extend(own.map(|path| Part::from(format!("include {path}\n"))));
        let url = text![
            "redis://:",
            Part::secret("password"),
            "@",
            &request.name,
            ":6379"
        ];
        Ok(service
            .secret("password", 32)
            .file(PASSWORD_CONFIG, content)
            .output("password", text![Part::secret("password")])
            .output("url", url))
    }
}

impl Judge for Redis {
    fn judge(_service: &str, observations: &[Observation]) -> Verdict {
        let Some(ping) = observations.first() else {
            return Verdict::Waiting("not tried yet".to_owned());
        };
        let answer = ping.output.lines().next().unwrap_or_default().trim();
        match answer {
            _ if !ping.passed => Verdict::Waiting(format!("no answer to PING: {answer}")),
            // A password is wanted, or the user may not ping: it serves all the same.
            "+PONG" => Verdict::Ready,
            _ if answer.starts_with("-NOAUTH") || answer.starts_with("-NOPERM") => Verdict::Ready,
            _ if answer.starts_with("-LOADING") => {
                Verdict::Waiting("loads its data from disk".to_owned())
            }
            _ if answer.starts_with("-DENIED") => Verdict::Failed(
                "protected mode refuses other containers: set `protected-mode no` or a password \
                 in its configuration"
                    .to_owned(),
            ),
            _ => Verdict::Waiting(format!("answered PING with {answer:?}")),
        }
    }
}

doprax_sdk::export!(Redis: judge);

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_sdk::testing;

    #[test]
    fn golden() {
        let settings = r#"{
            "max-memory": "256MB", "max-memory-policy": "allkeys-lru",
            "append-only": "yes", "password": "true"
        }"#;
        insta::assert_json_snapshot!("default", testing::plan::<Redis>("{}").expect("planned"));
        insta::assert_json_snapshot!(
            "settings",
            testing::plan::<Redis>(settings).expect("planned")
        );
        insta::assert_json_snapshot!("metadata", testing::metadata::<Redis>());
    }

    #[test]
    fn only_an_answer_to_ping_is_ready() {
        let judge = |passed, output: &str| {
            let ping = Observation {
                passed,
                status: None,
                output: output.to_owned(),
            };
            Redis::judge("redis", &[ping])
        };
        assert_eq!(judge(true, "+PONG\r\n"), Verdict::Ready);
        assert_eq!(
            judge(true, "-NOAUTH Authentication required.\r\n"),
            Verdict::Ready
        );
        assert!(matches!(
            judge(true, "-LOADING Redis is loading the dataset in memory\r\n"),
            Verdict::Waiting(_)
        ));
        assert!(matches!(
            judge(false, "connection refused"),
            Verdict::Waiting(_)
        ));
        assert!(matches!(
            judge(true, "-DENIED Redis is running in"),
            Verdict::Failed(_)
        ));
        assert!(matches!(Redis::judge("redis", &[]), Verdict::Waiting(_)));
    }
}
