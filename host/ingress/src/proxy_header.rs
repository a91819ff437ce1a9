//! The header by which a load balancer says for whom it has opened a connection
//! (PROXY protocol, versions 1 and 2, <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).
//!
//! Whether there is one is configured, never guessed (section 2 there).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE_2: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of a header of version 1, the end of the line included, at most.
const LINE_BYTES: usize = 107;

/// Bytes of a header of version 2 after its first 16, at most. What follows the
/// addresses there is not needed here.
const REST_BYTES: usize = 4096;

/// For whom a connection was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A client at this address.
    Client(SocketAddr),
    /// The balancer itself, which looks whether this side is well, or somebody it
    /// does not know.
    Balancer,
}

/// Reads the header, and no byte after it.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Source> {
    let mut start = [0; SIGNATURE_2.len()];
    stream.read_exact(&mut start).await?;
    let source = if start == SIGNATURE_2 {
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        let [version_and_command, family, length @ ..] = head;
        let length = usize::from(u16::from_be_bytes(length));
        if length > REST_BYTES {
            return Err(malformed());
        }
        let mut rest = vec![0; length];
        stream.read_exact(&mut rest).await?;
        version_2(version_and_command, family, &rest)
    } else {
        let mut line = start.to_vec();
        while !line.ends_with(b"\r\n") {
            if line.len() == LINE_BYTES || !line.starts_with(b"PROXY ") {
                return Err(malformed());
            }
            line.push(stream.read_u8().await?);
        }
        version_1(&line[..line.len() - 2])
    };
    source.ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the PROXY header is malformed")
}

/// Section 2.1.
fn version_1(line: &[u8]) -> Option<Source> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix("PROXY ")?;
    let mut parts = text.split(' ');
    let family = parts.next()?;
    if family == "UNKNOWN" {
        return Some(Source::Balancer);
    }
    let source = address(family, parts.next()?)?;
    address(family, parts.next()?)?;
    let (port, _) = (port(parts.next()?)?, port(parts.next()?)?);
    parts.next().is_none().then_some(())?;
    Some(Source::Client(SocketAddr::new(source, port)))
}

fn address(family: &str, text: &str) -> Option<IpAddr> {
    match family {
        "TCP4" => Ipv4Addr::from_str(text).ok().map(IpAddr::V4),
        "TCP6" => Ipv6Addr::from_str(text).ok().map(IpAddr::V6),
        _ => None,
    }
}

fn port(text: &str) -> Option<u16> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    canonical.then_some(text)?.parse().ok()
}

/// Section 2.2.
fn version_2(version_and_command: u8, family: u8, rest: &[u8]) -> Option<Source> {
    match (version_and_command, family) {
        (0x20, _) | (0x21, 0x00) => Some(Source::Balancer),
        (0x21, 0x11) => {
            let (addresses, _) = rest.split_first_chunk::<12>()?;
            let [a, b, c, d, _, _, _, _, port @ .., _, _] = *addresses;
            let source = Ipv4Addr::new(a, b, c, d).into();
            Some(Source::Client(SocketAddr::new(
                source,
                u16::from_be_bytes(port),
            )))
        }
        (0x21, 0x21) => {
            let (source, rest) = rest.split_first_chunk::<16>()?;
            let (_destination, rest) = rest.split_first_chunk::<16>()?;
            let (ports, _) = rest.split_first_chunk::<4>()?;
            let port = u16::from_be_bytes([ports[0], ports[1]]);
            let source = Ipv6Addr::from(*source).into();
            Some(Source::Client(SocketAddr::new(source, port)))
        }
        _ => None,
    }
}
