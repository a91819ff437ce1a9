//! Waiting until a container serves.
//!
//! Flow: look at the container, try its probes, let its plugin judge where it does,
//! pause, again. Pauses begin short, so that what is fast is seen to be fast, and
//! grow to the probe's interval.
//! Guarantees: ends in bounded time, with the probe that failed and the container's
//! last words.

use crate::execute::Run;
use crate::journal::now_ms;
use crate::probe::Subject;
use crate::report::What;
use crate::{Error, Host};
use bytes::BytesMut;
use doprax_core::blueprint::Container;
use doprax_core::name::ServiceName;
use doprax_core::observed::{ObservedContainer, State};
use doprax_core::probe::{Check, Observation, Verdict};
use doprax_engine::LogRequest;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use std::time::{Duration, Instant};

/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause where there is no probe to say how long.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long a container without probes must have run.
const STEADY_MS: i64 = 1_000;

/// How often the container itself is looked at while its probes fail.
const LOOK: Duration = Duration::from_millis(300);

/// Crashes after which a container is given up. The engine's pauses double from
/// 100 ms, so this takes about six seconds.
const CRASHES: u32 = 6;

/// Lines of the log that tell why.
const LAST_LINES: u32 = 20;

impl Host {
    /// Waits until a container passes its probes.
    pub(crate) async fn await_ready(
        &self,
        run: &Run,
        service: &ServiceName,
        container: &str,
    ) -> Result<(), Error> {
        let spec = run
            .blueprint
            .as_ref()
            .and_then(|blueprint| blueprint.containers.get(service));
        let spec = spec.expect("a plan awaits only containers of its blueprint");
        let limit = Duration::from_millis(spec.ready_timeout_ms.into());
        let end = Instant::now() + limit;
        let longest = spec
            .probes
            .iter()
            .map(|probe| Duration::from_millis(probe.interval_ms.into()))
            .min()
            .unwrap_or(LONGEST_PAUSE);
        let mut pause = FIRST_PAUSE.min(longest);
        let mut looked: Option<(Instant, ObservedContainer)> = None;
        let mut told = String::new();
        loop {
            let stale = looked.as_ref().is_none_or(|(at, _)| at.elapsed() > LOOK);
            if stale {
                let found = self.find(container).await?;
                looked = Some((Instant::now(), found));
            }
            let Some((_, found)) = &looked else { continue };
            let rest = end.saturating_duration_since(Instant::now());
            let judged = tokio::time::timeout(rest, self.judge(run, spec, found)).await;
            let verdict =
                judged.unwrap_or_else(|_| Verdict::Waiting("its probes get no answer".to_owned()));
            let reason = match verdict {
                Verdict::Ready => return Ok(()),
                Verdict::Waiting(reason) => reason,
                Verdict::Failed(reason) => {
                    return Err(self.not_ready(spec, container, limit, reason).await);
                }
            };
            if found.restarts >= CRASHES || Instant::now() + pause >= end {
                return Err(self.not_ready(spec, container, limit, reason).await);
            }
            if reason != told {
                (run.emit)(What::Waiting {
                    container: service.clone(),
                    reason: reason.clone(),
                });
                told = reason;
            }
            tokio::select! {
                () = run.failed.cancelled() => return Err(Error::GivenUp),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 3 / 2).min(longest);
        }
    }

    pub(crate) async fn find(&self, container: &str) -> Result<ObservedContainer, Error> {
        self.engine().container(container).await?.ok_or_else(|| {
            doprax_engine::Error::NoContainer {
                container: container.to_owned(),
            }
            .into()
        })
    }

    async fn judge(&self, run: &Run, spec: &Container, found: &ObservedContainer) -> Verdict {
        let address = match (found.state, found.address) {
            (State::Running, Some(address)) => address,
            (State::Exited(code), _) => {
                return Verdict::Waiting(format!("its process ended with exit code {code}"));
            }
            (State::Restarting, _) => {
                return Verdict::Waiting("its process ended and is started again".to_owned());
            }
            _ => return Verdict::Waiting("it is not running yet".to_owned()),
        };
        if spec.probes.is_empty() {
            let up = found.started_ms.map_or(0, |started| now_ms() - started);
            return if up >= STEADY_MS {
                Verdict::Ready
            } else {
                Verdict::Waiting("it has just started".to_owned())
            };
        }
        let subject = Subject {
            container: &found.name,
            address,
            started_ms: found.started_ms,
        };
        let tries = spec
            .probes
            .iter()
            .map(|probe| self.try_probe(probe, &subject, &run.material));
        let observations = join_all(tries).await;
        if let (true, Some(plugin)) = (spec.judged, &spec.plugin) {
            return match self.plugins().judge(plugin, &spec.name, &observations) {
                Ok(verdict) => verdict,
                Err(error) => Verdict::Failed(format!("its plugin failed: {error}")),
            };
        }
        let failed = observations
            .iter()
            .zip(&spec.probes)
            .find(|(seen, _)| !seen.passed);
        match failed {
            None => Verdict::Ready,
            Some((seen, probe)) => Verdict::Waiting(failure(&probe.check, seen)),
        }
    }

    async fn not_ready(
        &self,
        spec: &Container,
        container: &str,
        limit: Duration,
        reason: String,
    ) -> Error {
        // That its process ended says more than what a probe saw of that.
        let reason = match self.find(container).await {
            Ok(found) => crash(&found).unwrap_or(reason),
            Err(_) => reason,
        };
        let log = self.last_lines(container).await;
        Error::NotReady {
            container: spec.name.clone(),
            seconds: limit.as_secs(),
            reason,
            log,
        }
    }

    /// The last lines of a container's log; none where it cannot be read.
    async fn last_lines(&self, container: &str) -> Vec<String> {
        let request = LogRequest {
            tail: Some(LAST_LINES),
            ..LogRequest::default()
        };
        let Ok(mut logs) = self.engine().logs(container, request).await else {
            return Vec::new();
        };
        let mut text = BytesMut::new();
        while let Some(Ok(piece)) = logs.next().await {
            text.extend_from_slice(&piece.bytes);
            if text.len() > 64 << 10 {
                break;
            }
        }
        String::from_utf8_lossy(&text)
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

/// How a container's process ended, if it does not run steadily.
fn crash(found: &ObservedContainer) -> Option<String> {
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

/// What a failed probe saw, in one line.
fn failure(check: &Check, seen: &Observation) -> String {
    let what = match check {
        Check::Tcp { port, .. } => format!("probe TCP port {port}"),
        Check::Http { port, path } => format!("probe GET {path} on port {port}"),
        Check::Exec { command, .. } => {
            format!(
                "probe command {}",
                command.first().map_or("", String::as_str)
            )
        }
        Check::Log { contains } => format!("probe for {contains:?} in the log"),
    };
    let first = seen.output.lines().next().unwrap_or_default();
    let first: String = first.chars().take(200).collect();
    match seen.status {
        Some(status) => format!("{what} answered {status}: {first}"),
        None => format!("{what}: {first}"),
    }
}
