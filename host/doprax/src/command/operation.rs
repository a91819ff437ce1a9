//! `doprax operation`: come back to long work, list it, end it early.

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::progress;
use crate::units;
use doprax_api::client::Client;
use doprax_api::wire::{self, OperationState};
use doprax_core::name::AppName;
use serde_json::json;

/// Follow a deploy or other long work to its end, list it, or cancel it
///
/// Shows what has happened so far, then what happens. Ends with 0 if the work was done and
/// with 1 if it failed.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_long_help = "\
Examples:
  doprax operation list shop             what was done to shop, the latest first
  doprax operation 0192f0c1-…            come back to a deploy that you left, or read it again
  doprax operation 0192f0c1-… --json     its events, one JSON object a line
  doprax operation cancel shop           end early what is done to shop just now"
)]
pub(crate) struct Operation {
    #[command(subcommand)]
    command: Option<OperationCommand>,
    /// Its identifier, as `up` and `operation list` show it
    #[arg(required = true)]
    id: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum OperationCommand {
    List(List),
    Cancel(Cancel),
}

/// List the latest operations, those under way and those that wait included
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax operation list                  those of all apps
  doprax operation list shop
  doprax operation list --json | jq -r '.[] | select(.state == \"running\") | .id'")]
struct List {
    /// Only those of this app
    app: Option<AppName>,
}

/// End an operation early
///
/// It begins nothing new, a build or pull under way is ended, and the app goes back to what
/// it was before, as after a deploy that failed. One that waits for others on its app does
/// not begin.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax operation cancel shop           what is done to shop just now
  doprax operation cancel 0192f0c1-…     this one, also while it waits for its turn")]
struct Cancel {
    /// Its identifier, or its app
    #[arg(value_name = "ID|APP")]
    operation: String,
}

impl Operation {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let client = context.client()?;
        match (self.command, self.id) {
            (Some(OperationCommand::List(list)), _) => list.run(context, &client).await,
            (Some(OperationCommand::Cancel(cancel)), _) => cancel.run(context, &client).await,
            (None, id) => follow(context, &client, &id.unwrap_or_default()).await,
        }
    }
}

async fn follow(context: &Context, client: &Client, id: &str) -> Result<()> {
    // Following goes on over a restart of the host, a single question does not.
    let url = progress::follow(context, client, id).await?;
    let operation = client.operation(id).await?;
    let output = &context.output;
    if output.json {
        return Ok(());
    }
    let address = url
        .map(|url| format!(": {}", output.paint.cyan(&url)))
        .unwrap_or_default();
    output.line(format!(
        "done: {}{address}",
        output.paint.bold(operation.app.as_str())
    ))
}

impl List {
    async fn run(self, context: &Context, client: &Client) -> Result<()> {
        let output = &context.output;
        let operations = client.operations(self.app.as_ref()).await?;
        if output.json {
            return output.json(&operations);
        }
        if operations.is_empty() {
            output.remark("no operations");
            return Ok(());
        }
        let rows: Vec<Vec<String>> = operations.iter().map(row).collect();
        output.table(
            &["OPERATION", "APP", "WHAT", "STATE", "BEGAN", "TOOK"],
            &rows,
        )
    }
}

fn row(operation: &wire::Operation) -> Vec<String> {
    let took = operation.ended_ms.map(|ended| {
        let ms = ended.saturating_sub(operation.started_ms);
        units::duration(u64::try_from(ms).unwrap_or(0))
    });
    vec![
        operation.id.clone(),
        operation.app.to_string(),
        operation.kind.as_str().to_owned(),
        operation.state.as_str().to_owned(),
        units::ago(operation.started_ms),
        took.unwrap_or_else(|| "-".to_owned()),
    ]
}

impl Cancel {
    async fn run(self, context: &Context, client: &Client) -> Result<()> {
        let output = &context.output;
        let id = under_way(client, self.operation).await?;
        client.cancel(&id).await?;
        if output.json {
            return output.json(&json!({ "operation": id, "cancelled": true }));
        }
        output.line(format!(
            "it ends early; see how with `doprax operation {id}`"
        ))
    }
}

/// The identifier of an operation that was named, or of the one that an app is busy with.
async fn under_way(client: &Client, named: String) -> Result<String> {
    let Ok(app) = AppName::new(&named) else {
        return Ok(named);
    };
    let operations = client.operations(Some(&app)).await?;
    let running = operations
        .iter()
        .find(|operation| operation.state == OperationState::Running);
    match running {
        Some(operation) => Ok(operation.id.clone()),
        // An identifier may be the name of an app too.
        None if client.operation(&named).await.is_ok() => Ok(named),
        None => Err(Failure::new(format!("nothing is done to {app} just now"))
            .help(format!("doprax operation list {app} shows what was done"))),
    }
}
