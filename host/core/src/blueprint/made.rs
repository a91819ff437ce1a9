//! What a container is made from, and the digest of it that it bears as a label.

use super::{Container, Env, File, Image, Runtime, sha256_hex};
use crate::name::ServiceName;
use crate::resources::Resources;
use crate::secret::SecretName;
use crate::service::Ulimit;
use crate::spec::{Strategy, VolumeMount};
use serde::Serialize;
use std::collections::BTreeMap;

/// The only form that there is, in front of what is digested.
const FORM: u8 = 1;

/// Everything that cannot change without a new container, as its digest is taken of it.
///
/// Containers of every earlier host bear digests of this form: a field that is here is
/// written as it always was, and one that is added is left out where it says nothing, so
/// that what does not use it keeps its digest.
#[derive(Serialize)]
struct MadeFrom<'a> {
    name: &'a ServiceName,
    plugin: Option<&'a str>,
    stage: &'static str,
    image: ImageName<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<ImageId<'a>>,
    env: &'a BTreeMap<String, Env>,
    entrypoint: Option<&'a [String]>,
    command: Option<&'a [String]>,
    user: Option<&'a str>,
    files: &'a [File],
    mounts: &'a [VolumeMount],
    aliases: &'a [String],
    #[serde(flatten)]
    unused: Unused,
    resources: Resources,
    shm_size: Option<u64>,
    ulimits: &'a [Ulimit],
    capabilities: &'a [String],
    stop_signal: Option<&'a str>,
    stop_grace_ms: u32,
    outputs: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    init: Option<bool>,
    #[serde(flatten)]
    runtime: &'a Runtime,
}

/// An image is what it holds: the same image from another source is no change.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum ImageName<'a> {
    Pull { reference: &'a str },
}

#[derive(Serialize)]
struct ImageId<'a> {
    id: &'a str,
}

/// What the host does with a running container is no part of what it is. These once stood
/// here, each as nothing.
#[derive(Serialize)]
struct Unused {
    port: Option<u16>,
    port_reason: &'static str,
    probes: [(); 0],
    ready_timeout_ms: u32,
    judged: bool,
    reload: Option<()>,
    strategy: Strategy,
}

const UNUSED: Unused = Unused {
    port: None,
    port_reason: "",
    probes: [],
    ready_timeout_ms: 0,
    judged: false,
    reload: None,
    strategy: Strategy::Rolling,
};

impl Container {
    /// Digest of everything that cannot change without a new container, the revisions of
    /// its secrets included. Kept as a label on the container, so that the engine itself
    /// tells what a container was made from. Limits that the engine changes while a
    /// container runs are no part of it.
    pub fn made_from(&self, revisions: &BTreeMap<SecretName, u64>) -> String {
        let resources = Resources {
            disk: self.resources.disk,
            ..Resources::default()
        };
        self.digest(resources, revisions)
    }

    /// The digest that containers of earlier hosts bear, in which limits are too; the same
    /// for one without limits.
    pub fn hash(&self, revisions: &BTreeMap<SecretName, u64>) -> String {
        self.digest(self.resources, revisions)
    }

    fn digest(&self, resources: Resources, revisions: &BTreeMap<SecretName, u64>) -> String {
        // What is added to a container has to be decided about here.
        let Self {
            name,
            plugin,
            stage: _,
            image,
            identity,
            env,
            entrypoint,
            command,
            user,
            files,
            mounts,
            aliases,
            port: _,
            port_reason: _,
            probes: _,
            ready_timeout_ms: _,
            judged: _,
            component: _,
            restart_after: _,
            needs: _,
            reload: _,
            strategy: _,
            resources: _,
            shm_size,
            ulimits,
            capabilities,
            stop_signal,
            stop_grace_ms,
            outputs: _,
            init,
            runtime,
        } = self;
        let (Image::Build { reference, .. } | Image::Pull { reference }) = image;
        let identity = identity.as_ref().filter(|identity| !identity.adopted);
        let made_from = MadeFrom {
            name,
            plugin: plugin.as_deref(),
            stage: "service",
            image: ImageName::Pull { reference },
            identity: identity.map(|identity| ImageId { id: &identity.id }),
            env,
            entrypoint: entrypoint.as_deref(),
            command: command.as_deref(),
            user: user.as_deref(),
            files,
            mounts,
            aliases,
            unused: UNUSED,
            resources,
            shm_size: *shm_size,
            ulimits,
            capabilities,
            stop_signal: stop_signal.as_deref(),
            stop_grace_ms: *stop_grace_ms,
            outputs: BTreeMap::new(),
            init: *init,
            runtime,
        };
        let used: BTreeMap<&str, u64> = self
            .made_with()
            .into_iter()
            .map(|name| (name.as_str(), revisions.get(name).copied().unwrap_or(0)))
            .collect();
        let json = serde_json::to_vec(&(FORM, &made_from, used))
            .expect("what a container is made from has only string keys, so it serializes");
        sha256_hex(&json)
    }
}
