//! What visitors may take, as `doprax serve` was told, and what the host itself may.

use doprax_e2e::{Host, Setup, binary, wait_for};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A set-up that needs no engine: it says so, and serves.
fn setup(limits: &[&str]) -> Setup {
    let mut setup = Setup::new("unix:///nowhere/docker.sock");
    let arguments = limits.iter().flat_map(|limit| ["--limit", limit]);
    setup.more.extend(arguments.map(str::to_owned));
    setup
}

#[test]
fn limits_that_were_changed_hold() {
    let host = Host::start_with(setup(&[
        "head-bytes=2KiB",
        "head-timeout=1s",
        "connections-per-client=2",
    ]));
    let (site, address) = (host.site("tiny"), ("127.0.0.1", host.setup.port));

    let with_a_field_of = |length: usize| {
        let request = site.request("GET", "/").header("x", "x".repeat(length));
        site.send(request.body(<_>::default()).unwrap()).unwrap()
    };
    with_a_field_of(1_000).with_status(404);
    with_a_field_of(3_000).with_status(431);

    let (begin, mut text) = (Instant::now(), String::new());
    let mut slow = TcpStream::connect(address).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    slow.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    let took = begin.elapsed();
    let expected = Duration::from_millis(900)..Duration::from_secs(10);
    assert!(expected.contains(&took), "{took:?}");

    // A connection that is refused is closed without a word.
    let open = || {
        let mut stream = TcpStream::connect(address).ok()?;
        let request = b"GET / HTTP/1.1\r\nHost: tiny.localhost\r\n\r\n";
        stream.write_all(request).ok()?;
        let read = stream.read(&mut [0; 16]).ok()?;
        (read > 0).then_some(stream)
    };
    let first = wait_for("room for a connection", 10, open);
    let second = wait_for("room for a second one", 10, open);
    assert!(open().is_none(), "a third one");
    drop(first);
    let third = wait_for("room again", 10, open);
    drop((second, third));
}

#[test]
fn the_host_may_open_as_many_files_as_the_system_allows() {
    for (limits, warned) in [(&[][..], true), (&["connections=1000"], false)] {
        let mut setup = setup(limits);
        setup.command = vec![
            "prlimit".into(),
            "--nofile=512:4096".into(),
            binary().into(),
        ];
        let host = Host::start_with(setup);
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", host.process())).unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"))
            .unwrap();
        let numbers: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
        assert_eq!(numbers, ["4096", "4096"]);
        let log = host.log();
        assert_eq!(log.contains("4096 open files"), warned, "{log}");
        assert_eq!(log.contains("about 1920 of the 10000"), warned, "{log}");
    }
}
