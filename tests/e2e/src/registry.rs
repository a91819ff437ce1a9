//! A registry of images for tests: Debian's, on a port of loopback, where engines take HTTP.

use crate::Docker;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running registry, which goes away with the test.
pub struct Registry {
    port: u16,
    folder: TempDir,
    process: Child,
}

impl Registry {
    /// Starts one on a port that nobody has. Nothing, and a word about it, where
    /// `DOPRAX_TEST_REGISTRY` does not name its program.
    pub fn start(port: u16) -> Option<Self> {
        let program = crate::required::required("DOPRAX_TEST_REGISTRY")?;
        let folder = tempfile::tempdir().unwrap();
        let config = serde_json::json!({
            "version": 0.1,
            "log": { "level": "error" },
            "storage": { "filesystem": { "rootdirectory": folder.path().join("images") } },
            "http": { "addr": format!("127.0.0.1:{port}") },
        });
        // JSON is YAML.
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut process = Command::new(program)
            .arg("serve")
            .arg(file)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        crate::wait_for("the registry to answer", 20, || {
            assert_eq!(process.try_wait().unwrap(), None, "the registry ended");
            TcpStream::connect(("127.0.0.1", port)).ok().map(drop)
        });
        Some(Self {
            port,
            folder,
            process,
        })
    }

    /// The reference of an image in it, such as `redis:7`.
    pub fn reference(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}", self.port)
    }

    /// Puts a small image into it under a reference: a `sleep` that never ends, and a label
    /// that tells it from others. The engine forgets it again. Returns its digest.
    #[track_caller]
    pub fn push(&self, docker: &Docker, reference: &str, label: &str) -> String {
        let archive = self.archive();
        let label = format!("LABEL moved={label}");
        let command = "CMD [\"/bin/sleep\", \"infinity\"]";
        let import = ["import", "--change", &label, "--change", command];
        let local = format!("doprax-e2e-pushed:{}", self.port);
        docker.run(&[&import[..], &[archive.to_str().unwrap(), &local]].concat());
        let before = docker.attempt(&["image", "inspect", "--format", "{{.Id}}", reference]);
        let before = String::from_utf8_lossy(&before.stdout).trim().to_owned();
        docker.run(&["tag", &local, reference]);
        docker.run(&["push", "--quiet", reference]);
        let format = "{{index .RepoDigests 0}}";
        let digest = docker.run(&["image", "inspect", "--format", format, reference]);
        // The reference means again what it meant here, and nothing has the new image.
        let id = docker.run(&["image", "inspect", "--format", "{{.Id}}", reference]);
        if !before.is_empty() {
            docker.run(&["tag", &before, reference]);
        }
        docker.run(&["image", "rm", "--force", &id]);
        let (_, digest) = digest.split_once('@').unwrap();
        digest.to_owned()
    }

    /// What is in a small image: a program, and the libraries that it needs.
    fn archive(&self) -> PathBuf {
        let archive = self.folder.path().join("image.tar");
        let libraries = Command::new("ldd").arg("/bin/sleep").output().unwrap();
        let libraries = String::from_utf8(libraries.stdout).unwrap();
        let libraries = libraries
            .split_whitespace()
            .filter(|word| word.starts_with('/'));
        let made = Command::new("tar")
            .args(["--create", "--dereference", "--absolute-names", "--file"])
            .arg(&archive)
            .arg("/bin/sleep")
            .args(libraries)
            .status()
            .unwrap();
        assert!(made.success(), "tar: {made}");
        archive
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
