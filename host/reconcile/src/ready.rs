//! Waiting until a container serves, and seeing that it goes on.
//!
//! Flow: look at the container, try its probes, let its plugin judge where it does,
//! pause, again. Pauses begin short, so that what is fast is seen to be fast, and
//! grow to the probe's interval. Where neither its owner nor its plugin says more than
//! that a port answers, the check that its image declares has to pass too.
//! Guarantees: ends in bounded time, with the probe that failed and the container's
//! last words.

mod finding;
mod judge;
mod probe;
pub(crate) mod why;

use crate::container::find;
use crate::report::Event;
use crate::run::Run;
use crate::{Config, Error};
use doprax_core::blueprint::{Blueprint, Container};
use doprax_core::copy::CopyName;
use doprax_core::name::ServiceName;
use doprax_core::observed::{ObservedContainer, State};
use doprax_core::probe::Verdict;
use doprax_engine::Engine;
use doprax_ingress::Ingress;
use doprax_plugin::Plugins;
use finding::crash;
use judge::image_check;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause where there is no probe to say how long.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

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

/// Tries whether containers serve.
pub(crate) struct Prober {
    pub(crate) config: Arc<Config>,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) plugins: Arc<Plugins>,
    /// Speaks TLS with containers as it is spoken for visitors.
    pub(crate) ingress: Arc<Ingress>,
}

impl Prober {
    /// Waits until a container passes its probes.
    pub(crate) async fn await_ready(
        &self,
        run: &Run,
        service: &ServiceName,
        container: &CopyName,
    ) -> Result<(), Error> {
        let (blueprint, spec) = run.container(service);
        let host = host_of(&self.config, blueprint, spec);
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
                let found = find(self.engine.as_ref(), &run.app, container).await?;
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
            let subject = self.subject_of(&run.app, found, host.clone(), is_front);
            let judged = self.judge(&run.inputs, spec, found, subject.as_ref(), false);
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
        container: &CopyName,
        time: Duration,
    ) -> Result<(), Error> {
        let (blueprint, spec) = run.container(service);
        let host = host_of(&self.config, blueprint, spec);
        let is_front = blueprint.is_front(service);
        let begin = Instant::now();
        let mut first: Option<ObservedContainer> = None;
        loop {
            let found = find(self.engine.as_ref(), &run.app, container).await?;
            let same = first.get_or_insert_with(|| found.clone());
            if found.state != State::Running || found.started_ms != same.started_ms {
                let reason = crash(&found).unwrap_or_else(|| "its process ended".to_owned());
                return Err(self.not_settled(run, spec, container, reason).await);
            }
            let subject = self.subject_of(&run.app, &found, host.clone(), is_front);
            let judged = self.judge(&run.inputs, spec, &found, subject.as_ref(), false);
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
}

/// The host that requests to a container name. Where visitors ask, it is one of theirs;
/// other containers are asked for by their name.
pub(crate) fn host_of(config: &Config, blueprint: &Blueprint, spec: &Container) -> String {
    if spec.name.is_main() || blueprint.is_front(&spec.name) {
        return config.host_name(&blueprint.app, blueprint.domain());
    }
    match spec.port {
        Some(port) => format!("{}:{port}", spec.name),
        None => spec.name.to_string(),
    }
}
