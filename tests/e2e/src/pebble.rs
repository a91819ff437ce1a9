//! A CA for tests: Pebble, that checks names at the ports of a host's ingress.

use crate::secure::secure;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running CA.
pub struct Pebble {
    port: u16,
    management: u16,
    folder: TempDir,
    process: Child,
}

impl Pebble {
    /// Starts one that asks these name servers. Nothing, and a word about it, where
    /// `DOPRAX_TEST_PEBBLE` does not name the folder of its program.
    pub fn start((http, https): (u16, u16), dns: SocketAddr) -> Option<Self> {
        let programs = crate::required::required("DOPRAX_TEST_PEBBLE")?;
        let folder = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).unwrap();
        let certificate = certificate.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("server.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.path().join("server.key"), key.serialize_pem()).unwrap();
        let (port, management) = (https + 1, https + 2);
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": folder.path().join("server.pem"),
            "privateKey": folder.path().join("server.key"),
            "httpPort": http,
            "tlsPort": https,
        }});
        let file = folder.path().join("pebble.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let process = Command::new(PathBuf::from(programs).join("pebble"))
            .arg("-config")
            .arg(file)
            .args(["-dnsserver", &dns.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pebble = Self {
            port,
            management,
            folder,
            process,
        };
        for port in [port, management] {
            crate::wait_for("the CA to answer", 20, || {
                TcpStream::connect(("127.0.0.1", port)).ok().map(drop)
            });
        }
        Some(pebble)
    }

    /// The CA as `doprax serve --acme` wants it.
    pub fn named(&self) -> String {
        let root = self.folder.path().join("server.pem");
        format!(
            "https://127.0.0.1:{}/dir,root={}",
            self.port,
            root.display()
        )
    }

    /// The roots of what it issues, in a file.
    #[track_caller]
    pub fn roots(&self) -> PathBuf {
        let url = format!("https://127.0.0.1:{}/roots/0", self.management);
        let server: &Path = &self.folder.path().join("server.pem");
        let answer = secure(&url, Some(server));
        assert_eq!(answer.status, 200, "{answer:?}");
        let file = self.folder.path().join("roots.pem");
        std::fs::write(&file, answer.body).unwrap();
        file
    }

    /// Number of orders that it was asked for.
    pub fn orders(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
        log.matches("POST /order-plz -> calling handler").count()
    }

    /// Ends it; what it was made from stays.
    pub fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.end();
    }
}
