//! What the loop asks the engine with each tick of its timer: a look at all apps, and at one
//! app where something of it may have changed.

use crate::source::Source;
use crate::stage::{Stage, app, name, try_each, volume};
use doprax_core::change::Changed;
use doprax_core::name::AppName;
use doprax_engine::{ByHand, Looks};
use doprax_reconcile::report::AppState;
use doprax_reconcile::{After, Told};
use futures_util::StreamExt as _;
use std::time::{Duration, Instant};

/// Ticks in which a change that a look at all apps shows has to be noticed: fewer than pass
/// between two close looks at an app that does not change.
const SOON: usize = 50;

/// A host that looks often.
fn stage() -> Stage {
    looking_every(Duration::from_millis(100))
}

/// A host, on an engine whose lists alone say enough of what runs.
fn looking_every(interval: Duration) -> Stage {
    let mut stage = Stage::without_host();
    stage.config.interval = interval;
    stage.fake.take_processes_for_steady();
    stage.start();
    stage
}

/// Waits until the loop looks at no single app over some ticks. Nothing may ask the host how
/// apps are meanwhile.
fn await_quiet(stage: &Stage) -> Looks {
    let mut last = stage.fake.looks();
    stage.until("a few ticks without a single look", || {
        let now = stage.fake.looks();
        if now.single != last.single {
            last = now;
        }
        let is_quiet = now.all >= last.all + 4;
        is_quiet.then_some(now).ok_or_else(|| format!("{now:?}"))
    })
}

/// Waits until the loop looks at a single app, which has to be soon.
fn await_look(stage: &Stage, since: Looks) -> Looks {
    let now = stage.until("a look at the app", || {
        let now = stage.fake.looks();
        let is_seen = now.single > since.single && now.all > since.all;
        is_seen.then_some(now).ok_or_else(|| format!("{now:?}"))
    });
    assert!(now.all - since.all < SOON, "{since:?} {now:?}");
    now
}

