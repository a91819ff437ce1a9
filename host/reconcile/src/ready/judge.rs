//! Whether a container serves, by what its probes, its plugin and its image say.

use super::Prober;
use super::probe::{Subject, TLS};
use crate::clock::now_ms;
use doprax_core::blueprint::Container;
use doprax_core::name::AppName;
use doprax_core::observed::{Healthcheck, ObservedContainer, State};
use doprax_core::probe::{Check, Observation, Probe, Verdict};
use doprax_engine::Inputs;
use futures_util::future::join_all;
use std::time::Duration;

/// How long a container without probes must have run: one that has nothing to do or
/// cannot work mostly ends sooner.
const STEADY_MS: i64 = 3_000;

/// The same for one that has crashed: the time after which the engine, too, takes it for
/// one that runs.
const STEADY_AFTER_CRASH_MS: i64 = 10_000;

/// How long one with probes that has crashed must have run.
const UP_AFTER_CRASH_MS: i64 = 3_000;

impl Prober {
    /// Whether a container serves by what its probes say; `subject` is there while it
    /// runs. On one that is `steady`, as it served before, this costs as little as it can.
    pub(crate) async fn judge(
        &self,
        inputs: &Inputs,
        spec: &Container,
        found: &ObservedContainer,
        subject: Option<&Subject>,
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
            .map(|probe| self.try_probe(probe, subject, inputs, steady));
        let observations = join_all(tries).await;
        if let (true, Some(plugin)) = (spec.judged, &spec.plugin) {
            let component = spec.component.as_deref();
            let judged = self
                .plugins
                .judge(plugin, component, &spec.name, &observations);
            return match judged {
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

    /// What the probes of a container are tried on, while it runs.
    pub(crate) fn subject_of(
        &self,
        app: &AppName,
        found: &ObservedContainer,
        host: String,
        is_front: bool,
    ) -> Option<Subject> {
        subject(self.engine.name_of(app, &found.name), found, host, is_front)
    }

    /// Whether a container passes the check that its image declares. The engine tries it
    /// at the image's interval, which may be long: until it has passed, the host does.
    async fn judge_by_image(
        &self,
        check: &Healthcheck,
        subject: &Subject,
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
                self.try_command(&subject.container, &check.command, limit)
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
}

/// The port that was found to speak TLS, if one was.
fn tls_port((seen, probe): (&Observation, &Probe)) -> Option<u16> {
    match probe.check {
        Check::Serves { port, .. } if seen.passed && seen.output == TLS => Some(port),
        _ => None,
    }
}

/// The check that a container's image declares, where nobody says more than that a port
/// answers.
pub(super) fn image_check<'a>(
    spec: &Container,
    found: &'a ObservedContainer,
) -> Option<&'a Healthcheck> {
    let bare = spec.probes.iter().all(|probe| probe.check.is_bare());
    found.healthcheck.as_ref().filter(|_| bare && !spec.judged)
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

fn subject(
    container: String,
    found: &ObservedContainer,
    host: String,
    is_front: bool,
) -> Option<Subject> {
    let address = found.address.filter(|_| found.state == State::Running)?;
    Some(Subject {
        container,
        address,
        host,
        is_front,
        started_ms: found.started_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(checks: &[Value], judged: bool) -> Container {
        let probes = checks
            .iter()
            .map(|check| json!({ "check": check, "interval_ms": 10, "timeout_ms": 10 }));
        let spec = json!({
            "name": "db", "plugin": null, "stage": "service",
            "image": {"pull": {"reference": "a:1"}}, "env": {}, "entrypoint": null,
            "command": null, "user": null, "files": [], "mounts": [], "aliases": [],
            "port": 80, "port_reason": "", "probes": probes.collect::<Vec<_>>(),
            "ready_timeout_ms": 1, "judged": judged, "reload": null, "strategy": "rolling",
            "resources": {}, "shm_size": null, "ulimits": [], "capabilities": [],
            "stop_signal": null, "stop_grace_ms": 1, "outputs": {},
        });
        serde_json::from_value(spec).unwrap()
    }

    fn copy(state: State, address: Option<&str>) -> ObservedContainer {
        let copy = json!({
            "id": "a", "name": {"serving": "db"}, "service": "db", "hash": "", "state": state,
            "address": address, "started_ms": 5,
        });
        let check = json!({
            "command": ["true"], "timeout_ms": 1, "patience_ms": 1, "passes": null, "output": "",
        });
        ObservedContainer {
            healthcheck: Some(serde_json::from_value(check).unwrap()),
            ..serde_json::from_value(copy).unwrap()
        }
    }

    #[test]
    fn the_images_check_counts_where_nobody_says_more_than_that_a_port_answers() {
        let found = copy(State::Running, None);
        let serves = json!({"serves": {"port": 80}});
        let connects = json!({"tcp": {"port": 80}});
        let says = json!({"tcp": {"port": 80, "send": "PING"}});
        let counts = |spec: &Container| image_check(spec, &found).is_some();
        assert!(counts(&spec(&[], false)));
        assert!(counts(&spec(&[serves.clone(), connects.clone()], false)));
        assert!(!counts(&spec(&[serves.clone(), says], false)));
        assert!(!counts(&spec(&[serves], true)));
        let none = ObservedContainer {
            healthcheck: None,
            ..found.clone()
        };
        assert!(image_check(&spec(&[], false), &none).is_none());
    }

    #[test]
    fn probes_are_tried_on_what_runs_and_has_an_address() {
        let address = Some("10.200.0.2");
        let host = || "shop.localhost".to_owned();
        let found = copy(State::Running, address);
        let name = || "db.shop.internal".to_owned();
        let subject = super::subject(name(), &found, host(), true).unwrap();
        assert_eq!(subject.container, name());
        assert_eq!(subject.address.to_string(), "10.200.0.2");
        assert_eq!(
            (subject.host.as_str(), subject.is_front),
            ("shop.localhost", true)
        );
        assert_eq!(subject.started_ms, Some(5));
        for found in [copy(State::Paused, address), copy(State::Running, None)] {
            assert!(super::subject(name(), &found, host(), true).is_none());
        }
    }

    #[test]
    fn a_failure_says_in_a_line_what_was_tried_and_seen() {
        let seen = |status, output: &str| Observation {
            passed: false,
            status,
            output: output.to_owned(),
        };
        let said = |check: Value, seen: &Observation| {
            failure(&serde_json::from_value(check).unwrap(), seen)
        };
        let http = json!({"http": {"port": 80, "path": "/ready"}});
        assert_eq!(
            said(http, &seen(Some(503), "not yet\nmore")),
            "probe GET /ready on port 80 answered 503: not yet"
        );
        let tcp = json!({"tcp": {"port": 80}});
        assert_eq!(said(tcp, &seen(None, "")), "probe TCP port 80: ");
        let exec = json!({"exec": {"command": ["redis-cli", "ping"], "env": []}});
        assert_eq!(
            said(exec, &seen(Some(1), &"é".repeat(201))),
            format!("probe command redis-cli answered 1: {}", "é".repeat(200))
        );
        let log = json!({"log": {"contains": "Ready"}});
        assert_eq!(
            said(log, &seen(None, "nothing")),
            "probe for \"Ready\" in the log: nothing"
        );
        let serves = json!({"serves": {"port": 80}});
        assert_eq!(said(serves, &seen(None, "refused")), "port 80: refused");
    }

    #[test]
    fn tls_is_what_a_port_was_found_to_speak() {
        let tls = |check: Value, passed: bool, output: &str| {
            let probe = spec(&[check], false).probes.remove(0);
            let seen = Observation {
                passed,
                status: None,
                output: output.to_owned(),
            };
            tls_port((&seen, &probe))
        };
        let serves = || json!({"serves": {"port": 8443}});
        assert_eq!(tls(serves(), true, "TLS"), Some(8443));
        assert_eq!(tls(serves(), false, "TLS"), None);
        assert_eq!(tls(serves(), true, "HTTP"), None);
        assert_eq!(tls(json!({"tcp": {"port": 8443}}), true, "TLS"), None);
    }
}
