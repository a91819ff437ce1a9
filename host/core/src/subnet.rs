//! Choosing a subnet for a new app.

use ipnet::Ipv4Net;

/// Prefix length of an app's subnet: 510 addresses hold main, 255 services, and a
/// second copy of each while it is replaced.
pub const PREFIX: u8 = 23;

/// The pool is used up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no free subnet of size /{prefix} is left in the pool ({})", list(pool))]
pub struct PoolExhausted {
    /// The pool.
    pub pool: Vec<Ipv4Net>,
    /// Prefix length that was wanted.
    pub prefix: u8,
}

fn list(pool: &[Ipv4Net]) -> String {
    pool.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Where subnets are taken from unless the operator says otherwise: 16,384 of size
/// /23. In the middle of 10.0.0.0/8 (RFC 1918), away from its ends, which routers,
/// VPNs and cluster networks choose first.
pub fn default_pool() -> Vec<Ipv4Net> {
    vec![Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 128, 0, 0), 9)]
}

/// The lowest subnet of the pool that overlaps with nothing in `taken`.
pub fn allocate(pool: &[Ipv4Net], prefix: u8, taken: &[Ipv4Net]) -> Result<Ipv4Net, PoolExhausted> {
    let mut taken: Vec<(u64, u64)> = taken.iter().map(range).collect();
    taken.sort_unstable();
    let size = 1_u64 << (32 - u32::from(prefix.min(32)));
    for net in pool {
        let (first, last) = range(net);
        // Subnets lie on multiples of their size.
        let mut start = first.next_multiple_of(size);
        for (taken_first, taken_last) in &taken {
            if *taken_first > start + size - 1 {
                break;
            }
            if *taken_last >= start {
                start = (taken_last + 1).next_multiple_of(size);
            }
        }
        if start + size - 1 <= last {
            let address = u32::try_from(start).expect("it lies in the pool, below 2^32");
            return Ok(Ipv4Net::new_assert(address.into(), prefix));
        }
    }
    Err(PoolExhausted { pool: pool.to_vec(), prefix })
}

/// First and last address as numbers.
fn range(net: &Ipv4Net) -> (u64, u64) {
    (u32::from(net.network()).into(), u32::from(net.broadcast()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<Ipv4Net> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn check(pool: &[&str], taken: &[&str], expected: Option<&str>) {
        let got = allocate(&nets(pool), PREFIX, &nets(taken)).ok();
        assert_eq!(got.map(|net| net.to_string()).as_deref(), expected, "{pool:?} {taken:?}");
    }

    #[test]
    fn takes_the_lowest_that_is_free() {
        check(&["10.0.0.0/16"], &[], Some("10.0.0.0/23"));
        check(&["10.0.0.0/16"], &["10.0.0.0/23"], Some("10.0.2.0/23"));
        check(&["10.0.0.0/16"], &["10.0.2.0/23", "10.0.0.0/24"], Some("10.0.4.0/23"));
        check(&["10.0.0.0/16"], &["10.0.2.0/23"], Some("10.0.0.0/23"));
        check(&["10.0.0.0/16"], &["10.0.0.0/20", "10.0.1.0/24"], Some("10.0.16.0/23"));
        check(&["10.0.0.0/22", "10.9.0.0/23"], &["10.0.0.0/8"], None);
        check(&["10.0.0.0/22", "10.9.0.0/23"], &["10.0.0.0/22"], Some("10.9.0.0/23"));
        check(&["10.0.0.0/24"], &[], None);
        check(&["255.255.254.0/23"], &[], Some("255.255.254.0/23"));
        check(&["255.255.254.0/23"], &["255.255.255.255/32"], None);
        check(&[], &[], None);
        check(&["10.0.0.0/16"], &["0.0.0.0/0"], None);
    }

    #[test]
    fn every_subnet_of_the_default_pool_can_be_had() {
        let pool = default_pool();
        let mut taken = Vec::new();
        for _ in 0..100 {
            taken.push(allocate(&pool, PREFIX, &taken).unwrap());
        }
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len(), 100);
        let all: Vec<Ipv4Net> = pool[0].subnets(PREFIX).unwrap().collect();
        assert_eq!(all.len(), 16_384);
        assert_eq!(allocate(&pool, PREFIX, &all[1..]), Ok(all[0]));
        assert!(allocate(&pool, PREFIX, &all).is_err());
    }
}
