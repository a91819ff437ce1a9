//! What the engine says exists now of an app, in the words of the blueprint.

use crate::copy::CopyName;
use crate::name::{ServiceName, VolumeName};
use crate::resources::Resources;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// What exists now of one app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The app's network.
    pub network: Option<Network>,
    /// The app's volumes.
    #[serde(default)]
    pub volumes: BTreeSet<VolumeName>,
    /// The app's containers, in any state.
    #[serde(default)]
    pub containers: Vec<ObservedContainer>,
    /// References of the blueprint's images that the engine has.
    #[serde(default)]
    pub images: BTreeSet<String>,
}

/// An app's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its subnet.
    pub subnet: Ipv4Net,
}

/// A container in any state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedContainer {
    /// The engine's id.
    pub id: String,
    /// Its name.
    pub name: CopyName,
    /// Which container of the app it is a copy of.
    pub service: ServiceName,
    /// The digest it was made from, see [`crate::blueprint::Container::hash`].
    pub hash: String,
    /// What it does.
    pub state: State,
    /// Whether it is on the app's network, or will be when it starts.
    #[serde(default = "attached")]
    pub attached: bool,
    /// Its address on the app's network while it runs.
    #[serde(default)]
    pub address: Option<Ipv4Addr>,
    /// Unix time in seconds at which it was created.
    #[serde(default)]
    pub created: i64,
    /// Unix time in milliseconds of its latest start.
    #[serde(default)]
    pub started_ms: Option<i64>,
    /// Unix time in milliseconds at which its process last ended, if it ever did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
    /// How many times the engine restarted it after a crash.
    #[serde(default)]
    pub restarts: u32,
    /// Exit code of its process when it last ended, if it ever did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// Whether the kernel ended its process for want of memory when it last ended. A start
    /// makes the engine forget it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub out_of_memory: bool,
    /// Image reference it was made from.
    #[serde(default)]
    pub image: String,
    /// The engine's id of that image.
    #[serde(default)]
    pub image_id: String,
    /// The limits that hold for it; absent where they were not looked at, or where the
    /// engine cannot keep any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// The check of its health that its image declares, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
}

/// Limits that the engine keeps for a container, and can change while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Processor time, in thousandths of one processor.
    pub millicpus: Option<u32>,
    /// Processors of the machine, in thousandths: a limit of all of them is none.
    pub machine_millicpus: u32,
    /// Whether it has what the host gives every container: its restart policy and its
    /// limit of processes.
    pub usual: bool,
}

impl Limits {
    /// Whether these are the limits that are wanted.
    pub fn hold(&self, wanted: &Resources) -> bool {
        let cpus = match wanted.millicpus {
            Some(wanted) => self.millicpus == Some(wanted),
            None => self.millicpus.is_none_or(|it| it >= self.machine_millicpus),
        };
        self.usual && cpus && self.memory == wanted.memory
    }
}

/// A check that an image declares, and what came of it where the engine carries it out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healthcheck {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Longest duration of one try, in milliseconds.
    pub timeout_ms: u64,
    /// How long a container may take to pass it, in milliseconds.
    pub patience_ms: u64,
    /// Whether it passed the last time, as far as the engine has tried.
    pub passes: Option<bool>,
    /// What it printed when it was last tried.
    pub output: String,
}

fn attached() -> bool {
    true
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Made, never started.
    Created,
    /// Its process runs.
    Running,
    /// Its process ended; the engine starts it again after a pause.
    Restarting,
    /// Suspended by hand.
    Paused,
    /// Its process ended with this code.
    Exited(i64),
    /// The engine could not remove it.
    Dead,
}
