//! What this engine can do.

use super::{Docker, Failure, LOOK, init};
use crate::{Error, Facts};
use bollard::models::SystemInfo;
use std::path::Path;

impl Docker {
    /// Asks the engine; two requests.
    pub(super) async fn find_facts(&self) -> Result<Facts, Error> {
        self.ask_facts()
            .await
            .map_err(|failure| self.error(failure, "ask the engine what it can do"))
    }

    async fn ask_facts(&self) -> Result<Facts, Failure> {
        let api_version = self.transport.version().await?;
        let (version, info) = tokio::try_join!(
            self.within(LOOK, self.client.version()),
            self.within(LOOK, self.client.info()),
        )?;
        let mounts = match self.transport.is_local() {
            true => tokio::fs::read_to_string("/proc/self/mountinfo")
                .await
                .unwrap_or_default(),
            false => String::new(),
        };
        let components = version.components.unwrap_or_default();
        let is_docker = components
            .iter()
            .all(|component| !component.name.contains("Podman"));
        let system = [&info.operating_system, &info.kernel_version].map(|text| text.as_deref());
        Ok(Facts {
            version: version.version.unwrap_or_default(),
            api_version: version
                .api_version
                .unwrap_or_else(|| api_version.to_string()),
            system: system
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(", Linux "),
            // Every Docker since 18.09 has it on Linux; Podman builds its own way.
            buildkit: is_docker && info.os_type.as_deref() == Some("linux"),
            disk_limit: disk_limit(&info, &mounts),
            memory_limit: info.memory_limit.unwrap_or_default(),
            cpu_limit: info.cpu_cfs_quota.unwrap_or_default(),
            pids_limit: info.pids_limit.unwrap_or_default(),
            init: init::is_there(&info),
        })
    }
}

/// Whether `storage-opt size` works: always with some drivers; with overlay2 only on
/// XFS that was mounted with project quotas. `mounts` is `/proc/self/mountinfo` of
/// the engine's machine, empty where it is another one.
fn disk_limit(info: &SystemInfo, mounts: &str) -> bool {
    match info.driver.as_deref() {
        Some("btrfs" | "zfs" | "devicemapper" | "windowsfilter") => true,
        Some("overlay2") => {
            let root = info.docker_root_dir.as_deref().unwrap_or("/var/lib/docker");
            has_project_quota(mounts, Path::new(root))
        }
        _ => false,
    }
}

/// Whether the file system under `path` is XFS with project quotas (proc(5):
/// fields of `/proc/pid/mountinfo`).
fn has_project_quota(mounts: &str, path: &Path) -> bool {
    let mount = mounts.lines().filter_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?;
        path.starts_with(point).then_some((point.len(), filesystem))
    });
    // Of mounts on one point the last one is on top.
    let Some((_, filesystem)) = mount.max_by_key(|(depth, _)| *depth) else {
        return false;
    };
    let mut fields = filesystem.split(' ');
    let kind = fields.next();
    let options = fields.nth(1).unwrap_or_default();
    kind == Some("xfs")
        && options
            .split(',')
            .any(|option| option == "prjquota" || option == "pquota")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_limit_needs_project_quotas_under_the_engines_folder() {
        let root = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n";
        let xfs = "30 22 8:1 / /var/lib/docker rw shared:9 - xfs /dev/sdb1 rw,attr2";
        let cases = [
            (root.to_owned(), false),
            (format!("{root}{xfs},noquota\n"), false),
            (format!("{root}{xfs},prjquota\n"), true),
            (String::new(), false),
        ];
        for (mounts, expected) in cases {
            assert_eq!(
                has_project_quota(&mounts, Path::new("/var/lib/docker")),
                expected,
                "{mounts}"
            );
        }
    }
}
