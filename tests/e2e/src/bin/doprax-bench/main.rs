//! Measures what a person waits for, beside Docker Compose in the same run.
//!
//! ```text
//! cargo build --release --workspace --all-targets
//! target/release/doprax-bench [ROUNDS]
//! ```
//!
//! Five Redis and a small main, each with a probe, all images present. The rounds of both
//! alternate, so that a busy machine slows both; the table shows medians and their ratio.
//! It asserts nothing.
//!
//! `DOPRAX_TEST_ENGINE` is the engine, `DOPRAX_TEST_COMPOSE` the program of Compose where
//! `docker compose` is not it. `DOPRAX_BINARY` is the binary, else the one of this build.
#![allow(clippy::print_stdout, reason = "a program that prints a table")]
#![allow(
    clippy::unwrap_used,
    reason = "a measurement that fails ends with a panic"
)]

mod compose;
mod doprax;
mod figures;

use compose::Compose;
use doprax::Doprax;
use doprax_e2e::Docker;
use figures::Figures;
use std::process::Command;

/// How many Redis stand beside main.
const REDIS: usize = 5;

/// The instance of everything that is measured, Compose's image included.
const INSTANCE: &str = "test-bench";

fn main() {
    let rounds = std::env::args().nth(1).map_or(5, |rounds| {
        rounds.parse().expect("the argument is a number")
    });
    let socket = || "unix:///var/run/docker.sock".to_owned();
    let engine = std::env::var("DOPRAX_TEST_ENGINE").unwrap_or_else(|_| socket());
    let docker = Docker::new(&engine, INSTANCE);
    let version = docker.run(&[
        "version",
        "--format",
        "{{.Server.Version}} {{.Server.APIVersion}}",
    ]);
    let (version, api) = version.split_once(' ').unwrap();

    let mut doprax = Doprax::start(&engine);
    let compose = Compose::prepare(&engine, &docker, api);
    println!(
        "Docker {version}, Compose {}, {rounds} rounds",
        compose.version()
    );
    println!("{REDIS} Redis with probes and a small main, images present\n");

    let mut figures = Figures::default();
    for _ in 0..rounds {
        doprax.round(&mut figures);
        compose.round(&mut figures);
    }
    figures.print();
    doprax.print_memory();
    doprax.print_planning();
    for (what, program) in [("planning", "plan_256"), ("plugins", "plugin_cost")] {
        print_example(what, program);
    }
}

/// What a measuring program of another crate says, which `cargo build --all-targets`
/// puts beside this one.
fn print_example(what: &str, program: &str) {
    let path = std::env::current_exe()
        .unwrap()
        .with_file_name("examples")
        .join(program);
    match Command::new(&path).output() {
        Ok(output) => println!(
            "\n{what}\n{}",
            String::from_utf8_lossy(&output.stdout).trim_end()
        ),
        Err(error) => println!(
            "\n{what}: {}: {error}; build it with `cargo build --release --workspace --all-targets`",
            path.display()
        ),
    }
}
