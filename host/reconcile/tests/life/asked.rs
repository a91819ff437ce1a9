//! What people ask of an app beside its deploys, what they are told, and what is refused.

use crate::source::Source;
use crate::stage::{Begun, Stage, app, serving, volume};
use doprax_core::name::{AppName, ServiceName};
use doprax_core::observed::ObservedContainer;
use doprax_reconcile::report::{AppState, OperationState, VariableSource};
use doprax_reconcile::request::{
    Control, DeployRequest, Removal, Rollback, SecretsOnRemoval, WhenBusy,
};
use doprax_reconcile::{Error, Host, LogRequest};
use futures_util::StreamExt as _;
use std::collections::BTreeMap;
use std::sync::Arc;

fn service(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

fn nobody() -> AppName {
    AppName::new("nobody").unwrap()
}

/// The copy of a container.
fn copy(stage: &Stage, container: &str) -> ObservedContainer {
    let copies = stage.observe().containers;
    let mut copies = copies.into_iter();
    copies.find(|copy| copy.name == serving(container)).unwrap()
}

fn set_variable(stage: &Stage, name: &str, value: Option<&str>) -> Result<(), Box<Error>> {
    let values = BTreeMap::from([(name.to_owned(), value.map(str::to_owned))]);
    let set = stage.ask(|host| async move { host.set_variables(&app(), values).await });
    set.map_err(Box::new)
}

#[test]
fn what_a_person_confirmed_is_done_and_nothing_else() {
    let stage = Stage::new();
    stage.deploy(&Source::new("v1"));
    stage.deploy(&Source::new("v2"));
    let next = Source::new("v3");
    let request = |confirmed| DeployRequest {
        default_app: Some(app()),
        confirmed,
        ..next.request()
    };
    type Digests = [String; 3];
    let digests = || -> Digests {
        let (asked, archive) = (request(None), next.archive());
        stage.ask(|host| async move {
            host.receive_source(&asked.source, &*archive).await.unwrap();
            [
                host.plan(&asked).await.unwrap().digest,
                host.plan_rollback(&app(), Some(1), false)
                    .await
                    .unwrap()
                    .proposal
                    .digest,
                host.plan_removal(&app(), None).await.unwrap().digest,
            ]
        })
    };
    let begin = |digests: Digests| -> [Begun; 3] {
        let [deploy, rollback, removal] = digests.map(Some);
        let deploy = request(deploy);
        let rollback = Rollback {
            to: 1,
            allow_downgrade: false,
            confirmed: rollback,
            actor: None,
        };
        let removal = Removal {
            confirmed: removal,
            ..Removal::default()
        };
        stage.ask(|host| async move {
            let operations = host.operations();
            let wait = WhenBusy::Wait;
            [
                operations.deploy(deploy, wait).await,
                operations.roll_back(&app(), rollback, wait).await,
                operations.remove(&app(), removal, wait).await,
            ]
            .map(|begun| begun.map_err(Box::new))
        })
    };
    let confirmed = digests();
    // Another release runs meanwhile, with another secret.
    stage.done(stage.begin_edit("ANSWER", "by-hand"));
    set_variable(&stage, "MORE", Some("x")).unwrap();
    for begun in begin(confirmed) {
        let error = *begun.unwrap_err();
        assert!(matches!(error, Error::Outdated { .. }), "{error:?}");
    }
    assert_eq!(stage.visit().unwrap(), "by-hand");
    let [deploy, rollback, removal] = begin(digests());
    stage.done(deploy);
    // What waited is looked at when its turn comes.
    for begun in [rollback, removal] {
        let error = stage.fails(begun);
        assert!(error.contains("has changed since"), "{error}");
    }
    assert_eq!(stage.releases().current, Some(4));
}

#[test]
fn a_removal_keeps_or_forgets_secrets_as_it_is_told() {
    let stage = Stage::new();
    let mut before = stage.deploy(&Source::new("v1"));
    for (wanted, stay) in [
        (SecretsOnRemoval::Keep, true),
        (SecretsOnRemoval::Forget, false),
    ] {
        let removal = Removal {
            secrets: Some(wanted),
            ..Removal::default()
        };
        let removed = stage.ask(|host| async move {
            let operations = host.operations();
            operations.remove(&app(), removal, WhenBusy::Wait).await
        });
        stage.done(removed.map_err(Box::new));
        let again = stage.deploy(&Source::new("v1"));
        assert_eq!(again.secrets == before.secrets, stay, "{wanted:?}");
        before = again;
    }
}

#[test]
fn a_variable_is_kept_for_as_long_as_a_release_needs_it() {
    let stage = Stage::new();
    stage.deploy(&Source::new("v1"));
    let names = || stage.ask(|host| async move { host.variables(&app()).await.unwrap() });
    set_variable(&stage, "MORE", Some("x")).unwrap();
    assert_eq!(names(), ["API_KEY", "MORE"]);
    let refused = *set_variable(&stage, "API_KEY", None).unwrap_err();
    assert!(matches!(&refused, Error::VariableInUse { name, .. } if name == "API_KEY"));
    set_variable(&stage, "MORE", None).unwrap();
    assert_eq!(names(), ["API_KEY"]);
    // The next deploy takes another value; what runs keeps the one that it was made with.
    set_variable(&stage, "API_KEY", Some("of-today")).unwrap();
    assert_eq!(
        stage.variable("main", "API_KEY").unwrap(),
        "of-the-first-day\n"
    );
}

#[test]
fn one_container_is_stopped_and_started_and_the_others_are_left_alone() {
    let stage = Stage::new();
    let whole = stage.deploy(&Source::with_proxy("v1"));
    let begin = |container: &str, control| -> Begun {
        let container = service(container);
        let begun = stage.ask(|host| async move {
            let operations = host.operations();
            let selection = Some(container);
            operations
                .control(&app(), selection, control, WhenBusy::Wait)
                .await
        });
        begun.map_err(Box::new)
    };
    let runs = |container: &str| copy(&stage, container).address.is_some();
    let main = copy(&stage, "main").started_ms;
    stage.done(begin("redis", Control::Stop));
    assert!(!runs("redis") && runs("main") && runs("proxy"));
    let status = stage.status().unwrap();
    let state = |container: &str| {
        let mut all = status.containers.iter();
        let found = all.find(|it| it.name.as_str() == container);
        found.unwrap().state.clone()
    };
    assert_eq!(
        (state("redis").as_str(), state("main").as_str()),
        ("stopped", "running")
    );
    assert_eq!(stage.visit().unwrap(), "v1");
    let proxy = copy(&stage, "proxy").started_ms;
    stage.done(begin("proxy", Control::Restart));
    assert!(copy(&stage, "proxy").started_ms > proxy);
    assert!(!runs("redis"), "nobody asked for that");
    assert_eq!(copy(&stage, "main").started_ms, main);
    stage.done(begin("redis", Control::Start));
    stage.await_whole(&whole);
    let refused = *begin("nobody", Control::Stop).unwrap_err();
    assert!(matches!(refused, Error::NoContainer { .. }), "{refused:?}");
}

#[test]
fn a_volume_goes_when_a_person_names_it_and_nothing_mounts_it() {
    let stage = Stage::new();
    let before = stage.deploy(&Source::new("v1"));
    let listed = || {
        let all = stage.ask(|host| async move { host.volumes().list().await.unwrap() });
        let all = all.into_iter();
        all.map(|found| (found.name.as_str().to_owned(), found.mounts))
            .collect::<Vec<_>>()
    };
    let remove = |wanted: &str| {
        let wanted = volume(wanted);
        let removed = stage.ask(|host| async move { host.volumes().remove(&app(), &wanted).await });
        removed.map_err(Box::new)
    };
    let mounts = [
        ("redis-data", "redis:/data"),
        ("static", "main:/srv/static"),
    ];
    let mounts = mounts.map(|(name, mount)| (name.to_owned(), vec![mount.to_owned()]));
    assert_eq!(listed(), mounts);
    let refused = *remove("static").unwrap_err();
    assert!(
        matches!(&refused, Error::VolumeInUse { users, .. } if users == "main:/srv/static"),
        "{refused:?}"
    );
    for (wanted, exists) in [("static", true), ("other", false)] {
        let recreated =
            stage.ask(|host| async move { host.volumes().recreate(&app(), &volume(wanted)).await });
        match recreated.unwrap_err() {
            Error::VolumeExists { .. } if exists => {}
            Error::NoVolume { .. } if !exists => {}
            other => panic!("{other:?}"),
        }
    }
    stage.done(stage.begin_remove());
    let refused = *remove("other").unwrap_err();
    assert!(matches!(refused, Error::NoVolume { .. }), "{refused:?}");
    remove("static").unwrap();
    let left = ("redis-data".to_owned(), Vec::new());
    assert_eq!(listed(), [left]);
    // They open what is in the volume that is left.
    let again = stage.deploy(&Source::new("v1"));
    assert_eq!(again.secrets, before.secrets);

    stage.done(stage.begin_remove());
    for wanted in ["static", "redis-data"] {
        remove(wanted).unwrap();
    }
    assert_eq!(listed(), []);
    let anew = stage.deploy(&Source::new("v1"));
    assert_ne!(anew.secrets, before.secrets);
}

#[test]
fn a_release_says_what_it_was_made_of_and_what_it_changed() {
    let stage = Stage::new();
    stage.deploy(&Source::new("v1"));
    stage.deploy(&Source::new("v2").with_key("of-today"));
    let details = |number| {
        let found = stage.ask(|host| async move { host.release_details(&app(), number).await });
        found.map_err(Box::new)
    };
    let (first, second) = (details(1).unwrap(), details(2).unwrap());
    assert_eq!((first.is_current, second.is_current), (false, true));
    assert_eq!((first.before, second.before), (None, Some(1)));
    assert!(first.changed.is_none() && second.until_now.is_none());
    assert_eq!(first.until_now, second.changed);
    assert!(second.changed.is_some());
    let key = doprax_core::secret::SecretName::variable("API_KEY");
    assert_eq!((first.secrets[&key], second.secrets[&key]), (1, 2));
    let plugins: Vec<_> = first
        .containers
        .iter()
        .map(|it| {
            (
                it.name.as_str(),
                it.plugin.as_deref(),
                it.plugin_digest.is_some(),
            )
        })
        .collect();
    let expected = [
        ("main", None, false),
        ("proxy", Some("container"), true),
        ("redis", Some("redis"), true),
    ];
    assert_eq!(plugins, expected);
    match *details(3).unwrap_err() {
        Error::NoRelease { known, .. } => assert_eq!(known, [2, 1]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_first_deploy_that_failed_printed_is_shown_until_one_succeeds() {
    let stage = Stage::new();
    let printed = || {
        stage.ask(|host| async move {
            let all = LogRequest::default();
            let lines = host.logs(&app(), None, all).await.unwrap();
            let lines: Vec<_> = lines.collect().await;
            let kept = "cannot read its settings";
            let mut lines = lines.iter();
            lines.any(|line| line.container.is_main() && line.text.contains(kept))
        })
    };
    stage.fails(stage.begin_deploy(&Source::new("v1").on("crashing")));
    assert!(printed());
    stage.deploy(&Source::new("v1"));
    assert!(!printed());
    stage.done(stage.begin_remove());
    stage.fails(stage.begin_deploy(&Source::new("v1").step("RUN exit 7\n")));
    assert!(!printed(), "it is of another deploy");
}

#[test]
fn an_operation_that_is_cancelled_goes_back_and_one_that_has_ended_is_not() {
    let stage = Stage::new();
    let before = stage.deploy(&Source::new("v1"));
    let cancel = |id: &str| {
        let id = id.to_owned();
        let cancelled = stage.ask(|host| async move { host.operations().cancel(&id).await });
        cancelled.map_err(Box::new)
    };
    // It would wait for a minute.
    let id = stage.begin_deploy(&Source::new("v2").on("deaf")).unwrap();
    stage.until("it waits", || {
        match copy(&stage, "main").started_ms.is_some() && stage.observe().containers.len() > 3 {
            true => Ok(()),
            false => Err(format!("{:#?}", stage.observe())),
        }
    });
    cancel(&id).unwrap();
    stage.events(&id);
    assert_eq!(stage.operation(&id).state, OperationState::Cancelled);
    stage.await_whole(&before);
    let failed = stage.releases().failed;
    assert_eq!(failed[0].state, OperationState::Cancelled);
    let ended = *cancel(&id).unwrap_err();
    assert!(matches!(ended, Error::Ended { .. }), "{ended:?}");
    let unknown = *cancel("0").unwrap_err();
    assert!(matches!(unknown, Error::NoOperation { .. }), "{unknown:?}");
}

#[test]
fn an_archive_stays_while_a_release_or_an_operation_needs_it() {
    let stage = Stage::new();
    let [first, second, third] = ["v1", "v2", "v3"].map(Source::new);
    let is_there = |source: &Source| {
        let file = format!("sources/{}.tar", source.request().source);
        stage.folder.path().join(file).exists()
    };
    stage.deploy(&first);
    let broken = Source::new("v2").step("RUN exit 7\n");
    stage.fails(stage.begin_deploy(&broken));
    assert!(is_there(&first) && !is_there(&broken));
    stage.fake.hold_act(1, doprax_engine::Fault::Before);
    let under_way = stage.begin_deploy(&second);
    let waits = stage.begin_deploy(&third).unwrap();
    stage.await_held();
    assert!(is_there(&second) && is_there(&third));
    stage.ask(|host| async move { host.operations().cancel(&waits).await.unwrap() });
    stage.until("what was withdrawn is gone", || match is_there(&third) {
        true => Err("its archive is there".to_owned()),
        false => Ok(()),
    });
    assert!(is_there(&first) && is_there(&second));
    drop(under_way);
}

#[test]
fn a_failure_is_told_until_something_succeeds_and_changes_by_hand_while_they_are() {
    let stage = Stage::new();
    stage.deploy(&Source::new("v1"));
    let told = || {
        let status = stage.status().unwrap();
        (status.last_error, status.by_hand.len())
    };
    assert_eq!(told(), (None, 0));
    let broken = Source::new("v2").step("RUN exit 7\n");
    let error = stage.fails(stage.begin_deploy(&broken));
    assert_eq!(told(), (Some(error), 0));
    stage.done(stage.begin_control(Control::Restart));
    assert_eq!(told(), (None, 0));
    stage.done(stage.begin_edit("ANSWER", "by-hand"));
    assert_eq!(told(), (None, 1));
    stage.done(stage.begin_rollback(1));
    assert_eq!(told(), (None, 0));
}

#[test]
fn a_container_says_what_its_environment_is_and_no_secret() {
    let stage = Stage::new();
    stage.deploy(&Source::new("v1"));
    let env = |container: &str| {
        let container = service(container);
        let env = stage.ask(|host| async move { host.env(&app(), &container).await.unwrap() });
        let env = env.into_iter();
        env.map(|it| (it.name, (it.from, it.value, it.masked)))
            .collect::<BTreeMap<_, _>>()
    };
    let shown = |value: &str| Some(value.to_owned());
    let main = env("main");
    assert_eq!(main["ANSWER"], (VariableSource::Image, shown("v1"), false));
    for secret in ["TOKEN", "API_KEY"] {
        assert_eq!(main[secret], (VariableSource::Manifest, None, true));
    }
    let address = (VariableSource::Host, shown("shop.localhost"), false);
    assert_eq!(main["DOPRAX_APP_URL"], address);
    stage.done(stage.begin_edit("ANSWER", "by-hand"));
    assert_eq!(
        env("main")["ANSWER"],
        (VariableSource::Hand, shown("by-hand"), false)
    );
    let container = service("nobody");
    let refused = stage.ask(|host| async move { host.env(&app(), &container).await });
    assert!(matches!(refused, Err(Error::NoContainer { .. })));
}

#[test]
fn an_app_that_is_not_there_is_named() {
    type Ask = fn(Arc<Host>) -> futures_util::future::BoxFuture<'static, Option<Error>>;
    let asks: [Ask; 6] = [
        |host| Box::pin(async move { host.apps().of(&nobody()).await.err() }),
        |host| Box::pin(async move { host.releases(&nobody()).await.err() }),
        |host| Box::pin(async move { host.env(&nobody(), &ServiceName::main()).await.err() }),
        |host| Box::pin(async move { host.access(Some(&nobody()), None, false).await.err() }),
        |host| Box::pin(async move { host.domains().list(Some(&nobody())).await.err() }),
        |host| Box::pin(async move { host.plan_removal(&nobody(), None).await.err() }),
    ];
    let stage = Stage::new();
    stage.deploy(&Source::new("v1"));
    for (number, ask) in asks.into_iter().enumerate() {
        match stage.ask(ask) {
            Some(Error::NoApp { app, .. }) => assert_eq!(app, nobody()),
            other => panic!("{number}: {other:?}"),
        }
    }
    let status = stage.ask(|host| async move { host.apps().list().await.unwrap() });
    assert_eq!((status.len(), status[0].state), (1, AppState::Running));
}

#[test]
fn a_deploy_of_what_was_stopped_starts_it() {
    let stage = Stage::new();
    stage.deploy(&Source::new("v1"));
    stage.done(stage.begin_control(Control::Stop));
    let whole = stage.deploy(&Source::new("v2"));
    stage.done(stage.begin_control(Control::Stop));
    // One that fails leaves it as its owner wanted it.
    stage.fails(stage.begin_deploy(&Source::new("v3").on("crashing")));
    assert_eq!(stage.status().unwrap().summary.state, AppState::Stopped);
    stage.done(stage.begin_control(Control::Start));
    stage.await_whole(&whole);
}

#[test]
fn what_a_removed_app_left_is_told_of_before_it_is_deployed_again() {
    let stage = Stage::new();
    let newer = doprax_engine::FakeImage::new([6379, 8000]);
    stage.fake.publish_image("test/redis:8", newer);
    let notes = |source: &Source| {
        let request = source.request();
        let planned = stage.ask(|host| async move { host.plan(&request).await.unwrap() });
        let notes = planned.diff.notes.into_iter();
        notes.map(|note| note.text).collect::<String>()
    };
    let older = Source::new("v1");
    let newer = older.clone().replace("test/redis:7", "test/redis:8");
    assert!(!notes(&older).contains("goes back"));
    stage.deploy(&newer);
    stage.done(stage.begin_remove());
    let told = notes(&older);
    assert!(told.contains("goes back from 8 to 7"), "{told}");
    assert!(!notes(&newer).contains("goes back"));
}
