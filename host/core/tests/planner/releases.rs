//! What is kept for releases, and where a rollback goes.

use crate::apps::{app, container, with_volume};
use doprax_core::blueprint::{Blueprint, Content, File, Image, ImageIdentity, Stage};
use doprax_core::caution::downgrades;
use doprax_core::name::VolumeName;
use doprax_core::release::{Kept, Made, Reason, before, keep};
use doprax_core::secret::SecretName;
use std::collections::BTreeSet;

/// Releases of an app whose image, file and secret change with each.
fn releases(count: u64) -> Vec<(u64, Blueprint, String)> {
    let release = |number: u64| {
        let version = u8::try_from(number).unwrap();
        let mut main = container("main", Stage::Main, version);
        main.identity = Some(ImageIdentity {
            id: format!("sha256:{number}"),
            digest: None,
            adopted: false,
        });
        main.files.push(File {
            path: "/etc/x".to_owned(),
            mode: 0o644,
            content: Content::Blob {
                digest: format!("file-{number}"),
                source: "x".to_owned(),
            },
            owner: None,
        });
        let mut app = app([main, container("redis", Stage::Service, 1)], "main");
        app.revisions.insert(SecretName::variable("KEY"), number);
        (number, app, format!("source-{number}"))
    };
    (1..=count).map(release).collect()
}

fn kept(releases: &[(u64, Blueprint, String)], current: Option<u64>, retain: u16) -> Kept {
    let made = releases.iter().map(|(number, blueprint, source)| Made {
        number: *number,
        blueprint,
        source,
    });
    keep(&made.collect::<Vec<_>>(), current, retain)
}

#[test]
fn all_that_the_latest_releases_need_is_kept() {
    let releases = releases(5);
    let set = |texts: &[&str]| -> BTreeSet<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    };
    let found = kept(&releases, Some(5), 2);
    let key = SecretName::variable("KEY");
    let expected = Kept {
        releases: BTreeSet::from([4, 5]),
        references: set(&["main:4", "main:5", "redis:1"]),
        image_ids: set(&["sha256:4", "sha256:5"]),
        sources: set(&["source-4", "source-5"]),
        blobs: set(&["file-4", "file-5"]),
        revisions: BTreeSet::from([(key.clone(), 4), (key, 5)]),
    };
    assert_eq!(found, expected);
}

#[test]
fn the_current_release_is_kept_in_any_case() {
    let releases = releases(5);
    let cases: [(Option<u64>, u16, &[u64]); 6] = [
        (Some(5), 0, &[5]),
        (Some(5), 1, &[5]),
        (Some(2), 1, &[2]),
        (Some(2), 3, &[2, 4, 5]),
        (None, 2, &[4, 5]),
        (Some(5), 100, &[1, 2, 3, 4, 5]),
    ];
    for (current, retain, expected) in cases {
        let found = kept(&releases, current, retain).releases;
        assert!(found.iter().eq(expected), "{current:?} {retain}: {found:?}");
    }
    assert_eq!(kept(&[], None, 10), Kept::default());
}

#[test]
fn a_rollback_goes_to_the_release_before_and_another_one_further_back() {
    let deploy = |number| (number, Reason::Deploy);
    let known = [deploy(1), deploy(2), deploy(4), (5, Reason::Edit)];
    assert_eq!(before(&known, 5), Some(4));
    assert_eq!(before(&known, 4), Some(2));
    assert_eq!(before(&known, 1), None);
    let known = [
        deploy(1),
        deploy(2),
        deploy(3),
        (4, Reason::Rollback { to: 2 }),
    ];
    assert_eq!(before(&known, 4), Some(1));
    assert_eq!(before(&known[1..], 4), None);
}

#[test]
fn an_older_version_on_the_data_of_a_newer_one_is_a_downgrade() {
    let of = |reference: &str, stage: Stage, is_service: bool| {
        let mut db = with_volume(container("db", stage, 1), "data");
        db.plugin = is_service.then(|| "mysql".to_owned());
        db.image = Image::Pull {
            reference: reference.to_owned(),
        };
        app([container("main", Stage::Main, 1), db], "main")
    };
    let volume = VolumeName::new("data").unwrap();
    let made = BTreeSet::from([&volume]);
    let service = |from: &str, to: &str| {
        let (from, to) = (of(from, Stage::Service, true), of(to, Stage::Service, true));
        downgrades(&from, &to, &made)
    };
    let found = service("mysql:8.4", "mysql:8.0.42-debian");
    assert_eq!(
        found[0].to_string(),
        "db from 8.4 back to 8.0.42-debian on the data in volume data"
    );
    for (from, to) in [("mysql:9", "mysql:8.4"), ("r.io/pg:17.2", "r.io/pg:16.9")] {
        assert_eq!(service(from, to).len(), 1, "{from} → {to}");
    }
    // Upwards, as far as known the same, not told by the tag, or another image.
    for (from, to) in [
        ("mysql:8.0", "mysql:8.4"),
        ("mysql:8.4.3", "mysql:8.4"),
        ("mysql:latest", "mysql:8.0"),
        ("mysql:8.4", "mariadb:8.0"),
    ] {
        assert_eq!(service(from, to), [], "{from} → {to}");
    }
    // Without data, as a proxy, and as main, whose author knows.
    let (new, old) = ("mysql:8.4", "mysql:8.0");
    let both = |stage, is_service| (of(new, stage, is_service), of(old, stage, is_service));
    let (from, to) = both(Stage::Service, true);
    assert_eq!(downgrades(&from, &to, &BTreeSet::new()), []);
    for (from, to) in [both(Stage::Front, true), both(Stage::Service, false)] {
        assert_eq!(downgrades(&from, &to, &made), []);
    }
}
