//! How long each act takes on a real engine: a measurement, not a test.

use crate::stage::{REDIS, Stage, container, file};
use doprax_core::plan::Act;
use futures_util::future::join_all;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Prints a table of medians.
pub(crate) async fn measure(stage: Arc<Stage>) {
    let mut rows: Vec<(&str, Duration)> = Vec::new();
    let mut times: std::collections::BTreeMap<&str, Vec<Duration>> = Default::default();
    for _ in 0..5 {
        let mut timed = async |what: &'static str, act: Act| {
            let began = Instant::now();
            stage.apply(&act).await.unwrap();
            times.entry(what).or_default().push(began.elapsed());
        };
        let subnet = "10.221.0.0/23".parse().unwrap();
        timed("create network", Act::CreateNetwork { subnet }).await;
        timed("create network, done", Act::CreateNetwork { subnet }).await;
        let plain = container("plain", REDIS);
        let mut filled = container("filled", REDIS);
        filled.files = vec![file("/etc/filled", 0o644, "x")];
        for (create, start, spec) in [
            ("create", "start", &plain),
            ("create with a file", "start, second", &filled),
        ] {
            timed(create, stage.create(spec)).await;
            let container = stage.name(spec.name.as_str());
            timed(
                start,
                Act::StartContainer {
                    container: stage.copy(&container),
                },
            )
            .await;
            let container = stage.copy(&container);
            timed("start, done", Act::StartContainer { container }).await;
        }
        let (from, to) = (stage.name("plain"), format!("old_{}", stage.name("plain")));
        timed(
            "rename, running",
            Act::RenameContainer {
                from: stage.copy(&from),
                to: stage.copy(&to),
            },
        )
        .await;
        let began = Instant::now();
        stage.observe().await;
        times
            .entry("observe, 2 running")
            .or_default()
            .push(began.elapsed());
        let began = Instant::now();
        stage.engine.observe_all().await.unwrap();
        times
            .entry("observe_all")
            .or_default()
            .push(began.elapsed());
        let began = Instant::now();
        stage
            .engine
            .container(&stage.app, &stage.copy(&to))
            .await
            .unwrap();
        times.entry("container").or_default().push(began.elapsed());
        let began = Instant::now();
        stage.output_of(&to, &["true"]).await;
        times.entry("exec true").or_default().push(began.elapsed());
        let mut timed = async |what: &'static str, act: Act| {
            let began = Instant::now();
            stage.apply(&act).await.unwrap();
            times.entry(what).or_default().push(began.elapsed());
        };
        timed(
            "stop",
            Act::StopContainer {
                container: stage.copy(&to),
                grace_ms: 10_000,
            },
        )
        .await;
        timed(
            "remove, stopped",
            Act::RemoveContainer {
                container: stage.copy(&to),
            },
        )
        .await;
        timed(
            "remove, running",
            Act::RemoveContainer {
                container: stage.copy(&stage.name("filled")),
            },
        )
        .await;

        let five: Vec<_> = (0..5)
            .map(|n| container(&format!("redis{n}"), REDIS))
            .collect();
        let began = Instant::now();
        join_all(five.iter().map(async |spec| {
            stage.apply(&stage.create(spec)).await.unwrap();
            let container = stage.copy(&stage.name(spec.name.as_str()));
            stage
                .apply(&Act::StartContainer { container })
                .await
                .unwrap();
        }))
        .await;
        times
            .entry("five created and started at once")
            .or_default()
            .push(began.elapsed());
        let began = Instant::now();
        join_all(five.iter().map(async |spec| {
            let container = stage.copy(&stage.name(spec.name.as_str()));
            stage
                .apply(&Act::RemoveContainer { container })
                .await
                .unwrap();
        }))
        .await;
        times
            .entry("five removed at once")
            .or_default()
            .push(began.elapsed());
        let mut timed = async |what: &'static str, act: Act| {
            let began = Instant::now();
            stage.apply(&act).await.unwrap();
            times.entry(what).or_default().push(began.elapsed());
        };
        timed("remove network", Act::RemoveNetwork).await;
    }
    for (what, mut times) in times {
        times.sort_unstable();
        rows.push((what, times[times.len() / 2]));
    }
    let mut table = String::new();
    for (what, median) in rows {
        table += &format!("{what:34} {:8.1} ms\n", median.as_secs_f64() * 1000.0);
    }
    std::io::stderr().write_all(table.as_bytes()).unwrap();
}
