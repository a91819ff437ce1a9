//! Processes under measurement.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// Which processors a program has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// The first half.
    Proxy,
    /// The second half, or the only one.
    Load,
}

/// Number of processors of a place.
pub(crate) fn processors() -> usize {
    (available_parallelism().unwrap().get() / 2).max(1)
}

/// A program that is to run in `place`.
pub(crate) fn command(place: Place, program: &str) -> Command {
    let first = match place {
        Place::Proxy => 0,
        Place::Load => available_parallelism().unwrap().get() - processors(),
    };
    let mut command = Command::new("taskset");
    let list = format!("{first}-{}", first + processors() - 1);
    command.args(["--cpu-list", &list, program]);
    command
}

/// A program that serves, with its children, until this is dropped.
pub(crate) struct Process(Child);

impl Process {
    /// Starts it and waits until it listens on `ports`.
    pub(crate) fn start(mut command: Command, ports: &[u16]) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut process = Self(child.expect("taskset is installed"));
        let deadline = Instant::now() + Duration::from_secs(120);
        for port in ports {
            while TcpStream::connect(("127.0.0.1", *port)).is_err() {
                if let Some(status) = process.0.try_wait().unwrap() {
                    panic!("{command:?} has ended: {status}");
                }
                assert!(Instant::now() < deadline, "{command:?}: nothing on {port}");
                std::thread::yield_now();
            }
        }
        process
    }

    /// Its CPU time.
    pub(crate) fn cpu(&self) -> Duration {
        let ticks = self.family().into_iter().map(|process| {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let after_name = stat.rsplit(')').next().unwrap_or_default();
            let fields: Vec<&str> = after_name.split_whitespace().collect();
            // utime and stime (proc(5)), in ticks of 10 ms.
            [11, 12]
                .into_iter()
                .map(|at| fields.get(at).and_then(|field| field.parse::<u64>().ok()))
                .sum::<Option<u64>>()
                .unwrap_or(0)
        });
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    /// Its resident memory in KB.
    pub(crate) fn memory(&self) -> u64 {
        let resident = self.family().into_iter().map(|process| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok())
                .unwrap_or(0)
        });
        resident.sum()
    }

    fn family(&self) -> Vec<u32> {
        let process = self.0.id();
        let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
        let children = children.unwrap_or_default();
        let children = children
            .split_whitespace()
            .filter_map(|child| child.parse().ok());
        std::iter::once(process).chain(children).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // nginx ends its workers on SIGTERM, not on SIGKILL.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}
