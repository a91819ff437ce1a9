//! What a command does while something else works on the app.

use crate::context::Context;
use crate::failure::Result;
use doprax_api::client::Client;

/// Whether to wait for a turn.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Turn {
    /// Fail if another operation on the app is under way, rather than begin after it
    #[arg(long)]
    no_wait: bool,
}

impl Turn {
    /// A client whose operations wait for their turn, or are refused.
    pub(crate) fn client(&self, context: &Context) -> Result<Client> {
        Ok(context.client()?.waiting(!self.no_wait))
    }
}
