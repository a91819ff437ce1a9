//! Elasticsearch, by its official image <https://hub.docker.com/_/elasticsearch>.
//!
//! The image takes every setting of the server as a variable of the same name, dots
//! included.

use doprax_sdk::{
    ByteSize, Diagnostic, Judge, Metadata, Observation, Part, Plugin, Probe, Request, Service,
    Signal, UlimitKind, Verdict, text,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of an Elasticsearch service.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// Memory of the Java heap; `512MiB` where it is absent. The container gets twice
    /// as much and 512 MiB. `ES_JAVA_OPTS` takes its place.
    heap: Option<ByteSize>,
    /// Whether clients must log in as `elastic`, with a password that is generated.
    #[serde(default)]
    security: bool,
    /// Whether the heap is locked into memory.
    #[serde(default)]
    memory_lock: bool,
}

/// What tells a node of a cluster of several from one that is alone.
const CLUSTER: [&str; 4] = [
    "discovery.type",
    "discovery.seed_hosts",
    "discovery.seed_providers",
    "cluster.initial_master_nodes",
];
const JAVA_OPTIONS: [&str; 2] = ["ES_JAVA_OPTS", "CLI_JAVA_OPTS"];
const PASSWORD: [&str; 2] = ["ELASTIC_PASSWORD", "ELASTIC_PASSWORD_FILE"];
const MEMORY_LOCK: &str = "bootstrap.memory_lock";
const HTTP_SSL: &str = "xpack.security.http.ssl.enabled";

/// The plugin.
pub struct Elasticsearch;

impl Plugin for Elasticsearch {
    type Settings = Settings;

    fn metadata() -> Metadata {
        Metadata::new(
            "elasticsearch",
            "Elasticsearch",
            "A search engine.",
            "0.1.0",
        )
        .versions(["8.19.0", "9.2.0", "7.17.28"])
        .category("search")
        .home_page("https://www.elastic.co/elasticsearch")
        .at_rest(1024 << 20, 1536 << 20)
        .architectures(["amd64", "arm64"])
        .image("docker.io/library/elasticsearch")
        .ulimit(UlimitKind::Memlock)
        .ulimit(UlimitKind::Nofile)
        .link("Image", "https://hub.docker.com/_/elasticsearch")
        .link("Documentation", "https://www.elastic.co/docs/")
    }

    fn plan(request: &Request, settings: Settings) -> Result<Service, Vec<Diagnostic>> {
        let wrong = objections(request, &settings);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let mut service = Service::new(request.image_of("elasticsearch", "8.19.0"))
            .volume("/usr/share/elasticsearch/data", request.volume_name("data"))
            .port(9200, "http")
            .port(9300, "transport")
            .ready_within(300)
            .stop(Signal::Term, 60)
            .output("host", text![&request.name])
            .output("port", text!["9200"]);

        // Over TLS the host cannot ask for the health: a connection must do.
        service = service.probe(match request.sets_any(&[HTTP_SSL]) {
            true => Probe::tcp(9200).every(500),
            false => Probe::http(9200, "/_cluster/health").every(500),
        });
        service = match request.sets_any(&CLUSTER[1..]) {
            // Its bootstrap checks refuse fewer open files where nodes form a cluster.
            true => service.ulimit(UlimitKind::Nofile, Some(65_535)),
            false => default_env(service, request, CLUSTER[0], "single-node"),
        };
        if !request.sets_any(&JAVA_OPTIONS) {
            let heap = settings.heap.unwrap_or(ByteSize::mib(512)).0;
            let mib = heap >> 20;
            service = service
                .env("ES_JAVA_OPTS", format!("-Xms{mib}m -Xmx{mib}m"))
                // Beside the heap it maps files and needs as much again.
                .memory(heap.saturating_mul(2).saturating_add(512 << 20));
        }
        if settings.memory_lock || request.sets_any(&[MEMORY_LOCK]) {
            service = default_env(service, request, MEMORY_LOCK, "true")
                .ulimit(UlimitKind::Memlock, None)
                .note(
                    "locks its heap into memory; where the machine does not allow that, it starts \
                     without and says so in its log",
                );
        }
        Ok(security(service, request, settings.security))
    }
}

/// Whether clients must log in. Plain HTTP in either case: the network is the app's
/// own.
fn security(service: Service, request: &Request, wanted: bool) -> Service {
    let url = text!["http://", &request.name, ":9200"];
    let configured = request.sets_any(&PASSWORD)
        || request
            .env_names
            .iter()
            .any(|name| name.starts_with("xpack.security."));
    if !wanted && !configured {
        return default_env(service, request, "xpack.security.enabled", "false").output("url", url);
    }
    let service = default_env(service, request, HTTP_SSL, "false");
    if !wanted {
        return service.output("url", url);
    }
    let service = default_env(service, request, "xpack.security.enabled", "true");
    let service = match request.sets_any(&PASSWORD) {
        true => service,
        false => service
            .secret("password", 32)
            .env_secret("ELASTIC_PASSWORD", "password"),
    };
    let password = Part::env("ELASTIC_PASSWORD");
    service
        .output("user", text!["elastic"])
        .output("password", vec![password.clone()])
        .output(
            "url",
            text!["http://elastic:", password, "@", &request.name, ":9200"],
        )
}

/// Adds a variable unless the user sets it.
fn default_env(service: Service, request: &Request, name: &str, value: &str) -> Service {
    if request.sets_any(&[name]) {
        service
    } else {
        service.env(name, value)
    }
}

