//! What a running container uses.

use super::{Docker, Failure, LOOK};
use crate::{Error, Usage};
use bollard::models::{ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt as _;

impl Docker {
    /// One measurement, without the second that the engine otherwise waits for a rate.
    pub(super) async fn find_usage(&self, container: &str) -> Result<Usage, Error> {
        let options = StatsOptionsBuilder::default()
            .stream(false)
            .one_shot(true)
            .build();
        let mut stats = self.client.stats(container, Some(options)).boxed();
        let first = async {
            match stats.next().await {
                Some(stats) => stats.map_err(Failure::from),
                None => Err(Failure::other(std::io::Error::from(
                    std::io::ErrorKind::UnexpectedEof,
                ))),
            }
        };
        self.within(LOOK, first)
            .await
            .map(|stats| usage(&stats))
            .map_err(|failure| self.container_error(failure, "measure", container))
    }
}

fn usage(stats: &ContainerStatsResponse) -> Usage {
    let memory = stats.memory_stats.as_ref();
    let cpu = stats
        .cpu_stats
        .as_ref()
        .and_then(|cpu| cpu.cpu_usage.as_ref());
    Usage {
        memory: memory.map(resident).unwrap_or_default(),
        memory_limit: memory.and_then(|memory| memory.limit).unwrap_or_default(),
        cpu_ns: cpu.and_then(|cpu| cpu.total_usage).unwrap_or_default(),
    }
}

/// Memory without the page cache that the kernel can drop: counted as
/// `total_inactive_file` by cgroup v1, as `inactive_file` by v2.
fn resident(memory: &ContainerMemoryStats) -> u64 {
    let usage = memory.usage.unwrap_or_default();
    let counted = |name| {
        memory
            .stats
            .as_ref()
            .and_then(|stats| stats.get(name))
            .copied()
    };
    let cache = counted("total_inactive_file").or_else(|| counted("inactive_file"));
    usage.saturating_sub(cache.unwrap_or_default())
}
