//! `doprax certs`: what is served by HTTPS, until when, and what goes wrong.

use crate::context::Context;
use crate::failure::Result;
use crate::units;
use doprax_api::wire::{Certificate, CertificateState};
use doprax_core::domain::shown;
use std::time::{SystemTime, UNIX_EPOCH};

/// List certificates: names, issuer, expiry, next renewal, last error
///
/// Every app's free subdomain gets a certificate, and every domain that was seen to lead
/// here. They are renewed by themselves.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax certs
  doprax certs --json | jq -r '.[] | select(.last_error) | .names[]'")]
pub(crate) struct Certs {}

impl Certs {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let output = &context.output;
        let certificates = context.client()?.certificates().await?;
        if output.json {
            return output.json(&certificates);
        }
        if certificates.is_empty() {
            output.remark("no certificates");
            return Ok(());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        let rows: Vec<Vec<String>> = certificates.iter().map(|c| row(c, now)).collect();
        output.table(&["NAMES", "STATE", "ISSUER", "EXPIRES", "NEXT"], &rows)?;
        for certificate in &certificates {
            if let Some(error) = &certificate.last_error {
                let sign = output.paint.red("✗");
                output.line(format!("\n{sign} {}: {error}", names(certificate)))?;
                if certificate.state == CertificateState::Missing {
                    output
                        .line("  → HTTP goes on being served; the CA is asked again by itself")?;
                }
            }
        }
        Ok(())
    }
}

fn row(certificate: &Certificate, now: u64) -> Vec<String> {
    let moment = |time: Option<u64>| match time {
        None => "-".to_owned(),
        Some(time) if time <= now => "now".to_owned(),
        Some(time) => format!("in {}", units::span(time - now)),
    };
    vec![
        names(certificate),
        certificate.state.as_str().to_owned(),
        certificate.issuer.clone().unwrap_or_else(|| "-".to_owned()),
        match certificate.not_after {
            Some(end) if end <= now => "expired".to_owned(),
            end => moment(end),
        },
        moment(certificate.next_attempt),
    ]
}

/// Its names, for people.
fn names(certificate: &Certificate) -> String {
    let names: Vec<String> = certificate.names.iter().map(|name| shown(name)).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_now() {
        let certificate = Certificate {
            names: vec!["a.example".to_owned(), "www.a.example".to_owned()],
            state: CertificateState::Valid,
            issuer: None,
            not_before: None,
            not_after: Some(1_000 + 90 * 86_400),
            next_attempt: Some(900),
            last_error: None,
        };
        assert_eq!(
            row(&certificate, 1_000),
            [
                "a.example, www.a.example",
                "valid",
                "-",
                "in 90 days",
                "now"
            ]
        );
    }
}
