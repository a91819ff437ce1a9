//! The addresses of this machine.

use std::net::{IpAddr, SocketAddr, UdpSocket};

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
/// for all addresses of its family, the one that this machine sends from. Those for this
/// machine only are none.
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
        .filter(|ip| !ip.is_loopback())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_for_this_machine_only_has_no_address_for_the_world() {
        let listen = |text: &str| text.parse().unwrap();
        assert_eq!(
            world(&[
                listen("127.0.0.1:80"),
                listen("[::1]:80"),
                listen("192.0.2.7:80")
            ]),
            [IpAddr::from([192, 0, 2, 7])]
        );
    }
}
