//! Measures a host that has many domains: its memory, and how soon it serves them after a
//! start.
//!
//! ```text
//! cargo build --release --workspace --all-targets
//! target/release/doprax-names [NAMES]
//! ```
//!
//! One small app has all of them; their certificates are of the host's own CA. It asserts
//! nothing. `DOPRAX_TEST_ENGINE` is the engine, `DOPRAX_BINARY` the binary, else the one of
//! this build.
#![allow(clippy::print_stdout, reason = "a program that prints a table")]
#![allow(
    clippy::unwrap_used,
    reason = "a measurement that fails ends with a panic"
)]

use doprax_e2e::{App, Host, Setup, secure, wait_for};
use std::path::Path;
use std::time::Instant;

fn main() {
    let names = std::env::args().nth(1).map_or(10_000, |names| {
        names.parse().expect("the argument is a number")
    });
    let socket = || "unix:///var/run/docker.sock".to_owned();
    let engine = std::env::var("DOPRAX_TEST_ENGINE").unwrap_or_else(|_| socket());
    let mut host = Host::start_with(Setup::new(&engine).with_https());
    let ca = host.state().join("ca-of-the-run.pem");
    std::fs::write(&ca, host.cli().ok(["ca"]).stdout).unwrap();
    let app = App::tiny("tiny", "");
    host.cli().ok(["up", app.path(), "--yes"]);
    certified(&host, 1);
    restart(&mut host, 0, "tiny.localhost", &ca);

    let mut manifest = "domains:\n".to_owned();
    for number in 1..=names {
        manifest.push_str(&format!("  - {{ name: {} }}\n", name(number)));
    }
    app.write("doprax.yaml", manifest);
    let start = Instant::now();
    host.cli()
        .command(["up", app.path(), "--yes"])
        .within(600)
        .run()
        .succeeded();
    println!(
        "{:>6} names taken in {:.2} s",
        names,
        start.elapsed().as_secs_f64()
    );
    certified(&host, names + 1);
    println!(
        "{:>6} certificates after {:.2} s",
        names,
        start.elapsed().as_secs_f64()
    );
    println!("{:>6} KB resident then", memory(&host));
    for number in [names, names / 2, 1] {
        restart(&mut host, names, &name(number), &ca);
    }
}

fn name(number: usize) -> String {
    format!("shop-{number}.shops.test")
}

/// Waits until so many certificates are there.
fn certified(host: &Host, count: usize) {
    wait_for("certificates", 600, || {
        let all = host.cli().json(["certs"]);
        let valid = all
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["state"] == "valid");
        (valid.count() == count).then_some(())
    });
}

/// Ends the host, starts it, and waits until it serves a name by HTTPS.
fn restart(host: &mut Host, names: usize, name: &str, ca: &Path) {
    host.stop();
    let start = Instant::now();
    host.resume();
    let answers = start.elapsed();
    let url = format!("https://{name}:{}/", host.setup.https_port.unwrap());
    wait_for("the page", 60, || {
        (secure(&url, Some(ca)).status == 200).then_some(())
    });
    println!(
        "{names:>6} names: the API answers after {:.2} s, {name} after {:.2} s; {} KB resident",
        answers.as_secs_f64(),
        start.elapsed().as_secs_f64(),
        memory(host)
    );
}

/// The host's resident memory in KB.
fn memory(host: &Host) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.holder())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap()
}
