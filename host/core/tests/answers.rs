//! Small answers that others go by.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use doprax_core::blueprint::ImageIdentity;
use doprax_core::change::DomainChange;
use doprax_core::diagnostic::Excerpt;
use doprax_core::ignore_file::IgnoreFile;
use doprax_core::name::{AppName, Instance, ServiceName};
use doprax_core::operation::{Event, OperationKind, OperationState};
use doprax_core::plan::Rebuild;
use doprax_core::probe::Check;
use doprax_core::proposal::{FoundImage, Fresh, Images};
use doprax_core::route::{Outage, Target};
use doprax_core::secret::SecretName;
use doprax_core::spec::Protocol;
use doprax_core::status::AppState;
use doprax_core::subnet::{overlap, shadows};
use doprax_core::text::Text;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn states_and_kinds_are_one_word_each() {
    use OperationKind as K;
    let kinds = [
        K::Deploy,
        K::Start,
        K::Stop,
        K::Restart,
        K::Rollback,
        K::Remove,
    ];
    let words = ["deploy", "start", "stop", "restart", "rollback", "remove"];
    assert_eq!(kinds.map(K::as_str), words);
    use OperationState as S;
    let states = [S::Waiting, S::Running, S::Done, S::Failed, S::Cancelled];
    let words = ["waiting", "running", "done", "failed", "cancelled"];
    assert_eq!(states.map(S::as_str), words);
    assert_eq!(states.map(S::is_open), [true, true, false, false, false]);
    use DomainChange as D;
    let changes = [D::Added, D::Removed, D::Verified, D::Lost];
    assert_eq!(
        changes.map(D::as_str),
        ["added", "removed", "verified", "lost"]
    );
    use AppState as A;
    let states = [
        A::Running,
        A::Starting,
        A::Degraded,
        A::Unhealthy,
        A::Stopped,
        A::Failed,
        A::Unknown,
    ];
    let words = [
        "running",
        "starting",
        "degraded",
        "unhealthy",
        "stopped",
        "failed",
        "unknown",
    ];
    assert_eq!(states.map(A::as_str), words);
}

#[test]
fn an_operation_ends_with_one_event() {
    let failed = Event::Failed {
        error: "no".to_owned(),
        help: None,
        log: Vec::new(),
    };
    assert!(failed.is_end());
    assert!(Event::Done { url: None }.is_end());
    assert!(!Event::GoingBack.is_end());
    assert!(!Event::Planned { steps: Vec::new() }.is_end());
}

#[test]
fn what_answers_has_an_address_and_says_whether_it_speaks_tls() {
    let address = "10.0.0.2:80".parse().unwrap();
    let found = |target: &Target| (target.address(), target.is_tls());
    assert_eq!(found(&Target::Address(address)), (Some(address), false));
    assert_eq!(found(&Target::Tls(address)), (Some(address), true));
    for nothing in [
        Target::Starting,
        Target::Nowhere,
        Target::Stopped,
        Target::Failed(Outage::Unknown),
    ] {
        assert_eq!(found(&nothing), (None, false));
    }
    assert!(Protocol::Http.is_http() && !Protocol::Https.is_http());
}

#[test]
fn some_probes_say_no_more_than_that_something_listens() {
    let tcp = |send: Option<&str>| Check::Tcp {
        port: 1,
        send: send.map(str::to_owned),
    };
    let exec = |env: Vec<(String, Text)>| Check::Exec {
        command: vec!["true".to_owned()],
        env,
        user: None,
    };
    let serves = Check::Serves {
        port: 1,
        tls: false,
        host: None,
    };
    let variable = ("KEY".to_owned(), Text::literal("x".to_owned()));
    for (check, bare, secrets) in [
        (serves, true, false),
        (tcp(None), true, false),
        (tcp(Some("PING")), false, false),
        (exec(Vec::new()), false, false),
        (exec(vec![variable]), false, true),
    ] {
        assert_eq!(check.is_bare(), bare, "{check:?}");
        assert_eq!(check.needs_secrets(), secrets, "{check:?}");
    }
}

#[test]
fn networks_overlap_where_they_have_an_address_in_common() {
    // The second network, whether they overlap, whether a route there leads away from it.
    for (other, overlaps, leads_away) in [
        ("10.16.0.0/23", true, true),
        ("10.16.1.0/24", true, true),
        ("10.16.0.0/12", true, false),
        ("10.16.2.0/23", false, false),
        ("10.15.254.0/23", false, false),
    ] {
        let (subnet, other) = ("10.16.0.0/23".parse().unwrap(), other.parse().unwrap());
        assert_eq!(overlap(&subnet, &other), overlaps, "{other}");
        assert_eq!(overlap(&other, &subnet), overlaps, "{other}");
        assert_eq!(shadows(&other, &subnet), leads_away, "{other}");
    }
}