fn objections(request: &Request, settings: &Settings) -> Vec<Diagnostic> {
    let mut wrong = Vec::new();
    if let Some(ByteSize(heap)) = settings.heap {
        if request.sets_any(&JAVA_OPTIONS) {
            wrong.push(
                Diagnostic::at(["heap"], "is also set by the variable ES_JAVA_OPTS")
                    .help("keep one of the two"),
            );
        }
        if !(128 << 20..=31 << 30).contains(&heap) {
            wrong.push(Diagnostic::at(["heap"], "must be between 128MiB and 31GiB"));
        }
    }
    // Since version 6 the images are tagged with all three numbers and nothing less.
    if let (Some(version), None) = (&request.version, &request.image)
        && version.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && version.split('.').count() < 3
        && request.major_or("").is_some_and(|major| major >= 6)
    {
        wrong.push(
            Diagnostic::service(format!("Elasticsearch's image has no tag {version:?}"))
                .help("write all three numbers of the version, such as 8.19.0"),
        );
    }
    wrong
}

impl Judge for Elasticsearch {
    /// Yellow is as good as it gets with a single node: copies have nowhere to be.
    fn judge(_service: &str, observations: &[Observation]) -> Verdict {
        let Some(health) = observations.first() else {
            return Verdict::Waiting("not tried yet".to_owned());
        };
        match (health.status, colour(&health.output)) {
            (None, _) if health.passed => Verdict::Ready,
            (None, _) => Verdict::Waiting("does not answer yet".to_owned()),
            // It serves, and wants to know who asks.
            (Some(401 | 403), _) => Verdict::Ready,
            (Some(200), Some("green" | "yellow")) => Verdict::Ready,
            (Some(_), Some(colour)) => {
                Verdict::Waiting(format!("the cluster's health is {colour}"))
            }
            (Some(status), None) => {
                Verdict::Waiting(format!("answers {status} when asked for its health"))
            }
        }
    }
}

/// The colour in a cluster's health, a JSON document such as
/// `{"cluster_name":"docker-cluster","status":"green",…}`.
fn colour(health: &str) -> Option<&'static str> {
    health.split("\"status\"").skip(1).find_map(|after| {
        let value = after
            .trim_start()
            .strip_prefix(':')?
            .trim_start()
            .strip_prefix('"')?;
        ["green", "yellow", "red"]
            .into_iter()
            .find(|colour| value.starts_with(colour))
    })
}

doprax_sdk::export!(Elasticsearch: judge);

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_sdk::testing;

    fn with_env(names: &[&str]) -> Service {
        let env_names = names.iter().map(|name| (*name).to_owned()).collect();
        let request = Request {
            env_names,
            ..testing::request::<Elasticsearch>()
        };
        testing::answer::<Elasticsearch>(&request).expect("planned")
    }

    fn env(service: &Service) -> Vec<&str> {
        service.env.iter().map(|env| env.name.as_str()).collect()
    }

    #[test]
    fn golden() {
        let plan = |settings| testing::plan::<Elasticsearch>(settings).expect("planned");
        let settings = r#"{"heap": "1GiB", "security": "yes", "memory-lock": "true"}"#;
        insta::assert_json_snapshot!("default", plan("{}"));
        insta::assert_json_snapshot!("settings", plan(settings));
        insta::assert_json_snapshot!("metadata", testing::metadata::<Elasticsearch>());
    }

    #[test]
    fn what_the_user_sets_stays() {
        let service = with_env(&["discovery.type", "bootstrap.memory_lock", "ES_JAVA_OPTS"]);
        assert_eq!(env(&service), ["xpack.security.enabled"]);
        assert_eq!(service.resources.memory, None);
        assert_eq!(service.ulimits[0].kind, UlimitKind::Memlock);
        assert_eq!(service.notes.len(), 1);

        let cluster = with_env(&["cluster.initial_master_nodes"]);
        assert!(!env(&cluster).contains(&"discovery.type"));
        assert_eq!(cluster.ulimits[0].kind, UlimitKind::Nofile);

        let secured = with_env(&["ELASTIC_PASSWORD"]);
        assert!(!env(&secured).contains(&"xpack.security.enabled"));
        assert!(env(&secured).contains(&HTTP_SSL));
        assert!(secured.secrets.is_empty());
    }

    #[test]
    fn only_a_healthy_cluster_is_ready() {
        let judge = |status, output: &str| {
            let observation = Observation {
                passed: false,
                status,
                output: output.to_owned(),
            };
            Elasticsearch::judge("elasticsearch", &[observation])
        };
        let health = |colour| format!(r#"{{"cluster_name":"status","status" : "{colour}"}}"#);
        assert_eq!(judge(Some(200), &health("green")), Verdict::Ready);
        assert_eq!(judge(Some(200), &health("yellow")), Verdict::Ready);
        assert_eq!(judge(Some(401), ""), Verdict::Ready);
        assert!(matches!(
            judge(Some(200), &health("red")),
            Verdict::Waiting(_)
        ));
        assert!(matches!(judge(Some(503), "{}"), Verdict::Waiting(_)));
        assert!(matches!(
            judge(None, "connection refused"),
            Verdict::Waiting(_)
        ));
    }

    #[test]
    fn refusals() {
        let plan = |version: &str| {
            let version = Some(version.to_owned());
            testing::answer::<Elasticsearch>(&Request {
                version,
                ..testing::request::<Elasticsearch>()
            })
        };
        assert!(plan("7.6").is_err());
        assert!(plan("7.6.0").is_ok());
        assert!(plan("5").is_ok());
        let wrong = testing::plan::<Elasticsearch>(r#"{"heap": "1"}"#).expect_err("refused");
        assert_eq!(wrong[0].path, ["heap"]);
    }
}
