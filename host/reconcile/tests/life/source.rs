//! Sources of the app of these tests, as a client sends them.

use crate::stage::app;
use doprax_core::source::{Entry, SourceDigest};
use doprax_reconcile::request::{DeployRequest, Refresh};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Main, Redis with a password, and a proxy in front: volumes, secrets, a reload.
const MANIFEST: &str = "\
front: proxy
main:
  volumes:
    - name: static
      mount: /srv/static
  envs:
    - TOKEN: random_1
      type: password
    - API_KEY: $API_KEY
      type: secret
services:
  - redis:
      image: test/redis:7
      settings: { password: true }
  - container:
      name: proxy
      image: test/proxy:1
      settings: { ports: [8081], after-main: true, reload: [proxy, reload] }
";

/// A source.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) manifest: String,
    dockerfile: String,
    answer: String,
    api_key: String,
}

impl Source {
    /// A version of the app whose front is main and answers with this text.
    pub(crate) fn new(answer: &str) -> Self {
        Self::with_proxy(answer).replace("front: proxy", "front: main")
    }

    /// The same with the proxy as its front.
    pub(crate) fn with_proxy(answer: &str) -> Self {
        Self {
            manifest: MANIFEST.to_owned(),
            dockerfile: format!("FROM base\nENV ANSWER={answer}\nEXPOSE 8080\n"),
            answer: answer.to_owned(),
            api_key: "of-the-first-day".to_owned(),
        }
    }

    /// The same, deployed with another value for its key.
    pub(crate) fn with_key(mut self, key: &str) -> Self {
        self.api_key = key.to_owned();
        self
    }

    /// The same on another base image.
    pub(crate) fn on(mut self, base: &str) -> Self {
        self.dockerfile = self
            .dockerfile
            .replace("FROM base", &format!("FROM {base}"));
        self
    }

    /// The same with one more step of its build.
    pub(crate) fn step(mut self, step: &str) -> Self {
        self.dockerfile.push_str(step);
        self
    }

    /// The same without any services.
    pub(crate) fn without_services(mut self) -> Self {
        let services = self.manifest.find("services:").unwrap();
        self.manifest.truncate(services);
        self
    }

    /// The same with another text in its manifest, which must have the first.
    pub(crate) fn replace(mut self, from: &str, to: &str) -> Self {
        assert!(self.manifest.contains(from), "no {from:?}");
        self.manifest = self.manifest.replace(from, to);
        self
    }

    /// What visitors get.
    pub(crate) fn answer(&self) -> String {
        self.answer.clone()
    }

    /// The archive (tar) of the source.
    pub(crate) fn archive(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(self.dockerfile.len() as u64);
        header.set_mode(0o644);
        let added = archive.append_data(&mut header, "Dockerfile", self.dockerfile.as_bytes());
        added.unwrap();
        archive.into_inner().unwrap()
    }

    /// What a client asks for.
    pub(crate) fn request(&self) -> DeployRequest {
        let mut digest = SourceDigest::new();
        let file = Entry::File {
            executable: false,
            sha256: Sha256::digest(self.dockerfile.as_bytes()).into(),
        };
        digest.add("Dockerfile", &file).unwrap();
        DeployRequest {
            default_app: Some(app()),
            file_name: "doprax.yaml".to_owned(),
            manifest: self.manifest.clone(),
            source: digest.finish(),
            dockerfile: self.dockerfile.clone(),
            files: BTreeMap::new(),
            variables: BTreeMap::from([("API_KEY".to_owned(), self.api_key.clone())]),
            commit: None,
            refresh: Refresh::default(),
            confirmed: None,
            actor: None,
        }
    }
}