#[test]
fn apps_as_they_should_be_cost_one_look_at_all() {
    let stage = stage();
    let names = (1..=6).map(|number| AppName::new(format!("app-{number}")).unwrap());
    let ids: Vec<_> = names
        .map(|name| stage.begin_deploy_as(&name, &Source::with_proxy("v1")))
        .collect();
    for id in ids {
        stage.done(id);
    }
    let before = await_quiet(&stage);
    // At a slower pace each of them is looked at all the same.
    stage.until("a look at each", || {
        let now = stage.fake.looks();
        let seen = now.single - before.single;
        (seen >= 6).then_some(()).ok_or_else(|| format!("{now:?}"))
    });
    let now = stage.fake.looks();
    let (all, single) = (now.all - before.all, now.single - before.single);
    assert!(
        all > SOON && single < 2 * all,
        "{all} ticks, {single} looks"
    );
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Container(&'static str, ByHand),
    Crash,
    Network,
    Volume,
}

#[test]
fn what_a_look_at_all_shows_is_acted_on_with_the_next_tick() {
    let by_hand = [
        ByHand::Stop,
        ByHand::Kill,
        ByHand::Pause,
        ByHand::Disconnect,
        ByHand::Remove,
    ];
    let mut changes = vec![Change::Network, Change::Volume, Change::Crash];
    for container in ["main", "redis", "proxy"] {
        changes.extend(by_hand.map(|change| Change::Container(container, change)));
    }
    try_each(&changes, |change| {
        let stage = stage();
        stage.deploy(&Source::with_proxy("v1"));
        stage.fake.lose_hints();
        let quiet = await_quiet(&stage);
        match change {
            Change::Container(container, change) => {
                stage.fake.by_hand(&name(container), *change);
            }
            Change::Crash => stage.fake.crash_on(&name("redis")),
            Change::Network => stage.fake.lose_network(&app()),
            Change::Volume => stage.fake.lose_volume(&app(), &volume("redis-data")),
        }
        await_look(&stage, quiet);
    });
}

#[test]
fn an_app_that_lacks_a_volume_is_looked_at_until_somebody_brings_it_back() {
    let stage = stage();
    stage.deploy(&Source::with_proxy("v1"));
    stage.fake.lose_hints();
    stage.fake.lose_volume(&app(), &volume("redis-data"));
    let state = || stage.status().map(|status| status.summary.state);
    stage.until("it is noticed", || match state()? {
        AppState::Running => Err("it runs".to_owned()),
        _ => Ok(()),
    });
    let mut looks = stage.fake.looks();
    for _ in 0..4 {
        looks = await_look(&stage, looks);
    }
    stage.fake.bring_back_volume(&app(), &volume("redis-data"));
    stage.until("it runs again", || match state()? {
        AppState::Running => Ok(()),
        state => Err(format!("{state:?}")),
    });
}

#[test]
fn an_app_is_looked_at_after_an_operation_that_has_changed_no_container() {
    // The operation is over before the next tick: only what comes after it counts.
    let stage = looking_every(Duration::from_secs(3));
    stage.deploy(&Source::with_proxy("v1"));
    stage.fake.lose_hints();
    await_quiet(&stage);
    let acts = stage.acts().len();
    stage.done(stage.begin_deploy(&Source::with_proxy("v1")));
    await_look(&stage, stage.fake.looks());
    assert_eq!(stage.acts().len(), acts);
}

/// A measurement, not a test: what a tick costs where each app is looked at, as after the
/// engine was away, and where none has changed. `APPS` says of how many apps.
#[test]
#[ignore = "prints a table and asserts nothing"]
fn what_a_tick_costs() {
    let apps: usize = std::env::var("APPS").map_or(500, |apps| apps.parse().unwrap());
    let mut stage = stage();
    stage.kill();
    // Room for all of them, some of it in what other tests take: it runs alone.
    stage.config.pool = vec!["127.128.0.0/9".parse().unwrap()];
    stage.config.interval = Duration::from_secs(1);
    stage.start();
    let source = Source::new("v1").without_services();
    let names = (0..apps).map(|number| AppName::new(format!("app-{number}")).unwrap());
    let names: Vec<_> = names.collect();
    for some in names.chunks(20) {
        let deploy = |name| stage.begin_deploy_as(name, &source);
        let ids: Vec<_> = some.iter().map(deploy).collect();
        ids.into_iter().for_each(|id| stage.done(id));
    }
    // At the slower pace some are looked at with every tick.
    let ticks = |count: usize| {
        let (begin, cpu) = (stage.fake.looks(), cpu_ms());
        let end = stage.until("some ticks", || {
            let now = stage.fake.looks();
            let is_over = now.all >= begin.all + count;
            is_over.then_some(now).ok_or_else(|| format!("{now:?}"))
        });
        let single = (end.single - begin.single) as f64 / count as f64;
        (single, (cpu_ms() - cpu) as f64 / count as f64)
    };
    while ticks(2).0 > apps as f64 / 10.0 {}
    let (single, cpu) = ticks(10);
    println!("{apps} apps that do not change: 1 + {single:.1} looks, {cpu:.0} ms CPU a tick");
    let (before, begin) = (stage.fake.looks(), Instant::now());
    let cpu = cpu_ms();
    let mut told = stage.ask(|host| async move { host.events(After::Now, None, true) });
    stage.fake.set_away(true);
    stage.ask(|_| async move {
        let away = Changed::Engine { away: true };
        let is_it = |told: &Told| matches!(told, Told::Change(change) if change.what == away);
        while !told.next().await.is_none_or(|told| is_it(&told)) {}
    });
    stage.fake.set_away(false);
    let after = stage.until("a look at each", || {
        let now = stage.fake.looks();
        let is_over = now.single >= before.single + apps;
        is_over.then_some(now).ok_or_else(|| format!("{now:?}"))
    });
    let (single, cpu) = (after.single - before.single, cpu_ms() - cpu);
    let time = begin.elapsed();
    println!("{apps} apps, each looked at: 1 + {single} looks, {cpu} ms CPU, {time:?}");
    let list = stage.ask(|host| async move { host.apps().list().await.unwrap() });
    assert!(list.iter().all(|app| app.state == AppState::Running));
}

/// Processor time of this process so far, in milliseconds.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    // User and system time, in hundredths of a second (proc(5)).
    fields
        .skip(11)
        .take(2)
        .map(|it| it.parse::<u64>().unwrap() * 10)
        .sum()
}
