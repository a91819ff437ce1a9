//! What is found out about a container that does not serve.

use super::Prober;
use super::why::{Broken, why};
use crate::Error;
use crate::container::{find, last_lines};
use crate::run::Run;
use doprax_core::blueprint::Container;
use doprax_core::cause::Cause;
use doprax_core::copy::CopyName;
use doprax_core::observed::{ObservedContainer, State};
use std::time::Duration;

/// Lines of the log that tell why.
const LAST_LINES: u32 = 20;

/// What was found out about a container that does not serve.
struct Finding {
    /// What was seen of it.
    reason: String,
    /// Why, where that is known.
    cause: Option<Box<Cause>>,
    /// Whether its process ended.
    ended: bool,
    /// Its last lines.
    log: Vec<String>,
}

impl Prober {
    pub(super) async fn not_settled(
        &self,
        run: &Run,
        spec: &Container,
        container: &CopyName,
        reason: String,
    ) -> Error {
        let Finding {
            reason, cause, log, ..
        } = self.look_into(run, spec, container, reason, false).await;
        Error::NotSettled {
            container: spec.name.clone(),
            reason,
            cause,
            log,
        }
    }

    pub(super) async fn not_ready(
        &self,
        run: &Run,
        spec: &Container,
        container: &CopyName,
        timed_out: Option<Duration>,
        reason: String,
        out_of_memory: bool,
    ) -> Error {
        let Finding {
            reason,
            cause,
            ended,
            log,
        } = self
            .look_into(run, spec, container, reason, out_of_memory)
            .await;
        Error::NotReady {
            container: spec.name.clone(),
            seconds: timed_out.map(|limit| limit.as_secs()),
            ended,
            reason,
            cause,
            log,
        }
    }

    /// Finds out why a container does not serve of which `reason` was seen.
    async fn look_into(
        &self,
        run: &Run,
        spec: &Container,
        container: &CopyName,
        reason: String,
        out_of_memory: bool,
    ) -> Finding {
        let name = &self.engine.name_of(&run.app, container);
        let mut finding = Finding {
            reason,
            cause: None,
            ended: false,
            log: last_lines(self.engine.as_ref(), name, LAST_LINES).await,
        };
        let Ok(found) = find(self.engine.as_ref(), &run.app, container).await else {
            return finding;
        };
        let looked = self.engine.examine(name).await.unwrap_or_default();
        let found = ObservedContainer {
            out_of_memory: out_of_memory || found.out_of_memory,
            exit_code: found.exit_code.or(looked.exit_code),
            ..found
        };
        // That its process ended says more than what a probe saw of that.
        if let Some(crash) = crash(&found) {
            (finding.ended, finding.reason) = (true, crash);
        }
        let broken = Broken {
            spec,
            found: &found,
            looked: &looked,
            ended: finding.ended,
            log: &finding.log,
            secrets: &run.inputs.secrets,
        };
        let cause = why(self.engine.as_ref(), &run.app, &broken).await;
        finding.cause = cause.map(Box::new);
        finding
    }
}

/// How a container's process ended, if it does not run steadily.
pub(super) fn crash(found: &ObservedContainer) -> Option<String> {
    let times = match found.restarts {
        0 if found.state == State::Running => return None,
        0 | 1 => String::new(),
        restarts => format!(", {restarts} times"),
    };
    Some(match found.exit_code {
        Some(code) => format!("its process ended with exit code {code}{times}"),
        None => format!("its process ended{times}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_process_that_does_not_run_steadily_has_ended() {
        let said = |state: State, restarts: u32, exit_code: Option<i64>| {
            let found = json!({
                "id": "a", "name": {"foreign": "a"}, "service": "main", "hash": "", "state": state,
                "restarts": restarts, "exit_code": exit_code,
            });
            crash(&serde_json::from_value(found).unwrap())
        };
        assert_eq!(said(State::Running, 0, None), None);
        assert_eq!(said(State::Running, 0, Some(1)), None);
        for (state, restarts, code, text) in [
            (
                State::Exited(3),
                0,
                Some(3),
                "its process ended with exit code 3",
            ),
            (
                State::Running,
                1,
                Some(3),
                "its process ended with exit code 3",
            ),
            (
                State::Restarting,
                2,
                Some(3),
                "its process ended with exit code 3, 2 times",
            ),
            (State::Running, 7, None, "its process ended, 7 times"),
        ] {
            assert_eq!(said(state, restarts, code).as_deref(), Some(text));
        }
    }
}
