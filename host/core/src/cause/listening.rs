//! Which ports a container listens on, and why nothing answers on the one that is asked.

use super::Cause;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The number of the state LISTEN in the kernel's tables.
const LISTEN: &str = "0A";

/// Where the engine's own name server listens inside each container.
const NAME_SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// The sockets that listen, from the kernel's tables of a network (`/proc/net/tcp` and
/// `/proc/net/tcp6`, proc(5)); those of the engine's own are left out.
pub fn listening(tables: &str) -> BTreeSet<SocketAddr> {
    let rows = tables.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, state) = (fields.next()?, fields.nth(1)?);
        (state == LISTEN).then(|| socket(local)).flatten()
    });
    rows.filter(|socket| socket.ip() != NAME_SERVER).collect()
}

/// `0100007F:1F90`: an address in words of the machine's order, here little endian.
fn socket(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Option<Vec<u8>> = address
        .as_bytes()
        .chunks(8)
        .map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok())
        .map(|word| word.map(u32::to_le_bytes))
        .collect::<Option<Vec<_>>>()
        .map(|words| words.concat());
    let bytes = words?;
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(v4) => IpAddr::V4(Ipv4Addr::from(v4)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}

/// Why nothing answers on `port` of a container that listens on `sockets`. Nothing where
/// something listens there for all.
pub fn of_silence(port: u16, sockets: &BTreeSet<SocketAddr>) -> Option<Cause> {
    let (inner, open): (Vec<&SocketAddr>, Vec<&SocketAddr>) =
        sockets.iter().partition(|socket| socket.ip().is_loopback());
    if open.iter().any(|socket| socket.port() == port) {
        return None;
    }
    if let Some(socket) = inner.iter().find(|socket| socket.port() == port) {
        return Some(Cause::new(
            format!("it listens on {socket} only, where nobody but itself can reach it"),
            "have it listen on all addresses (0.0.0.0): often an option such as `--host 0.0.0.0` or a variable such as HOST",
        ));
    }
    let names = |sockets: &[&SocketAddr]| {
        let names: Vec<String> = sockets.iter().map(ToString::to_string).collect();
        names.join(", ")
    };
    Some(match (open.first(), inner.is_empty()) {
        (Some(first), _) => Cause::new(
            format!(
                "nothing listens on port {port}; it listens on {}",
                names(&open)
            ),
            format!(
                "write `port: {}` in doprax.yaml, or have it listen on {port}: often by a variable such as PORT",
                first.port()
            ),
        ),
        (None, false) => Cause::new(
            format!(
                "nothing listens on port {port}; it listens on {}, where nobody but itself can reach it",
                names(&inner)
            ),
            format!(
                "have it listen on 0.0.0.0:{port}: often by options such as `--host 0.0.0.0 --port {port}`"
            ),
        ),
        (None, true) => Cause::new(
            format!("nothing listens on port {port}, nor on any other"),
            "the log says what it waits for, if anything does; where it only needs longer, raise its timeout (`health: { timeout: 120s }`)",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLES: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0B00007F:9C41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2
   2: 020011AC:1F90 010011AC:C350 01 00000000:00000000 00:00000000 00000000     0        0 3
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:2328 00000000000000000000000000000000:0000 0A 00000000:0
   1: 0000000000000000FFFF00000100007F:1F41 00000000000000000000000000000000:0000 0A 00000000:0
   2: 00000000000000000000000001000000:1F42 00000000000000000000000000000000:0000 0A 00000000:0
";

    #[test]
    fn the_kernels_tables_are_read() {
        let found: Vec<String> = listening(TABLES).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "127.0.0.1:8000",
                "127.0.0.1:8001",
                "[::]:9000",
                "[::1]:8002"
            ]
        );
        assert!(listening("nonsense\n1: x 0 0A\n").is_empty());
    }

    #[test]
    fn silence_is_told_by_what_else_listens() {
        type Case = (
            &'static [&'static str],
            Option<(&'static str, &'static str)>,
        );
        let cases: &[Case] = &[
            (&["0.0.0.0:8000"], None),
            (&["[::]:8000", "127.0.0.1:8000"], None),
            (
                &["127.0.0.1:8000"],
                Some(("it listens on 127.0.0.1:8000 only", "0.0.0.0")),
            ),
            (
                &["0.0.0.0:9000"],
                Some(("it listens on 0.0.0.0:9000", "port: 9000")),
            ),
            (
                &["127.0.0.1:9000"],
                Some(("127.0.0.1:9000, where nobody", "--port 8000")),
            ),
            (&[], Some(("nor on any other", "timeout"))),
        ];
        for (sockets, expected) in cases {
            let sockets = sockets
                .iter()
                .map(|socket| socket.parse().unwrap())
                .collect();
            match (of_silence(8000, &sockets), *expected) {
                (None, None) => {}
                (Some(cause), Some((text, help))) => {
                    assert!(cause.text.contains(text), "{cause:?}");
                    assert!(cause.help.contains(help), "{cause:?}");
                }
                (found, expected) => panic!("{sockets:?}: {found:?} for {expected:?}"),
            }
        }
    }
}
