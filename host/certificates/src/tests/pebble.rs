//! Pebble, with the DNS server that comes with it, on loopback.

use super::proxy::Tls;
use super::required::required;
use super::until;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The folder of the programs, from `DOPRAX_TEST_PEBBLE` (see `tests/acme/pebble`).
/// Without it the tests that need a CA say so and pass, unless every test is to run.
#[track_caller]
pub(crate) fn folder() -> Option<PathBuf> {
    required("DOPRAX_TEST_PEBBLE").map(PathBuf::from)
}

/// How a Pebble differs from the usual one.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// More of its configuration.
    pub(crate) config: Option<Value>,
    /// More of its environment.
    pub(crate) environment: Vec<(&'static str, &'static str)>,
}

/// A Pebble that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Pebble {
    pub(crate) port: u16,
    pub(crate) management_port: u16,
    pub(crate) dns_management_port: u16,
    children: Vec<Child>,
    _folder: tempfile::TempDir,
}

impl Pebble {
    /// Checks names at these ports of loopback.
    pub(crate) async fn start(
        programs: &Path,
        (http_port, tls_port): (u16, u16),
        tls: &Tls,
        options: Options,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [port, management_port, dns_port, dns_management_port] = free_ports();
        let certificate = folder.path().join("certificate.pem");
        let key = folder.path().join("key.pem");
        std::fs::write(&certificate, &tls.certificate).unwrap();
        std::fs::write(&key, &tls.key).unwrap();
        let mut config = json!({
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management_port}"),
            "certificate": certificate,
            "privateKey": key,
            "httpPort": http_port,
            "tlsPort": tls_port,
            "keyAlgorithm": "ecdsa",
            // Of several it takes one by chance if none is asked for.
            "profiles": { "default": { "description": "90 days", "validityPeriod": 90 * 24 * 3600 } },
        });
        if let Some(Value::Object(more)) = options.config {
            config.as_object_mut().unwrap().extend(more);
        }
        let file = folder.path().join("pebble.json");
        std::fs::write(&file, json!({ "pebble": config }).to_string()).unwrap();

        let dns = Command::new(programs.join("pebble-challtestsrv"))
            .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""])
            .args(["-defaultIPv6", ""])
            .arg("-dnsserver")
            .arg(format!("127.0.0.1:{dns_port}"))
            .arg("-management")
            .arg(format!("127.0.0.1:{dns_management_port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pebble = Command::new(programs.join("pebble"))
            .arg("-config")
            .arg(&file)
            .arg("-dnsserver")
            .arg(format!("127.0.0.1:{dns_port}"))
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "0")
            .env("PEBBLE_AUTHZREUSE", "0")
            .envs(options.environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // From here on they are ended whatever happens.
        let started = Self {
            port,
            management_port,
            dns_management_port,
            children: vec![dns, pebble],
            _folder: folder,
        };
        for port in [port, management_port, dns_port, dns_management_port] {
            until("Pebble answers", || {
                std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
            })
            .await;
        }
        started
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Ports that nobody listens on, all different.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
