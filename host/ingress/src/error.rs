//! What can keep an ingress from starting.

use std::io;
use std::net::SocketAddr;

/// Why an ingress did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another program listens on the address.
    #[error(
        "cannot listen on {address}: another program does (see `ss -ltnp`); stop it or choose another port"
    )]
    PortTaken {
        /// The address.
        address: SocketAddr,
    },
    /// A port below 1024 without the right to it.
    #[error(
        "cannot listen on {address}: ports below 1024 need root or CAP_NET_BIND_SERVICE; run as root or choose a port from 1024 up"
    )]
    NeedsPrivilege {
        /// The address.
        address: SocketAddr,
    },
    /// No interface of this machine has the address.
    #[error(
        "cannot listen on {address}: no interface of this machine has this address (see `ip address`)"
    )]
    NoSuchAddress {
        /// The address.
        address: SocketAddr,
    },
    /// The system refused for another reason.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No address was given.
    #[error("the ingress needs at least one address to listen on")]
    NoAddress,
    /// The means of TLS are not there.
    #[error("cannot prepare TLS")]
    Tls {
        /// What was missing.
        source: rustls::Error,
    },
    /// A serving thread could not be started.
    #[error("cannot start a thread of the ingress")]
    Thread {
        /// What the system said.
        source: io::Error,
    },
}
