//! `doprax secret`: values for the manifest's `${NAME}`, kept sealed by the host.

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::terminal::Mode;
use crate::variable::parse_name;
use doprax_api::wire::SetVariables;
use doprax_core::name::AppName;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Read as _, Write as _};

/// Longest value in bytes.
const MAX_VALUE: u64 = 1 << 20;

/// Keep values for the ${NAME} of an app's doprax.yaml
///
/// The host keeps them sealed and never shows them again. The next deploy of the app uses
/// them; a variable of the same name in the environment of `doprax up` goes first.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax secret set shop API_KEY
  doprax secret list shop")]
pub(crate) struct Secret {
    #[command(subcommand)]
    command: SecretCommand,
}

#[derive(Debug, clap::Subcommand)]
enum SecretCommand {
    Set(Set),
    Unset(Unset),
    List(List),
}

/// Set a value, typed in or from standard input
///
/// The value is never an argument, because arguments can be seen by every user of the
/// machine and stay in the shell's history. One line break at its end does not count.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax secret set shop API_KEY               asks for the value, without showing it
  doprax secret set shop API_KEY < key.txt     takes it from a file
  pass show shop/key | doprax secret set shop API_KEY")]
struct Set {
    /// The app's name
    app: AppName,
    /// The name as in ${NAME}
    #[arg(value_parser = parse_name)]
    name: String,
}

/// Forget a value
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax secret unset shop API_KEY")]
struct Unset {
    /// The app's name
    app: AppName,
    /// The names
    #[arg(required = true, value_parser = parse_name)]
    names: Vec<String>,
}

/// List the names that have a value
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax secret list shop")]
struct List {
    /// The app's name
    app: AppName,
}

impl Secret {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        match self.command {
            SecretCommand::Set(set) => {
                let value = read_value(context, &set.name)?;
                let values = BTreeMap::from([(set.name.clone(), Some(value))]);
                let client = context.client()?;
                client
                    .set_variables(&set.app, &SetVariables { values })
                    .await?;
                let apps = client.apps().await?;
                if !apps.iter().any(|known| known.app == set.app) {
                    context.output.remark(format!(
                        "there is no app {} yet: its first deploy gets the value (`doprax apps` lists those that there are)",
                        set.app
                    ));
                }
                said(
                    context,
                    &set.app,
                    &[set.name],
                    "is set; the next `doprax up` uses it",
                )
            }
            SecretCommand::Unset(unset) => {
                let values = unset
                    .names
                    .iter()
                    .map(|name| (name.clone(), None))
                    .collect();
                context
                    .client()?
                    .set_variables(&unset.app, &SetVariables { values })
                    .await?;
                said(context, &unset.app, &unset.names, "is no longer set")
            }
            SecretCommand::List(list) => {
                let names = context.client()?.variables(&list.app).await?;
                if context.output.json {
                    return context.output.json(&names);
                }
                names.iter().try_for_each(|name| context.output.line(name))
            }
        }
    }
}

fn said(context: &Context, app: &AppName, names: &[String], what: &str) -> Result<()> {
    if context.output.json {
        return context.output.json(&json!({ "app": app, "names": names }));
    }
    names
        .iter()
        .try_for_each(|name| context.output.line(format!("{name} of {app} {what}")))
}

/// The value, from standard input; asked for where that is a terminal.
fn read_value(context: &Context, name: &str) -> Result<String> {
    let failed =
        |error: io::Error| Failure::new(format!("cannot read the value of {name}")).because(&error);
    let mut value = String::new();
    if io::stdin().is_terminal() {
        let mut error = io::stderr();
        write!(
            error,
            "{} ",
            context.output.error_paint.bold(&format!("{name}:"))
        )
        .map_err(failed)?;
        error.flush().map_err(failed)?;
        let _silent = Mode::silent().map_err(failed)?;
        io::stdin().read_line(&mut value).map_err(failed)?;
    } else {
        io::stdin()
            .take(MAX_VALUE + 1)
            .read_to_string(&mut value)
            .map_err(failed)?;
    }
    if value.len() as u64 > MAX_VALUE {
        return Err(Failure::new(format!(
            "the value of {name} is longer than 1 MiB"
        )));
    }
    let value = value.strip_suffix('\n').map_or(value.as_str(), |value| {
        value.strip_suffix('\r').unwrap_or(value)
    });
    if value.is_empty() {
        return Err(
            Failure::usage(format!("the value of {name} is empty")).help(format!(
                "to forget a value: `doprax secret unset APP {name}`"
            )),
        );
    }
    Ok(value.to_owned())
}
