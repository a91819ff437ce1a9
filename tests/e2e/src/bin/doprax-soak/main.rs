//! Redeploys two apps again and again under the eyes of every kind of client, and counts
//! what fails. One app's main is reached directly, the other's through Nginx.
//!
//! ```text
//! cargo build --release -p doprax -p doprax-e2e
//! target/release/doprax-soak [REDEPLOYS]
//! ```
//!
//! A failed or wrong answer, a connection that is refused, a stream that is cut: each is
//! printed with the step of the redeploy in which it began and in which it was seen. The
//! exit code is 1 where there was one. SIGINT ends it after the redeploy that runs.
//!
//! `DOPRAX_TEST_ENGINE` is the engine, `DOPRAX_BINARY` the binary, else the one of this
//! build.
#![allow(clippy::print_stdout, reason = "a program that prints a table")]
#![allow(clippy::unwrap_used, reason = "a check that fails ends with a panic")]

mod door;
mod record;
mod streams;
mod timeline;
mod visit;

use door::{Door, Protocol};
use doprax_e2e::{App, Host, Setup, wait_for};
use record::{Client, Record, Streams, now_ms};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use streams::Listener;
use timeline::Redeploy;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use visit::{Ask, Habit};

const APPS: [(&str, &str); 2] = [
    (
        "direct",
        "main:\n  health: { path: /up, interval: 200ms, timeout: 60s }\n",
    ),
    (
        "behind-nginx",
        "main:\n  health: { path: /up, interval: 200ms, timeout: 60s }\n\
         services:\n  - nginx:\n      image: doprax-test/nginx:1.22\n",
    ),
];

/// What a redeploy finds open, in turn for each app. Patience takes all of the time that
/// a drain may take.
const TURNS: [Streams; 10] = {
    use Streams::{Absent, Brief, Patient};
    [
        Patient, Absent, Absent, Brief, Absent, Absent, Brief, Absent, Absent, Brief,
    ]
};

/// What asks each app.
const HABITS: [Habit; 5] = [
    Habit {
        kind: "GET, kept",
        protocol: Protocol::Http1,
        keep: true,
        asks: &[Ask::Get],
        pause: Duration::from_millis(25),
        slow: false,
        clients: 3,
    },
    Habit {
        kind: "POST, kept",
        protocol: Protocol::Http1,
        keep: true,
        asks: &[Ask::Post],
        pause: Duration::from_millis(20),
        slow: false,
        clients: 3,
    },
    Habit {
        kind: "POST, fresh",
        protocol: Protocol::Http1,
        keep: false,
        asks: &[Ask::Post],
        pause: Duration::from_millis(40),
        slow: false,
        clients: 2,
    },
    Habit {
        kind: "POST, slow",
        protocol: Protocol::Http1,
        keep: true,
        asks: &[Ask::SlowPost],
        pause: Duration::from_millis(20),
        slow: true,
        clients: 3,
    },
    Habit {
        kind: "HTTP/2",
        protocol: Protocol::Http2,
        keep: true,
        asks: &[Ask::Get, Ask::Post, Ask::Get, Ask::Post],
        pause: Duration::from_millis(80),
        slow: false,
        clients: 2,
    },
];

/// Streams of each kind at an app.
const STREAMS: usize = 2;

