//! Changes apps again and again under the eyes of every kind of client, and counts what
//! fails. Two apps speak HTTP, two gRPC; one of each is reached directly, one through
//! Nginx. Between the changes of apps the host itself is upgraded.
//!
//! ```text
//! cargo build --release --workspace --all-targets
//! target/release/doprax-soak [CHANGES | --short]
//! ```
//!
//! A failed or wrong answer, a connection that is refused, a stream that is cut, a change
//! that ends otherwise than it should: each is printed with the step of the change in
//! which it began and in which it was seen. The exit code is 1 where there was one.
//! SIGINT ends it after the change that runs. `--short` makes each kind of change once or
//! twice, and none that waits as long as a drain may take.
//!
//! `DOPRAX_TEST_ENGINE` is the engine, `DOPRAX_BINARY` the binary, else the one of this
//! build.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints a table"
)]
#![allow(clippy::unwrap_used, reason = "a check that fails ends with a panic")]

mod change;
mod crowd;
mod door;
mod grpc;
mod record;
mod report;
mod streams;
mod subject;
mod timeline;
mod visit;

use change::{Kind, change};
use door::{Door, Protocol};
use doprax_e2e::{Host, Setup, wait_for};
use record::{Failure, Record, Streams, now_ms};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use subject::{SHAPES, Subject};
use timeline::Change;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// Changes where nobody says how many.
const CHANGES: usize = 208;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    let short = argument.as_deref() == Some("--short");
    let changes = match argument {
        Some(_) if short => change::ONE_ROUND,
        Some(number) => match number.parse() {
            Ok(changes) => changes,
            Err(_) => {
                eprintln!("doprax-soak [CHANGES | --short]");
                return ExitCode::from(2);
            }
        },
        None => CHANGES,
    };
    let socket = || "unix:///var/run/docker.sock".to_owned();
    let engine = std::env::var("DOPRAX_TEST_ENGINE").unwrap_or_else(|_| socket());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let halt = halt(&runtime);

    let mut host = Host::start_with(Setup::new(&engine).with_https());
    let mut subjects = SHAPES.map(Subject::new);
    let record = Arc::new(Record::default());
    for subject in &mut subjects {
        host.cli().ok(["up", subject.path(), "--yes"]);
        subject.released(current_release(&host, subject.name()));
        record.set_releases(subject.name(), vec![subject.serving()]);
    }
    let https = host.setup.https_port.unwrap();
    let door = Door::new(host.setup.port, https, &host.cli().ok(["ca"]).stdout);
    for subject in &subjects {
        wait_for("HTTPS", 60, || {
            runtime
                .block_on(door.open(subject.name(), Protocol::Http2))
                .ok()
        });
    }

    let crowd = crowd::gather(&runtime, &door, &record);
    let mut done: Vec<Change> = Vec::new();
    let mut failures: Vec<Failure> = Vec::new();
    let mut note = |done: &[Change]| {
        let new = record.take_failures();
        new.iter().for_each(|new| report::failure(new, done));
        failures.extend(new);
    };
    let mut wrong = None;
    for number in 1..=changes {
        if halt.load(Ordering::Relaxed) {
            break;
        }
        let (kind, of, mut streams) = change(number, !short);
        if streams == Streams::Patient && host.lingers() {
            // What it serves goes with it, and main is not asked to end it.
            streams = Streams::Brief;
        }
        record.set_streams(streams);
        let subject = subjects.iter_mut().find(|subject| subject.name() == of);
        let begin_ms = now_ms();
        let (events, ended) = match subject {
            None => {
                host.hand_over();
                (Vec::new(), Ok(()))
            }
            Some(subject) => deploy(&host, &record, subject, kind, number),
        };
        let times = (begin_ms, now_ms());
        done.push(Change::read(number, (kind, of), times, &events));
        report::change(&done[number - 1], changes);
        note(&done);
        if let Err(text) = ended {
            println!("{text}");
            wrong = Some(number);
            break;
        }
    }
    record.stop();
    runtime.block_on(crowd.join_all());
    note(&done);
    report::tables(&record, &done, &failures);
    if failures.is_empty() && wrong.is_none() {
        return ExitCode::SUCCESS;
    }
    if let Some(number) = wrong {
        println!("change {number} did not end as it should");
    }
    println!("\n--- log of the host\n{}---", host.log());
    ExitCode::FAILURE
}

/// Deploys an app after a change. Returns the events of that, and what was said where it
/// ended otherwise than it should.
fn deploy(
    host: &Host,
    record: &Record,
    subject: &mut Subject,
    kind: Kind,
    number: usize,
) -> (Vec<serde_json::Value>, Result<(), String>) {
    let before = subject.serving();
    let (after, back) = subject.edit(kind, number);
    record.set_releases(subject.name(), vec![before, after]);
    let back = back.map(|release| release.to_string());
    let asked = match &back {
        Some(release) => ["rollback", subject.name(), release, "--yes", "--json"].to_vec(),
        None => ["up", subject.path(), "--yes", "--json"].to_vec(),
    };
    let done = host.cli().command(asked).within(300).run();
    record.set_releases(subject.name(), vec![after]);
    let wanted = if kind.is_ill() { 1 } else { 0 };
    if done.code != wanted {
        let wrong = format!("exit code {wanted} was expected\n{done}");
        return (done.lines(), Err(wrong));
    }
    if !kind.is_ill() {
        subject.released(current_release(host, subject.name()));
    }
    (done.lines(), Ok(()))
}

fn current_release(host: &Host, app: &str) -> u64 {
    host.cli().status(app)["release"].as_u64().unwrap()
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
