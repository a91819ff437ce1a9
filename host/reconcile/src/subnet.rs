//! Giving each app a subnet that nothing else on the machine uses.

use crate::{Error, Host};
use doprax_core::name::AppName;
use doprax_core::subnet::{PREFIX, allocate};
use doprax_store::AppRecord;
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// The kernel's routes, as procfs(5) describes them.
const ROUTES: &str = "/proc/net/route";

impl Host {
    /// Remembers a new app with a subnet of its own.
    pub(crate) async fn add_app(&self, app: &AppName) -> Result<AppRecord, Error> {
        let _allocation = self.allocation.lock().await;
        let subnet = self.free_subnet().await?;
        self.store().add_app(app, subnet).await?;
        self.record(app).await
    }

    /// A subnet of the pool that no app, no network of the engine and no route of the
    /// machine has.
    pub(crate) async fn free_subnet(&self) -> Result<Ipv4Net, Error> {
        let mut taken = self.store().subnets().await?;
        taken.extend(self.engine().subnets().await?);
        taken.extend(machine_routes());
        allocate(&self.config().pool, PREFIX, &taken).map_err(|error| Error::Unplannable {
            message: error.to_string(),
            help: Some(
                "give the host a larger pool (doprax serve --pool CIDR), or remove apps".to_owned(),
            ),
        })
    }
}

/// The networks that the machine has routes to, default routes left out. Elsewhere
/// than on Linux none are known.
pub(crate) fn machine_routes() -> Vec<Ipv4Net> {
    std::fs::read_to_string(ROUTES)
        .map(|table| parse_routes(&table))
        .unwrap_or_default()
}

fn parse_routes(table: &str) -> Vec<Ipv4Net> {
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let address = |index: usize| {
            let number = u32::from_str_radix(fields.get(index)?, 16).ok()?;
            // Printed as a number of the machine's byte order.
            Some(Ipv4Addr::from(number.to_ne_bytes()))
        };
        let net = Ipv4Net::with_netmask(address(1)?, address(7)?).ok()?;
        (net.prefix_len() > 0).then(|| net.trunc())
    };
    table.lines().skip(1).filter_map(route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn reads_the_kernels_routes() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
             eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
             eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
             docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
             broken line\n";
        let routes: Vec<String> = parse_routes(table)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(routes, ["192.0.2.0/24", "172.17.0.0/16"]);
    }
}
