//! `doprax env`: change a container's environment by hand.

use crate::actor::actor;
use crate::context::Context;
use crate::env_file;
use crate::failure::{Failure, Result};
use crate::progress;
use crate::turn::Turn;
use crate::variable::{parse_assignment, parse_name};
use doprax_api::wire::{Edit, EnvSource, EnvVariable};
use doprax_core::name::{AppName, ServiceName};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Show or change a container's environment by hand
///
/// A change is carried out at once, as a deploy of the same source. It stays over later
/// deploys until doprax.yaml itself changes that variable.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax env list shop
  doprax env set shop LOG_LEVEL=debug
  doprax env unset shop LOG_LEVEL")]
pub(crate) struct Env {
    #[command(subcommand)]
    command: EnvCommand,
}

#[derive(Debug, clap::Subcommand)]
enum EnvCommand {
    List(List),
    Set(Set),
    Unset(Unset),
    Reset(Reset),
    Import(Import),
}

/// Show a container's environment, and where each variable comes from
///
/// Secrets are masked. FROM says who gave the value: doprax.yaml, a person (by hand), the
/// service's plugin, the image, or the host.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax env list shop
  doprax env list shop --container worker")]
struct List {
    #[command(flatten)]
    target: Target,
}

/// Give variables a value
///
/// Arguments can be seen by every user of the machine: keep secrets with `doprax secret set`
/// and write ${NAME} in doprax.yaml.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax env set shop LOG_LEVEL=debug
  doprax env set shop --container worker QUEUE=slow THREADS=2")]
struct Set {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    turn: Turn,
    /// What to set
    #[arg(required = true, value_name = "NAME=VALUE", value_parser = parse_assignment)]
    variables: Vec<(String, String)>,
}

/// Take variables away
///
/// Also one that doprax.yaml sets: it stays away until doprax.yaml changes it, or until
/// `doprax env reset`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax env unset shop LOG_LEVEL
  doprax env unset shop --container worker QUEUE THREADS")]
struct Unset {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    turn: Turn,
    /// What to take away
    #[arg(required = true, value_parser = parse_name)]
    names: Vec<String>,
}

/// Undo what was set or taken away by hand
///
/// The variables become what doprax.yaml says.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax env reset shop LOG_LEVEL
  doprax env reset shop                        all of main's")]
struct Reset {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    turn: Turn,
    /// Which; none: all of the container
    #[arg(value_parser = parse_name)]
    names: Vec<String>,
}

/// Give variables the values of a file
///
/// The file has NAME=value lines, with comments, quotes and `export` as Compose and shells
/// read them; nothing in a value is replaced.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax env import shop .env
  sops -d secrets.env | doprax env import shop -")]
struct Import {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    turn: Turn,
    /// The file; - is standard input
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Target {
    /// The app's name
    app: AppName,
    /// One of its containers: main or a service
    #[arg(short, long, default_value = "main")]
    container: ServiceName,
}

impl Env {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        match self.command {
            EnvCommand::List(List { target }) => list(context, target).await,
            EnvCommand::Set(Set {
                target,
                turn,
                variables,
            }) => {
                let env = variables.into_iter();
                let env = env.map(|(name, value)| (name, Some(value))).collect();
                edit(context, &turn, target, env, None).await
            }
            EnvCommand::Unset(Unset {
                target,
                turn,
                names,
            }) => {
                check_unset(context, &target, &names).await?;
                let env = names.into_iter().map(|name| (name, None)).collect();
                edit(context, &turn, target, env, None).await
            }
            EnvCommand::Reset(Reset {
                target,
                turn,
                names,
            }) => {
                check_reset(context, &target, &names).await?;
                edit(context, &turn, target, BTreeMap::new(), Some(names)).await
            }
            EnvCommand::Import(Import { target, turn, file }) => {
                let env = env_file::read(&file)?.into_iter();
                let env: BTreeMap<_, _> = env.map(|(name, value)| (name, Some(value))).collect();
                if env.is_empty() {
                    let error = format!("{} sets no variable", file.display());
                    return Err(Failure::usage(error));
                }
                edit(context, &turn, target, env, None).await
            }
        }
    }
}

