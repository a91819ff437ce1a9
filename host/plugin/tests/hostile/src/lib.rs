//! A plugin that does what its one setting says, for the tests of the host: takes
//! more than it may, or answers with what cannot be.

// Misbehaving is its purpose.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use doprax_sdk::{
    Capability, Diagnostic, Judge, Metadata, Observation, Part, Plugin, Probe, Reload, Request,
    Service, Target, UlimitKind, Verdict, text,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Instant, SystemTime};

/// Settings of a service that misbehaves.
#[derive(Deserialize, JsonSchema)]
pub struct Settings {
    /// What it does.
    act: Act,
}

/// What it does.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Answers as it should.
    Behave,
    /// Never answers.
    Spin,
    /// Takes more memory.
    Grow,
    /// Nests its calls without end.
    Recurse,
    /// Ends instead of answering.
    Exit,
    /// Panics.
    Panic,
    /// Prints without end, then panics.
    Babble,
    /// Answers with more bytes than it may.
    LargeAnswer,
    /// Answers with more entries than it may.
    ManyEntries,
    /// Answers with everything that could differ from call to call.
    Vary,
    /// Asks for a capability that its grants do not name.
    AskCapability,
    /// Asks for a limit that its grants do not name.
    AskUlimit,
    /// Names an image of another repository.
    AskImage,
    /// Names a command.
    AskExec,
    /// Names a relative path.
    RelativePath,
    /// Leaves the folder that a path seems to be in.
    ParentPath,
    /// Names a secret that it does not declare.
    UndeclaredSecret,
    /// Gives a masked variable a value that everyone knows.
    LiteralSecret,
    /// Names a container that the app does not have.
    UnknownContainer,
    /// Probes a port that is none.
    PortZero,
    /// Waits for an eternity between probes.
    LongInterval,
    /// Sets a file's mode to run as its owner.
    SetUserId,
    /// Sets one variable twice.
    Twice,
    /// Puts a line end where a line is expected.
    ControlCharacter,
    /// Objects without saying to what.
    NoDiagnostics,
}

/// The plugin.
pub struct Hostile;

impl Plugin for Hostile {
    type Settings = Settings;

    fn metadata() -> Metadata {
        Metadata::new("hostile", "Hostile", "Misbehaves.", "0.1.0")
            .image("docker.io/library/hostile")
    }

    fn plan(request: &Request, settings: Settings) -> Result<Service, Vec<Diagnostic>> {
        let service = Service::new(request.image_of("hostile", "1"));
        Ok(match settings.act {
            Act::Behave => service,
            Act::Spin => loop {
                black_box(());
            },
            Act::Grow => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(black_box(vec![1u8; 1 << 20]));
                }
            }
            Act::Recurse => service.note(recurse(1).to_string()),
            Act::Exit => std::process::exit(0),
            Act::Panic => panic!("the text of the panic"),
            Act::Babble => {
                for line in 0..2_000 {
                    println!("line {line} of much that is printed");
                    eprintln!("line {line} of much that is printed");
                }
                panic!("the text after it")
            }
            Act::LargeAnswer => service.note("x".repeat(3 << 20)),
            Act::ManyEntries => (0..300).fold(service, |service, n| service.note(n.to_string())),
            Act::Vary => vary(service),
            Act::AskCapability => service.capability(Capability::SysNice),
            Act::AskUlimit => service.ulimit(UlimitKind::Nproc, None),
            Act::AskImage => Service::new("evil.example/miner:1"),
            Act::AskExec => service.probe(Probe::exec(["true"])),
            Act::RelativePath => service.file("etc/passwd", text!["x"]),
            Act::ParentPath => service.volume("/data/../etc", "data"),
            Act::UndeclaredSecret => service.env_secret("PASSWORD", "someone-elses"),
            Act::LiteralSecret => {
                let mut service = service.env_secret("PASSWORD", "x");
                service.env[0].value = text!["hunter", "2"];
                service
            }
            Act::UnknownContainer => service.output("peer", vec![Part::Host("nobody".into())]),
            Act::PortZero => service.probe(Probe::tcp(0)),
            Act::LongInterval => service.probe(Probe::tcp(1).every(u32::MAX)),
            Act::SetUserId => {
                let mut service = service.file("/bin/tool", text!["x"]);
                service.files[0].mode = 0o4755;
                service
            }
            Act::Twice => service.env("A", "1").env("A", "2"),
            Act::ControlCharacter => service.note("first\nsecond"),
            Act::NoDiagnostics => return Err(Vec::new()),
        })
    }
}

/// Work after the call, so that it is not turned into a loop, and a small frame, so
/// that the host's stack ends before the plugin's own memory does.
#[inline(never)]
#[allow(unconditional_recursion)]
fn recurse(depth: u64) -> u64 {
    recurse(black_box(depth) + 1) + depth
}

fn vary(service: Service) -> Service {
    let map: HashMap<u32, u32> = (0..100).map(|n| (n, n)).collect();
    let order: Vec<String> = map.keys().map(u32::to_string).collect();
    let start = Instant::now();
    service
        .volume("/data", "data")
        .note(order.join(" "))
        .note(format!("{:?}", SystemTime::now()))
        .note(format!("{:?}", start.elapsed()))
        .note(format!("{:?}", std::env::vars().collect::<Vec<_>>()))
        .note(format!("{:?}", std::env::args().collect::<Vec<_>>()))
}

impl Judge for Hostile {
    fn judge(_service: &str, observations: &[Observation]) -> Verdict {
        match observations.first() {
            Some(observation) => Verdict::Failed(observation.output.len().to_string()),
            None => Verdict::Waiting("two\nlines".to_owned()),
        }
    }
}

impl Reload for Hostile {
    fn command(target: &Target) -> Option<Vec<String>> {
        (target.name == "reloads").then(|| vec!["true".to_owned()])
    }
}

doprax_sdk::export!(Hostile: judge, reload);
