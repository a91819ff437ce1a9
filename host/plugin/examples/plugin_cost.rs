//! Prints what plugins cost: `cargo run --release -p doprax-plugin --example plugin_cost`.

#![allow(clippy::print_stdout)]

use doprax_core::name::ServiceName;
use doprax_core::service::{AppContext, DescribeRequest};
use doprax_plugin::{BUILTIN, Limits, Plugins};
use std::error::Error;
use std::time::{Duration, Instant};

/// How many calls each figure is taken from.
const CALLS: usize = 2000;

/// How often the services of a whole app are described; the median is printed.
const ROUNDS: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "{:<14} {:>9} {:>12} {:>14} {:>10} {:>10}",
        "plugin", "KB", "compile ms", "cached load ms", "p50 µs", "p99 µs"
    );
    for (name, bytes) in BUILTIN {
        let folder = tempfile::tempdir()?;
        let cache = folder.path().join("plugins");
        let one: &[(&str, &[u8])] = &[(name, bytes)];
        // What remains is the engine's own start, the same for every plugin.
        let (engine, _) = time(|| Plugins::open(Some(&cache), &[], Limits::default()))?;
        let (compile, _) = time(|| Plugins::open(Some(&cache), one, Limits::default()))?;
        let (load, plugins) = time(|| Plugins::open(Some(&cache), one, Limits::default()))?;
        let request = request(name)?;
        let mut calls = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            calls.push(time(|| plugins.describe(name, &request))?.0);
        }
        calls.sort();
        println!(
            "{name:<14} {:>9.1} {:>12.1} {:>14.2} {:>10.1} {:>10.1}",
            bytes.len() as f64 / 1000.0,
            milliseconds(compile.saturating_sub(engine)),
            milliseconds(load.saturating_sub(engine)),
            milliseconds(calls[CALLS / 2]) * 1000.0,
            milliseconds(calls[CALLS * 99 / 100]) * 1000.0,
        );
    }

    let folder = tempfile::tempdir()?;
    let cache = folder.path().join("plugins");
    let (cold, _) = time(|| Plugins::open(Some(&cache), BUILTIN, Limits::default()))?;
    let (warm, plugins) = time(|| Plugins::open(Some(&cache), BUILTIN, Limits::default()))?;
    let requests: Vec<_> = BUILTIN
        .iter()
        .cycle()
        .take(256)
        .map(|(name, _)| Ok((*name, request(name)?)))
        .collect::<Result<_, Box<dyn Error>>>()?;
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let describe = |(name, request): &(&str, _)| plugins.describe(name, request).map(|_| ());
        rounds.push(time(|| requests.iter().try_for_each(describe))?.0);
    }
    rounds.sort();
    println!();
    println!(
        "all plugins, nothing cached  {:>9.1} ms",
        milliseconds(cold)
    );
    println!(
        "all plugins, cached          {:>9.1} ms",
        milliseconds(warm)
    );
    println!(
        "256 services described       {:>9.1} ms",
        milliseconds(rounds[ROUNDS / 2])
    );
    Ok(())
}

fn time<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(Duration, T), E> {
    let start = Instant::now();
    let result = work()?;
    Ok((start.elapsed(), result))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn request(name: &str) -> Result<DescribeRequest, Box<dyn Error>> {
    let service = ServiceName::new(name)?;
    Ok(DescribeRequest {
        name: service.clone(),
        version: None,
        image: (name == "container").then(|| "example/worker:1".to_owned()),
        port: None,
        settings: serde_json::json!({}),
        env_names: Vec::new(),
        volumes: Vec::new(),
        file_paths: Vec::new(),
        app: AppContext {
            name: "shop".to_owned(),
            main_volumes: Vec::new(),
            services: vec![(service, name.to_owned())],
        },
    })
}
