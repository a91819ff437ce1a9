//! What others do to an app's containers, networks and volumes is mended, also where the
//! host or the engine was away meanwhile.

use crate::source::Source;
use crate::stage::{Stage, Whole, app, name, serving, try_each, volume};
use doprax_engine::ByHand;
use doprax_reconcile::report::AppState;
use doprax_reconcile::request::Control;
use doprax_store::Store;
use tokio::runtime::Builder;

/// What somebody does to the app.
#[derive(Debug, Clone, Copy)]
enum Drift {
    /// To one of its containers.
    Container(&'static str, ByHand),
    /// Its process ends, and the engine starts it again.
    Crash(&'static str),
    /// Its network is taken away.
    Network,
    /// And somebody else's gets its subnet.
    Subnet,
}

impl Drift {
    fn happen(self, stage: &Stage) {
        match self {
            Self::Container(container, change) => stage.fake.by_hand(&name(container), change),
            Self::Crash(container) => stage.fake.crash(&name(container)),
            Self::Network => stage.fake.lose_network(&app()),
            Self::Subnet => {
                let network = stage.observe().network.unwrap();
                stage.fake.lose_network(&app());
                stage.fake.take_subnet(network.subnet);
            }
        }
    }

    /// All of them, for each container.
    fn all() -> Vec<Self> {
        let changes = [
            ByHand::Stop,
            ByHand::Kill,
            ByHand::Pause,
            ByHand::Disconnect,
            ByHand::Update(Some(64 << 20)),
            ByHand::Remove,
        ];
        let mut all = vec![Self::Network, Self::Subnet];
        for container in ["main", "redis", "proxy"] {
            all.push(Self::Crash(container));
            all.extend(changes.map(|change| Self::Container(container, change)));
        }
        all
    }
}

/// Whether the app is whole, and its limits are what they should be.
fn is_mended(stage: &Stage, whole: &Whole) -> Result<(), String> {
    stage.is_whole(whole)?;
    for copy in stage.observe().containers {
        let limits = copy.limits.as_ref().unwrap();
        if limits.memory.is_some() || !limits.usual {
            return Err(format!("{copy:#?}"));
        }
    }
    Ok(())
}

#[test]
fn whatever_is_done_by_hand_is_mended() {
    try_each(&Drift::all(), |drift| {
        let stage = Stage::new();
        let whole = stage.deploy(&Source::with_proxy("v1"));
        drift.happen(&stage);
        stage.until("it is mended", || is_mended(&stage, &whole));
        stage.done(stage.begin_deploy(&Source::with_proxy("v2")));
        stage.await_whole(&whole.answering("v2"));
    });
}

#[test]
fn whatever_happens_while_no_host_runs_is_mended() {
    try_each(&Drift::all(), |drift| {
        let mut stage = Stage::new();
        let whole = stage.deploy(&Source::with_proxy("v1"));
        stage.kill();
        drift.happen(&stage);
        stage.start();
        stage.until("it is mended", || is_mended(&stage, &whole));
    });
}

#[test]
fn whatever_is_done_by_hand_is_mended_from_the_timer_alone() {
    try_each(&Drift::all(), |drift| {
        let stage = Stage::new();
        let whole = stage.deploy(&Source::with_proxy("v1"));
        stage.fake.lose_hints();
        drift.happen(&stage);
        stage.until("it is mended", || is_mended(&stage, &whole));
    });
}

#[test]
fn while_the_engine_is_away_what_is_known_is_shown_and_served_and_then_mended() {
    let stage = Stage::new();
    let whole = stage.deploy(&Source::new("v1"));
    stage.fake.set_away(true);
    let status = stage.until("it is noticed", || {
        let status = stage.status()?;
        let away = status.summary.engine_away_ms.is_some();
        if away {
            Ok(status)
        } else {
            Err(format!("{status:#?}"))
        }
    });
    assert_eq!(status.summary.state, AppState::Running);
    assert_eq!(stage.visit().unwrap(), "v1");
    let error = stage.fails(stage.begin_control(Control::Restart));
    assert!(error.contains("engine"), "{error}");
    let error = stage.fails(stage.begin_deploy(&Source::new("v2")));
    assert!(error.contains("engine"), "{error}");
    assert_eq!(stage.visit().unwrap(), "v1");
    stage.fake.by_hand(&name("redis"), ByHand::Remove);
    stage.fake.set_away(false);
    stage.await_whole(&whole);
    stage.done(stage.begin_deploy(&Source::new("v2")));
    stage.await_whole(&whole.answering("v2"));
}

#[test]
fn what_a_person_stopped_stays_stopped() {
    let mut stage = Stage::new();
    let whole = stage.deploy(&Source::new("v1"));
    stage.done(stage.begin_control(Control::Stop));
    stage.fake.by_hand(&name("redis"), ByHand::Remove);
    stage.until("it is made again", || {
        let observed = stage.observe();
        let found = observed
            .containers
            .iter()
            .any(|copy| copy.name == serving("redis"));
        found.then_some(()).ok_or_else(|| format!("{observed:#?}"))
    });
    stage.restart();
    let observed = stage.observe();
    assert!(
        observed
            .containers
            .iter()
            .all(|copy| copy.address.is_none())
    );
    assert_eq!(stage.status().unwrap().summary.state, AppState::Stopped);
    stage.done(stage.begin_control(Control::Start));
    stage.await_whole(&whole);
}

#[test]
fn a_volume_that_has_vanished_is_not_made_anew_unasked() {
    let mut stage = Stage::new();
    let whole = stage.deploy(&Source::new("v1"));
    stage.fake.lose_volume(&app(), &volume("redis-data"));
    let held = |stage: &Stage| {
        stage.until("its service is held", || {
            let status = stage.status()?;
            let redis = status
                .containers
                .iter()
                .find(|it| it.name.as_str() == "redis");
            let state = redis.map(|redis| redis.state.as_str());
            let is_held = state == Some("volume missing");
            is_held.then_some(()).ok_or_else(|| format!("{status:#?}"))
        });
        assert!(!stage.observe().volumes.contains(&volume("redis-data")));
    };
    held(&stage);
    // What does not need it serves.
    assert_eq!(stage.visit().unwrap(), "v1");
    let refused = [
        stage.begin_deploy(&Source::new("v2")),
        stage.begin_edit("ANSWER", "by-hand"),
        stage.begin_control(Control::Restart),
    ];
    for id in refused {
        let error = stage.fails(id);
        assert!(error.contains("volume \"redis-data\""), "{error}");
    }
    stage.restart();
    held(&stage);
    let made = stage
        .ask(|host| async move { host.volumes().recreate(&app(), &volume("redis-data")).await });
    made.unwrap();
    stage.await_whole(&whole);
}

#[test]
fn what_is_left_of_an_app_that_nobody_knows_goes_but_for_its_volumes() {
    let mut stage = Stage::new();
    let whole = stage.deploy(&Source::new("v1"));
    stage.kill();
    // As a host leaves it that is killed between the last row of a removal and its end.
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(stage.folder.path()).await.unwrap();
        store.remove_app(&app(), None).await.unwrap();
        store.close().await;
    });
    stage.start();
    stage.until("nothing but volumes is left", || {
        let left = stage.observe();
        match left.containers.is_empty() && left.network.is_none() {
            true => Ok(()),
            false => Err(format!("{left:#?}")),
        }
    });
    assert_eq!(stage.observe().volumes, whole.volumes);
}