fn main() -> ExitCode {
    let redeploys = std::env::args().nth(1).map_or(200, |redeploys| {
        redeploys.parse().expect("the argument is a number")
    });
    let socket = || "unix:///var/run/docker.sock".to_owned();
    let engine = std::env::var("DOPRAX_TEST_ENGINE").unwrap_or_else(|_| socket());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let halt = halt(&runtime);

    let host = Host::start_with(Setup::new(&engine).with_https());
    let apps = APPS.map(|(name, manifest)| {
        let app = App::copy("soak");
        app.write("doprax.yaml", format!("app: {name}\n{manifest}"));
        host.cli().ok(["up", app.path(), "--yes"]);
        (name, app)
    });
    let https = host.setup.https_port.unwrap();
    let door = Door::new(host.setup.port, https, &host.cli().ok(["ca"]).stdout);
    for (name, _) in &apps {
        wait_for("HTTPS", 60, || {
            runtime.block_on(door.open(name, Protocol::Http2)).ok()
        });
    }

    let record = Arc::new(Record::default());
    let clients = clients(&runtime, &door, &record);
    let mut done: Vec<Redeploy> = Vec::new();
    let mut complete = true;
    for number in 1..=redeploys {
        if halt.load(Ordering::Relaxed) {
            break;
        }
        let (name, app) = &apps[number % apps.len()];
        record.set_streams(TURNS[(number - 1) / apps.len() % TURNS.len()]);
        app.write("release.txt", format!("{number}\n"));
        let begin_ms = now_ms();
        let up = host.cli().command(["up", app.path(), "--yes", "--json"]);
        let up = up.within(300).run();
        let redeploy = Redeploy::read(number, name, begin_ms, now_ms(), &up.lines());
        println!(
            "redeploy {number:>3} of {redeploys}: {name:<12} {:>6.2} s, drain {:>5.2} s, stop {:>5.2} s, {} failures",
            redeploy.took().as_secs_f64(),
            redeploy.took_for("wait for requests").as_secs_f64(),
            redeploy.took_for("stop").as_secs_f64(),
            record.failures(),
        );
        done.push(redeploy);
        if up.code != 0 {
            println!("{up}");
            complete = false;
            break;
        }
        record.set_release(name, number);
    }
    record.stop();
    runtime.block_on(clients.join_all());
    let failures = report(&record, &done);
    if failures == 0 && complete {
        ExitCode::SUCCESS
    } else {
        println!("\n--- log of the host\n{}---", host.log());
        ExitCode::FAILURE
    }
}

/// Set once the program is asked to end.
fn halt(runtime: &Runtime) -> Arc<AtomicBool> {
    let halt = Arc::new(AtomicBool::new(false));
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let halt = Arc::clone(&halt);
        runtime.spawn(async move {
            if signal(kind).unwrap().recv().await.is_some() {
                halt.store(true, Ordering::Relaxed);
            }
        });
    }
    halt
}

/// Sets every client to work at both apps.
fn clients(runtime: &Runtime, door: &Door, record: &Arc<Record>) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for (app, _) in APPS {
        for habit in HABITS {
            for _ in 0..habit.clients {
                let visit = visit::visit(door.clone(), app, Arc::clone(record), habit);
                clients.spawn_on(visit, runtime.handle());
            }
        }
        let listener = |kind| Listener {
            door: door.clone(),
            client: Client { kind, app },
            record: Arc::clone(record),
        };
        for _ in 0..STREAMS {
            clients.spawn_on(listener("WebSocket").echo(), runtime.handle());
            let events = listener("events").listen(Protocol::Http1);
            clients.spawn_on(events, runtime.handle());
            let events = listener("events, HTTP/2").listen(Protocol::Http2);
            clients.spawn_on(events, runtime.handle());
        }
    }
    clients
}

/// Prints every failure and the table. Returns the number of failures.
fn report(record: &Record, redeploys: &[Redeploy]) -> usize {
    let failures = record.take_failures();
    for failure in &failures {
        let Client { kind, app } = failure.client;
        println!("\n{kind} at {app}: {}", failure.what);
        println!("  begun  {}", timeline::at(redeploys, failure.began_ms));
        println!("  failed {}", timeline::at(redeploys, failure.at_ms));
    }
    println!(
        "\n{:<16} {:<14} {:>11} {:>9} {:>13} {:>9}",
        "client", "app", "connections", "good", "ended by main", "failures"
    );
    for (client, count) in record.counts() {
        let failed = failures.iter().filter(|failure| failure.client == client);
        println!(
            "{:<16} {:<14} {:>11} {:>9} {:>13} {:>9}",
            client.kind,
            client.app,
            count.connections,
            count.good,
            count.ended,
            failed.count()
        );
    }
    let mut times: Vec<Duration> = redeploys.iter().map(Redeploy::took).collect();
    times.sort();
    if let (Some(median), Some(longest)) = (times.get(times.len() / 2), times.last()) {
        println!(
            "\n{} redeploys, median {:.2} s, longest {:.2} s; {} failures",
            times.len(),
            median.as_secs_f64(),
            longest.as_secs_f64(),
            failures.len()
        );
    }
    failures.len()
}
