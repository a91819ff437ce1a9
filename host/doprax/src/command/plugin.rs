//! `doprax plugin`: what is installed, and what a plugin is and may do.

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::{plugins, units};
use doprax_api::client::ClientError;
use doprax_api::wire;
use doprax_plugin::Limits;
use serde_json::Value;
use std::path::Path;

/// List plugins, or look into one
///
/// A plugin is a sandboxed WebAssembly component that knows how to run one kind of
/// service. It is asked and answers; it never reaches the network, files or secrets.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax plugin list
  doprax plugin inspect mysql")]
pub(crate) struct Plugin {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, clap::Subcommand)]
enum PluginCommand {
    List(List),
    Inspect(Inspect),
}

/// List the plugins that services may name
///
/// Those of the host; where none runs, those that are part of this program.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax plugin list
  doprax plugin list --json | jq -r '.[].id'")]
struct List {}

/// Show what a plugin is, which settings it has, and what it may do
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax plugin inspect mysql
  doprax plugin inspect ./target/wasm32-wasip2/release/my_plugin.wasm
  doprax plugin inspect redis --json | jq .settings")]
struct Inspect {
    /// A plugin's name, or a file with a component in it
    #[arg(value_name = "NAME-OR-FILE")]
    plugin: String,
}

impl Plugin {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        match self.command {
            PluginCommand::List(list) => list.run(context).await,
            PluginCommand::Inspect(inspect) => inspect.run(context).await,
        }
    }
}

/// The plugins of the host; where none runs, those of this program.
async fn installed(context: &Context) -> Result<Vec<wire::Plugin>> {
    match context.client()?.plugins().await {
        Ok(plugins) => Ok(plugins),
        Err(ClientError::Unreachable { .. }) => {
            context
                .output
                .remark("no host runs; these are the plugins that are part of this program");
            Ok(plugins::open()?.known().map(wire::Plugin::from).collect())
        }
        Err(error) => Err(error.into()),
    }
}

impl List {
    async fn run(self, context: &Context) -> Result<()> {
        let plugins = installed(context).await?;
        if context.output.json {
            return context.output.json(&plugins);
        }
        let rows: Vec<Vec<String>> = plugins
            .into_iter()
            .map(|plugin| {
                let names: Vec<String> = std::iter::once(plugin.id).chain(plugin.aliases).collect();
                let default = plugin
                    .versions
                    .into_iter()
                    .next()
                    .unwrap_or_else(|| "-".to_owned());
                vec![names.join(", "), plugin.version, default, plugin.summary]
            })
            .collect();
        context
            .output
            .table(&["NAME", "PLUGIN", "RUNS", "SERVICE"], &rows)
    }
}

impl Inspect {
    async fn run(self, context: &Context) -> Result<()> {
        let path = Path::new(&self.plugin);
        let is_file = self.plugin.contains('/') || self.plugin.ends_with(".wasm") || path.is_file();
        let plugin = if is_file {
            inspect_file(path)?
        } else {
            find(&self.plugin, installed(context).await?)?
        };
        if context.output.json {
            context.output.json(&plugin)
        } else {
            show(&context.output, &plugin)
        }
    }
}

fn inspect_file(path: &Path) -> Result<wire::Plugin> {
    let limits = Limits::default();
    // One byte more than it takes is refused for its size.
    let bytes = doprax_source::regular::read(path, limits.component_size as u64 + 1)
        .map_err(|error| Failure::new(format!("cannot read {}", path.display())).because(&error))?;
    let info = doprax_plugin::inspect(path, &bytes, limits)
        .map_err(|error| Failure::from_error(&error))?;
    Ok(wire::Plugin::from(&info))
}

fn find(name: &str, plugins: Vec<wire::Plugin>) -> Result<wire::Plugin> {
    let names: Vec<String> = plugins.iter().map(|plugin| plugin.id.clone()).collect();
    let found = plugins
        .into_iter()
        .find(|plugin| plugin.id == name || plugin.aliases.iter().any(|alias| alias == name));
    found.ok_or_else(|| {
        Failure::new(format!("no plugin answers to {name}")).help(format!(
            "there are {}; a file is named with its path: ./{name}.wasm",
            names.join(", ")
        ))
    })
}

