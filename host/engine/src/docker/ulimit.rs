//! Limits that the engine may not raise on this machine (it lacks the capability
//! `SYS_RESOURCE`): found out only when the container starts.

use super::{Docker, Failure, label};
use bollard::models::{ContainerCreateBody, EndpointSettings, NetworkingConfig};

/// The limit that a refusal is about, by the engine's name for it. The text comes
/// from runc and has the number of `setrlimit(2)`.
pub(super) fn refused(message: &str) -> Option<&'static str> {
    let (_, rest) = message.split_once("error setting rlimit type ")?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    Some(match rest[..digits].parse().ok()? {
        0 => "cpu",
        1 => "fsize",
        2 => "data",
        3 => "stack",
        4 => "core",
        5 => "rss",
        6 => "nproc",
        7 => "nofile",
        8 => "memlock",
        10 => "locks",
        11 => "sigpending",
        12 => "msgqueue",
        13 => "nice",
        14 => "rtprio",
        15 => "rttime",
        _ => return None,
    })
}

impl Docker {
    /// Makes a container that never started once more without one of its limits,
    /// with the same labels and files. Returns whether it had that limit.
    pub(super) async fn recreate_without(
        &self,
        container: &str,
        limit: &str,
    ) -> Result<bool, Failure> {
        let Some(mut old) = self.inspect(container).await? else {
            return Ok(false);
        };
        let ulimits = old
            .host_config
            .as_mut()
            .and_then(|host| host.ulimits.as_mut());
        let Some(ulimits) = ulimits else {
            return Ok(false);
        };
        let before = ulimits.len();
        ulimits.retain(|ulimit| ulimit.name.as_deref() != Some(limit));
        if ulimits.len() == before {
            return Ok(false);
        }
        let id = old.id.clone().unwrap_or_default();
        let labels = old
            .config
            .as_ref()
            .and_then(|config| config.labels.as_ref());
        let files: Vec<String> = labels
            .and_then(|labels| labels.get(label::FILES))
            .and_then(|paths| serde_json::from_str(paths).ok())
            .unwrap_or_default();
        let endpoints = old
            .network_settings
            .and_then(|settings| settings.networks)
            .unwrap_or_default()
            .into_iter()
            .map(|(network, endpoint)| (network, without_id(endpoint, &id)))
            .collect();
        // Inspection and creation have the same fields.
        let config = serde_json::to_value(&old.config).map_err(Failure::other)?;
        let body = ContainerCreateBody {
            host_config: old.host_config,
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(endpoints),
            }),
            ..serde_json::from_value(config).map_err(Failure::other)?
        };
        let unfinished = self.create_incomplete(container, &body).await?;
        let mut copies = Vec::with_capacity(files.len());
        for path in files {
            copies.push(self.read_file(&id, path).await?);
        }
        self.put_files(&unfinished, copies).await?;
        self.remove(&id).await?;
        self.rename(&unfinished, container).await?;
        Ok(true)
    }
}

/// An endpoint without the alias that the engine itself adds: the container's id.
fn without_id(endpoint: EndpointSettings, id: &str) -> EndpointSettings {
    let aliases = endpoint.aliases.unwrap_or_default();
    let aliases = aliases
        .into_iter()
        .filter(|alias| !id.starts_with(alias.as_str()))
        .collect();
    EndpointSettings {
        aliases: Some(aliases),
        ..EndpointSettings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::refused;

    #[test]
    fn the_refused_limit_is_in_the_engines_text() {
        let cases = [
            (
                "OCI runtime create failed: container_linux.go:380: starting container process \
                 caused: process_linux.go:545: container init caused: process_linux.go:480: \
                 setting rlimits for ready process caused: error setting rlimit type 8: operation \
                 not permitted: unknown",
                Some("memlock"),
            ),
            (
                "error setting rlimit type 7: operation not permitted",
                Some("nofile"),
            ),
            (
                "error setting rlimit type 99: operation not permitted",
                None,
            ),
            ("no such file or directory", None),
        ];
        for (message, expected) in cases {
            assert_eq!(refused(message), expected, "{message}");
        }
    }
}
