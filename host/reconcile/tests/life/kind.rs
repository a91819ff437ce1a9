//! The kinds of operation: what is there before, how each is begun, and how the app has to
//! be afterwards, whatever came in between.

use crate::source::Source;
use crate::stage::{Stage, Whole, app, serving, volume};
use doprax_reconcile::report::{AppState, OperationState};
use doprax_reconcile::request::Control;
use std::fmt;

/// A kind of operation.
pub(crate) struct Kind {
    name: &'static str,
    /// Whether one that fails leaves the app as it was.
    pub(crate) goes_back: bool,
    /// How it ends.
    pub(crate) ends: OperationState,
    /// Makes what is there before. Returns how the app is then, where there is one.
    pub(crate) prepare: fn(&Stage) -> Option<Whole>,
    /// Begins it. Returns its identifier where it has one.
    pub(crate) begin: fn(&Stage) -> Option<String>,
    /// Waits until the app is as it has to be afterwards, and does nothing for that.
    pub(crate) reached: fn(&Stage, Option<&Whole>),
    /// Has the app serve again, where it does not any more.
    pub(crate) later: fn(&Stage, Option<&Whole>),
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// All of them.
pub(crate) const KINDS: [Kind; 12] = [
    Kind {
        name: "first deploy",
        goes_back: true,
        ends: OperationState::Done,
        prepare: |_| None,
        begin: |stage| stage.begin_deploy(&Source::new("v1")).ok(),
        reached: |stage, _| {
            stage.until("it answers", || stage.visit());
            stage.await_whole(&stage.look(&Source::new("v1")));
        },
        later: |_, _| {},
    },
    Kind {
        name: "second deploy",
        goes_back: true,
        ends: OperationState::Done,
        prepare: |stage| Some(stage.deploy(&Source::new("v1"))),
        begin: |stage| stage.begin_deploy(&Source::new("v2")).ok(),
        reached: |stage, before| stage.await_whole(&before.unwrap().answering("v2")),
        later: |_, _| {},
    },
    Kind {
        name: "edit",
        goes_back: true,
        ends: OperationState::Done,
        prepare: |stage| Some(stage.deploy(&Source::new("v1"))),
        begin: |stage| stage.begin_edit("ANSWER", "by-hand").ok(),
        reached: |stage, before| stage.await_whole(&before.unwrap().answering("by-hand")),
        later: |_, _| {},
    },
    Kind {
        name: "deploy behind a proxy",
        goes_back: true,
        ends: OperationState::Done,
        prepare: |stage| Some(stage.deploy(&Source::with_proxy("v1"))),
        begin: |stage| stage.begin_deploy(&Source::with_proxy("v2")).ok(),
        reached: |stage, before| stage.await_whole(&before.unwrap().answering("v2")),
        later: |_, _| {},
    },
    Kind {
        name: "deploy of everything, one after the other",
        goes_back: true,
        ends: OperationState::Done,
        prepare: |stage| Some(stage.deploy(&Source::with_proxy("v1"))),
        begin: |stage| stage.begin_deploy(&everything()).ok(),
        reached: |stage, before| stage.await_whole(&before.unwrap().answering("v2")),
        later: |_, _| {},
    },
    Kind {
        name: "deploy that goes back",
        goes_back: true,
        ends: OperationState::Failed,
        prepare: |stage| Some(stage.deploy(&Source::new("v1"))),
        begin: |stage| stage.begin_deploy(&everything().on("deaf")).ok(),
        reached: |stage, before| stage.await_whole(before.unwrap()),
        later: |_, _| {},
    },
    Kind {
        name: "rollback",
        goes_back: true,
        ends: OperationState::Done,
        prepare: |stage| {
            stage.deploy(&Source::new("v1"));
            Some(stage.deploy(&Source::new("v2").with_key("of-today")))
        },
        begin: |stage| stage.begin_rollback(1).ok(),
        reached: |stage, before| {
            let before = before.unwrap().answering("v1");
            stage.await_whole(&before.with_key("of-the-first-day"));
            // Done again after a kill, it is the same release.
            assert_eq!(stage.releases().current, Some(3));
        },
        later: |_, _| {},
    },
    Kind {
        name: "stop",
        goes_back: false,
        ends: OperationState::Done,
        prepare: |stage| Some(stage.deploy(&Source::new("v1"))),
        begin: |stage| stage.begin_control(Control::Stop).ok(),
        reached: |stage, _| await_stopped(stage),
        later: |stage, before| {
            stage.done(stage.begin_control(Control::Start));
            stage.await_whole(before.unwrap());
        },
    },
    Kind {
        name: "start",
        goes_back: false,
        ends: OperationState::Done,
        prepare: |stage| {
            let before = stage.deploy(&Source::new("v1"));
            stage.done(stage.begin_control(Control::Stop));
            await_stopped(stage);
            Some(before)
        },
        begin: |stage| stage.begin_control(Control::Start).ok(),
        reached: |stage, before| stage.await_whole(before.unwrap()),
        later: |_, _| {},
    },
    Kind {
        name: "restart",
        goes_back: false,
        ends: OperationState::Done,
        prepare: |stage| Some(stage.deploy(&Source::new("v1"))),
        begin: |stage| stage.begin_control(Control::Restart).ok(),
        reached: |stage, before| stage.await_whole(before.unwrap()),
        later: |_, _| {},
    },
    Kind {
        name: "remove",
        goes_back: false,
        ends: OperationState::Done,
        prepare: |stage| Some(stage.deploy(&Source::new("v1"))),
        begin: |stage| stage.begin_remove().ok(),
        reached: |stage, _| {
            stage.until("nothing but volumes is left", || {
                let left = stage.observe();
                match (left.containers.is_empty(), &left.network, stage.status()) {
                    (true, None, Err(_)) => Ok(()),
                    _ => Err(format!("{left:#?}")),
                }
            });
        },
        later: |stage, before| {
            let again = stage.deploy(&Source::new("v1"));
            assert_eq!(again.secrets, before.unwrap().secrets);
        },
    },
    Kind {
        name: "recreation of a volume",
        goes_back: false,
        ends: OperationState::Done,
        prepare: |stage| {
            let before = stage.deploy(&Source::new("v1"));
            stage.fake.lose_volume(&app(), &volume("redis-data"));
            stage.until("it is missed", || {
                let status = stage.status()?;
                let gone = status.volumes.iter().any(|volume| volume.gone);
                gone.then_some(()).ok_or_else(|| format!("{status:#?}"))
            });
            Some(before)
        },
        begin: |stage| {
            stage.spawn(|host| async move {
                host.volumes().recreate(&app(), &volume("redis-data")).await
            });
            None
        },
        reached: |stage, before| stage.await_whole(before.unwrap()),
        later: |_, _| {},
    },
];

/// A source with other settings of Redis and of main, of which two cannot run at once, and
/// one service more.
fn everything() -> Source {
    Source::with_proxy("v2")
        .replace(
            "{ password: true }",
            "{ password: true, append-only: true }",
        )
        .replace(
            "main:\n",
            "main:\n  strategy: recreate\n  health: { timeout: 2s }\n",
        )
        .replace(
            "services:\n",
            "services:\n  - container:\n      name: worker\n      image: test/redis:7\n      \
             settings: { ports: [6379] }\n",
        )
}

fn await_stopped(stage: &Stage) {
    stage.until("it has stopped", || {
        let status = stage.status()?;
        let runs = stage.observe().containers;
        let runs = runs.iter().any(|copy| copy.address.is_some());
        match (status.summary.state, runs, status.operation) {
            (AppState::Stopped, false, None) => Ok(()),
            (state, ..) => Err(format!("{state:?}, and something runs: {runs}")),
        }
    });
}

impl Kind {
    /// Waits for the end of an operation that was begun, which has to be its own.
    #[track_caller]
    pub(crate) fn await_end(&self, stage: &Stage, id: Option<&str>) {
        let Some(id) = id else { return };
        stage.until("the end of the operation", || {
            let operation = stage.operation(id);
            match operation.state {
                state if state.is_open() => Err("it goes on".to_owned()),
                state if state == self.ends => Ok(()),
                _ => panic!("{:#?}", stage.events(id)),
            }
        });
    }
}

/// Something new works.
#[track_caller]
pub(crate) fn try_something_new(stage: &Stage) {
    let before = stage.observe();
    stage.done(stage.begin_control(Control::Restart));
    let after = stage.observe();
    let started = |observed: &doprax_core::observed::Observed| {
        let mut all = observed.containers.iter();
        let main = all.find(|copy| copy.name == serving("main"));
        main.and_then(|main| main.started_ms)
    };
    assert!(started(&after) > started(&before), "{after:#?}");
}
