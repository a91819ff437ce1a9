//! `doprax doctor`: what is wrong with this machine, and what to do about it.

use crate::context::Context;
use crate::failure::{Failure, Result};
use doprax_api::client::ClientError;
use doprax_api::wire::{Finding, Level};

/// Find out what is wrong with the host and its machine
///
/// Looks at the host, the engine and its version, ports, the pool of subnets, disk limits
/// and name resolution. Every finding that is not good says what to do about it. Ends
/// with 1 if something does not work.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax doctor
  doprax doctor --json | jq -r '.[] | select(.level == \"bad\") | .remedy'")]
pub(crate) struct Doctor {}

impl Doctor {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let output = &context.output;
        let client = context.client()?;
        let findings = match client.doctor().await {
            Ok(mut findings) => {
                let text = format!("answers at {}", client.address());
                findings.insert(
                    0,
                    Finding {
                        subject: "host".to_owned(),
                        level: Level::Good,
                        text,
                        remedy: None,
                    },
                );
                findings
            }
            Err(error @ ClientError::Unreachable { .. }) => vec![not_running(error)],
            Err(error) => return Err(error.into()),
        };
        let worst = findings.iter().map(|finding| finding.level).max();
        if output.json {
            output.json(&findings)?;
        } else {
            findings
                .iter()
                .try_for_each(|finding| show(context, finding))?;
        }
        if worst == Some(Level::Bad) {
            Err(Failure::Silent(1))
        } else {
            Ok(())
        }
    }
}

fn not_running(error: ClientError) -> Finding {
    let (text, remedy) = match Failure::from(error) {
        Failure::Failed(failure) | Failure::Usage(failure) => (failure.error, failure.help),
        Failure::Silent(_) => ("does not answer".to_owned(), None),
    };
    Finding {
        subject: "host".to_owned(),
        level: Level::Bad,
        text,
        remedy,
    }
}

fn show(context: &Context, finding: &Finding) -> Result<()> {
    let output = &context.output;
    let mark = match finding.level {
        Level::Good => output.paint.green("✓"),
        Level::Warning => output.paint.yellow("!"),
        Level::Bad => output.paint.red("✗"),
    };
    output.line(format!(
        "{mark} {}: {}",
        output.paint.bold(&finding.subject),
        finding.text
    ))?;
    for line in finding.remedy.iter().flat_map(|remedy| remedy.lines()) {
        output.line(format!("  {} {line}", output.paint.green("→")))?;
    }
    Ok(())
}
