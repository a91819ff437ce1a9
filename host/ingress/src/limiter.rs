//! Counts open client connections: all of them, and those of each client.

use crate::config::Config;
use crate::metrics::REFUSALS;
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why a connection came to nothing before its first request; see
/// [`crate::metrics::REFUSALS`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refused {
    Accept,
    Limit,
    ProxyHeader,
    Tls,
}

/// Counts open client connections.
#[derive(Debug)]
pub(crate) struct Limiter {
    open: AtomicUsize,
    refused: [AtomicU64; REFUSALS.len()],
    clients: Mutex<HashMap<IpAddr, usize>>,
    connections: usize,
    per_client: usize,
    uncounted: Vec<IpNet>,
}

impl Limiter {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            open: AtomicUsize::new(0),
            refused: Default::default(),
            clients: Mutex::default(),
            connections: config.limits.connections,
            per_client: config.limits.connections_per_client,
            uncounted: [&config.trusted_proxies[..], &config.proxy_protocol].concat(),
        }
    }

    /// Counts a connection of `address` until what it returns is dropped; nothing if
    /// there are too many.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admission> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.connections {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.note(Refused::Limit);
            return None;
        }
        Admission {
            limiter: Arc::clone(self),
            client: None,
        }
        .of(address)
    }

    /// Number of open connections.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// A connection came to nothing.
    pub(crate) fn note(&self, refused: Refused) {
        self.refused[refused as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many did, as [`REFUSALS`] says.
    pub(crate) fn refused(&self) -> [u64; REFUSALS.len()] {
        std::array::from_fn(|at| self.refused[at].load(Ordering::Relaxed))
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open connection that is counted.
#[derive(Debug)]
pub(crate) struct Admission {
    limiter: Arc<Limiter>,
    client: Option<IpAddr>,
}

impl Admission {
    /// The same for a client that was not known before; nothing if it has too many.
    pub(crate) fn of(mut self, address: IpAddr) -> Option<Self> {
        let address = address.to_canonical();
        let limiter = &self.limiter;
        if limiter.uncounted.iter().any(|net| net.contains(&address)) {
            return Some(self);
        }
        let client = client(address);
        {
            let mut clients = limiter.clients();
            let open = clients.entry(client).or_default();
            if *open >= limiter.per_client {
                limiter.note(Refused::Limit);
                return None;
            }
            *open += 1;
        }
        self.client = Some(client);
        Some(self)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.limiter.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(client) = self.client {
            let mut clients = self.limiter.clients();
            if let Some(open) = clients.get_mut(&client) {
                *open -= 1;
                if *open == 0 {
                    clients.remove(&client);
                }
            }
        }
    }
}

/// One customer of an IPv6 provider has at least a /64.
fn client(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(connections: usize, per_client: usize) -> Arc<Limiter> {
        let mut config = Config::new(Vec::new());
        config.limits.connections = connections;
        config.limits.connections_per_client = per_client;
        config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        Arc::new(Limiter::new(&config))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
        let limiter = limiter(100, 1);
        let _v4 = limiter.admit(ip("192.0.2.1")).unwrap();
        assert!(limiter.admit(ip("192.0.2.1")).is_none());
        assert!(limiter.admit(ip("::ffff:192.0.2.1")).is_none());
        assert!(limiter.admit(ip("192.0.2.2")).is_some());
        let _v6 = limiter.admit(ip("2001:db8::1")).unwrap();
        assert!(limiter.admit(ip("2001:db8::2:3")).is_none());
        assert!(limiter.admit(ip("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn a_closed_connection_makes_room_and_nothing_is_left_of_it() {
        let limiter = limiter(100, 1);
        for _ in 0..10 {
            drop(limiter.admit(ip("192.0.2.1")).unwrap());
        }
        assert!(limiter.clients().is_empty());
        assert_eq!(limiter.open.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn trusted_proxies_count_in_the_total_only() {
        let limiter = limiter(2, 1);
        let first = limiter.admit(ip("10.1.2.3")).unwrap();
        let _second = limiter.admit(ip("10.1.2.3")).unwrap();
        assert!(limiter.admit(ip("10.1.2.3")).is_none());
        drop(first);
        assert!(limiter.admit(ip("10.1.2.3")).is_some());
    }
}