async fn list(context: &Context, target: Target) -> Result<()> {
    let output = &context.output;
    let variables = context
        .client()?
        .env(&target.app, &target.container)
        .await?;
    if output.json {
        return output.json(&variables);
    }
    let rows: Vec<Vec<String>> = variables
        .iter()
        .map(|variable| {
            let value = match &variable.value {
                Some(value) => one_line(value),
                None if variable.masked => "(masked)".to_owned(),
                None => "(removed)".to_owned(),
            };
            vec![variable.name.clone(), value, source(variable)]
        })
        .collect();
    output.table(&["NAME", "VALUE", "FROM"], &rows)
}

/// Refuses to take away what neither doprax.yaml nor a person has set.
async fn check_unset(context: &Context, target: &Target, names: &[String]) -> Result<()> {
    let Target { app, container } = target;
    let variables = context.client()?.env(app, container).await?;
    for name in names {
        let found = variables.iter().find(|variable| variable.name == *name);
        match found.map(|variable| (variable.from, source(variable))) {
            Some((EnvSource::Manifest | EnvSource::Hand, _)) => {}
            Some((_, source)) => {
                return Err(Failure::new(format!(
                    "{name} of {container} comes from elsewhere ({source}) and cannot be taken away"
                ))
                .help(format!(
                    "give it another value: `doprax env set {app} {name}=…`"
                )));
            }
            None => {
                return Err(
                    Failure::new(format!("{container} of {app} has no variable {name}")).help(
                        format!("`doprax env list {app} --container {container}` shows all"),
                    ),
                );
            }
        }
    }
    Ok(())
}

/// Refuses to undo what was not done.
async fn check_reset(context: &Context, target: &Target, names: &[String]) -> Result<()> {
    let Target { app, container } = target;
    let variables = context.client()?.env(app, container).await?;
    let by_hand: Vec<&str> = variables
        .iter()
        .filter(|variable| {
            variable.from == EnvSource::Hand
                || (variable.in_manifest && variable.from != EnvSource::Manifest)
        })
        .map(|variable| variable.name.as_str())
        .collect();
    let unknown = names.iter().find(|name| !by_hand.contains(&name.as_str()));
    match unknown {
        Some(name) => Err(Failure::new(format!(
            "{name} of {container} was not changed by hand"
        ))),
        None if by_hand.is_empty() => Err(Failure::new(format!(
            "no variable of {container} was changed by hand"
        ))),
        None => Ok(()),
    }
}

/// Where a variable comes from, for people.
fn source(variable: &EnvVariable) -> String {
    let from = match variable.from {
        EnvSource::Manifest => "doprax.yaml",
        EnvSource::Hand => "by hand",
        EnvSource::Plugin => "plugin",
        EnvSource::Image => "image",
        EnvSource::Host => "host",
    };
    let overrides = variable.in_manifest && variable.from != EnvSource::Manifest;
    match overrides {
        true if variable.from == EnvSource::Hand => format!("{from}, over doprax.yaml"),
        true => format!("{from}; that of doprax.yaml was removed by hand"),
        false => from.to_owned(),
    }
}

/// A value in one line.
fn one_line(value: &str) -> String {
    match value.chars().any(char::is_control) {
        true => value.escape_debug().to_string(),
        false => value.to_owned(),
    }
}

async fn edit(
    context: &Context,
    turn: &Turn,
    target: Target,
    env: BTreeMap<String, Option<String>>,
    reset: Option<Vec<String>>,
) -> Result<()> {
    let Target { app, container } = target;
    let client = turn.client(context)?;
    let edit = Edit {
        container: container.clone(),
        env,
        reset,
        actor: actor(),
    };
    let started = client.edit(&app, &edit).await?;
    if progress::see_through(context, &client, &started, false)
        .await?
        .is_none()
    {
        return Ok(());
    }
    context.output.line(format!(
        "{container} of {} has the new environment",
        context.output.paint.bold(app.as_str())
    ))
}
