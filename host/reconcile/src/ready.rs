//! Waiting until a container serves, and seeing that it goes on.
//!
//! Flow: look at the container, try its probes, let its plugin judge where it does,
//! pause, again. Pauses begin short, so that what is fast is seen to be fast, and
//! grow to the probe's interval. Where neither its owner nor its plugin says more than
//! that a port answers, the check that its image declares has to pass too.
//! Guarantees: ends in bounded time, with the probe that failed and the container's
//! last words.

use crate::execute::Run;
use crate::journal::now_ms;
use crate::probe::{Subject, TLS};
use crate::report::Event;
use crate::why::Broken;
use crate::{Error, Host};
use bytes::BytesMut;
use doprax_core::blueprint::{Blueprint, Container};
use doprax_core::name::ServiceName;
use doprax_core::observed::{Healthcheck, ObservedContainer, State};
use doprax_core::probe::{Check, Observation, Probe, Verdict};
use doprax_engine::{LogRequest, Material};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use std::time::{Duration, Instant};

/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause where there is no probe to say how long.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long a container without probes must have run: one that has nothing to do or
/// cannot work mostly ends sooner.
const STEADY_MS: i64 = 3_000;

/// The same for one that has crashed: the time after which the engine, too, takes it for
/// one that runs.
const STEADY_AFTER_CRASH_MS: i64 = 10_000;

/// How long one with probes that has crashed must have run.
const UP_AFTER_CRASH_MS: i64 = 3_000;

/// The longest pause between two tries of a command in a container.
const COMMAND_PAUSE: Duration = Duration::from_secs(1);

/// The pause between two looks at one that is ready.
const SETTLE_PAUSE: Duration = Duration::from_millis(250);

/// How much longer one that was ready may take to be so again, as long as its process runs.
const SETTLE_GRACE: Duration = Duration::from_secs(10);

/// How often the container itself is looked at while its probes fail.
const LOOK: Duration = Duration::from_millis(300);

/// Crashes after which a container is given up. The engine's pauses double from
/// 100 ms, so this takes about six seconds.
const CRASHES: u32 = 6;

/// Lines of the log that tell why.
const LAST_LINES: u32 = 20;

/// What was found out about a container that does not serve.
struct Finding {
    /// What was seen of it, and why as far as that is known.
    reason: String,
    /// What to do about it, where that is known.
    help: Option<String>,
    /// Whether its process ended.
    ended: bool,
    /// Its last lines.
    log: Vec<String>,
}

