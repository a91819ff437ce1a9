//! `doprax events`: what changes on the host.

use crate::context::Context;
use crate::failure::Result;
use crate::output::Output;
use crate::units;
use crate::visible::in_line;
use doprax_api::client::{Begin, Watch, Watched};
use doprax_api::wire::{Change, Changed, OperationState, Position, Progress};
use doprax_core::name::AppName;
use futures_util::StreamExt as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Show what changes on the host
///
/// Operations and their steps, states of apps and containers, releases, what answers
/// visitors, host names, certificates, and whether the container engine is there. With
/// --follow it goes on over restarts of the host; where something was missed, that is said.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax events                    what has changed lately, of all apps
  doprax events shop -f            what changes of shop, as it comes
  doprax events -f --json | jq -c 'select(.event == \"container\")'
  doprax events --after 1767225600000-42 -f --json

The host keeps the latest 8192 changes in memory, until it ends or is upgraded. With --json
each has an `id`; --after takes it up again there. An event `gap` says that some are missing:
ask then how things are. What builds and containers print is not among them: see
`doprax operation` and `doprax logs`.")]
pub(crate) struct Events {
    /// The app's name; all apps if absent
    app: Option<AppName>,
    /// Wait for more
    #[arg(short, long)]
    follow: bool,
    /// Only what came after the event with this id
    #[arg(long, value_name = "ID")]
    after: Option<Position>,
}

impl Events {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let output = &context.output;
        let mut changes = context.client()?.watch(Watch {
            app: self.app,
            after: self.after.map(Begin::After),
            follow: self.follow,
        });
        while let Some(watched) = changes.next().await {
            match watched? {
                Watched::Begun => {}
                Watched::Change(change) if output.json => output.json(&change)?,
                Watched::Change(change) => output.line(line(output, &change))?,
                Watched::Lost => output.remark("the host went away; waiting for it"),
                Watched::Back => output.remark("the host is back"),
            }
        }
        Ok(())
    }
}

/// A change, in one line.
fn line(output: &Output, change: &Change) -> String {
    let time = OffsetDateTime::from_unix_timestamp(change.time_ms / 1000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok());
    let time = output.paint.dim(&time.unwrap_or_default());
    let app = change.app.as_ref().map_or("-", AppName::as_str);
    let text = text(&change.what);
    format!("{time} {} {}", output.paint.bold(app), in_line(&text))
}

/// What has changed, for people.
fn text(what: &Changed) -> String {
    let was = |was: Option<&str>| was.map(|was| format!(" (was {was})")).unwrap_or_default();
    match what {
        Changed::Operation { operation } => {
            let (kind, id) = (operation.kind.as_str(), &operation.id);
            let state = match operation.state {
                OperationState::Waiting => "waits for its turn",
                OperationState::Running => "is under way",
                OperationState::Done => "is done",
                OperationState::Failed => "failed",
                OperationState::Cancelled => "was cancelled",
            };
            format!("{kind} {id} {state}")
        }
        Changed::Progress { progress, .. } => match progress {
            Progress::StepStarted { step } => format!("began: {step}"),
            Progress::StepDone { step, ms } => format!("done: {step} ({})", units::duration(*ms)),
            Progress::StepFailed { step } => format!("failed: {step}"),
            Progress::GoingBack => "it failed; going back to what was there before".to_owned(),
        },
        Changed::App { state, was: before } => {
            let before = before.map(|before| before.as_str());
            format!("the app is {}{}", state.as_str(), was(before))
        }
        Changed::Container {
            container,
            state,
            was: before,
        } => {
            let state = state.as_deref().unwrap_or("gone");
            format!("{container} is {state}{}", was(before.as_deref()))
        }
        Changed::Release { release } => format!("release {release}"),
        Changed::Removed => "the app was removed".to_owned(),
        Changed::Route { to } => format!("visitors get to {to}"),
        Changed::Domain { name, change } => format!("domain {name} {}", change.as_str()),
        Changed::Certificate {
            names,
            state,
            failing,
        } => {
            let names = names.join(", ");
            let state = state.as_deref().unwrap_or("not kept any more");
            let failing = if *failing {
                "; the latest try failed (`doprax certs` says why)"
            } else {
                ""
            };
            format!("the certificate of {names} is {state}{failing}")
        }
        Changed::Engine { away: true } => "the container engine is away".to_owned(),
        Changed::Engine { away: false } => "the container engine is back".to_owned(),
        Changed::Gap { after, missed } => match missed {
            Some(missed) => format!("{missed} changes after {after} are not kept any more"),
            None => format!("what changed after {after} is not known: the host was started anew"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_core::name::ServiceName;
    use doprax_core::status::AppState;

    #[test]
    fn changes_are_said_in_a_line() {
        let cases = [
            (
                Changed::App {
                    state: AppState::Degraded,
                    was: Some(AppState::Running),
                },
                "the app is degraded (was running)",
            ),
            (
                Changed::Container {
                    container: ServiceName::main(),
                    state: Some("crashing (1)".to_owned()),
                    was: None,
                },
                "main is crashing (1)",
            ),
            (
                Changed::Gap {
                    after: "5-7".parse().unwrap(),
                    missed: Some(3),
                },
                "3 changes after 5-7 are not kept any more",
            ),
            (
                Changed::Certificate {
                    names: vec!["a.example".to_owned()],
                    state: Some("missing".to_owned()),
                    failing: true,
                },
                "the certificate of a.example is missing; the latest try failed (`doprax certs` says why)",
            ),
        ];
        for (what, expected) in cases {
            assert_eq!(text(&what), expected);
        }
    }
}
