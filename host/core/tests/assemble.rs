//! What wins, what is filled in, and what is refused when an app is assembled.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use doprax_core::assemble::{Error, Facts, Input, MainPorts, Place, SourceFile, assemble};
use doprax_core::blueprint::{
    Blueprint, Container, Content, ImageIdentity, Owner, Runtime, Stage, Tmpfs,
};
use doprax_core::identity::{adopted, identify};
use doprax_core::name::{AppName, Instance, PluginName, ServiceName, VolumeName};
use doprax_core::observed::Observed;
use doprax_core::probe::{Check, Probe};
use doprax_core::secret::{Derivation, SecretName, SecretSource};
use doprax_core::service::{EnvTemplate, Liveness, Output, ServiceDescription, VolumeDefault};
use doprax_core::source::{Recipe, Source};
use doprax_core::spec::{AppSpec, ConfigFile, EnvValue, PortSpec, Protocol, ServiceSpec, Strategy};
use doprax_core::text::{Part, Template, TemplatePart, Text};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn service(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

fn volume(name: &str) -> VolumeName {
    VolumeName::new(name).unwrap()
}

fn literal(text: &str) -> Template {
    Template::literal(text)
}

fn refers(name: &str) -> TemplatePart {
    TemplatePart::Env(name.to_owned())
}

/// An app with a database `db`, and what its plugin says.
struct App {
    spec: AppSpec,
    description: ServiceDescription,
    /// Services beside `db`.
    others: BTreeMap<ServiceName, ServiceDescription>,
    main_ports: MainPorts,
    files: BTreeMap<String, SourceFile>,
}

impl App {
    fn new() -> Self {
        let spec: ServiceSpec = serde_json::from_value(json!({ "plugin": "mysql" })).unwrap();
        let main = serde_json::from_value(json!({})).unwrap();
        Self {
            spec: AppSpec {
                app: AppName::new("shop").unwrap(),
                front: None,
                retain: None,
                main,
                services: [(service("db"), spec)].into_iter().collect(),
                domains: Default::default(),
                secrets: BTreeMap::new(),
            },
            description: serde_json::from_value(json!({
                "image": "mysql:8", "env": [], "files": [], "volumes": [],
                "ports": [{ "number": 3306, "role": "mysql" }], "probes": [],
                "ready_timeout_ms": 0, "judged": false, "after_main": false, "ulimits": [],
                "capabilities": [], "stop_grace_ms": 0, "resources": {}, "secrets": [],
                "outputs": [], "notes": [],
            }))
            .unwrap(),
            others: BTreeMap::new(),
            main_ports: MainPorts::Known(vec![8000]),
            files: BTreeMap::new(),
        }
    }

    /// Adds a service with a variable `A` of these parts.
    fn other(&mut self, name: &str, parts: Vec<TemplatePart>) -> &mut ServiceDescription {
        let spec = serde_json::from_value(json!({ "plugin": "page" })).unwrap();
        self.spec.services.insert(service(name), spec);
        let mut description = App::new().description;
        description.env.push(EnvTemplate {
            name: "A".to_owned(),
            value: Template(parts),
            masked: false,
        });
        self.others.entry(service(name)).or_insert(description)
    }

    fn db(&mut self) -> &mut ServiceSpec {
        &mut self.spec.services[&service("db")]
    }

    fn plugin_env(&mut self, name: &str, parts: Vec<TemplatePart>, masked: bool) {
        let value = Template(parts);
        self.description.env.push(EnvTemplate {
            name: name.to_owned(),
            value,
            masked,
        });
    }

    fn user_env(&mut self, name: &str, text: &str, masked: bool) {
        let value = EnvValue {
            value: literal(text),
            masked,
        };
        self.db().container.env.insert(name.to_owned(), value);
    }

    /// Declares a secret of the plugin.
    fn secret(&mut self) -> SecretName {
        let name = SecretName::plugin(&service("db"), "root-password");
        self.description
            .secrets
            .push((name.clone(), SecretSource::Random { length: 32 }));
        name
    }

    fn assemble(&self) -> Result<Blueprint, Vec<Error>> {
        let mut descriptions = self.others.clone();
        descriptions.insert(service("db"), self.description.clone());
        assemble(&Input {
            instance: &Instance::default(),
            spec: &self.spec,
            descriptions: &descriptions,
            plugin_names: &BTreeMap::new(),
            images: &BTreeMap::new(),
            source: &Source {
                digest: "1".repeat(64),
                recipe: Recipe::default(),
            },
            main_image: None,
            main_ports: &self.main_ports,
            files: &self.files,
            subnet: "10.16.0.0/23".parse().unwrap(),
            revisions: &BTreeMap::from([
                (SecretName::plugin(&service("db"), "root-password"), 3),
                (SecretName::word("random_1"), 1),
            ]),
            disk_limit: false,
            facts: &Facts::default(),
        })
    }

    fn assembled_db(&self) -> Container {
        self.assemble().unwrap().containers[&service("db")].clone()
    }

    fn errors(&self) -> Vec<Error> {
        self.assemble().unwrap_err()
    }
}

#[test]
fn a_secret_is_kept_with_its_revision_while_something_uses_it() {
    let mut app = App::new();
    let secret = app.secret();
    app.plugin_env("PASSWORD", vec![TemplatePart::Secret(secret.clone())], true);
    let blueprint = app.assemble().unwrap();
    assert_eq!(blueprint.revisions, BTreeMap::from([(secret.clone(), 3)]));
    assert_eq!(
        blueprint.secrets,
        BTreeMap::from([(secret, SecretSource::Random { length: 32 })])
    );
}

#[test]
fn the_users_variable_wins_and_the_plugins_secret_is_dropped() {
    let mut app = App::new();
    let secret = app.secret();
    app.plugin_env("PASSWORD", vec![TemplatePart::Secret(secret)], true);
    app.user_env("PASSWORD", "mine", false);
    let blueprint = app.assemble().unwrap();
    let env = &blueprint.containers[&service("db")].env["PASSWORD"];
    assert_eq!(env.value, Text::literal("mine"));
    assert!(blueprint.secrets.is_empty());
    assert!(blueprint.revisions.is_empty());
}

#[test]
fn a_reference_takes_the_value_that_won_and_its_mask() {
    let mut app = App::new();
    app.plugin_env(
        "USER",
        vec![TemplatePart::Literal("root".to_owned())],
        false,
    );
    let url = vec![
        TemplatePart::Literal("//".to_owned()),
        refers("USER"),
        TemplatePart::Literal(":".to_owned()),
        refers("PASSWORD"),
        TemplatePart::Literal("@".to_owned()),
        TemplatePart::Host(service("db")),
        TemplatePart::Literal(":".to_owned()),
        TemplatePart::Port(service("db")),
        refers("NOT_SET"),
    ];
    app.plugin_env("URL", url, false);
    app.plugin_env("COPY", vec![refers("URL"), TemplatePart::MainPort], false);
    app.user_env("USER", "shop", false);
    app.user_env("PASSWORD", "hunter2", true);
    let db = app.assembled_db();
    assert_eq!(
        db.env["URL"].value,
        Text(vec![Part::Literal("//shop:hunter2@db:3306".to_owned())])
    );
    assert_eq!(
        db.env["COPY"].value,
        Text::literal("//shop:hunter2@db:33068000")
    );
    assert!(db.env["URL"].masked && db.env["COPY"].masked && !db.env["USER"].masked);
}

#[test]
fn a_circle_of_variables_is_named_once() {
    let mut app = App::new();
    app.plugin_env("B", vec![refers("C")], false);
    app.plugin_env("A", vec![refers("B")], false);
    app.plugin_env("C", vec![refers("B")], false);
    let variables = ["B", "C", "B"].map(str::to_owned).to_vec();
    assert_eq!(
        app.errors(),
        [Error::Cycle {
            service: service("db"),
            variables
        }]
    );
}

#[test]
fn a_row_of_variables_has_an_end() {
    let mut app = App::new();
    for number in 0..100_000 {
        app.plugin_env(
            &format!("V{number:06}"),
            vec![refers(&format!("V{:06}", number + 1))],
            false,
        );
    }
    assert!(
        app.errors()
            .iter()
            .any(|error| matches!(error, Error::TooDeep { .. }))
    );
}

#[test]
fn a_text_cannot_grow_without_bounds() {
    let mut app = App::new();
    app.plugin_env("A", vec![TemplatePart::Literal("x".repeat(1000))], false);
    app.plugin_env("B", vec![refers("A"); 1000], false);
    app.plugin_env("C", vec![refers("B"); 1000], false);
    let place = Place::Env("C".to_owned());
    assert_eq!(
        app.errors(),
        [Error::TooLong {
            service: service("db"),
            place,
            limit: 1 << 20
        }]
    );
}

#[test]
fn secrets_in_a_text_count_to_its_length() {
    let mut app = App::new();
    let secret = app.secret();
    app.plugin_env("A", vec![TemplatePart::Secret(secret)], true);
    app.plugin_env("B", vec![refers("A"); 1000], true);
    app.plugin_env("C", vec![refers("B"); 1000], true);
    let place = Place::Env("C".to_owned());
    assert_eq!(
        app.errors(),
        [Error::TooLong {
            service: service("db"),
            place,
            limit: 1 << 20
        }]
    );
}

#[test]
fn every_error_is_reported_at_once() {
    let mut app = App::new();
    app.main_ports = MainPorts::Known(Vec::new());
    app.plugin_env("A", vec![TemplatePart::Host(service("cache"))], false);
    app.plugin_env("B", vec![TemplatePart::MainPort], false);
    app.plugin_env(
        "C",
        vec![TemplatePart::Secret(SecretName::word("nobody"))],
        false,
    );
    let file = ConfigFile {
        source: "my.cnf".to_owned(),
        writable: false,
        mode: None,
        owner: None,
    };
    app.db()
        .container
        .files
        .insert("/etc/my.cnf".to_owned(), file);
    let texts: Vec<String> = app.errors().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn the_users_volume_and_file_take_the_place_of_the_plugins() {
    let mut app = App::new();
    for (path, name) in [("/var/lib/mysql/", "db-data"), ("/backup", "db-backup")] {
        app.description.volumes.push(VolumeDefault {
            path: path.to_owned(),
            name: volume(name),
        });
    }
    app.description.files = serde_json::from_value(json!([
        { "path": "/etc/my.cnf", "mode": 0o600, "content": [{ "literal": "[mysqld]" }] },
        { "path": "/etc/other.cnf", "mode": 0o600, "content": [] },
    ]))
    .unwrap();
    let file = |source: &str, writable| ConfigFile {
        source: source.to_owned(),
        writable,
        mode: None,
        owner: None,
    };
    app.files = BTreeMap::from([
        (
            "my.cnf".to_owned(),
            SourceFile {
                sha256: "aa".to_owned(),
                mode: 0o600,
            },
        ),
        (
            "run.sh".to_owned(),
            SourceFile {
                sha256: "bb".to_owned(),
                mode: 0o750,
            },
        ),
    ]);
    let container = &mut app.db().container;
    container
        .volumes
        .insert("/var/lib/mysql".to_owned(), volume("mine"));
    container
        .files
        .insert("/etc/my.cnf".to_owned(), file("my.cnf", false));
    container
        .files
        .insert("/run.sh".to_owned(), file("run.sh", true));

    let db = app.assembled_db();
    let mounts: Vec<_> = db
        .mounts
        .iter()
        .map(|m| (m.path.as_str(), m.name.as_str()))
        .collect();
    assert_eq!(
        mounts,
        [("/backup", "db-backup"), ("/var/lib/mysql", "mine")]
    );
    let files: Vec<_> = db.files.iter().map(|f| (f.path.as_str(), f.mode)).collect();
    assert_eq!(
        files,
        [
            ("/etc/my.cnf", 0o600),
            ("/etc/other.cnf", 0o600),
            ("/run.sh", 0o750)
        ]
    );
    let content = Content::Blob {
        digest: "aa".to_owned(),
        source: "my.cnf".to_owned(),
    };
    assert_eq!(db.files[0].content, content);
}

#[test]
fn a_file_keeps_what_its_mode_in_the_source_says() {
    let own = Some(Owner::Process);
    let cases = [
        (0o644, false, None, 0o444, None),
        (0o755, false, None, 0o555, None),
        (0o600, false, None, 0o600, own.clone()),
        (0o640, false, None, 0o640, own.clone()),
        (0o644, true, None, 0o644, own.clone()),
        (0o755, true, None, 0o755, own.clone()),
        (0o440, true, None, 0o640, own.clone()),
        (0o644, false, Some(0o400), 0o400, own),
    ];
    for (source, writable, wanted, mode, owner) in cases {
        let mut app = App::new();
        let found = SourceFile {
            sha256: "aa".to_owned(),
            mode: source,
        };
        app.files = BTreeMap::from([("f".to_owned(), found)]);
        let file = ConfigFile {
            source: "f".to_owned(),
            writable,
            mode: wanted,
            owner: None,
        };
        app.db().container.files.insert("/f".to_owned(), file);
        let db = app.assembled_db();
        let file = db.files.iter().find(|file| file.path == "/f").unwrap();
        assert_eq!((file.mode, &file.owner), (mode, &owner), "{source:o}");
    }
}

#[test]
fn only_what_writes_nothing_of_its_own_runs_beside_its_old_copy() {
    let mut app = App::new();
    assert_eq!(app.assembled_db().strategy, Strategy::Recreate);
    app.description.after_main = true;
    assert_eq!(app.assembled_db().strategy, Strategy::Rolling);
    app.db()
        .container
        .volumes
        .insert("/www".to_owned(), volume("static"));
    assert_eq!(app.assembled_db().strategy, Strategy::Recreate);
    app.spec
        .main
        .container
        .volumes
        .insert("/app/static".to_owned(), volume("static"));
    let db = app.assembled_db();
    assert_eq!((db.strategy, db.stage), (Strategy::Rolling, Stage::Front));
}

#[test]
fn main_answers_to_the_apps_name_unless_a_service_does() {
    let mut app = App::new();
    let main = |app: &App| {
        app.assemble().unwrap().containers[&ServiceName::main()]
            .aliases
            .clone()
    };
    assert_eq!(main(&app), ["main", "shop", "shop.shop.internal"]);
    app.spec.app = AppName::new("db").unwrap();
    assert_eq!(main(&app), ["main"]);
}

#[test]
fn a_service_cannot_be_main() {
    let mut app = App::new();
    let spec = app.db().clone();
    app.spec.services.insert(ServiceName::main(), spec);
    let plugin = PluginName::new("mysql").unwrap();
    assert_eq!(app.errors(), [Error::NamedMain { plugin }]);
}

#[test]
fn a_container_made_before_images_were_told_apart_stays() {
    let mut wanted = App::new().assemble().unwrap();
    let db = service("db");
    let hash = |blueprint: &Blueprint| blueprint.containers[&db].hash(&blueprint.revisions);
    let (stored, before) = (wanted.clone(), hash(&wanted));
    let observed = |image_id: &str| Observed {
        containers: vec![
            serde_json::from_value(json!({
                "id": "1", "name": {"serving": "db"}, "service": "db", "hash": before,
                "state": "running", "image": "mysql:8", "image_id": image_id,
            }))
            .unwrap(),
        ],
        ..Observed::default()
    };
    let found = |id: &str| {
        let identity = ImageIdentity {
            id: id.to_owned(),
            digest: Some("sha256:d".to_owned()),
            adopted: false,
        };
        BTreeMap::from([("mysql:8".to_owned(), identity)])
    };

    // It runs what its reference means: it stays as it is.
    identify(&mut wanted, Some(&stored), &found("a"), &observed("a"));
    assert_eq!(hash(&wanted), before);
    assert!(wanted.containers[&db].identity.as_ref().unwrap().adopted);
    assert_eq!(adopted(&stored, &observed("a")), wanted);

    // The reference means another image by now: it is made anew, and then known by that.
    let previous = wanted.clone();
    identify(&mut wanted, Some(&previous), &found("b"), &observed("a"));
    assert_ne!(hash(&wanted), before);
    let renewed = wanted.clone();
    identify(&mut wanted, Some(&renewed), &found("b"), &observed("b"));
    assert_eq!(wanted, renewed);

    // The image is gone from the engine: what is known of it stays known.
    identify(
        &mut wanted,
        Some(&renewed),
        &BTreeMap::new(),
        &observed("b"),
    );
    assert_eq!(wanted, renewed);

    // A digest that its registry gives to the same image is no change.
    let mut first = stored.clone();
    identify(&mut first, None, &found("a"), &Observed::default());
    assert_ne!(hash(&first), before);
}

#[test]
fn outputs_mask_what_is_masked_and_urls_are_encoded() {
    let mut app = App::new();
    app.user_env("USER", "a@b", false);
    app.user_env("PASSWORD", "p:/w", true);
    let secret = app.secret();
    let output = |name: &str, value: Vec<TemplatePart>| Output {
        name: name.to_owned(),
        value: Template(value),
    };
    let text = |text: &str| TemplatePart::Literal(text.to_owned());
    app.description.outputs = vec![
        output("password", vec![refers("PASSWORD")]),
        output("user", vec![refers("USER")]),
        output(
            "url",
            vec![
                text("db://"),
                refers("USER"),
                text(":"),
                refers("PASSWORD"),
                TemplatePart::Secret(secret.clone()),
                text("@"),
                TemplatePart::Host(service("db")),
            ],
        ),
    ];
    let outputs = app.assembled_db().outputs;
    assert_eq!(
        outputs["password"],
        Text(vec![Part::Masked("p:/w".to_owned())])
    );
    assert_eq!(outputs["user"], Text::literal("a@b"));
    assert_eq!(
        outputs["url"],
        Text(vec![
            Part::Literal("db://a%40b:".to_owned()),
            Part::Masked("p%3A%2Fw".to_owned()),
            Part::Encoded(secret),
            Part::Literal("@db".to_owned()),
        ])
    );
    let filled = outputs["url"].fill(|_| Some("s?#")).unwrap();
    assert_eq!(filled, "db://a%40b:p%3A%2Fws%3F%23@db");
}

/// The front and the port of `db` where its plugin lists these ports.
fn front_and_port(ports: Value, change: impl FnOnce(&mut App)) -> (String, Option<u16>) {
    let mut app = App::new();
    app.description.ports = serde_json::from_value(ports).unwrap();
    change(&mut app);
    let blueprint = app.assemble().unwrap();
    let front = blueprint.front.unwrap();
    let scheme = match front.protocol {
        Protocol::Http => "",
        Protocol::Https => " by TLS",
    };
    let shown = format!("{}:{}{scheme}", front.service, front.port);
    (shown, blueprint.containers[&service("db")].port)
}

#[test]
fn the_front_is_what_a_plugin_made_for_visitors() {
    let nothing = |_: &mut App| {};
    let port = |number: u16, audience: &str| json!({ "number": number, "role": "http", "audience": audience });
    let found = front_and_port(json!([port(8080, "visitors")]), nothing);
    assert_eq!(found, ("db:8080".to_owned(), Some(8080)));
    // An admin page is not, whatever its number.
    for audience in ["operators", "containers"] {
        let found = front_and_port(json!([port(80, audience)]), nothing);
        assert_eq!(found, ("main:8000".to_owned(), Some(80)));
    }
    // Where a person wants it to be, its page is meant, not what other containers use.
    let ports = json!([port(5672, "containers"), port(15672, "operators")]);
    let wanted = |app: &mut App| app.spec.front = Some(service("db"));
    let found = front_and_port(ports, wanted);
    assert_eq!(found, ("db:15672".to_owned(), Some(5672)));
    let ports = json!([port(443, "visitors"), port(80, "visitors")]);
    assert_eq!(front_and_port(ports, nothing).0, "db:80");
    // A person who has it listen where browsers knock means that.
    let ports = json!([port(3306, "containers")]);
    let web = |app: &mut App| app.db().port = Some(PortSpec::Number(80));
    assert_eq!(front_and_port(ports, web).0, "db:80");
}

#[test]
fn tls_is_spoken_where_the_plugin_says_so_unless_a_person_says_otherwise() {
    let ports =
        || json!([{ "number": 8443, "role": "https", "tls": true, "audience": "visitors" }]);
    assert_eq!(front_and_port(ports(), |_| {}).0, "db:8443 by TLS");
    let in_the_clear = |app: &mut App| app.db().container.protocol = Some(Protocol::Http);
    assert_eq!(front_and_port(ports(), in_the_clear).0, "db:8443");

    let mut app = App::new();
    app.description.ports = serde_json::from_value(ports()).unwrap();
    let probes = &app.assembled_db().probes;
    assert!(
        matches!(
            probes[0].check,
            Check::Serves {
                port: 8443,
                tls: true,
                ..
            }
        ),
        "{probes:?}"
    );
}

#[test]
fn a_udp_port_is_named_in_texts_and_answers_no_request() {
    let mut app = App::new();
    let udp = json!([{ "number": 8125, "role": "statsd", "transport": "udp" }]);
    app.description.ports = serde_json::from_value(udp).unwrap();
    app.plugin_env("PORT", vec![TemplatePart::Port(service("db"))], false);
    let db = app.assembled_db();
    assert_eq!(db.env["PORT"].value, Text::literal("8125"));
    assert_eq!(db.port, None);
    assert_eq!(db.port_reason, "no TCP port, as plugin mysql says");
    app.spec.front = Some(service("db"));
    let error = Error::FrontWithoutPort {
        service: service("db"),
    };
    assert_eq!(app.errors(), [error]);
}

/// Without it a later deploy would make another one, and what is made of it would differ.
#[test]
fn a_secret_stays_while_something_uses_what_is_made_of_it() {
    let mut app = App::new();
    let original = app.secret();
    let hash = SecretName::plugin(&service("db"), "hash");
    let source = SecretSource::Derived {
        from: original.clone(),
        derivation: Derivation::Bcrypt,
    };
    app.description.secrets.push((hash.clone(), source));
    app.plugin_env("HASH", vec![TemplatePart::Secret(hash.clone())], true);
    let blueprint = app.assemble().unwrap();
    let kept: Vec<&SecretName> = blueprint.secrets.keys().collect();
    assert_eq!(kept, [&hash, &original]);
    assert_eq!(blueprint.revisions, BTreeMap::from([(original, 3)]));
}

#[test]
fn what_makes_it_ready_is_apart_from_what_has_it_restarted() {
    let alive = Liveness {
        interval_ms: 30_000,
        failures: 4,
    };
    let with = |health: Option<Value>| {
        let mut app = App::new();
        app.description.alive = Some(alive);
        app.description.probes = serde_json::from_value(json!([{
            "check": { "http": {
                "port": 3306, "path": "/", "tls": true, "host": "db", "status": [[200, 299]],
            } },
            "interval_ms": 100, "timeout_ms": 1000,
        }]))
        .unwrap();
        app.db().container.health = health.map(|said| serde_json::from_value(said).unwrap());
        let db = app.assembled_db();
        (db.probes, db.restart_after)
    };
    let (probes, restart_after) = with(None);
    let expected = Probe {
        check: Check::Http {
            port: 3306,
            tls: true,
            path: "/".to_owned(),
            host: Some("db".to_owned()),
            headers: BTreeMap::new(),
            status: vec![(200, 299)],
        },
        interval_ms: 100,
        timeout_ms: 1000,
        steady_ms: 30_000,
    };
    assert_eq!((probes, restart_after), (vec![expected], Some(4)));
    // What a person says is so.
    let (probes, restart_after) = with(Some(json!({ "interval_ms": 5000, "restart_after": 2 })));
    assert_eq!((probes[0].steady_ms, restart_after), (5000, Some(2)));
    let (probes, restart_after) = with(Some(json!({ "timeout_ms": 9000 })));
    assert_eq!((probes[0].steady_ms, restart_after), (30_000, Some(4)));
}

fn output(of: &str, name: &str) -> TemplatePart {
    TemplatePart::Output {
        service: service(of),
        output: name.to_owned(),
    }
}

#[test]
fn a_text_has_what_another_service_offers_with_its_secrets_by_name() {
    let mut app = App::new();
    let secret = app.secret();
    let offer = |name: &str, parts: Vec<TemplatePart>| Output {
        name: name.to_owned(),
        value: Template(parts),
    };
    let url = vec![
        TemplatePart::Literal("mysql://root:".to_owned()),
        TemplatePart::Secret(secret.clone()),
        TemplatePart::Literal("@db".to_owned()),
    ];
    app.description.outputs = vec![
        offer("password", vec![TemplatePart::Secret(secret.clone())]),
        offer("url", url),
    ];
    // Before `db` by its name, and in a row: what it offers goes on.
    let page = app.other("admin", vec![output("db", "password"), output("db", "url")]);
    page.outputs = vec![offer("of-db", vec![output("db", "password")])];
    app.other("about", vec![output("admin", "of-db")]);

    let blueprint = app.assemble().unwrap();
    let value = |name: &str| {
        blueprint.containers[&service(name)].env["A"]
            .value
            .0
            .clone()
    };
    let secret_part = Part::Secret(secret.clone());
    assert_eq!(
        value("admin"),
        [
            secret_part.clone(),
            Part::Literal("mysql://root:".to_owned()),
            Part::Encoded(secret.clone()),
            Part::Literal("@db".to_owned()),
        ]
    );
    assert_eq!(value("about"), [secret_part]);
    // A new value of it makes both anew.
    let admin = &blueprint.containers[&service("admin")];
    let at = |revision| admin.made_from(&BTreeMap::from([(secret.clone(), revision)]));
    assert_ne!(at(3), at(4));
}

#[test]
fn what_is_masked_stays_so_where_another_service_uses_it() {
    let mut app = App::new();
    app.user_env("PASSWORD", "p@w", true);
    let offer = |name: &str, parts: Vec<TemplatePart>| Output {
        name: name.to_owned(),
        value: Template(parts),
    };
    app.description.outputs = vec![offer("password", vec![refers("PASSWORD")])];
    let page = app.other("admin", vec![output("db", "password")]);
    let scheme = TemplatePart::Literal("db://root:".to_owned());
    page.outputs = vec![offer("url", vec![scheme, output("db", "password")])];
    let blueprint = app.assemble().unwrap();
    let admin = &blueprint.containers[&service("admin")];
    assert!(admin.env["A"].masked);
    assert_eq!(admin.outputs["url"].0[1], Part::Masked("p%40w".to_owned()));
}

#[test]
fn an_output_that_is_not_offered_is_named_with_those_that_are() {
    let mut app = App::new();
    app.description.outputs = vec![Output {
        name: "host".to_owned(),
        value: Template::literal("db"),
    }];
    app.other("admin", vec![output("db", "hots")]);
    let texts: Vec<String> = app.errors().iter().map(Error::to_string).collect();
    assert_eq!(
        texts,
        ["admin: variable A needs the output hots of db, which offers host"]
    );
    app.description.outputs.clear();
    let texts: Vec<String> = app.errors().iter().map(Error::to_string).collect();
    assert_eq!(
        texts,
        ["admin: variable A needs the output hots of db, which offers nothing"]
    );
}

#[test]
fn services_in_a_circle_are_refused_with_all_who_are_in_it() {
    let texts = |app: &App| -> Vec<String> {
        let errors = app.errors();
        errors.iter().map(Error::to_string).collect()
    };
    let mut app = App::new();
    app.plugin_env("B", vec![output("admin", "x")], false);
    app.other("admin", vec![output("db", "x")]);
    assert_eq!(
        texts(&app),
        ["services name each other's outputs in a circle: admin → db → admin"]
    );

    let mut app = App::new();
    app.description.needs = vec![service("admin")];
    app.other("admin", Vec::new()).needs = vec![service("db")];
    assert_eq!(
        texts(&app),
        ["services need each other in a circle: admin → db → admin"]
    );
}

#[test]
fn a_service_needs_none_that_starts_after_it() {
    let mut app = App::new();
    app.description.needs = vec![service("proxy")];
    app.other("proxy", Vec::new()).after_main = true;
    let later = Error::NeedsLater {
        service: service("db"),
        needed: service("proxy"),
    };
    assert_eq!(app.errors(), [later]);
    app.description.after_main = true;
    let needs = app.assembled_db().needs;
    assert_eq!(needs, [service("proxy")].into());
}

#[test]
fn how_a_process_runs_gives_way_to_what_its_owner_puts_in_its_place() {
    let mut app = App::new();
    let folder = Tmpfs {
        size: 4096,
        mode: 0o755,
    };
    app.description.runtime = Runtime {
        tmpfs: ["/run", "/tmp", "/cache"]
            .map(|path| (path.to_owned(), folder))
            .into(),
        read_only: ["/data".to_owned(), "/more".to_owned()].into(),
        read_only_root: true,
        ..Runtime::default()
    };
    app.description.init = Some(true);
    let alone = app.assembled_db();
    assert_eq!(alone.runtime, app.description.runtime);
    assert_eq!(alone.init, Some(true));

    let container = &mut app.db().container;
    container.volumes.insert("/data/".to_owned(), volume("own"));
    container.volumes.insert("/cache".to_owned(), volume("own"));
    container.init = Some(false);
    let file = ConfigFile {
        source: "a.conf".to_owned(),
        writable: false,
        mode: None,
        owner: None,
    };
    container.files.insert("/run/a/a.conf".to_owned(), file);
    let found = SourceFile {
        sha256: "2".repeat(64),
        mode: 0o644,
    };
    app.files.insert("a.conf".to_owned(), found);
    let blueprint = app.assemble().unwrap();
    let db = &blueprint.containers[&service("db")];
    assert_eq!(db.init, Some(false));
    let left = Runtime {
        tmpfs: [("/tmp".to_owned(), folder)].into(),
        read_only: ["/more".to_owned()].into(),
        ..Runtime::default()
    };
    assert_eq!(db.runtime, left);
    let mut notes = blueprint.notes.iter();
    assert!(notes.any(|note| note.text.starts_with("its root can be written")));
}

#[test]
fn a_volume_gets_its_owner_also_where_it_is_the_users() {
    let mut app = App::new();
    let owners = [("/data".to_owned(), "999".to_owned())].into();
    app.description.runtime.owners = owners;
    app.description.runtime.read_only_root = true;
    let container = &mut app.db().container;
    container.volumes.insert("/data".to_owned(), volume("own"));
    let runtime = app.assembled_db().runtime;
    assert_eq!(runtime.owners["/data"], "999");
    assert!(!runtime.read_only_root);
}
