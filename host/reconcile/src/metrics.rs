//! What is counted, as Prometheus reads it (text format 0.0.4).

use crate::certificate::Certificates;
use doprax_ingress::Ingress;
use std::fmt::Write as _;
use std::time::UNIX_EPOCH;

/// What the ingress has counted, and until when certificates are valid.
pub(crate) fn metrics(ingress: &Ingress, certificates: &Certificates) -> String {
    let mut text = ingress.metrics().to_prometheus();
    if certificates.are_issued() {
        expiries(&mut text, certificates);
    }
    text
}

fn expiries(text: &mut String, certificates: &Certificates) {
    let name = "doprax_certificate_expiry_timestamp_seconds";
    // Writing to a string does not fail.
    let _ = writeln!(text, "# HELP {name} Until when a certificate is valid.");
    let _ = writeln!(text, "# TYPE {name} gauge");
    for status in certificates.status() {
        let end = status
            .not_after
            .and_then(|end| end.duration_since(UNIX_EPOCH).ok());
        if let Some(end) = end {
            // Host names need no escapes.
            let _ = writeln!(
                text,
                "{name}{{names=\"{}\"}} {}",
                status.names,
                end.as_secs()
            );
        }
    }
}
