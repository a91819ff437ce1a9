//! What `doctor` finds of the machine that keeps apps from working.

use crate::deployed;
use doprax_e2e::App;
use std::process::Command;

/// A route of the machine's, which goes away with the test.
struct Route(String);

impl Route {
    /// A route for these addresses to the machine itself.
    #[track_caller]
    fn add(net: &str) -> Self {
        let added = Command::new("ip")
            .args(["route", "add", net, "dev", "lo"])
            .status()
            .unwrap();
        assert!(added.success(), "ip route add {net}");
        Self(net.to_owned())
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        // It may have gone by itself.
        let _ = Command::new("ip")
            .args(["route", "del", &self.0, "dev", "lo"])
            .status();
    }
}

#[test]
fn a_route_that_shadows_the_network_of_an_app_is_found() {
    let app = App::tiny("tiny", "");
    let Some(host) = deployed(&app) else { return };
    let doctor = || host.cli().command(["doctor"]).run();
    let subnet = host.cli().status("tiny")["subnet"].clone();
    let subnet = subnet.as_str().unwrap();
    doctor().says_none(&["shadows"]);

    // As a VPN brings them: for some of the addresses, more specific than the bridge's.
    let (address, _) = subnet.split_once('/').unwrap();
    let net = format!("{address}/28");
    let route = Route::add(&net);
    doctor().says(&[
        "networks",
        &format!("route {net} (to lo) shadows the network {subnet} of tiny"),
        "doprax stop tiny",
    ]);
    drop(route);
    doctor().says_none(&["shadows"]);
    host.site("tiny").wait_until_ok("/", 5);
}
