//! Listening sockets: one for each thread on the same address, so that the kernel
//! spreads connections and no thread wakes for another.

use crate::error::Error;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Connections that wait to be accepted, at most; the kernel caps it
/// (`net.core.somaxconn`).
pub(crate) const BACKLOG: i32 = 4096;

/// Bytes that the kernel takes for a client before it has sent what it took already, more
/// or less. Without such a bound each client that reads slowly keeps megabytes of what all
/// sockets of the machine share.
const UNSENT_BYTES: u32 = 128 * 1024;

/// Takes the sockets that listen on `address` out of those that were passed on by
/// another process; none: opens `count`.
pub(crate) fn take_or_listen(
    inherited: &mut Vec<TcpListener>,
    address: SocketAddr,
    count: usize,
) -> Result<(SocketAddr, Vec<TcpListener>), Error> {
    let is_it = |socket: &mut TcpListener| socket.local_addr().is_ok_and(|at| at == address);
    let sockets: Vec<TcpListener> = inherited.extract_if(.., is_it).collect();
    if sockets.is_empty() {
        return listen(address, count);
    }
    for socket in &sockets {
        prepare(socket).map_err(|source| error(address, source))?;
    }
    Ok((address, sockets))
}

/// Returns `count` sockets that listen on `address`, and the address with the port
/// they got.
pub(crate) fn listen(
    address: SocketAddr,
    count: usize,
) -> Result<(SocketAddr, Vec<TcpListener>), Error> {
    // SO_REUSEPORT alone would let a second host of the same user share the port
    // and take half of the connections, so the port is tried without it first.
    drop(socket(address, false).map_err(|source| error(address, source))?);
    let first = socket(address, true).map_err(|source| error(address, source))?;
    let bound = first
        .local_addr()
        .map_err(|source| error(address, source))?;
    let mut sockets = vec![first];
    while sockets.len() < count {
        sockets.push(socket(bound, true).map_err(|source| error(bound, source))?);
    }
    Ok((bound, sockets))
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Connections in TIME_WAIT must not keep a host from starting again.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        // Otherwise `[::]` and `0.0.0.0` cannot both be listened on.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    if shared {
        socket.listen(BACKLOG)?;
    }
    let socket = socket.into();
    prepare(&socket)?;
    Ok(socket)
}

fn prepare(socket: &TcpListener) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    // Connections have it from the socket that accepts them.
    SockRef::from(socket).set_tcp_notsent_lowat(UNSENT_BYTES)
}

fn error(address: SocketAddr, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::AddrInUse => Error::PortTaken { address },
        io::ErrorKind::PermissionDenied => Error::NeedsPrivilege { address },
        io::ErrorKind::AddrNotAvailable => Error::NoSuchAddress { address },
        _ => Error::Listen { address, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_shared_by_all_sockets_of_one_call() {
        let (bound, sockets) = listen("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        assert_ne!(bound.port(), 0);
        assert_eq!(sockets.len(), 3);
        assert!(
            sockets
                .iter()
                .all(|socket| socket.local_addr().unwrap() == bound)
        );
    }

    #[test]
    fn sockets_that_were_passed_on_are_used() {
        let (bound, sockets) = listen("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let mut inherited = sockets;
        let (taken, sockets) = take_or_listen(&mut inherited, bound, 5).unwrap();
        assert_eq!((taken, sockets.len(), inherited.len()), (bound, 2, 0));
        let (other, _) = take_or_listen(&mut inherited, "127.0.0.1:0".parse().unwrap(), 1).unwrap();
        assert_ne!(other, bound);
    }

    #[test]
    fn connections_have_a_bound_of_what_is_unsent() {
        let (bound, sockets) = listen("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        // Of another host, that set none.
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let other_bound = other.local_addr().unwrap();
        let (_, others) = take_or_listen(&mut vec![other], other_bound, 1).unwrap();
        for (address, socket) in [(bound, &sockets[0]), (other_bound, &others[0])] {
            let _client = std::net::TcpStream::connect(address).unwrap();
            let connection = loop {
                match socket.accept() {
                    Ok((connection, _)) => break connection,
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            };
            let bytes = SockRef::from(&connection).tcp_notsent_lowat().unwrap();
            assert_eq!(bytes, 131_072);
        }
    }

    #[test]
    fn a_port_of_another_ingress_is_taken() {
        let (bound, _sockets) = listen("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let error = listen(bound, 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot listen on {bound}: another program does (see `ss -ltnp`); stop it or choose another port"
            )
        );
    }

    #[test]
    fn each_reason_not_to_listen_is_told_apart() {
        use io::ErrorKind::{AddrInUse, AddrNotAvailable, OutOfMemory, PermissionDenied};
        let why = |kind: io::ErrorKind| error(([127, 0, 0, 1], 80).into(), kind.into());
        assert!(matches!(why(AddrInUse), Error::PortTaken { .. }));
        assert!(matches!(
            why(PermissionDenied),
            Error::NeedsPrivilege { .. }
        ));
        assert!(matches!(why(AddrNotAvailable), Error::NoSuchAddress { .. }));
        assert!(matches!(why(OutOfMemory), Error::Listen { .. }));
    }

    #[test]
    fn an_address_of_another_machine_is_refused_with_a_hint() {
        let error = listen("192.0.2.1:8080".parse().unwrap(), 1).unwrap_err();
        assert!(matches!(error, Error::NoSuchAddress { .. }), "{error}");
    }
}
