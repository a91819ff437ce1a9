//! Subnets for the networks of apps.

use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// Prefix length of an app's subnet: 510 addresses, for up to 256 containers and as
/// many new copies beside them during a deploy.
pub const PREFIX: u8 = 23;

/// The pool where nobody chooses another: 2,048 apps, then 4,096 more.
///
/// Private addresses (RFC 1918) that others seldom use. Left out of `10.0.0.0/8`:
/// the low end (homes, offices, first networks in clouds, OpenVPN's 10.8, Swarm's
/// overlays), 10.32–10.63 (Weave, k3s), 10.64–10.127 (VPN providers, Podman's 10.88
/// and 10.89, Kubernetes services), 10.128–10.191 (Google Cloud, OpenShift), and
/// 10.224–10.255 (Azure Kubernetes, flannel). `172.16.0.0/12` and `192.168.0.0/16`
/// hold Docker's own pools, AWS's default network and most homes.
pub const DEFAULT_POOL: [Ipv4Net; 2] = [
    Ipv4Net::new_assert(Ipv4Addr::new(10, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(10, 192, 0, 0), 11),
];

/// No subnet is free.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no /{prefix} is free in the address pool {}",
    .pool.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
)]
pub struct PoolExhausted {
    /// Prefix length of the wanted subnet.
    pub prefix: u8,
    /// The pool.
    pub pool: Vec<Ipv4Net>,
}

/// The lowest subnet of this prefix length in the first network of the pool that has
/// one which overlaps nothing in `taken`: the machine's routes, the engine's networks
/// and subnets promised to other apps, in any order. A default route overlaps
/// everything and means nothing here, so it is passed over.
pub fn allocate(pool: &[Ipv4Net], prefix: u8, taken: &[Ipv4Net]) -> Result<Ipv4Net, PoolExhausted> {
    let mut taken: Vec<(u64, u64)> = taken
        .iter()
        .filter(|net| net.prefix_len() > 0)
        .map(bounds)
        .collect();
    taken.sort_unstable();
    pool.iter()
        .find_map(|network| lowest(network, prefix, &taken))
        .ok_or_else(|| PoolExhausted {
            prefix,
            pool: pool.to_vec(),
        })
}

/// The lowest free subnet of one network; `taken` ascends.
fn lowest(network: &Ipv4Net, prefix: u8, taken: &[(u64, u64)]) -> Option<Ipv4Net> {
    let size = 1u64 << 32u8.checked_sub(prefix)?;
    let (mut start, end) = bounds(network);
    for (first, last) in taken {
        if start + size <= *first {
            break;
        }
        if *last >= start {
            start = (last + 1).next_multiple_of(size);
        }
    }
    if start + size - 1 > end {
        return None;
    }
    let address = Ipv4Addr::from(u32::try_from(start).ok()?);
    Ipv4Net::new(address, prefix).ok()
}

/// First and last address.
fn bounds(network: &Ipv4Net) -> (u64, u64) {
    (
        u64::from(u32::from(network.network())),
        u64::from(u32::from(network.broadcast())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nets(texts: &[&str]) -> Vec<Ipv4Net> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Pool, what is taken, prefix length, what is allocated.
    type Case<'a> = (&'a [&'a str], &'a [&'a str], u8, Option<&'a str>);

    #[test]
    fn takes_the_lowest_that_overlaps_nothing() {
        let cases: [Case<'_>; 9] = [
            (&["10.16.0.0/12"], &[], 23, Some("10.16.0.0/23")),
            (&["10.16.0.0/12"], &["0.0.0.0/0"], 23, Some("10.16.0.0/23")),
            (
                &["10.16.0.0/12"],
                &["10.16.0.0/23", "10.16.4.0/23"],
                23,
                Some("10.16.2.0/23"),
            ),
            (
                &["10.16.0.0/12"],
                &["10.16.3.7/32", "10.16.0.0/24"],
                23,
                Some("10.16.4.0/23"),
            ),
            (&["10.16.0.0/12"], &["10.0.0.0/8"], 23, None),
            (
                &["10.16.0.0/12", "10.192.0.0/11"],
                &["10.16.0.0/12"],
                23,
                Some("10.192.0.0/23"),
            ),
            (
                &["10.16.0.0/24", "10.17.0.0/16"],
                &[],
                23,
                Some("10.17.0.0/23"),
            ),
            (&["255.255.254.0/23"], &["255.255.254.0/24"], 23, None),
            (&["0.0.0.0/0"], &[], 0, Some("0.0.0.0/0")),
        ];
        for (pool, taken, prefix, expected) in cases {
            let found = allocate(&nets(pool), prefix, &nets(taken)).ok();
            assert_eq!(
                found,
                expected.map(|text| text.parse().unwrap()),
                "{pool:?} {taken:?}"
            );
        }
    }

    #[test]
    fn says_which_pool_is_full() {
        let error = allocate(&nets(&["10.0.0.0/23"]), 23, &nets(&["10.0.1.0/24"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no /23 is free in the address pool 10.0.0.0/23"
        );
    }

    #[test]
    fn the_default_pool_has_room_for_thousands() {
        let mut taken: Vec<Ipv4Net> = DEFAULT_POOL
            .iter()
            .flat_map(|pool| pool.subnets(PREFIX).unwrap())
            .collect();
        assert_eq!(taken.len(), 6144);
        taken.reverse();
        allocate(&DEFAULT_POOL, PREFIX, &taken).unwrap_err();
        let last = taken.remove(0);
        assert_eq!(allocate(&DEFAULT_POOL, PREFIX, &taken), Ok(last));
    }

    proptest! {
        #[test]
        fn is_the_lowest_free(
            taken in prop::collection::vec((0u32..4096, 20u8..=32), 0..40),
            prefix in 22u8..=26,
        ) {
            let pool: Ipv4Net = "10.0.0.0/20".parse().unwrap();
            let taken: Vec<Ipv4Net> = taken
                .into_iter()
                .map(|(offset, length)| {
                    Ipv4Net::new(Ipv4Addr::from((10 << 24) + offset), length).unwrap().trunc()
                })
                .collect();
            let overlaps = |a: &Ipv4Net, b: &Ipv4Net| a.contains(b) || b.contains(a);
            let expected = pool
                .subnets(prefix)
                .unwrap()
                .find(|net| !taken.iter().any(|other| overlaps(net, other)));
            prop_assert_eq!(allocate(&[pool], prefix, &taken).ok(), expected);
        }
    }
}