#[test]
fn names_tell_apps_and_hosts_apart() {
    let app = AppName::new("shop").unwrap();
    let plain = Instance::default();
    let other = Instance::named(AppName::new("two").unwrap());
    let digest = "0123456789abcdef0123";
    let names = |instance: &Instance| {
        [
            instance.label().to_owned(),
            instance.domain(&app),
            instance.image(&app, digest),
        ]
    };
    assert_eq!(
        names(&plain),
        [
            "default",
            "shop.internal",
            "doprax-shop/main:0123456789abcdef",
        ]
    );
    assert_eq!(
        names(&other),
        [
            "two",
            "shop.two.internal",
            "doprax.two-shop/main:0123456789abcdef",
        ]
    );
}

#[test]
fn secrets_are_named_by_who_asked_for_them() {
    let key = SecretName::variable("KEY");
    assert_eq!(
        (key.as_str(), key.as_variable()),
        ("variable:KEY", Some("KEY"))
    );
    let word = SecretName::word("random_1");
    assert_eq!((word.as_str(), word.as_variable()), ("word:random_1", None));
    let own = SecretName::plugin(&ServiceName::main(), "a");
    assert_eq!(
        (own.to_string().as_str(), own.as_variable()),
        ("service:main:a", None)
    );
}

#[test]
fn what_is_taken_in_stays_so_until_a_rule_leaves_it_out() {
    let file = |rules: &str| IgnoreFile::parse(rules, "Dockerfile", BTreeSet::new()).unwrap();
    let with = |rules: &str| file(rules).taking_in(".git");
    assert!(file("").excludes(".git/a"));
    assert!(!with("").excludes(".git/a"));
    assert!(with("").excludes("other/.git/a"));
    assert!(with(".git").excludes(".git/a"));
}

#[test]
fn an_excerpt_shows_the_place_within_a_long_line() {
    let line: String = ('a'..='z').cycle().take(400).collect();
    for column in 1..=401 {
        let excerpt = Excerpt::around(&line, column);
        let at = excerpt.text.chars().nth(excerpt.offset);
        assert_eq!(at, line.chars().nth(column - 1), "{column}: {excerpt:?}");
        assert!(excerpt.text.chars().count() <= 122, "{excerpt:?}");
        assert_eq!(excerpt.text.starts_with('…'), excerpt.offset != column - 1);
    }
    let short = Excerpt::around("a\tb\u{1b}c", 3);
    assert_eq!((short.text.as_str(), short.offset), ("a→b\u{fffd}c", 2));
}

fn found(id: &str, ports: &[u16]) -> FoundImage {
    FoundImage {
        identity: ImageIdentity {
            id: id.to_owned(),
            digest: None,
            adopted: false,
        },
        ports: ports.to_vec(),
        volumes: vec!["/data".to_owned()],
    }
}

#[test]
fn images_to_be_had_anew_are_planned_with_as_if_they_were_there() {
    let main = ("main:1".to_owned(), found("sha256:m", &[80]));
    let services = BTreeMap::from([("redis:7".to_owned(), found("sha256:r", &[6379]))]);
    let images = Images::new(services, Some(main));
    assert!(images.present.contains("redis:7") && images.present.contains("main:1"));
    assert_eq!(images.ports["redis:7"], [6379]);
    assert_eq!(images.main.as_ref().unwrap().ports, [80]);
    assert!(!images.ports.contains_key("main:1"));
    assert_eq!(images.volumes["main:1"], ["/data"]);

    let none = Fresh::default();
    assert!(!images.needs_build(&none));
    assert!(Images::default().needs_build(&none));
    assert_eq!(images.clone().expecting(&none), images);

    let unknown = "unknown:1".to_owned();
    let fresh = Fresh {
        pulls: [
            ("redis:7".to_owned(), "sha256:new".to_owned()),
            (unknown.clone(), "x".to_owned()),
        ]
        .into(),
        rebuild: Rebuild::Cached,
        ..Fresh::default()
    };
    assert!(images.needs_build(&fresh));
    let expected = images.clone().expecting(&fresh);
    assert_eq!(expected.present, BTreeSet::from(["main:1".to_owned()]));
    let identity = ImageIdentity {
        id: "sha256:new".to_owned(),
        digest: Some("sha256:new".to_owned()),
        adopted: false,
    };
    assert_eq!(expected.identities["redis:7"], identity);
    assert_eq!(expected.identities["main:1"], ImageIdentity::unbuilt());
    // What the engine does not have is pulled all the same.
    assert!(!expected.identities.contains_key(&unknown));
}

#[test]
fn all_images_of_what_ran_before_are_taken_to_be_there() {
    let container = serde_json::json!({
        "name": "redis", "stage": "service", "image": { "pull": { "reference": "redis:7" } },
        "env": {}, "files": [], "mounts": [], "aliases": [], "port_reason": "", "probes": [],
        "ready_timeout_ms": 1, "judged": false, "strategy": "recreate", "resources": {},
        "ulimits": [], "capabilities": [], "stop_grace_ms": 1, "outputs": {},
    });
    let blueprint = serde_json::json!({
        "app": "shop", "subnet": "10.200.0.0/23", "volumes": [], "front": null, "domains": {},
        "containers": { "redis": container }, "secrets": {}, "revisions": {}, "notes": [],
    });
    let images = Images::all_present(&serde_json::from_value(blueprint).unwrap());
    let expected = Images {
        present: BTreeSet::from(["redis:7".to_owned()]),
        ..Images::default()
    };
    assert_eq!(images, expected);
}
