//! `doprax env`: change a container's environment by hand.

use crate::context::Context;
use crate::failure::Result;
use crate::progress;
use crate::variable::{parse_assignment, parse_name};
use doprax_api::wire::Edit;
use doprax_core::name::{AppName, ServiceName};
use std::collections::BTreeMap;

/// Show or change a container's environment by hand
///
/// A change is carried out at once, as a deploy of the same source. It stays over later
/// deploys until doprax.yaml itself changes that variable.
#[derive(Debug, clap::Args)]
pub(crate) struct Env {
    #[command(subcommand)]
    command: EnvCommand,
}

#[derive(Debug, clap::Subcommand)]
enum EnvCommand {
    List(List),
    Set(Set),
    Unset(Unset),
}

/// Show a container's environment; secrets are masked
#[derive(Debug, clap::Args)]
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
    /// What to set
    #[arg(required = true, value_name = "NAME=VALUE", value_parser = parse_assignment)]
    variables: Vec<(String, String)>,
}

/// Take variables away
#[derive(Debug, clap::Args)]
struct Unset {
    #[command(flatten)]
    target: Target,
    /// What to take away
    #[arg(required = true, value_parser = parse_name)]
    names: Vec<String>,
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
            EnvCommand::Set(Set { target, variables }) => {
                let env = variables
                    .into_iter()
                    .map(|(name, value)| (name, Some(value)))
                    .collect();
                edit(context, target, env).await
            }
            EnvCommand::Unset(Unset { target, names }) => {
                edit(
                    context,
                    target,
                    names.into_iter().map(|name| (name, None)).collect(),
                )
                .await
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
    variables.iter().try_for_each(|variable| {
        let value = variable
            .value
            .clone()
            .unwrap_or_else(|| output.paint.dim("(masked)"));
        output.line(format!("{}={value}", variable.name))
    })
}

async fn edit(
    context: &Context,
    target: Target,
    env: BTreeMap<String, Option<String>>,
) -> Result<()> {
    let Target { app, container } = target;
    let client = context.client()?;
    let started = client
        .edit(
            &app,
            &Edit {
                container: container.clone(),
                env,
            },
        )
        .await?;
    progress::follow(context, &client, &started.operation).await?;
    if context.output.json {
        return Ok(());
    }
    context.output.line(format!(
        "{container} of {} has the new environment",
        context.output.paint.bold(app.as_str())
    ))
}
