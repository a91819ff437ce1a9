//! The addresses of this machine.

use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// This machine's own addresses: those that browsers take `localhost` for. A machine
/// without IPv6 has one of them.
pub(crate) fn local(port: u16) -> Vec<SocketAddr> {
    let addresses = [
        SocketAddr::from(([127, 0, 0, 1], port)),
        SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port)),
    ];
    let exists = |address: &SocketAddr| std::net::TcpListener::bind((address.ip(), 0)).is_ok();
    addresses.into_iter().filter(exists).collect()
}

/// The addresses under which the world can reach what listens on these: where one stands
/// for all addresses of its family, the one that this machine sends from. Those that only
/// this machine or its network knows are none.
pub(crate) fn world(listen: &[SocketAddr]) -> Vec<IpAddr> {
    // Documentation addresses (RFC 5737, RFC 3849): a UDP socket that is connected chooses
    // a route and its source, and sends nothing.
    let sends_from = |any: &str, outside: &str| {
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(outside).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let mut found: Vec<IpAddr> = listen
        .iter()
        .filter_map(|address| match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => sends_from("0.0.0.0:0", "192.0.2.1:9"),
            IpAddr::V6(ip) if ip.is_unspecified() => sends_from("[::]:0", "[2001:db8::1]:9"),
            ip => Some(ip),
        })
        .filter(|ip| is_public(*ip))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// What is not reached from the internet, from the registries of special-purpose addresses
/// (RFC 6890), with multicast and what is reserved.
const SPECIAL: [Ipv4Net; 15] = [
    net([0, 0, 0, 0], 8),
    net([10, 0, 0, 0], 8),
    net([100, 64, 0, 0], 10),
    net([127, 0, 0, 0], 8),
    net([169, 254, 0, 0], 16),
    net([172, 16, 0, 0], 12),
    net([192, 0, 0, 0], 24),
    net([192, 0, 2, 0], 24),
    net([192, 88, 99, 0], 24),
    net([192, 168, 0, 0], 16),
    net([198, 18, 0, 0], 15),
    net([198, 51, 100, 0], 24),
    net([203, 0, 113, 0], 24),
    net([224, 0, 0, 0], 4),
    net([240, 0, 0, 0], 4),
];

/// The global unicast addresses of IPv6 (RFC 4291 section 2.4), and what is not reached of
/// these: documentation.
const GLOBAL: Ipv6Net = net6([0x2000, 0], 3);
const SPECIAL_6: [Ipv6Net; 2] = [net6([0x2001, 0xdb8], 32), net6([0x3fff, 0], 20)];

const fn net([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn net6([a, b]: [u16; 2], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), length)
}

/// Whether an address can be reached from the internet, as far as it tells itself.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !SPECIAL.iter().any(|net| net.contains(&ip)),
        IpAddr::V6(ip) => GLOBAL.contains(&ip) && !SPECIAL_6.iter().any(|net| net.contains(&ip)),
    }
}

/// Reads an address that the operator names: any, but one that stands for all.
pub(crate) fn named(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text
        .parse()
        .map_err(|_| "an IP address such as 198.51.100.7 is wanted".to_owned())?;
    if address.is_unspecified() {
        return Err("it stands for every address; name the one that is reached".to_owned());
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_internet_reaches_is_an_address_for_the_world() {
        let listen = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 80);
        let local = "127.0.0.1 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 \
                     100.127.255.255 169.254.0.1 192.0.2.7 198.51.100.7 203.0.113.7 \
                     198.19.0.1 224.0.0.1 255.255.255.255 0.1.2.3 \
                     ::1 fd00::1 fc00::1 fe80::1 ff02::1 2001:db8::1 3fff::1 ::ffff:1.1.1.1";
        for ip in local.split_whitespace() {
            assert!(world(&[listen(ip)]).is_empty(), "{ip}");
        }
        let public = "1.1.1.1 100.128.0.1 172.32.0.1 192.169.0.1 2606:4700:4700::1111";
        for ip in public.split_whitespace() {
            assert_eq!(world(&[listen(ip)]), [ip.parse::<IpAddr>().unwrap()]);
        }
    }

    #[test]
    fn every_address_can_be_named_but_those_that_stand_for_all() {
        for ip in ["127.0.0.1", "10.1.2.3", "fd00::1", "1.1.1.1"] {
            assert_eq!(named(ip), Ok(ip.parse().unwrap()));
        }
        for wrong in ["0.0.0.0", "::", "1.1.1", "example.com", "1.1.1.1:80"] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
    }
}
