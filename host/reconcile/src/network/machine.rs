//! The machine's own network, as its kernel tells it. Elsewhere than on Linux nothing is
//! known of it.

use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// The kernel's routes, as procfs(5) describes them.
const ROUTES: &str = "/proc/net/route";

/// What a network's interface is like, as sysfs has it.
const INTERFACES: &str = "/sys/class/net";

/// Routes of a shorter prefix are the default route, or half of it.
const DEFAULT: u8 = 2;

/// A route of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// The addresses that it is for.
    pub(crate) net: Ipv4Net,
    /// The interface that it leads to.
    pub(crate) interface: String,
    /// Which one counts of two that are equally specific: the lower.
    metric: u32,
}

/// The routes that the machine has, default routes among them.
pub(crate) fn routes() -> Vec<Route> {
    std::fs::read_to_string(ROUTES)
        .map(|table| parse(&table))
        .unwrap_or_default()
}

/// The networks that routes are for.
pub(crate) fn nets(routes: &[Route]) -> Vec<Ipv4Net> {
    routes.iter().map(|route| route.net).collect()
}

/// Whether an engine at this address has its networks on this machine.
pub(crate) fn is_local(engine: &str) -> bool {
    engine.starts_with("unix://")
}

/// The largest packet that gets out of the machine whole, in bytes.
pub(crate) fn mtu() -> Option<u32> {
    let routes = routes();
    let path = format!("{INTERFACES}/{}/mtu", way_out(&routes)?);
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The interface that leads to the internet.
fn way_out(routes: &[Route]) -> Option<&str> {
    let default = routes
        .iter()
        .filter(|route| route.net.prefix_len() < DEFAULT);
    let used = default.max_by_key(|route| {
        let preferred = std::cmp::Reverse(route.metric);
        (route.net.prefix_len(), preferred)
    });
    used.map(|route| route.interface.as_str())
}

fn parse(table: &str) -> Vec<Route> {
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let address = |index: usize| {
            let number = u32::from_str_radix(fields.get(index)?, 16).ok()?;
            // Printed as a number of the machine's byte order.
            Some(Ipv4Addr::from(number.to_ne_bytes()))
        };
        let net = Ipv4Net::with_netmask(address(1)?, address(7)?).ok()?;
        Some(Route {
            net: net.trunc(),
            interface: (*fields.first()?).to_owned(),
            metric: fields.get(6)?.parse().ok()?,
        })
    };
    table.lines().skip(1).filter_map(route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn reads_the_kernels_routes() {
        let table = format!(
            "{HEAD}eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
             eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
             docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
             broken line\n"
        );
        let found = parse(&table);
        let routes: Vec<String> = nets(&found).iter().map(ToString::to_string).collect();
        assert_eq!(routes, ["0.0.0.0/0", "192.0.2.0/24", "172.17.0.0/16"]);
        assert_eq!(found[2].interface, "docker0");
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_way_out_is_the_default_route_that_counts() {
        let line = |interface: &str, destination: &str, metric: u32, mask: &str| {
            format!("{interface}\t{destination}\t00000000\t0003\t0\t0\t{metric}\t{mask}\t0\t0\t0\n")
        };
        let wifi = line("wlan0", "00000000", 600, "00000000");
        let wire = line("eth0", "00000000", 100, "00000000");
        let vpn = line("tun0", "00000000", 0, "00000080");
        let office = line("tun1", "0000000A", 0, "000000FF");
        for (lines, expected) in [
            ([&wifi, &wire, &office].as_slice(), Some("eth0")),
            (&[&wire, &vpn], Some("tun0")),
            (&[&office], None),
        ] {
            let table: String = lines.iter().map(|line| line.as_str()).collect();
            let routes = parse(&format!("{HEAD}{table}"));
            assert_eq!(way_out(&routes), expected, "{routes:?}");
        }
    }
}
