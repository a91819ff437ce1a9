//! Name servers of the test's own: NSD, that has the last word on the zones `example.net`
//! and `example.org`, and Unbound, a cache that asks it and keeps what it hears.

use crate::docker::Docker;
use crate::wait_for;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

const IMAGE: &str = "doprax-test/dns:1";

/// The two servers. They are the instance's, and go with its other objects.
pub struct Dns<'a> {
    docker: &'a Docker,
    authority: String,
    cache: String,
}

impl<'a> Dns<'a> {
    /// Starts both; the zones hold nothing yet.
    #[track_caller]
    pub fn start(docker: &'a Docker) -> Self {
        let authority = docker.run_labelled(IMAGE, &["nsd", "-d"]);
        let mut dns = Self {
            docker,
            authority,
            cache: String::new(),
        };
        let address = dns.address_of(&dns.authority);
        let stub = |zone: &str| format!("stub-zone:\n  name: {zone}\n  stub-addr: {address}\n");
        let zones = [stub("example.net"), stub("example.org")].concat();
        let script = format!("printf '{zones}' >>/etc/unbound/unbound.conf; exec unbound -d");
        dns.write("example.net", "");
        dns.write("example.org", "");
        dns.cache = docker.run_labelled(IMAGE, &["sh", "-c", &script]);
        dns
    }

    /// Where the cache answers: what a machine has as its resolver.
    #[track_caller]
    pub fn cache(&self) -> SocketAddr {
        format!("{}:53", self.address_of(&self.cache))
            .parse()
            .unwrap()
    }

    /// Ends the cache: nobody answers there any more.
    #[track_caller]
    pub fn end_cache(&self) {
        self.docker.run(&["kill", &self.cache]);
    }

    /// Where the authority answers.
    #[track_caller]
    pub fn authority(&self) -> SocketAddr {
        let address = self.address_of(&self.authority);
        format!("{address}:53").parse().unwrap()
    }

    /// Gives a zone these records, in the place of those that it had.
    #[track_caller]
    pub fn write(&self, zone: &str, records: &str) {
        let address = self.address_of(&self.authority);
        let serial = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() % 1_000_000_000;
        let serial = u32::try_from(serial).unwrap();
        let text = format!(
            "$TTL 3600\n\
             @ IN SOA ns.{zone}. hostmaster.{zone}. {serial} 3600 600 86400 3600\n\
             @ IN NS ns.{zone}.\n\
             ns IN A {address}\n\
             {records}\n"
        );
        let script = format!(
            "mkdir -p /zones && cat >/zones/{zone}.new <<'END' && mv /zones/{zone}.new /zones/{zone} \
             && kill -HUP 1\n{text}END\n"
        );
        let exec = ["exec", &self.authority, "sh", "-c", &script];
        self.docker.run(&exec);
        // It reads zones after it was told to.
        wait_for("the name server to have the zone", 30, || {
            serves(self.authority(), zone, serial).then_some(())
        });
    }

    #[track_caller]
    fn address_of(&self, container: &str) -> String {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        self.docker.run(&["inspect", "--format", format, container])
    }
}

/// Whether the SOA record that a server gives of a zone has this serial number (RFC 1035,
/// sections 3.3.13 and 4.1).
fn serves(server: SocketAddr, zone: &str, serial: u32) -> bool {
    let mut query = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in zone.split('.') {
        query.push(u8::try_from(label.len()).unwrap());
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 6, 0, 1]);
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut answer = [0; 512];
    let asked = socket.send_to(&query, server);
    let read = asked.and_then(|_| socket.recv(&mut answer)).unwrap_or(0);
    let serial = serial.to_be_bytes();
    answer[..read].windows(4).any(|bytes| bytes == serial)
}