impl Host {
    /// Waits until a container passes its probes.
    pub(crate) async fn await_ready(
        &self,
        run: &Run,
        service: &ServiceName,
        container: &str,
    ) -> Result<(), Error> {
        let (blueprint, spec) = run.container(service);
        let host = self.host_of(blueprint, spec);
        let is_front = blueprint.is_front(service);
        let mut limit = Duration::from_millis(spec.ready_timeout_ms.into());
        let begin = Instant::now();
        let mut longest = spec
            .probes
            .iter()
            .map(|probe| Duration::from_millis(probe.interval_ms.into()))
            .min()
            .unwrap_or(LONGEST_PAUSE);
        let mut pause = FIRST_PAUSE.min(longest);
        let mut looked: Option<(Instant, ObservedContainer)> = None;
        let mut told = String::new();
        // The engine forgets it at the next start.
        let mut out_of_memory = false;
        loop {
            let stale = looked.as_ref().is_none_or(|(at, _)| at.elapsed() > LOOK);
            if stale {
                let found = self.find(container).await?;
                looked = Some((Instant::now(), found));
            }
            let Some((_, found)) = &looked else { continue };
            out_of_memory |= found.out_of_memory;
            if let Some(check) = image_check(spec, found) {
                limit = limit.max(Duration::from_millis(check.patience_ms));
                longest = longest.max(COMMAND_PAUSE);
            }
            let end = begin + limit;
            let rest = end.saturating_duration_since(Instant::now());
            let subject = subject_of(found, host.clone(), is_front);
            let judged = self.judge(&run.material, spec, found, subject.as_ref(), false);
            let judged = tokio::time::timeout(rest, judged).await;
            let verdict =
                judged.unwrap_or_else(|_| Verdict::Waiting("its probes get no answer".to_owned()));
            let reason = match verdict {
                Verdict::Ready => return Ok(()),
                Verdict::Waiting(reason) => reason,
                Verdict::Failed(reason) => {
                    return Err(self
                        .not_ready(run, spec, container, None, reason, out_of_memory)
                        .await);
                }
            };
            let timed_out = Instant::now() + pause >= end;
            if found.restarts >= CRASHES || timed_out {
                let limit = Some(limit).filter(|_| timed_out);
                return Err(self
                    .not_ready(run, spec, container, limit, reason, out_of_memory)
                    .await);
            }
            if reason != told {
                (run.emit)(Event::Waiting {
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

    /// Sees that a container that is ready stays so for a while.
    pub(crate) async fn settle(
        &self,
        run: &Run,
        service: &ServiceName,
        container: &str,
        time: Duration,
    ) -> Result<(), Error> {
        let (blueprint, spec) = run.container(service);
        let host = self.host_of(blueprint, spec);
        let is_front = blueprint.is_front(service);
        let begin = Instant::now();
        let mut first: Option<ObservedContainer> = None;
        loop {
            let found = self.find(container).await?;
            let same = first.get_or_insert_with(|| found.clone());
            if found.state != State::Running || found.started_ms != same.started_ms {
                let reason = crash(&found).unwrap_or_else(|| "its process ended".to_owned());
                return Err(self.not_settled(run, spec, container, reason).await);
            }
            let subject = subject_of(&found, host.clone(), is_front);
            let judged = self.judge(&run.material, spec, &found, subject.as_ref(), false);
            let judged = tokio::time::timeout(time + SETTLE_GRACE, judged).await;
            let up = begin.elapsed();
            match judged {
                Ok(Verdict::Ready) if up >= time => return Ok(()),
                Ok(Verdict::Ready) => {}
                Ok(Verdict::Waiting(_)) if up < time + SETTLE_GRACE => {}
                Ok(Verdict::Waiting(reason) | Verdict::Failed(reason)) => {
                    return Err(self.not_settled(run, spec, container, reason).await);
                }
                Err(_) => {
                    let reason = "its probes get no answer any more".to_owned();
                    return Err(self.not_settled(run, spec, container, reason).await);
                }
            }
            tokio::select! {
                () = run.failed.cancelled() => return Err(Error::GivenUp),
                () = tokio::time::sleep(SETTLE_PAUSE) => {}
            }
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

    /// The host that requests to a container name. Where visitors ask, it is one of theirs;
    /// other containers are asked for by their name.
    pub(crate) fn host_of(&self, blueprint: &Blueprint, spec: &Container) -> String {
        if spec.name.is_main() || blueprint.is_front(&spec.name) {
            return self.host_name(&blueprint.app, blueprint.domain());
        }
        match spec.port {
            Some(port) => format!("{}:{port}", spec.name),
            None => spec.name.to_string(),
        }
    }

    /// Whether a container serves by what its probes say; `subject` is there while it
    /// runs. On one that is `steady`, as it served before, this costs as little as it can.
    pub(crate) async fn judge(
        &self,
        material: &Material,
        spec: &Container,
        found: &ObservedContainer,
        subject: Option<&Subject<'_>>,
        steady: bool,
    ) -> Verdict {
        let Some(subject) = subject else {
            return Verdict::Waiting(match found.state {
                State::Exited(code) => format!("its process ended with exit code {code}"),
                State::Restarting => "its process ended and is started again".to_owned(),
                _ => "it is not running yet".to_owned(),
            });
        };
        let up_ms = found.started_ms.map_or(0, |started| now_ms() - started);
        let least_ms = match (spec.probes.is_empty(), found.restarts) {
            _ if steady => 0,
            (true, 0) => STEADY_MS,
            (true, _) => STEADY_AFTER_CRASH_MS,
            (false, 0) => 0,
            (false, _) => UP_AFTER_CRASH_MS,
        };
        if up_ms < least_ms {
            return Verdict::Waiting("it has just started".to_owned());
        }
        let tries = spec
            .probes
            .iter()
            .map(|probe| self.try_probe(probe, subject, material, steady));
        let observations = join_all(tries).await;
        if let (true, Some(plugin)) = (spec.judged, &spec.plugin) {
            return match self.plugins().judge(plugin, &spec.name, &observations) {
                Ok(verdict) => verdict,
                Err(error) => Verdict::Failed(format!("its plugin failed: {error}")),
            };
        }
        let mut seen = observations.iter().zip(&spec.probes);
        if subject.is_front
            && let Some(port) = seen.clone().find_map(tls_port)
        {
            return Verdict::Failed(format!(
                "port {port} speaks TLS, and requests of visitors are sent to it in HTTP; write \
                 `protocol: https` beside its port in doprax.yaml, or have it serve HTTP too and \
                 set `port` to where it does: the ingress sees to TLS"
            ));
        }
        let failed = seen.find(|(seen, _)| !seen.passed);
        if let Some((seen, probe)) = failed {
            return Verdict::Waiting(failure(&probe.check, seen));
        }
        match image_check(spec, found) {
            Some(check) => self.judge_by_image(check, subject, steady).await,
            None => Verdict::Ready,
        }
    }

    /// Whether a container passes the check that its image declares. The engine tries it
    /// at the image's interval, which may be long: until it has passed, the host does.
    async fn judge_by_image(
        &self,
        check: &Healthcheck,
        subject: &Subject<'_>,
        steady: bool,
    ) -> Verdict {
        let seen = match check.passes {
            Some(true) => return Verdict::Ready,
            Some(false) if steady => Observation {
                passed: false,
                status: None,
                output: check.output.clone(),
            },
            None if steady => return Verdict::Ready,
            _ => {
                let limit = Duration::from_millis(check.timeout_ms);
                self.try_command(subject.container, &check.command, limit)
                    .await
            }
        };
        if seen.passed {
            return Verdict::Ready;
        }
        let last = seen.output.lines().rfind(|line| !line.trim().is_empty());
        let last: String = last.unwrap_or_default().chars().take(200).collect();
        let text = match seen.status {
            Some(code) => format!("the HEALTHCHECK of its image ended with {code}: {last}"),
            None => format!("the HEALTHCHECK of its image fails: {last}"),
        };
        Verdict::Waiting(text)
    }

    async fn not_settled(
        &self,
        run: &Run,
        spec: &Container,
        container: &str,
        reason: String,
    ) -> Error {
        let Finding {
            reason, help, log, ..
        } = self.look_into(run, spec, container, reason, false).await;
        Error::NotSettled {
            container: spec.name.clone(),
            reason,
            help,
            log,
        }
    }

    async fn not_ready(
        &self,
        run: &Run,
        spec: &Container,
        container: &str,
        timed_out: Option<Duration>,
        reason: String,
        out_of_memory: bool,
    ) -> Error {
        let Finding {
            reason,
            help,
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
            help,
            log,
        }
    }

    /// Finds out why a container does not serve of which `reason` was seen.
    async fn look_into(
        &self,
        run: &Run,
        spec: &Container,
        container: &str,
        reason: String,
        out_of_memory: bool,
    ) -> Finding {
        let mut finding = Finding {
            reason,
            help: None,
            ended: false,
            log: self.last_lines(container, LAST_LINES).await,
        };
        let Ok(found) = self.find(container).await else {
            return finding;
        };
        let looked = self.engine().examine(container).await.unwrap_or_default();
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
            secrets: &run.material.secrets,
        };
        if let Some(cause) = self.why(&run.app, &broken).await {
            finding.reason = format!("{} ({})", cause.text, finding.reason);
            finding.help = Some(cause.help);
        }
        finding
    }

    /// The last lines of a container's log; none where it cannot be read.
    pub(crate) async fn last_lines(&self, container: &str, count: u32) -> Vec<String> {
        let request = LogRequest {
            tail: Some(count),
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

/// The port that was found to speak TLS, if one was.
fn tls_port((seen, probe): (&Observation, &Probe)) -> Option<u16> {
    match probe.check {
        Check::Serves { port, .. } if seen.passed && seen.output == TLS => Some(port),
        _ => None,
    }
}

/// What the probes of a container are tried on, while it runs.
pub(crate) fn subject_of(
    found: &ObservedContainer,
    host: String,
    is_front: bool,
) -> Option<Subject<'_>> {
    let address = found.address.filter(|_| found.state == State::Running)?;
    Some(Subject {
        container: &found.name,
        address,
        host,
        is_front,
        started_ms: found.started_ms,
    })
}

/// The check that a container's image declares, where nobody says more than that a port
/// answers.
fn image_check<'a>(spec: &Container, found: &'a ObservedContainer) -> Option<&'a Healthcheck> {
    let bare = spec.probes.iter().all(|probe| probe.check.is_bare());
    found.healthcheck.as_ref().filter(|_| bare && !spec.judged)
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
        Check::Serves { port, .. } => format!("port {port}"),
        Check::Http { port, path, .. } => format!("probe GET {path} on port {port}"),
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
