//! Placeholder.
use crate::{context::Context, failure::Result};
/// To come
#[derive(Debug, clap::Args)]
pub(crate) struct Check {}
impl Check {
    pub(crate) fn run(self, _context: &Context) -> Result<()> {
        Ok(())
    }
}