fn show(output: &Output, plugin: &wire::Plugin) -> Result<()> {
    let paint = output.paint;
    output.line(format!(
        "{}  {}",
        paint.bold(&plugin.title),
        paint.dim(&plugin.summary)
    ))?;
    let none_or = |texts: &[String]| {
        if texts.is_empty() {
            "none".to_owned()
        } else {
            texts.join(", ")
        }
    };
    let names: Vec<&str> = std::iter::once(plugin.id.as_str())
        .chain(plugin.aliases.iter().map(String::as_str))
        .collect();
    let judges = if plugin.judges {
        "by the plugin itself"
    } else {
        "by its probes"
    };
    let exec = if plugin.grants.exec {
        "commands in its own containers"
    } else {
        "none"
    };
    let facts = [
        ("name", names.join(", ")),
        ("plugin version", plugin.version.clone()),
        ("service versions", none_or(&plugin.versions)),
        ("readiness", judges.to_owned()),
        (
            "reload",
            if plugin.reloads { "yes" } else { "no" }.to_owned(),
        ),
        (
            "from",
            plugin
                .file
                .clone()
                .unwrap_or_else(|| "this program".to_owned()),
        ),
        ("digest", format!("sha256:{}", plugin.digest)),
        ("size", units::bytes(plugin.size as u64)),
        ("imports", none_or(&plugin.imports)),
    ];
    for (name, value) in facts {
        output.line(format!("{name:17} {value}"))?;
    }
    let at_rest = plugin.at_rest.map(|at_rest| {
        let memory = units::bytes(at_rest.memory);
        format!("{memory} of memory, {} on disk", units::bytes(at_rest.disk))
    });
    let more = |texts: &[String]| (!texts.is_empty()).then(|| texts.join(", "));
    let said = [
        ("kind", more(&plugin.categories)),
        ("licence", plugin.license.clone()),
        ("made for", more(&plugin.architectures)),
        ("takes at rest", at_rest),
        (
            "home page",
            plugin.home_page.as_deref().map(|url| paint.cyan(url)),
        ),
    ];
    for (name, value) in said {
        if let Some(value) = value {
            output.line(format!("{name:17} {value}"))?;
        }
    }
    for link in &plugin.links {
        output.line(format!(
            "{:17} {} {}",
            "see",
            link.title,
            paint.cyan(&link.url)
        ))?;
    }
    output.line("")?;
    output.line(paint.bold("It may ask for"))?;
    let grants = [
        ("images", none_or(&plugin.grants.images)),
        ("capabilities", none_or(&plugin.grants.capabilities)),
        ("process limits", none_or(&plugin.grants.ulimits)),
        ("commands", exec.to_owned()),
    ];
    for (name, value) in grants {
        output.line(format!("{name:17} {value}"))?;
    }
    settings(output, &plugin.settings)
}

/// The settings of a schema, one a line.
fn settings(output: &Output, schema: &Value) -> Result<()> {
    output.line("")?;
    let Some(properties) = schema
        .get("properties")
        .and_then(Value::as_object)
        .filter(|map| !map.is_empty())
    else {
        return output.line("It has no settings.");
    };
    output.line(output.paint.bold("Settings"))?;
    for (name, property) in properties {
        let text = property
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .replace('\n', " ");
        let kind = kind(property);
        let default = property.get("default").filter(|value| !value.is_null());
        let default = default
            .map(|value| format!(" [default: {value}]"))
            .unwrap_or_default();
        output.line(format!(
            "{} {}{}",
            output.paint.cyan(&format!("{name:17}")),
            text,
            output.paint.dim(&default)
        ))?;
        if !kind.is_empty() {
            output.line(format!("{:17} {}", "", output.paint.dim(&kind)))?;
        }
    }
    Ok(())
}

/// What a setting may be: its choices, else its type.
fn kind(property: &Value) -> String {
    let texts = |values: &Vec<Value>| {
        let texts: Vec<String> = values
            .iter()
            .filter(|value| value.as_str() != Some("null"))
            .map(|value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            })
            .collect();
        texts.join(" | ")
    };
    match (property.get("enum"), property.get("type")) {
        (Some(Value::Array(choices)), _) => texts(choices),
        (_, Some(Value::String(kind))) => kind.clone(),
        (_, Some(Value::Array(kinds))) => texts(kinds),
        _ => String::new(),
    }
}
