//! The init that a container gets as its first process: it passes signals on and buries
//! orphans, which most programs do not when they are the first process themselves.

use super::{Docker, Failure, LOOK};
use bollard::models::SystemInfo;
use doprax_core::blueprint::Container;

/// Programs that are an init themselves and that some images start with. Some of them
/// (s6-overlay's `/init`, systemd) refuse to be anything but the first process.
const INITS: [&str; 15] = [
    "init",
    "systemd",
    "s6-svscan",
    "s6-overlay-init",
    "tini",
    "tini-static",
    "docker-init",
    "dumb-init",
    "catatonit",
    "pid1",
    "my_init",
    "runit",
    "runit-init",
    "runsvdir",
    "runsvdir-start",
];

/// Whether the engine has an init for containers.
pub(super) fn is_there(info: &SystemInfo) -> bool {
    // Where it is missing, the engine says so in the place of its version.
    let version = info.init_commit.as_ref().and_then(|it| it.id.as_deref());
    info.init_binary
        .as_deref()
        .is_some_and(|name| !name.is_empty())
        && version != Some("N/A")
}

impl Docker {
    /// Whether a container gets an init, where the engine has one: as its blueprint says,
    /// else unless what it starts with is an init already.
    pub(super) async fn gets_init(&self, spec: &Container) -> Result<bool, Failure> {
        if !self.machine().await?.init {
            return Ok(false);
        }
        if let Some(init) = spec.init {
            return Ok(init);
        }
        if let Some(entrypoint) = &spec.entrypoint {
            return Ok(!starts_with_init(entrypoint, spec.command.as_deref()));
        }
        let reference = spec.image.reference();
        let image = match self
            .within(LOOK, self.client.inspect_image(reference))
            .await
        {
            Ok(image) => image.config.unwrap_or_default(),
            // The creation itself says that it is missing.
            Err(failure) if failure.is(404) => return Ok(true),
            Err(failure) => return Err(failure),
        };
        let command = spec.command.as_deref().or(image.cmd.as_deref());
        let entrypoint = image.entrypoint.unwrap_or_default();
        Ok(!starts_with_init(&entrypoint, command))
    }
}

/// Whether the first word of a command is an init.
fn starts_with_init(entrypoint: &[String], command: Option<&[String]>) -> bool {
    let mut words = entrypoint.iter().chain(command.unwrap_or_default());
    let program = words.next().and_then(|word| word.rsplit('/').next());
    program.is_some_and(|program| INITS.contains(&program))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::Commit;

    #[test]
    fn an_image_that_brings_its_init_is_known_by_its_first_word() {
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let cases = [
            ("/init", "", true),
            ("/usr/bin/tini -- /usr/local/bin/jenkins.sh", "", true),
            ("", "/sbin/my_init", true),
            ("/usr/bin/dumb-init --", "node server.js", true),
            ("docker-entrypoint.sh", "mysqld", false),
            ("", "python3 /init.py", false),
            ("", "", false),
        ];
        for (entrypoint, command, expected) in cases {
            let found = starts_with_init(&words(entrypoint), Some(&words(command)));
            assert_eq!(found, expected, "{entrypoint} {command}");
        }
    }

    #[test]
    fn an_engine_without_an_init_says_so() {
        let info = |binary: &str, version: &str| SystemInfo {
            init_binary: Some(binary.to_owned()),
            init_commit: Some(Commit {
                id: Some(version.to_owned()),
            }),
            ..SystemInfo::default()
        };
        assert!(is_there(&info("docker-init", "de40ad0")));
        // Debian's says no version.
        assert!(is_there(&info("docker-init", "")));
        assert!(!is_there(&info("docker-init", "N/A")));
        assert!(!is_there(&SystemInfo::default()));
    }
}
