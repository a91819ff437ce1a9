//! Metrics as Prometheus reads them (text format, version 0.0.4).

use crate::metrics::{BUCKETS, Metrics, REFUSALS, STATUSES, Traffic};
use std::fmt::{Display, Write as _};

/// Of the answer that carries it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Metrics {
    /// The metrics as text.
    pub fn to_prometheus(&self) -> String {
        let mut text = Text::default();
        let apps = self
            .apps
            .iter()
            .map(|(app, traffic)| (app.as_str(), traffic));
        let all: Vec<(&str, &Traffic)> = apps.chain([("", &self.others)]).collect();

        text.family("requests_total", "counter", "Requests that have ended.");
        for (app, traffic) in &all {
            for (status, count) in STATUSES.iter().zip(traffic.requests) {
                text.sample("requests_total", &[("app", app), ("status", status)], count);
            }
        }
        text.each(
            &all,
            ("requests_in_flight", "gauge"),
            "Requests that containers are answering, tunnels included.",
            |traffic| traffic.in_flight as u64,
        );
        text.each(
            &all,
            ("received_bytes_total", "counter"),
            "Bytes of requests' bodies.",
            |traffic| traffic.received_bytes,
        );
        text.each(
            &all,
            ("sent_bytes_total", "counter"),
            "Bytes of responses' bodies.",
            |traffic| traffic.sent_bytes,
        );
        text.each(
            &all,
            ("upstream_errors_total", "counter"),
            "How often a container could not be reached, gave no response or broke one off.",
            |traffic| traffic.upstream_errors,
        );
        let name = "request_duration_seconds";
        let help = "From the head of a request to the end of its response.";
        text.family(name, "histogram", help);
        for (app, traffic) in &all {
            text.histogram(name, app, traffic);
        }
        text.family("connections", "gauge", "Open connections of clients.");
        text.sample("connections", &[], self.connections);
        let name = "refused_connections_total";
        text.family(name, "counter", "Connections that came to no request.");
        for (reason, count) in REFUSALS.iter().zip(self.refused_connections) {
            text.sample(name, &[("reason", reason)], count);
        }
        let name = "access_records_dropped_total";
        text.family(name, "counter", "Access records that nobody took in time.");
        text.sample(name, &[], self.dropped_records);
        text.0
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP doprax_ingress_{name} {help}");
        let _ = writeln!(self.0, "# TYPE doprax_ingress_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "doprax_ingress_{name}");
        for (at, (label, text)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{}\"", escaped(text));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    fn each(
        &mut self,
        all: &[(&str, &Traffic)],
        (name, kind): (&str, &str),
        help: &str,
        value: impl Fn(&Traffic) -> u64,
    ) {
        self.family(name, kind, help);
        for (app, traffic) in all {
            self.sample(name, &[("app", app)], value(traffic));
        }
    }

    /// Buckets are cumulative here.
    fn histogram(&mut self, name: &str, app: &str, traffic: &Traffic) {
        let bounds = BUCKETS.iter().map(ToString::to_string);
        let bounds = bounds.chain(["+Inf".to_owned()]);
        let mut count = 0;
        for (bound, more) in bounds.zip(traffic.durations.counts) {
            count += more;
            let labels = [("app", app), ("le", bound.as_str())];
            self.sample(&format!("{name}_bucket"), &labels, count);
        }
        let sum = traffic.durations.sum.as_secs_f64();
        self.sample(&format!("{name}_sum"), &[("app", app)], sum);
        self.sample(&format!("{name}_count"), &[("app", app)], count);
    }
}

/// The value of a label.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\");
    text.replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_core::name::AppName;
    use std::time::Duration;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escaped("a\\b\"c\nd"), r#"a\\b\"c\nd"#);
    }

    #[test]
    fn metrics_read_as_prometheus_expects() {
        let mut metrics = Metrics {
            connections: 3,
            refused_connections: [0, 2, 0, 0],
            dropped_records: 1,
            ..Metrics::default()
        };
        let mut traffic = Traffic {
            requests: [0, 0, 5, 0, 0, 1],
            in_flight: 2,
            ..Traffic::default()
        };
        traffic.durations.counts[0] = 4;
        traffic.durations.counts[BUCKETS.len()] = 2;
        traffic.durations.sum = Duration::from_millis(90_500);
        let app = AppName::new("shop").unwrap();
        metrics.apps.insert(app, traffic);
        let text = metrics.to_prometheus();
        for line in [
            "# TYPE doprax_ingress_requests_total counter",
            "doprax_ingress_requests_total{app=\"shop\",status=\"2xx\"} 5",
            "doprax_ingress_requests_total{app=\"\",status=\"none\"} 0",
            "doprax_ingress_requests_in_flight{app=\"shop\"} 2",
            "# TYPE doprax_ingress_request_duration_seconds histogram",
            "doprax_ingress_request_duration_seconds_bucket{app=\"shop\",le=\"0.001\"} 4",
            "doprax_ingress_request_duration_seconds_bucket{app=\"shop\",le=\"60\"} 4",
            "doprax_ingress_request_duration_seconds_bucket{app=\"shop\",le=\"+Inf\"} 6",
            "doprax_ingress_request_duration_seconds_sum{app=\"shop\"} 90.5",
            "doprax_ingress_request_duration_seconds_count{app=\"shop\"} 6",
            "doprax_ingress_connections 3",
            "doprax_ingress_refused_connections_total{reason=\"limit\"} 2",
            "doprax_ingress_access_records_dropped_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let families = text.lines().filter(|line| line.starts_with("# TYPE"));
        assert_eq!(families.count(), 9);
    }
}
