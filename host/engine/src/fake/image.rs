//! Images of the engine in memory, and how containers of them behave.

use crate::ImageFacts;
use doprax_core::blueprint::sha256_hex;
use std::collections::BTreeMap;
use std::time::Duration;

/// An image of the engine in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeImage {
    pub(super) ports: Vec<u16>,
    pub(super) volumes: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) files: Vec<String>,
    pub(super) printed: Vec<String>,
    pub(super) crashes: bool,
    pub(super) gets_ready: bool,
    pub(super) ends_after: Option<Duration>,
    pub(super) proxies: Option<(String, u16)>,
}

impl FakeImage {
    /// An image that exposes these ports; its containers run and are ready.
    pub fn new(ports: impl IntoIterator<Item = u16>) -> Self {
        let mut ports: Vec<u16> = ports.into_iter().collect();
        ports.sort_unstable();
        Self {
            ports,
            volumes: Vec::new(),
            env: BTreeMap::new(),
            files: Vec::new(),
            printed: Vec::new(),
            crashes: false,
            gets_ready: true,
            ends_after: None,
            proxies: None,
        }
    }

    /// It declares this folder to hold data.
    #[must_use]
    pub fn keeps(mut self, folder: &str) -> Self {
        self.volumes.push(folder.to_owned());
        self.volumes.sort_unstable();
        self
    }

    /// It has a file at this path.
    #[must_use]
    pub fn has_file(mut self, path: &str) -> Self {
        self.files.push(path.to_owned());
        self
    }

    /// A container prints this line when it starts.
    #[must_use]
    pub fn prints(mut self, line: &str) -> Self {
        self.printed.push(line.to_owned());
        self
    }

    /// A container's process ends with 1 as soon as it starts.
    #[must_use]
    pub fn crashes(mut self) -> Self {
        self.crashes = true;
        self
    }

    /// A container runs, no port of it is open, and every command that asks it whether it
    /// serves fails.
    #[must_use]
    pub fn never_ready(mut self) -> Self {
        self.gets_ready = false;
        self
    }

    /// A container's process serves, and ends with 1 this long after each start.
    #[must_use]
    pub fn ends_after(mut self, time: Duration) -> Self {
        self.ends_after = Some(time);
        self
    }

    /// A container passes requests on to this port of another container of its app. Where
    /// that is it finds out when it starts, and whenever a command whose last word is
    /// `reload` runs in it.
    #[must_use]
    pub fn proxies(mut self, service: &str, port: u16) -> Self {
        self.proxies = Some((service.to_owned(), port));
        self
    }

    pub(super) fn facts(&self) -> ImageFacts {
        let id = format!("sha256:{}", sha256_hex(format!("{self:?}").as_bytes()));
        ImageFacts {
            digests: vec![id.clone()],
            id,
            ports: self.ports.clone(),
            volumes: self.volumes.clone(),
            env: self.env.clone(),
            size: 1 << 20,
        }
    }
}
