//! Limits that the engine keeps for a container, and changes while it runs.

use super::body::{PIDS, restart_policy};
use super::{CHANGE, Docker, Failure, LOOK, init};
use crate::{Error, Outcome};
use bollard::models::ContainerInspectResponse;
use doprax_core::observed::Limits;
use doprax_core::resources::Resources;
use serde_json::json;

/// More memory than any machine has, in bytes. The engine takes no limit away from a
/// container, but it raises it: to this where there shall be none.
const BOUNDLESS: u64 = 1 << 62;

/// What decides about limits on the engine's machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    millicpus: u32,
    /// Whether the engine keeps all limits that a container may have.
    keeps: bool,
    /// Whether it has an init for containers.
    pub(super) init: bool,
}

impl Docker {
    /// What decides about limits; asked once.
    pub(super) async fn machine(&self) -> Result<Machine, Failure> {
        let ask = async || {
            let info = self.within(LOOK, self.client.info()).await?;
            let cpus = u32::try_from(info.ncpu.unwrap_or_default()).unwrap_or_default();
            let can = [info.memory_limit, info.cpu_cfs_quota, info.pids_limit];
            Ok::<_, Failure>(Machine {
                millicpus: cpus.saturating_mul(1000),
                keeps: can.into_iter().all(|can| can == Some(true)),
                init: init::is_there(&info),
            })
        };
        self.machine.get_or_try_init(ask).await.copied()
    }

    /// The limits of a container, where the engine can keep any.
    pub(super) async fn limits(
        &self,
        found: &ContainerInspectResponse,
    ) -> Result<Option<Limits>, Failure> {
        let machine = self.machine().await?;
        let Some(host) = found.host_config.as_ref().filter(|_| machine.keeps) else {
            return Ok(None);
        };
        let positive = |limit: Option<i64>| {
            let limit = limit.and_then(|limit| u64::try_from(limit).ok());
            limit.filter(|limit| *limit > 0)
        };
        Ok(Some(Limits {
            memory: positive(host.memory).filter(|memory| *memory < BOUNDLESS),
            millicpus: positive(host.nano_cpus)
                .map(|nanos| u32::try_from(nanos / 1_000_000).unwrap_or(u32::MAX)),
            machine_millicpus: machine.millicpus,
            usual: host.pids_limit == Some(PIDS)
                && host
                    .restart_policy
                    .as_ref()
                    .is_some_and(|policy| policy.name == restart_policy().name),
        }))
    }

    /// Gives a container these limits while it goes on running.
    pub(super) async fn update_container(
        &self,
        container: &str,
        wanted: &Resources,
    ) -> Result<Outcome, Error> {
        self.set_limits(container, wanted)
            .await
            .map_err(|failure| self.container_error(failure, "set the limits of", container))
    }

    async fn set_limits(&self, container: &str, wanted: &Resources) -> Result<Outcome, Failure> {
        let Some(found) = self.inspect(container).await? else {
            let message = format!("No such container: {container}");
            return Err(Failure::Refused {
                status: 404,
                message,
            });
        };
        let Some(limits) = self.limits(&found).await? else {
            return Ok(Outcome::AlreadyDone);
        };
        if limits.hold(wanted) {
            return Ok(Outcome::AlreadyDone);
        }
        let mut body = json!({ "PidsLimit": PIDS, "RestartPolicy": restart_policy() });
        match wanted.memory {
            // None of it is swap.
            Some(memory) => {
                body["Memory"] = memory.into();
                body["MemorySwap"] = memory.into();
            }
            None if limits.memory.is_some() => {
                body["Memory"] = BOUNDLESS.into();
                body["MemorySwap"] = BOUNDLESS.into();
            }
            None => {}
        }
        match wanted.millicpus {
            Some(millicpus) => body["NanoCpus"] = (i64::from(millicpus) * 1_000_000).into(),
            None if limits.millicpus.is_some() => {
                body["NanoCpus"] = (i64::from(limits.machine_millicpus) * 1_000_000).into();
            }
            None => {}
        }
        let path = format!("/containers/{container}/update");
        let updated = self.transport.post_json::<serde_json::Value>(&path, &body);
        self.within(CHANGE, updated).await.map(|_| Outcome::Done)
    }
}
