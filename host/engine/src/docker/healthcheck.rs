//! The check of health that an image declares (`HEALTHCHECK`).

use bollard::models::{ContainerInspectResponse, HealthStatusEnum};
use doprax_core::observed::Healthcheck;

/// What the engine takes where the image says nothing, in milliseconds and tries.
const INTERVAL_MS: u64 = 30_000;
const TIMEOUT_MS: u64 = 30_000;
const RETRIES: u64 = 3;

/// The check that the container's image declares, if it declares one.
pub(super) fn of(found: &ContainerInspectResponse) -> Option<Healthcheck> {
    let declared = found.config.as_ref()?.healthcheck.as_ref()?;
    let command = command(declared.test.as_deref()?)?;
    let or = |nanoseconds: Option<i64>, default| {
        let given = nanoseconds.and_then(|ns| u64::try_from(ns / 1_000_000).ok());
        given.filter(|ms| *ms > 0).unwrap_or(default)
    };
    let retries = declared.retries.and_then(|n| u64::try_from(n).ok());
    let retries = retries.filter(|n| *n > 0).unwrap_or(RETRIES);
    let tried = found.state.as_ref().and_then(|state| state.health.as_ref());
    let passes = tried.and_then(|health| match health.status {
        Some(HealthStatusEnum::HEALTHY) => Some(true),
        Some(HealthStatusEnum::UNHEALTHY) => Some(false),
        _ => None,
    });
    let last = tried
        .and_then(|health| health.log.as_ref())
        .and_then(|log| log.last());
    Some(Healthcheck {
        command,
        timeout_ms: or(declared.timeout, TIMEOUT_MS),
        patience_ms: or(declared.start_period, 0) + retries * or(declared.interval, INTERVAL_MS),
        passes,
        output: last
            .and_then(|last| last.output.clone())
            .unwrap_or_default(),
    })
}

/// Whether it passes, by a text such as `Up 5 minutes (healthy)`; nothing else is listed.
pub(super) fn listed(status: &str) -> Option<Healthcheck> {
    let passes = match status.rsplit_once(" (")?.1 {
        "healthy)" => Some(true),
        "unhealthy)" => Some(false),
        _ => return None,
    };
    Some(Healthcheck {
        passes,
        ..Healthcheck::default()
    })
}

/// The command of a `HEALTHCHECK`: `CMD` has one as it is, `CMD-SHELL` one for the image's
/// shell, `NONE` takes that of a base image away.
fn command(test: &[String]) -> Option<Vec<String>> {
    match test {
        [kind, command @ ..] if kind == "CMD" && !command.is_empty() => Some(command.to_vec()),
        [kind, line] if kind == "CMD-SHELL" => {
            Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{command, listed};

    #[test]
    fn whether_a_check_passes_is_in_the_status_text() {
        let cases = [
            ("Up 5 minutes (healthy)", Some(true)),
            ("Up About a minute (unhealthy)", Some(false)),
            ("Up 2 seconds (health: starting)", None),
            ("Up 5 minutes", None),
            ("Up 5 minutes (Paused)", None),
            ("Exited (137) 2 minutes ago", None),
        ];
        for (status, passes) in cases {
            assert_eq!(listed(status).and_then(|it| it.passes), passes, "{status}");
        }
    }

    #[test]
    fn a_check_is_a_command() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let cases: [(&[&str], Option<Vec<String>>); 5] = [
            (&[], None),
            (&["NONE"], None),
            (&["CMD"], None),
            (
                &["CMD", "curl", "-f", "x"],
                Some(words(&["curl", "-f", "x"])),
            ),
            (
                &["CMD-SHELL", "curl x || exit 1"],
                Some(words(&["/bin/sh", "-c", "curl x || exit 1"])),
            ),
        ];
        for (test, expected) in cases {
            let test: Vec<String> = words(test);
            assert_eq!(command(&test), expected, "{test:?}");
        }
    }
}
