//! `doprax schema`: the JSON Schema of the manifest, for editors.

use crate::context::Context;
use crate::failure::Result;
use crate::plugins;
use doprax_core::schema::{PluginSchema, schema};

/// Print the JSON Schema of doprax.yaml
///
/// With it an editor completes and checks the file as it is written, the settings of the
/// built-in plugins included.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax schema > .doprax.schema.json
      then, as the first line of doprax.yaml, for editors with yaml-language-server:
      # yaml-language-server: $schema=.doprax.schema.json")]
pub(crate) struct Schema {}

impl Schema {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let plugins = plugins::open()?;
        let known = plugins::known(
            plugins
                .known()
                .map(|info| (info.id.as_str(), info.aliases.as_slice())),
        );
        let described: Vec<PluginSchema<'_>> = known
            .iter()
            .map(|plugin| PluginSchema {
                plugin,
                settings: plugins
                    .info(plugin.name.as_str())
                    .ok()
                    .map(|info| &info.settings),
            })
            .collect();
        let schema = schema(&described);
        if context.output.json {
            return context.output.json(&schema);
        }
        context.output.line(format!("{schema:#}"))
    }
}
