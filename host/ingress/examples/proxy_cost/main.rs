//! What the ingress costs beside nginx, HAProxy and Caddy, in one run.
//!
//! ```sh
//! cargo run --release -p doprax-ingress --example proxy_cost [ROUNDS] [SECONDS] [CASE]
//! ```
//!
//! Needs `nginx` (peer and origin), `haproxy`, `caddy`, `wrk` and `taskset`; a peer that is
//! missing is left out. Everything is on loopback. The proxies have the first half of the
//! processors, load and origin the second, and each round loads the proxies in turn, so
//! that noise of the machine hits all. The tables show medians. CPU time is that of a
//! proxy's processes alone. All add the same fields to requests, and no proxy logs; the
//! ingress counts for its metrics, and does log in the cases that say so.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod certificates;
mod ingress;
mod load;
mod peer;
mod process;

use certificates::{host, write_certificates};
use load::{Load, Sample};
use process::Process;
use std::fs;
use std::path::{Path, PathBuf};

/// What is asked for, of proxies that know so many host names.
struct Case {
    name: &'static str,
    load: Load,
}

const HTTP: Load = Load {
    secure: false,
    path: "/1k",
    post: false,
    close: false,
    connections: 50,
};
const HTTPS: Load = Load {
    secure: true,
    ..HTTP
};

const CASES: [Case; 9] = [
    Case {
        name: "HTTP 1 KB, 50",
        load: HTTP,
    },
    Case {
        name: "HTTP 1 KB, 400",
        load: Load {
            connections: 400,
            ..HTTP
        },
    },
    Case {
        name: "HTTP 100 KB, 50",
        load: Load {
            path: "/100k",
            ..HTTP
        },
    },
    Case {
        name: "HTTP 100 KB, 400",
        load: Load {
            path: "/100k",
            connections: 400,
            ..HTTP
        },
    },
    Case {
        name: "HTTP POST 1 KB, 50",
        load: Load {
            path: "/post",
            post: true,
            ..HTTP
        },
    },
    Case {
        name: "HTTPS 1 KB, 50",
        load: HTTPS,
    },
    Case {
        name: "HTTPS 1 KB, 400",
        load: Load {
            connections: 400,
            ..HTTPS
        },
    },
    Case {
        name: "HTTPS 100 KB, 50",
        load: Load {
            path: "/100k",
            ..HTTPS
        },
    },
    Case {
        name: "HTTPS handshakes, 50",
        load: Load {
            close: true,
            ..HTTPS
        },
    },
];

/// Connections with requests under way, for the memory of one.
const ACTIVE: u32 = 2_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == "serve") {
        return ingress::serve(&arguments[2..]);
    }
    let number = |at: usize, default| arguments.get(at).map_or(default, |n| n.parse().unwrap());
    let (rounds, seconds): (u32, u32) = (number(1, 3), number(2, 4));
    let only = arguments.get(3).map_or("", String::as_str);

    let folder = std::env::temp_dir().join(format!("doprax-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("1k"), vec![b'x'; 1024]).unwrap();
    fs::write(folder.join("100k"), vec![b'x'; 100 * 1024]).unwrap();
    let (origin, origin_process) = peer::origin(&folder);
    println!("{rounds} rounds of {seconds} s; medians; the ratios are the ingress's to the peer");
    for names in [1, 10_000] {
        let bench = Bench {
            folder: folder.join(names.to_string()),
            origin,
            names,
            rounds,
            seconds,
        };
        bench.run(only);
    }
    drop(origin_process);
    let _ = fs::remove_dir_all(&folder);
}

struct Bench {
    folder: PathBuf,
    origin: u16,
    names: usize,
    rounds: u32,
    seconds: u32,
}

impl Bench {
    /// Prints the tables for proxies that know so many names.
    fn run(&self, only: &str) {
        let full = |case: &Case| format!("{}, {} names", case.name, self.names);
        let cases: Vec<&Case> = CASES
            .iter()
            .filter(|case| full(case).contains(only))
            .collect();
        let with_memory = format!("memory, {} names", self.names).contains(only);
        if cases.is_empty() && !with_memory {
            return;
        }
        fs::create_dir_all(&self.folder).unwrap();
        write_certificates(&self.folder, self.names);
        let proxies = self.proxies();

        println!("\nhost names: {}", self.names);
        println!("{}", heading(&proxies, "µs CPU/request", true));
        let mut rates = Vec::new();
        for case in cases {
            let samples = self.measure(case, &proxies);
            let costs: Vec<f64> = samples.iter().map(|sample| sample.micros).collect();
            println!("{}", row(case.name, &costs, 1, true));
            let each: Vec<f64> = samples.iter().map(|sample| sample.rate).collect();
            rates.push(row(case.name, &each, 0, false));
        }
        println!("\n{}", heading(&proxies, "requests/s", false));
        println!("{}", rates.join("\n"));
        if with_memory {
            self.memory(&proxies);
        }
    }

    fn proxies(&self) -> Vec<Proxy> {
        let mut proxies = vec![ingress::start(&self.folder, self.names, self.origin, false)];
        proxies.extend(peer::start_all(&self.folder, self.names, self.origin));
        proxies.push(ingress::start(&self.folder, self.names, self.origin, true));
        proxies
    }

    fn measure(&self, case: &Case, proxies: &[Proxy]) -> Vec<Sample> {
        let mut samples = vec![Vec::new(); proxies.len()];
        for _ in 0..self.rounds {
            for (proxy, samples) in proxies.iter().zip(&mut samples) {
                samples.push(case.load.run(proxy, &self.folder, self.names, self.seconds));
            }
        }
        samples.into_iter().map(load::median).collect()
    }

    /// Prints resident memory: after what has been, and for each more connection that
    /// has a request under way.
    fn memory(&self, proxies: &[Proxy]) {
        println!("\n{}", heading(proxies, "KB resident", false));
        let mut rows = [Vec::new(), Vec::new(), Vec::new()];
        for proxy in proxies {
            for (each, load) in rows[1..].iter_mut().zip([HTTP, HTTPS]) {
                each.push(load.memory(proxy, &self.folder, self.names, ACTIVE));
            }
            rows[0].push(proxy.process.memory() as f64);
        }
        let names = [
            "after the run",
            "each connection, HTTP",
            "each connection, HTTPS",
        ];
        for (name, row) in names.into_iter().zip(rows) {
            println!("{}", self::row(name, &row, 1, false));
        }
    }
}

/// A proxy that runs.
struct Proxy {
    name: &'static str,
    http: u16,
    https: u16,
    process: Process,
}

fn heading(proxies: &[Proxy], unit: &str, ratios: bool) -> String {
    let mut line = format!("{unit:<24}");
    for proxy in proxies {
        line.push_str(&format!("{:>10}", proxy.name));
    }
    if ratios {
        for proxy in &proxies[1..] {
            line.push_str(&format!("{:>10}", format!("÷{}", proxy.name)));
        }
    }
    line
}

fn row(name: &str, figures: &[f64], digits: usize, ratios: bool) -> String {
    let mut line = format!("{name:<24}");
    for figure in figures {
        line.push_str(&format!("{figure:>10.digits$}"));
    }
    if ratios {
        for figure in &figures[1..] {
            line.push_str(&format!("{:>10.2}", figures[0] / figure));
        }
    }
    line
}

/// Where a proxy's certificate of a name is, key and chain in one file.
fn certificate_file(folder: &Path, number: usize) -> PathBuf {
    folder
        .join("certificates")
        .join(format!("{}.pem", host(number)))
}
