//! Host names of apps beside their free ones: whose they are, and what serves them.

use crate::source::Source;
use crate::stage::{Stage, app};
use doprax_core::name::AppName;
use doprax_core::spec::DomainSpec;
use doprax_reconcile::Error;

fn add(stage: &Stage, app: &AppName, name: &str) -> Result<(), Box<Error>> {
    let spec = DomainSpec {
        www: true,
        ..DomainSpec::default()
    };
    let added = stage.ask(|host| async move { host.domains().add(app, name, spec).await });
    added.map(drop).map_err(Box::new)
}

fn remove(stage: &Stage, name: &str) -> Result<(), Box<Error>> {
    let removed = stage.ask(|host| async move { host.domains().remove(&app(), name).await });
    removed.map_err(Box::new)
}

/// The host names of all apps, and whose they are.
fn listed(stage: &Stage) -> Vec<String> {
    let all = stage.ask(|host| async move { host.domains().list(None).await.unwrap() });
    all.iter()
        .map(|it| format!("{} {}", it.name, it.app))
        .collect()
}

#[test]
fn a_name_is_one_apps_and_serves_it_until_it_is_taken_away() {
    let stage = Stage::new();
    let blog = AppName::new("blog").unwrap();
    stage.deploy(&Source::new("v1"));
    let deployed = stage.begin_deploy_as(&blog, &Source::new("of-blog"));
    stage.done(deployed);
    assert!(stage.visit_as("a.test").is_err());
    add(&stage, &app(), "a.test").unwrap();
    assert_eq!(listed(&stage), ["a.test shop", "www.a.test shop"]);
    assert_eq!(stage.visit_as("a.test").unwrap(), "v1");
    let taken = *add(&stage, &blog, "a.test").unwrap_err();
    assert!(
        matches!(&taken, Error::DomainTaken { app: of, .. } if *of == app()),
        "{taken:?}"
    );
    for wrong in ["blog.localhost", "localhost", "a_b.test", "1.2.3.4"] {
        let refused = *add(&stage, &app(), wrong).unwrap_err();
        assert!(
            matches!(refused, Error::NotADomain { .. } | Error::FreeDomain { .. }),
            "{wrong}: {refused:?}"
        );
    }
    match *remove(&stage, "b.test").unwrap_err() {
        Error::NoDomain { known, .. } => assert_eq!(known, ["a.test", "www.a.test"]),
        other => panic!("{other:?}"),
    }
    remove(&stage, "a.test").unwrap();
    assert!(stage.visit_as("a.test").is_err());
    assert_eq!(stage.visit().unwrap(), "v1");
    add(&stage, &blog, "a.test").unwrap();
    assert_eq!(stage.visit_as("a.test").unwrap(), "of-blog");
}

#[test]
fn a_name_of_the_manifest_comes_and_goes_with_its_release() {
    let stage = Stage::new();
    let named = |answer: &str, name: &str| {
        let domains = format!("domains: [{{ name: {name} }}]\nmain:\n");
        Source::new(answer).replace("main:\n", &domains)
    };
    stage.deploy(&named("v1", "a.test"));
    assert_eq!(stage.visit_as("a.test").unwrap(), "v1");
    let kept = *remove(&stage, "a.test").unwrap_err();
    assert!(matches!(kept, Error::DomainInUse { .. }), "{kept:?}");
    // One that comes to no release gets none.
    let broken = named("v2", "b.test").step("RUN exit 7\n");
    stage.fails(stage.begin_deploy(&broken));
    assert_eq!(listed(&stage), ["a.test shop"]);
    assert!(stage.visit_as("b.test").is_err());
    stage.deploy(&named("v3", "b.test"));
    assert_eq!(listed(&stage), ["b.test shop"]);
    assert_eq!(stage.visit_as("b.test").unwrap(), "v3");
    assert!(stage.visit_as("a.test").is_err());

    // Another app is told before anything of it is done.
    let blog = AppName::new("blog").unwrap();
    let taken = stage.begin_deploy_as(&blog, &named("of-blog", "b.test"));
    let error = stage.fails(taken);
    assert!(
        error.contains("b.test") && error.contains("shop"),
        "{error}"
    );
    // What a rollback brings back is its release's.
    stage.done(stage.begin_rollback(1));
    assert_eq!(listed(&stage), ["a.test shop"]);
    stage.done(stage.begin_remove());
    assert!(listed(&stage).is_empty());
}
