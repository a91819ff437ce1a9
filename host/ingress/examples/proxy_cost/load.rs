//! Load on one proxy, by wrk.

use crate::Proxy;
use crate::certificates::host;
use crate::process::{Place, command};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

/// Load of one kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) secure: bool,
    pub(crate) path: &'static str,
    /// Whether the requests have a body of 1 KB.
    pub(crate) post: bool,
    /// Whether each request has a connection of its own.
    pub(crate) close: bool,
    pub(crate) connections: u32,
}

/// What one load has shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// CPU microseconds of the proxy for each request.
    pub(crate) micros: f64,
    /// Requests for each second.
    pub(crate) rate: f64,
}

impl Load {
    /// Loads a proxy.
    pub(crate) fn run(self, proxy: &Proxy, folder: &Path, names: usize, seconds: u32) -> Sample {
        let script = self.script(folder, names);
        let (cpu, start) = (proxy.process.cpu(), Instant::now());
        let output = self.wrk(proxy, &script, self.connections, seconds).output();
        let elapsed = start.elapsed();
        let used = proxy.process.cpu() - cpu;
        let requests = requests(proxy, &output.expect("taskset is installed"));
        Sample {
            micros: used.as_secs_f64() * 1e6 / requests,
            rate: requests / elapsed.as_secs_f64(),
        }
    }

    /// Kilobytes that a proxy takes for each connection that has requests under way.
    pub(crate) fn memory(self, proxy: &Proxy, folder: &Path, names: usize, active: u32) -> f64 {
        let script = self.script(folder, names);
        let before = proxy.process.memory();
        let mut wrk = self.wrk(proxy, &script, active, 5);
        let mut wrk = wrk.stdout(Stdio::piped()).spawn().unwrap();
        let mut most = before;
        while wrk.try_wait().unwrap().is_none() {
            most = most.max(proxy.process.memory());
            std::thread::sleep(Duration::from_millis(50));
        }
        requests(proxy, &wrk.wait_with_output().unwrap());
        (most - before) as f64 / f64::from(active)
    }

    fn wrk(
        self,
        proxy: &Proxy,
        script: &Path,
        connections: u32,
        seconds: u32,
    ) -> std::process::Command {
        let (scheme, port) = if self.secure {
            ("https", proxy.https)
        } else {
            ("http", proxy.http)
        };
        let mut wrk = command(Place::Load, "wrk");
        wrk.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s")]);
        // Else it counts answers after two seconds as errors.
        wrk.args(["--timeout", "60s", "-s"]).arg(script);
        if self.close {
            wrk.args(["-H", "Connection: close"]);
        }
        wrk.arg(format!("{scheme}://{}:{port}{}", host(0), self.path));
        wrk
    }

    /// A script for wrk that asks for one name after the other. Inside TLS it is always
    /// the first, which the client has named before.
    fn script(self, folder: &Path, names: usize) -> PathBuf {
        let (method, body) = if self.post {
            ("POST", "string.rep('x', 1024)")
        } else {
            ("GET", "nil")
        };
        let names = if self.secure { 1 } else { names };
        let text = format!(
            "local requests, last = {{}}, 0\n\
             function init(args)\n\
             for number = 0, {names} - 1 do\n\
             local host = number == 0 and '{}' or 'name-' .. number .. '.bench.test'\n\
             requests[number + 1] = wrk.format('{method}', wrk.path, {{ Host = host, \
             Connection = wrk.headers['Connection'] }}, {body})\n\
             end\nend\n\
             function request()\nlast = last % {names} + 1\nreturn requests[last]\nend\n",
            host(0)
        );
        let path = folder.join("load.lua");
        fs::write(&path, text).unwrap();
        path
    }
}

/// The number of requests that were answered.
fn requests(proxy: &Proxy, output: &Output) -> f64 {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = ["Non-2xx", "Socket errors"]
        .iter()
        .any(|bad| text.contains(bad));
    assert!(!errors, "{}: {text}", proxy.name);
    let count = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))
        .and_then(|(count, _)| count.parse().ok());
    count.unwrap_or_else(|| panic!("{}: {text}", proxy.name))
}

pub(crate) fn median(mut samples: Vec<Sample>) -> Sample {
    samples.sort_by(|a, b| a.micros.total_cmp(&b.micros));
    samples[samples.len() / 2]
}
