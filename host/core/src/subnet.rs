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

/// Routes with a shorter prefix are default routes in parts, as VPNs have them:
/// `0.0.0.0/1` and `128.0.0.0/1`.
pub const DEFAULT_IN_PARTS: u8 = 8;

/// Routes with a shorter prefix are wider than any network that machines stand in: a
/// VPN's, of which a subnet is left out where there is no other.
const WIDE: u8 = 16;

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

/// Whether two networks have an address in common.
pub fn overlap(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(b) || b.contains(a)
}

/// A subnet for an app: the lowest that overlaps nothing in `taken` (the engine's
/// networks and subnets promised to other apps) and none of the machine's `routes`. Where
/// there is none, routes that are wider than a network of the pool, or than any network
/// that machines stand in, are passed over: the app's own route is the more specific.
pub fn choose(
    pool: &[Ipv4Net],
    taken: &[Ipv4Net],
    routes: &[Ipv4Net],
) -> Result<Ipv4Net, PoolExhausted> {
    let free_of = |counts: &dyn Fn(&Ipv4Net) -> bool| {
        let routes = routes.iter().filter(|route| counts(route));
        let taken: Vec<Ipv4Net> = taken.iter().chain(routes).copied().collect();
        allocate(pool, PREFIX, &taken)
    };
    free_of(&|route| route.prefix_len() >= DEFAULT_IN_PARTS)
        .or_else(|_| free_of(&|route| !is_wide(route, pool)))
}

/// Whether a route is no reason to leave a pool out.
fn is_wide(route: &Ipv4Net, pool: &[Ipv4Net]) -> bool {
    route.prefix_len() < WIDE || pool.iter().any(|network| route.contains(network))
}

/// Whether a route leads away what is meant for some of a subnet's addresses: it is as
/// specific as the subnet's own route, or more.
pub fn shadows(route: &Ipv4Net, subnet: &Ipv4Net) -> bool {
    subnet.contains(route)
}

/// The lowest subnet of this prefix length in the first network of the pool that has
/// one which overlaps nothing in `taken`, in any order. A default route overlaps
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
    fn wide_routes_do_not_make_a_pool_unusable() {
        // Pool, routes, what is chosen.
        let cases: [(&[&str], &[&str], Option<&str>); 8] = [
            (
                &["10.16.0.0/12"],
                &["0.0.0.0/1", "128.0.0.0/1"],
                Some("10.16.0.0/23"),
            ),
            (&["10.16.0.0/12"], &["10.0.0.0/8"], Some("10.16.0.0/23")),
            // One that no route has is taken before.
            (
                &["10.16.0.0/12", "192.168.0.0/16"],
                &["10.0.0.0/8"],
                Some("192.168.0.0/23"),
            ),
            (
                &["10.0.0.0/8"],
                &["10.0.0.0/9", "10.128.0.0/9", "10.0.0.0/24"],
                Some("10.0.2.0/23"),
            ),
            (
                &["10.16.0.0/20"],
                &["10.16.0.0/16", "10.16.0.5/32"],
                Some("10.16.2.0/23"),
            ),
            // A network that the machine stands in is left alone.
            (&["10.16.0.0/12"], &["10.16.0.0/16"], Some("10.17.0.0/23")),
            (&["10.16.0.0/23"], &["10.16.1.0/24"], None),
            (&["10.16.0.0/22"], &["10.16.1.0/24"], Some("10.16.2.0/23")),
        ];
        for (pool, routes, expected) in cases {
            let found = choose(&nets(pool), &[], &nets(routes)).ok();
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(found, expected, "{pool:?} {routes:?}");
        }
        let taken = nets(&["10.16.0.0/12"]);
        choose(&taken, &taken, &[]).unwrap_err();
    }

    #[test]
    fn a_route_shadows_what_it_is_more_specific_for() {
        let subnet = nets(&["10.16.0.0/23"])[0];
        for (route, expected) in [
            ("10.16.1.0/24", true),
            ("10.16.0.0/23", true),
            ("10.16.0.0/16", false),
            ("10.16.2.0/24", false),
        ] {
            assert_eq!(shadows(&nets(&[route])[0], &subnet), expected, "{route}");
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
