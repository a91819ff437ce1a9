//! `doprax operation`: come back to long work.

use crate::context::Context;
use crate::failure::Result;
use crate::progress;

/// Follow a deploy or other long work to its end
///
/// Shows what has happened so far, then what happens. Ends with 0 if the work was done and
/// with 1 if it failed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax operation 0192f0c1-…            come back to a deploy that you left with Ctrl-C
  doprax operation 0192f0c1-… --json     its events, one JSON object a line")]
pub(crate) struct Operation {
    /// Its identifier, as `up` and `status` show it
    id: String,
}

impl Operation {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let client = context.client()?;
        let operation = client.operation(&self.id).await?;
        let url = progress::follow(context, &client, &self.id).await?;
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
}
